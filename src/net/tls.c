#include "net/tls.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clean.h"
#include "net/duct_bio.h"
#include "net/http1_body.h"

/* Several records at once: a call of the kernel costs as much as two of them. */
#define READ_BUFFER (4 * (TLS_PIECE + 256))
/* All that bodies cost is this twice: the quickest first. */
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

/* --- settings --------------------------------------------------------------------------------------------- */

/* Where distributions keep what they trust, in one file. */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
	"/etc/ssl/ca-bundle.pem",             /* openSUSE */
	"/etc/ssl/cert.pem",
};

/* A folder is read whole, now: OpenSSL by itself would look into it when it is too late. */
static bool load_folder(X509_STORE *store, const char *path)
{
	auto_dir DIR *d = opendir(path);
	const struct dirent *e;
	bool any = false;

	while (d && (e = readdir(d))) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		any |= *e->d_name != '.' && X509_STORE_load_file(store, name) == 1;
	}
	return any;
}

static bool load_trust(X509_STORE *store)
{
	const char *file = getenv(X509_get_default_cert_file_env()), *folder = getenv(X509_get_default_cert_dir_env());
	size_t i;

	if (file)
		return X509_STORE_load_file(store, file) == 1;
	if (folder)
		return load_folder(store, folder);
	for (i = 0; i < ARRAY_SIZE(bundles); i++)
		if (access(bundles[i], R_OK) == 0 && X509_STORE_load_file(store, bundles[i]) == 1)
			return true;
	return X509_STORE_load_file(store, X509_get_default_cert_file()) == 1 ||
	       load_folder(store, X509_get_default_cert_dir());
}

static SSL_CTX *new_settings(const SSL_METHOD *method)
{
	SSL_CTX *c = SSL_CTX_new(method);

	if (!c)
		return NULL;
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
				       SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(c, 1);
	SSL_CTX_set_default_read_buffer_len(c, READ_BUFFER);
	if (SSL_CTX_set_ciphersuites(c, SUITES) != 1) {
		SSL_CTX_free(c);
		return NULL;
	}
	return c;
}

int tls_open(struct tls *t, struct error *err)
{
	t->guest = new_settings(TLS_server_method());
	t->host = new_settings(TLS_client_method());
	if (!t->guest || !t->host || SSL_CTX_set_num_tickets(t->guest, 0) != 1)
		return error_set(err, -ENOMEM, "cannot set up TLS");
	SSL_CTX_set_options(t->host, SSL_OP_CLEANSE_PLAINTEXT); /* an answer may have a value in it */
	SSL_CTX_set_verify(t->host, SSL_VERIFY_PEER, NULL);
	if (!load_trust(SSL_CTX_get_cert_store(t->host)))
		return error_set(err, -ENOENT, "the host has no certificates that it trusts, which secrets need: install "
					       "ca-certificates, or set SSL_CERT_FILE");
	ERR_clear_error();
	return 0;
}

void tls_close(struct tls *t)
{
	SSL_CTX_free(t->guest);
	SSL_CTX_free(t->host);
	*t = (struct tls){ NULL, NULL };
}

/* --- an end ----------------------------------------------------------------------------------------------- */

void end_init(struct end *e, size_t in_max, size_t out_max)
{
	*e = (struct end){ .watch = WATCH_NONE, .in = BUF_INIT(in_max), .out = BUF_INIT(out_max) };
}

void end_fini(struct end *e, struct loop *l)
{
	int fd = e->watch.fd;

	loop_remove(l, &e->watch);
	SSL_free(e->ssl);
	duct_close(&e->duct);
	close_fd(&fd);
	wipe(&e->in);
	wipe(&e->out);
}

int end_watch(struct end *e, struct loop *l, int fd, watch_fn *fn)
{
	int r = loop_add(l, &e->watch, fd, EVENTS, fn);

	if (r < 0)
		close(fd);
	return r;
}

void end_event(struct end *e, uint32_t events)
{
	e->readable |= (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	e->writable |= (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
}

static bool has_duct(const struct end *e)
{
	return e->duct.loop;
}

int end_set_tls(struct end *e, SSL *ssl)
{
	BIO *b;

	e->ssl = ssl;
	if (!has_duct(e))
		return SSL_set_fd(ssl, e->watch.fd) == 1 ? 0 : -ENOMEM;
	b = duct_bio(&e->duct);
	if (!b)
		return -ENOMEM;
	SSL_set_bio(ssl, b, b);
	return 0;
}

/* What a call of OpenSSL has come to: 0 later, -1 it failed; 1: the other side has said its last. */
static int result(struct end *e, int r)
{
	int why = SSL_get_error(e->ssl, r);

	if (why == SSL_ERROR_WANT_READ)
		e->readable = false;
	else if (why == SSL_ERROR_WANT_WRITE)
		e->writable = false;
	else
		return why == SSL_ERROR_ZERO_RETURN ? 1 : -1;
	return 0;
}

int end_shake(struct end *e)
{
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(e->ssl);
	if (r == 1) {
		/* What comes behind the handshake may have been read with it, by an event of the other end: of that
		 * epoll has nothing more to say. */
		e->readable = true;
		return 1;
	}
	return result(e, r) == 0 ? 0 : -1;
}

static ssize_t read_duct(struct end *e, uint8_t *to)
{
	size_t n = duct_recv(&e->duct, to, TLS_PIECE);

	e->eof |= !n && e->duct.eof;
	e->readable = n > 0;
	return (ssize_t)n;
}

static ssize_t read_plain(struct end *e, uint8_t *to)
{
	ssize_t n;

	if (has_duct(e))
		return read_duct(e, to);
	do
		n = recv(e->watch.fd, to, TLS_PIECE, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	if (n == 0)
		e->eof = true;
	else if (errno == EAGAIN)
		e->readable = false;
	else
		e->broken = true;
	return 0;
}

static ssize_t read_tls(struct end *e, uint8_t *to)
{
	size_t n = 0;
	int r;

	ERR_clear_error();
	if (SSL_read_ex(e->ssl, to, TLS_PIECE, &n) == 1)
		return (ssize_t)n;
	r = result(e, 0);
	e->eof |= r > 0;
	e->broken |= r < 0;
	return 0;
}

bool end_fill(struct end *e, size_t most)
{
	bool moved = false;
	size_t got = 0;

	while (got < most && e->readable && !e->eof && !e->broken && buf_room(&e->in) >= TLS_PIECE) {
		uint8_t *to = buf_reserve(&e->in, TLS_PIECE);
		ssize_t n = to ? (e->ssl ? read_tls : read_plain)(e, to) : 0;

		e->broken |= !to;
		moved |= n > 0 || e->eof;
		if (n <= 0)
			break;
		buf_commit(&e->in, (size_t)n);
		got += (size_t)n;
	}
	return moved;
}

static ssize_t write_duct(struct end *e)
{
	ssize_t n = duct_send(&e->duct, buf_data(&e->out), buf_len(&e->out));

	e->writable = n != 0;
	e->deaf |= n < 0;
	return MAX(n, 0);
}

static ssize_t write_plain(struct end *e)
{
	ssize_t n;

	if (has_duct(e))
		return write_duct(e);
	do
		n = send(e->watch.fd, buf_data(&e->out), buf_len(&e->out), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == EAGAIN)
		e->writable = false;
	else
		e->deaf = true;
	return 0;
}

static ssize_t write_tls(struct end *e)
{
	size_t n = 0;

	ERR_clear_error();
	if (SSL_write_ex(e->ssl, buf_data(&e->out), MIN(buf_len(&e->out), TLS_PIECE), &n) == 1)
		return (ssize_t)n;
	if (result(e, 0) != 0)
		e->deaf = true;
	return 0;
}

bool end_flush(struct end *e)
{
	bool moved = false;

	while (e->writable && !e->broken && !e->deaf && buf_len(&e->out)) {
		ssize_t n = (e->ssl ? write_tls : write_plain)(e);

		if (n <= 0)
			break;
		buf_consume(&e->out, (size_t)n);
		moved = true;
	}
	if (e->deaf && buf_len(&e->out)) {
		buf_consume(&e->out, buf_len(&e->out));
		moved = true;
	}
	return moved;
}

size_t end_held(const struct end *e)
{
	return e->in.cap + e->out.cap;
}

void end_trim(struct end *e)
{
	if (!buf_len(&e->in))
		wipe(&e->in);
	if (!buf_len(&e->out))
		wipe(&e->out);
	duct_trim(&e->duct);
}

void end_shut(struct end *e)
{
	if (e->shut || e->broken || e->deaf)
		return;
	e->shut = true;
	ERR_clear_error();
	if (e->ssl)
		SSL_shutdown(e->ssl); /* if there is no room for it now, it comes without */
	if (has_duct(e))
		duct_shut(&e->duct);
	else
		shutdown(e->watch.fd, SHUT_WR);
}

/* The way of a connection to PASS or SPLICE: what the guest says first, and the handshakes. See proxy.c. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/log.h"
#include "net/proxy_impl.h"

#define SECRET_MAX 256 /* of them end TLS here, which holds some 200 KiB by itself */
#define NARROW_OUT (160 * KIB) /* of HTTP/2 with narrow windows: no more is to be written at a time */

/* The guest gets its answer, if it speaks what such an answer can be written in. */
static void refuse(struct proxy *p, const char *why)
{
	int fd = p->server.watch.fd;

	log_debug("a connection to %s is refused: %s", p->hello.name, why);
	loop_remove(p->all->loop, &p->server.watch);
	close_fd(&fd);
	snprintf(p->why, sizeof(p->why), "%s", why);
	p->alpn = p->hello.http1;
	p->h2 = false;
	p->state = REFUSE;
}

static bool begin_server(struct proxy *p)
{
	static const uint8_t both[] = "\x02h2\x08http/1.1";
	size_t from = p->hello.h2 ? 0 : 3, n = (p->hello.h2 ? 3 : 0) + (p->hello.http1 ? 9 : 0);
	struct proxies *all = p->all;
	SSL *s;

	if (all->nsecret == SECRET_MAX) {
		proxy_denied(p, "limit");
		return false;
	}
	p->secret = true;
	all->nsecret++;
	s = SSL_new(all->tls.host);
	if (!s || end_set_tls(&p->server, s) < 0 || SSL_set_tlsext_host_name(s, p->hello.name) != 1 ||
	    SSL_set1_host(s, p->hello.name) != 1 || (n && SSL_set_alpn_protos(s, both + from, (unsigned)n) != 0))
		return false;
	SSL_set_hostflags(s, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	SSL_set_connect_state(s);
	p->state = SERVER;
	return true;
}

static bool begin_guest(struct proxy *p)
{
	SSL *s = SSL_new(p->all->tls.guest);

	if (!s || end_set_tls(&p->guest, s) < 0 || ca_give(p->all->ca, p->hello.name, time(NULL), s) < 0)
		return false;
	SSL_set_app_data(s, p);
	SSL_set_accept_state(s);
	return true;
}

/* Has the server ended its handshake for want of a protocol? */
static bool has_no_protocol(void)
{
	return ERR_GET_REASON(ERR_peek_error()) == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL;
}

static void refuse_protocol(struct proxy *p)
{
	char text[sizeof(p->why)];

	snprintf(text, sizeof(text), "%.100s speaks no version of HTTP that this client does", p->hello.name);
	proxy_denied(p, "alpn");
	refuse(p, text);
}

/* What the server's handshake has come to, if it has failed. */
static void explain(struct proxy *p)
{
	long verdict = SSL_get_verify_result(p->server.ssl);
	char text[sizeof(p->why)];

	if (has_no_protocol()) {
		refuse_protocol(p);
		return;
	}
	if (verdict == X509_V_OK) {
		snprintf(text, sizeof(text), "no TLS with %.100s", p->hello.name);
	} else {
		snprintf(text, sizeof(text), "the certificate of %.60s is not trusted: %.60s", p->hello.name,
			 X509_verify_cert_error_string(verdict));
		proxy_denied(p, "tls-verify");
	}
	refuse(p, text);
}

/* Both sides speak: HTTP of one kind. */
static bool begin_pass(struct proxy *p)
{
	const struct secret_set *set = secrets_of(p->all->secrets, p->hello.name, p->port);
	bool wide = proxies_is_wide(p->all);

	if (set && p->h2)
		p->http2 = http2_new(set, p->hello.name, p->port, wide, proxy_denied, p);
	else if (set)
		p->http1 = http1_new(set, p->hello.name, p->port, proxy_denied, p);
	if (p->http2 && !wide)
		p->guest.out.max = p->server.out.max = NARROW_OUT;
	p->state = PASS;
	proxy_set_limit(p, 0);
	return p->http1 || p->http2;
}

/* A request in the clear. */
static bool on_request(void *ud, enum inspect what, const char *name)
{
	struct proxy *p = ud;

	if (!p->all->ops.may(p->all->ud, &p->to, p->port, p->since_ms, what, name))
		return false;
	p->what = what;
	snprintf(p->name, sizeof(p->name), "%s", name);
	return true;
}

static bool begin_plain(struct proxy *p)
{
	p->http1 = http1_new_plain(on_request, proxy_denied, p);
	p->state = PASS;
	proxy_set_limit(p, 0);
	return p->http1;
}

bool proxy_shake_server(struct proxy *p)
{
	const unsigned char *chosen;
	unsigned n = 0;
	int r = end_shake(&p->server);

	if (r == 0)
		return true;
	if (r < 0) {
		explain(p);
		return true;
	}
	SSL_get0_alpn_selected(p->server.ssl, &chosen, &n);
	p->alpn = n > 0;
	p->h2 = n == 2;
	if (!n && p->hello.offers && !p->hello.http1) { /* a server that does not choose speaks the older one */
		refuse_protocol(p);
		return true;
	}
	p->state = GUEST;
	return begin_guest(p);
}

bool proxy_shake_guest(struct proxy *p)
{
	int r = end_shake(&p->guest);

	return r == 0 || (r > 0 && begin_pass(p));
}

/* Answers with a refusal, once the guest listens. */
bool proxy_say_refusal(struct proxy *p)
{
	int r;

	if (!p->guest.ssl && !begin_guest(p))
		return false;
	r = end_shake(&p->guest);
	if (r <= 0)
		return r == 0;
	if (http1_put_refusal(&p->guest.out, 502, p->why) < 0)
		return false;
	proxy_close_soon(p);
	return true;
}

/* --- the guest's first message ---------------------------------------------------------------------------- */

/* What a server says first goes to the guest, whose first message is waited for all the same. */
static bool hear_server(struct proxy *p)
{
	struct end *g = &p->guest, *s = &p->server;
	bool moved = proxy_has_room(p) && end_fill(s, proxy_round(p));

	if (moved && !p->spoke) {
		p->spoke = true;
		proxy_set_limit(p, 0);
	}
	if (proxy_copy(s, g, SIZE_MAX) < 0)
		return false;
	if (end_flush(g) || moved)
		proxy_yield(p);
	return !g->broken && !s->broken;
}

/* What it is, from the n bytes that are there; 0: it has said nothing, and never will. */
static void look(struct proxy *p, const uint8_t *first, size_t n)
{
	p->what = n ? inspect_claim(first, n, p->name) : INSPECT_OTHER;
	if (p->what == INSPECT_MORE && p->ended)
		p->what = INSPECT_BAD;
}

/* What offers neither is no HTTP, and without ALPN it is the older one. */
static bool begin_secret(struct proxy *p)
{
	if (p->hello.h2 || p->hello.http1 || !p->hello.offers)
		return begin_server(p);
	proxy_denied(p, "alpn");
	return false;
}

/* Looks at what the guest says first. False: it is over. */
bool proxy_listen(struct proxy *p)
{
	_Static_assert(INSPECT_MAX <= DUCT_POOR, "else what lies there could be too little for ever");
	uint8_t first[INSPECT_MAX];
	const struct duct *d = &p->guest.duct;
	size_t n = MIN(sizeof(first), d->in.len);
	bool secret;

	ring_copy(&d->in, first, n);
	if (n || d->eof)
		look(p, first, n);
	if (p->what == INSPECT_MORE)
		return hear_server(p);
	if (!p->all->ops.may(p->all->ud, &p->to, p->port, p->since_ms, p->what, p->name))
		return false;
	secret = !p->spoke && p->what == INSPECT_TLS && hello_parse(first, n, &p->hello) == 0 &&
		 p->all->secrets && secrets_has(p->all->secrets, p->hello.name, p->port);
	p->hello.alpn = NULL;
	if (secret)
		return begin_secret(p);
	if (p->what == INSPECT_HTTP)
		return begin_plain(p);
	inspect_again_begin(&p->again, first, p->what == INSPECT_TLS ? n : 0);
	p->state = SPLICE;
	proxy_set_limit(p, 0);
	return true;
}

/*
 * One question to the host's servers: by UDP, and by TCP if the answer is too long and the guest has asked by TCP. An
 * attempt that fails, or takes longer than ATTEMPT_MS, is followed by one with the next server; when all have been
 * asked ROUNDS times, the guest gets SERVFAIL. So is one whose port was found: its number is half of what somebody has
 * to guess who forges an answer, and the guest may be a friend of theirs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "base/clock.h"
#include "net/resolver_impl.h"

#define ATTEMPT_MS 2000
#define ROUNDS 2
#define WRONG_MAX 16 /* answers with another id, or to another question, before there is another port */

static void on_udp(struct watch *w, uint32_t events);
static void on_tcp(struct watch *w, uint32_t events);

static void end_attempt(struct ask *a)
{
	int fd = a->watch.fd;

	loop_remove(a->r->loop, &a->watch);
	close_fd(&fd);
	buf_fini(&a->in);
	buf_fini(&a->out);
}

static void forget(struct ask *a)
{
	size_t i;

	for (i = 0; i < ASKS_MAX; i++)
		if (a->r->asks[i] == a)
			a->r->asks[i] = NULL;
}

void ask_free(struct ask *a)
{
	if (!a)
		return;
	forget(a);
	end_attempt(a);
	free(a);
}

/* The guest gets its answer, and the question is over. */
static void finish(struct ask *a, const void *msg, size_t n)
{
	struct resolver *r = a->r;
	struct resolver_client client = a->client;
	struct conn *conn = a->conn;

	ask_free(a);
	if (conn)
		conn->pending--;
	resolver_answer(r, &client, conn, msg, n);
	if (conn)
		conn_settle(conn);
}

static const struct server *server_of(const struct ask *a)
{
	return &a->r->servers[a->attempt % a->r->nservers];
}

/* The query into the ask's socket, which by TCP waits until there is a connection. */
static int send_query(struct ask *a, int fd)
{
	uint8_t query[2 + DNS_BUILD_MAX];
	size_t n;

	if (getrandom(&a->id, sizeof(a->id), 0) != sizeof(a->id))
		return -EIO;
	n = dns_build_query(&a->q, a->id, DNS_UDP_MAX, query + 2);
	if (!a->tcp)
		return send(fd, query + 2, n, MSG_NOSIGNAL) < 0 ? -errno : 0;
	query[0] = (uint8_t)(n >> 8);
	query[1] = (uint8_t)n;
	return buf_append(&a->out, query, n + 2);
}

/* A socket of its own to the server, with a port that the kernel picks at random. */
static int begin(struct ask *a)
{
	const struct server *s = server_of(a);
	int type = a->tcp ? SOCK_STREAM : SOCK_DGRAM, r;
	auto_fd int fd = socket(s->any.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	buf_init(&a->in, 2 + MESSAGE_MAX);
	buf_init(&a->out, 2 + DNS_BUILD_MAX);
	if (connect(fd, &s->any, s->len) < 0 && errno != EINPROGRESS)
		return -errno;
	r = send_query(a, fd);
	if (r == 0)
		r = loop_add(a->r->loop, &a->watch, fd, a->tcp ? EPOLLIN | EPOLLOUT : EPOLLIN,
			     a->tcp ? on_tcp : on_udp);
	if (r < 0)
		return r;
	(void)take_fd(&fd);
	a->wrong = 0;
	a->until_ms = clock_ms() + ATTEMPT_MS;
	resolver_until(a->r, a->until_ms);
	return 0;
}

static void finish_with(struct ask *a, enum dns_rcode rcode)
{
	uint8_t out[DNS_BUILD_MAX];
	size_t n = dns_build_reply(&a->q, rcode, out);

	finish(a, out, n);
}

void ask_refuse(struct ask *a)
{
	finish_with(a, DNS_NXDOMAIN);
}

/* Attempts until one is under way; false: no server is left. */
static bool attempt(struct ask *a)
{
	for (; a->attempt < ROUNDS * a->r->nservers; a->attempt++) {
		if (begin(a) == 0)
			return true;
		end_attempt(a);
		resolver_silent(a->r);
	}
	return false;
}

static void next_attempt(struct ask *a)
{
	end_attempt(a);
	a->attempt++;
	a->tcp = false;
	if (!attempt(a))
		finish_with(a, DNS_SERVFAIL);
}

int ask_start(struct resolver *r, const struct dns_question *q, const struct resolver_client *c, struct conn *conn)
{
	struct ask *a;
	size_t i;

	for (i = 0; i < ASKS_MAX && r->asks[i]; i++)
		;
	if (i == ASKS_MAX)
		return -EAGAIN;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = (struct ask){ .r = r, .q = *q, .conn = conn, .watch = WATCH_NONE };
	if (c)
		a->client = *c;
	r->asks[i] = a;
	if (!attempt(a)) {
		ask_free(a);
		return -EHOSTUNREACH;
	}
	if (conn)
		conn->pending++;
	return 0;
}

void ask_late(struct ask *a)
{
	resolver_silent(a->r);
	next_attempt(a);
}

static void learn(struct ask *a, const uint8_t *msg, size_t n)
{
	struct dns_addrs found;
	size_t i;

	dns_addresses(msg, n, &a->q, &found);
	for (i = 0; i < found.n; i++)
		policy_learn(a->r->policy, a->q.name, &found.v[i], found.ttl);
}

/* What a server has said, in r->msg: it is an answer to this question. */
static void take_answer(struct ask *a, size_t n)
{
	uint8_t *msg = a->r->msg;
	enum dns_rcode rcode = dns_rcode(msg);

	if (rcode == DNS_SERVFAIL || rcode == DNS_REFUSED || rcode == DNS_NOTIMP) {
		next_attempt(a); /* perhaps another server knows more */
		return;
	}
	if (dns_truncated(msg) && a->conn && !a->tcp) {
		end_attempt(a);
		a->tcp = true;
		if (begin(a) < 0)
			next_attempt(a);
		return;
	}
	learn(a, msg, n);
	if (!a->conn && n > MIN(a->q.udp_max, DNS_UDP_MAX))
		n = dns_cut(msg, &a->q);
	else
		dns_make_ours(msg, &a->q);
	finish(a, msg, n);
}

static void on_udp(struct watch *w, uint32_t events)
{
	struct ask *a = container_of(w, struct ask, watch);
	ssize_t n = recv(w->fd, a->r->msg, sizeof(a->r->msg), 0);

	(void)events;
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return;
		resolver_silent(a->r); /* nobody listens there */
		next_attempt(a);
	} else if (dns_answers(a->r->msg, (size_t)n, a->id, &a->q)) {
		take_answer(a, (size_t)n);
	} else if (++a->wrong == WRONG_MAX) {
		next_attempt(a);
	} /* else forged: the right one may still come */
}

/* 1: a whole message is in r->msg, *ret bytes; 0: not yet; -errno. */
static int read_message(struct ask *a, size_t *ret)
{
	ssize_t n = buf_read_fd(&a->in, a->watch.fd, 2 + MESSAGE_MAX);
	struct rd r = rd_over(buf_data(&a->in), buf_len(&a->in));
	size_t len = rd_be16(&r);
	const uint8_t *msg = rd_bytes(&r, len);

	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (!r.bad && len) {
		memcpy(a->r->msg, msg, len);
		*ret = len;
		return 1;
	}
	return n < 0 ? (int)n : n == 0 ? -ENODATA : 0;
}

static void on_tcp(struct watch *w, uint32_t events)
{
	struct ask *a = container_of(w, struct ask, watch);
	ssize_t sent = 0;
	size_t n = 0;
	int k = 0;

	if ((events & EPOLLOUT) && buf_len(&a->out)) {
		sent = conn_send(&a->out, w->fd);
		if (!buf_len(&a->out))
			loop_change(a->r->loop, w, EPOLLIN);
	}
	if (sent >= 0 || sent == -EAGAIN)
		k = events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? read_message(a, &n) : 0;
	else
		k = (int)sent;
	if (k > 0 && dns_answers(a->r->msg, n, a->id, &a->q))
		take_answer(a, n);
	else if (k != 0)
		next_attempt(a);
}

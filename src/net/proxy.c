/*
 * Theory of operation. One connection has two ends: the guest's is a socket pair with tcp.c, the server's a socket of
 * the host, which is connected already (tcp_hand_over()). Which way it goes is known from the guest's first message,
 * which is looked at and left where it is (MSG_PEEK). A server that speaks before that does so in the clear, and is
 * heard.
 *
 *	LISTEN --a host of a secret--> SERVER --> GUEST --> PASS --> CLOSE
 *	   |                   its handshake    ours    |  HTTP       what was sent is waited for
 *	   |                      +-----not verified--> REFUSE -----> CLOSE   (502, of our own)
 *	   +--HTTP in the clear-----------------------------> PASS     each request is asked about
 *	   +--another name, no TLS--> SPLICE                           bytes as they are
 *
 * The server's handshake comes first: only what it chooses by ALPN is offered to the guest, so that both sides speak
 * the same. Its certificate is verified against the host's trust and the name in the guest's ClientHello; nothing but
 * a handshake has gone to it before that. The address is not trusted: whoever answers there must prove the name.
 *
 * Values. What goes to the server has values in it, and so has what comes back before it is scrubbed: the buffers are
 * wiped. See secrets.c for the rest. A guest can make a server say a value in other ways than those that are looked
 * for (compressed against our wish, in pieces, encoded): whoever gives a secret for a host trusts that host with it.
 *
 * A server that has closed, when not all of a request was sent yet, has mostly answered before (413, 401). So a send to
 * it that fails is no end: what it has said is read up to its end and passed on, and what the guest still sends is
 * dropped.
 *
 * HTTP in the clear has no values in it. Each request is for a name that the policy allows at this address, not only
 * the first: behind one address of a CDN there are neighbours.
 *
 * Bounds. PROXIES_MAX connections, each with its buffers, SECRET_MAX of them with TLS; SHAKE_MS until both handshakes
 * are over; then the guest's end of the flow (tcp.c) and keep-alive of the kernel say when it is over. An event moves
 * at most ROUNDS times what the buffers hold, and then lets others have their turn.
 *
 * Memory. What all of them hold is counted at each step. When it is more than HELD_MOST, who has more than HELD_SHARE
 * reads no more until there is room again; who has less goes on, for it can read a head and answer it with that. HTTP/2
 * must read at all times, as frames that give room to one stream come behind the data of others: what it may hold is
 * given away as windows, and counted as held from the beginning. So nobody needs more of others than that they are
 * there. Beyond that, main.c has a limit for all.
 */
#include "net/proxy.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "net/ca.h"
#include "net/http1.h"
#include "net/http2.h"
#include "net/tls.h"

#define PROXIES_MAX 1024
#define SECRET_MAX 256 /* of them end TLS here, which holds some 200 KiB by itself */
#define IN_MAX (5 * TLS_PIECE) /* the longest head, and a piece more, so that it is seen to be too long */
#define HELD_MOST (64 * MIB)
#define HELD_LOW (HELD_MOST / 4 * 3) /* there is room again */
#define HELD_SHARE (192 * KIB)
#define WIDE_MOST (HELD_MOST / 2) /* while there is less, HTTP/2 gets wide windows */
#define NARROW_OUT (160 * KIB)    /* and else no more than this to be written at a time */
#define TRIM_MS 100 /* what is empty is given back so often, when there is no room */
#define SHAKE_MS 30000
#define CLOSE_MS 5000
#define TICK_MS 1000
#define ROUNDS 16

enum state { LISTEN, SERVER, GUEST, PASS, REFUSE, CLOSE, SPLICE };

struct proxy {
	LIST_ENTRY(proxy) link;
	struct proxies *all;
	uint64_t number;
	enum state state;
	struct end guest, server;
	struct ip_addr to;
	uint16_t port;
	enum inspect what;  /* INSPECT_MORE: the guest has not said enough yet */
	char name[NET_NAME_MAX + 1]; /* for which it comes, or the last request */
	struct hello hello; /* its ALPN is not kept */
	bool spoke;         /* the server has, before the guest */
	bool secret;        /* of SECRET_MAX */
	bool ended;         /* the guest says no more than what is there to be looked at */
	bool h2;            /* what the server has chosen */
	bool alpn;          /* it has chosen something */
	uint64_t until_ms;  /* 0: no limit */
	size_t held;        /* bytes, as they were counted last */
	bool waits;         /* for room: it has stopped to read */
	struct secret_set *set; /* owned */
	struct http1 *http1;
	struct http2 *http2;
	char why[160]; /* of REFUSE */
};

struct proxies {
	struct loop *loop;
	const struct secrets *secrets;
	struct proxy_ops ops;
	void *ud;
	struct tls tls;
	struct ca *ca;
	LIST_HEAD(, proxy) list;
	unsigned n, nsecret, nwaiting;
	size_t held;         /* bytes */
	uint64_t trimmed_ms;
	uint64_t numbers;
	struct watch tick;
	bool ticking;
};

static void on_guest(struct watch *w, uint32_t events);
static void on_server(struct watch *w, uint32_t events);

/* --- memory ----------------------------------------------------------------------------------------------- */

/* Others have their turn; then it goes on, as a change makes epoll say again what is so. */
static void yield(struct proxy *p)
{
	loop_change(p->all->loop, &p->guest.watch, p->guest.watch.events ^ EPOLLPRI);
	loop_change(p->all->loop, &p->server.watch, p->server.watch.events ^ EPOLLPRI);
}

static void tick(struct proxies *all)
{
	if (!all->ticking)
		loop_timer_set(all->tick.fd, TICK_MS);
	all->ticking = true;
}

static void set_waits(struct proxy *p, bool waits)
{
	p->all->nwaiting += (unsigned)waits - (unsigned)p->waits;
	p->waits = waits;
	if (waits)
		tick(p->all);
}

static void count(struct proxy *p)
{
	size_t now = end_held(&p->guest) + end_held(&p->server);

	now += (p->http1 ? http1_held(p->http1) : 0) + (p->http2 ? http2_held(p->http2) : 0);
	p->all->held += now - p->held;
	p->held = now;
}

/* Gives back what is empty. */
static void trim(struct proxy *p)
{
	end_trim(&p->guest);
	end_trim(&p->server);
	if (p->http1)
		http1_trim(p->http1);
	count(p);
}

static void trim_all(struct proxies *all)
{
	uint64_t now = clock_ms();
	struct proxy *p;

	if (now < all->trimmed_ms + TRIM_MS)
		return;
	all->trimmed_ms = now;
	LIST_FOREACH(p, &all->list, link)
		trim(p);
}

/* HTTP/2 has more than its share from the beginning: see above. */
static bool is_greedy(const struct proxy *p)
{
	return p->all->held > HELD_MOST && p->held > HELD_SHARE && !p->http2;
}

/* May it read more? If not, it is woken when it may. */
static bool has_room(struct proxy *p)
{
	count(p);
	if (is_greedy(p))
		trim(p);
	if (is_greedy(p))
		trim_all(p->all);
	set_waits(p, is_greedy(p));
	return !p->waits;
}

/* Who waits looks again. */
static void wake(struct proxies *all)
{
	struct proxy *p;

	if (all->nwaiting)
		LIST_FOREACH(p, &all->list, link)
			if (p->waits) {
				set_waits(p, false);
				yield(p);
			}
}

static void wake_if_room(struct proxies *all)
{
	if (all->held <= HELD_LOW)
		wake(all);
}

/* --- their life ------------------------------------------------------------------------------------------- */

static void proxy_free(struct proxy *p)
{
	LIST_REMOVE(p, link);
	p->all->n--;
	p->all->nsecret -= p->secret;
	p->all->held -= p->held;
	set_waits(p, false);
	end_fini(&p->guest, p->all->loop);
	end_fini(&p->server, p->all->loop);
	http1_free(p->http1);
	http2_free(p->http2);
	free(p->set);
	free(p);
}

static void set_limit(struct proxy *p, uint64_t ms)
{
	p->until_ms = ms ? clock_ms() + ms : 0;
	if (ms)
		tick(p->all);
}

static void on_tick(struct watch *w, uint32_t events)
{
	struct proxies *all = container_of(w, struct proxies, tick);
	uint64_t expired, now = clock_ms();
	struct proxy *p, *next;

	(void)events;
	if (read(w->fd, &expired, sizeof(expired)) != sizeof(expired))
		return;
	all->ticking = false;
	wake(all); /* there may be some room, though not much */
	for (p = LIST_FIRST(&all->list); p; p = next) {
		next = LIST_NEXT(p, link);
		if (p->until_ms && p->until_ms <= now)
			proxy_free(p);
		else
			all->ticking |= p->until_ms > 0;
	}
	if (all->ticking)
		loop_timer_set(w->fd, TICK_MS);
}

/* ALPN of the guest's side: what the server has chosen, or nothing. */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
		       unsigned int in_len, void *arg)
{
	static const unsigned char h2[] = "\x02h2", http1[] = "\x08http/1.1";
	const struct proxy *p = SSL_get_app_data(ssl);
	unsigned char *chosen = NULL;

	(void)arg;
	if (!p->alpn)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_select_next_proto(&chosen, out_len, p->h2 ? h2 : http1, p->h2 ? 3 : 9, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

struct proxies *proxies_new(struct loop *l, const struct secrets *s, const struct proxy_ops *ops, void *ud,
			    struct error *err)
{
	struct proxies *p = calloc(1, sizeof(*p));
	int fd = loop_timer_fd(), r;

	if (!p) {
		close_fd(&fd);
		error_nomem(err);
		return NULL;
	}
	*p = (struct proxies){ .loop = l, .secrets = s, .ops = *ops, .ud = ud, .tick = WATCH_NONE };
	r = fd < 0 ? fd : loop_add(l, &p->tick, fd, EPOLLIN, on_tick);
	if (r < 0) {
		close_fd(&fd);
		error_code(err, r, "cannot make a timer");
	}
	if (r == 0 && s)
		r = tls_open(&p->tls, err);
	if (r == 0 && s) {
		SSL_CTX_set_alpn_select_cb(p->tls.guest, select_alpn, NULL);
		p->ca = ca_new(err);
		r = p->ca ? 0 : -ENOMEM;
	}
	if (r == 0)
		return p;
	proxies_free(p);
	return NULL;
}

void proxies_free(struct proxies *p)
{
	int fd;

	if (!p)
		return;
	while (!LIST_EMPTY(&p->list))
		proxy_free(LIST_FIRST(&p->list));
	fd = p->tick.fd;
	loop_remove(p->loop, &p->tick);
	close_fd(&fd);
	ca_free(p->ca);
	tls_close(&p->tls);
	free(p);
}

const char *proxies_ca(const struct proxies *p)
{
	return ca_pem(p->ca);
}

/* --- the way to PASS -------------------------------------------------------------------------------------- */

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
		all->ops.denied(all->ud, &p->to, p->port, p->hello.name, "limit");
		return false;
	}
	p->secret = true;
	all->nsecret++;
	s = p->server.ssl = SSL_new(all->tls.host);
	if (!s || SSL_set_fd(s, p->server.watch.fd) != 1 || SSL_set_tlsext_host_name(s, p->hello.name) != 1 ||
	    SSL_set1_host(s, p->hello.name) != 1 || (n && SSL_set_alpn_protos(s, both + from, (unsigned)n) != 0))
		return false;
	SSL_set_hostflags(s, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	SSL_set_connect_state(s);
	p->state = SERVER;
	return true;
}

static bool begin_guest(struct proxy *p)
{
	SSL *s = p->guest.ssl = SSL_new(p->all->tls.guest);

	if (!s || SSL_set_fd(s, p->guest.watch.fd) != 1 || ca_give(p->all->ca, p->hello.name, time(NULL), s) < 0)
		return false;
	SSL_set_app_data(s, p);
	SSL_set_accept_state(s);
	return true;
}

/* What the server's handshake has come to, if it has failed. */
static void explain(struct proxy *p)
{
	long verdict = SSL_get_verify_result(p->server.ssl);
	char text[sizeof(p->why)];

	if (verdict == X509_V_OK) {
		snprintf(text, sizeof(text), "no TLS with %.100s", p->hello.name);
	} else {
		snprintf(text, sizeof(text), "the certificate of %.60s is not trusted: %.60s", p->hello.name,
			 X509_verify_cert_error_string(verdict));
		p->all->ops.denied(p->all->ud, &p->to, p->port, p->hello.name, "tls-verify");
	}
	refuse(p, text);
}

/* Both sides speak: HTTP of one kind. */
static bool begin_pass(struct proxy *p)
{
	bool wide = p->all->held < WIDE_MOST;

	p->set = secrets_of(p->all->secrets, p->hello.name, p->port);
	if (p->set && p->h2)
		p->http2 = http2_new(p->set, p->hello.name, p->port, wide);
	else if (p->set)
		p->http1 = http1_new(p->set, p->hello.name, p->port);
	if (p->http2 && !wide)
		p->guest.out.max = p->server.out.max = NARROW_OUT;
	p->state = PASS;
	set_limit(p, 0);
	return p->http1 || p->http2;
}

/* A request in the clear. */
static bool on_request(void *ud, enum inspect what, const char *name)
{
	struct proxy *p = ud;

	if (!p->all->ops.may(p->all->ud, &p->to, p->port, what, name))
		return false;
	p->what = what;
	snprintf(p->name, sizeof(p->name), "%s", name);
	return true;
}

static bool begin_plain(struct proxy *p)
{
	p->http1 = http1_new_plain(on_request, p);
	p->state = PASS;
	set_limit(p, 0);
	return p->http1;
}

static void close_soon(struct proxy *p)
{
	p->state = CLOSE;
	set_limit(p, CLOSE_MS);
}

static bool shake_server(struct proxy *p)
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
	p->state = GUEST;
	return begin_guest(p);
}

/* --- moving ----------------------------------------------------------------------------------------------- */

/* What one end has read to what the other one writes. */
static bool copy(struct end *from, struct end *to)
{
	size_t n = MIN(buf_len(&from->in), buf_room(&to->out));

	if (n && buf_append(&to->out, buf_data(&from->in), n) < 0)
		return false;
	if (n)
		buf_consume(&from->in, n);
	if (from->eof && !buf_len(&from->in) && !buf_len(&to->out))
		end_shut(to);
	return true;
}

/* False: it cannot go on. */
static bool translate(struct proxy *p)
{
	struct end *g = &p->guest, *s = &p->server;
	int r;

	if (p->state == SPLICE)
		return copy(g, s) && copy(s, g);
	if (p->http2) {
		r = http2_move(p->http2, &g->in, &g->out, &s->in, &s->out, g->eof, s->eof);
	} else {
		r = http1_request(p->http1, &g->in, &s->out, g->eof);
		if (r == 0)
			r = http1_answer(p->http1, &s->in, &g->out, s->eof);
	}
	if (p->http2 ? http2_late(p->http2) : http1_late(p->http1))
		p->all->ops.denied(p->all->ud, &p->to, p->port, p->hello.name, "secret-late");
	return r == 0;
}

static bool is_over(const struct proxy *p)
{
	if (p->state == SPLICE)
		return p->guest.shut && (p->server.shut || p->server.deaf);
	return p->http2 ? http2_over(p->http2) : http1_over(p->http1);
}

static bool pass(struct proxy *p)
{
	unsigned round;
	bool moved = true;

	for (round = 0; moved && round < ROUNDS; round++) {
		moved = has_room(p) && end_fill(&p->guest);
		moved |= !p->waits && end_fill(&p->server);
		if (!translate(p))
			return false;
		moved |= end_flush(&p->server);
		moved |= end_flush(&p->guest);
		if (p->guest.broken || p->guest.deaf)
			return false;
	}
	if (is_over(p) && p->state == PASS)
		close_soon(p);
	else if (p->server.broken && !moved && !buf_len(&p->guest.out)) /* it had said no more than the guest has */
		return false;
	else if (moved)
		yield(p);
	return !(p->state == SPLICE && is_over(p));
}

/* --- the guest's first message ---------------------------------------------------------------------------- */

/* What a server says first goes to the guest, whose first message is waited for all the same. */
static bool hear_server(struct proxy *p)
{
	struct end *g = &p->guest, *s = &p->server;
	unsigned round;
	bool moved = true;

	for (round = 0; moved && round < ROUNDS; round++) {
		moved = end_fill(s);
		if (moved && !p->spoke) {
			p->spoke = true;
			set_limit(p, 0);
		}
		if (!copy(s, g))
			return false;
		moved |= end_flush(g);
	}
	if (moved)
		yield(p);
	return !g->broken && !s->broken;
}

/* What it is, from the n bytes that are there; 0: it has said nothing, and never will. */
static void look(struct proxy *p, const uint8_t *first, size_t n)
{
	p->what = n ? inspect_claim(first, n, p->name) : INSPECT_OTHER;
	if (p->what == INSPECT_MORE && p->ended)
		p->what = INSPECT_BAD;
}

/* Looks at what the guest says first. False: it is over. */
static bool listen_to(struct proxy *p)
{
	uint8_t first[INSPECT_MAX];
	ssize_t n = recv(p->guest.watch.fd, first, sizeof(first), MSG_PEEK);
	bool secret;

	if (n < 0 && errno != EAGAIN)
		return false;
	if (n >= 0)
		look(p, first, (size_t)n);
	if (p->what == INSPECT_MORE)
		return hear_server(p);
	if (!p->all->ops.may(p->all->ud, &p->to, p->port, p->what, p->name))
		return false;
	secret = !p->spoke && p->what == INSPECT_TLS && hello_parse(first, (size_t)n, &p->hello) == 0 &&
		 p->all->secrets && secrets_has(p->all->secrets, p->hello.name, p->port);
	p->hello.alpn = NULL;
	if (secret) /* what is neither is no HTTP, and without ALPN it is the older one */
		return (p->hello.h2 || p->hello.http1 || !p->hello.offers) && begin_server(p);
	if (p->what == INSPECT_HTTP)
		return begin_plain(p);
	p->state = SPLICE;
	set_limit(p, 0);
	return true;
}

/* --- all of it -------------------------------------------------------------------------------------------- */

/* Answers with a refusal, once the guest listens. */
static bool say_refusal(struct proxy *p)
{
	int r;

	if (!p->guest.ssl && !begin_guest(p))
		return false;
	r = end_shake(&p->guest);
	if (r <= 0)
		return r == 0;
	if (http1_put_refusal(&p->guest.out, 502, p->why) < 0)
		return false;
	close_soon(p);
	return true;
}

/* What waits for the guest is sent, and what it still says is not heard. */
static bool close_down(struct proxy *p)
{
	struct end *g = &p->guest;

	if (end_flush(g))
		set_limit(p, CLOSE_MS);
	if (!buf_len(&g->out))
		end_shut(g);
	do
		buf_consume(&g->in, buf_len(&g->in));
	while (end_fill(g) && !g->eof);
	return !g->broken && !g->deaf && !(g->eof && g->shut);
}

static bool shake_guest(struct proxy *p)
{
	int r = end_shake(&p->guest);

	return r == 0 || (r > 0 && begin_pass(p));
}

static bool step(struct proxy *p)
{
	switch (p->state) {
	case LISTEN: return listen_to(p);
	case SERVER: return shake_server(p);
	case GUEST: return shake_guest(p);
	case REFUSE: return say_refusal(p);
	case PASS:
	case SPLICE: return pass(p);
	case CLOSE: return close_down(p);
	}
	return false;
}

/* As far as it goes now. */
static void go_on(struct proxy *p)
{
	enum state before;

	struct proxies *all = p->all;

	do {
		before = p->state;
		if (!step(p)) {
			proxy_free(p);
			wake_if_room(all);
			return;
		}
	} while (p->state != before);
	count(p);
	wake_if_room(all);
}

static void on_guest(struct watch *w, uint32_t events)
{
	struct proxy *p = container_of(w, struct proxy, guest.watch);

	end_event(&p->guest, events);
	p->ended |= (events & (EPOLLRDHUP | EPOLLHUP)) != 0;
	if (events & EPOLLHUP && !p->guest.shut) /* it hears nothing any more */
		proxy_free(p);
	else
		go_on(p);
}

static void on_server(struct watch *w, uint32_t events)
{
	struct proxy *p = container_of(w, struct proxy, server.watch);

	end_event(&p->server, events);
	go_on(p);
}

uint64_t proxies_serve(struct proxies *all, int guest, int server, const struct ip_addr *to, uint16_t port)
{
	auto_fd int g = guest, s = server;
	struct proxy *p = all->n < PROXIES_MAX && io_set_nonblock(g, true) == 0 ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		all->ops.denied(all->ud, to, port, NULL, "limit");
		return 0;
	}
	p->all = all;
	p->number = ++all->numbers;
	p->to = *to;
	p->port = port;
	end_init(&p->guest, IN_MAX, HTTP1_OUT_MAX);
	end_init(&p->server, IN_MAX, HTTP1_OUT_MAX);
	LIST_INSERT_HEAD(&all->list, p, link);
	all->n++;
	if (end_watch(&p->guest, all->loop, take_fd(&g), on_guest) < 0 ||
	    end_watch(&p->server, all->loop, take_fd(&s), on_server) < 0) {
		proxy_free(p);
		return 0;
	}
	set_limit(p, SHAKE_MS);
	return p->number;
}

bool proxies_recheck(struct proxies *all, uint64_t number)
{
	const struct proxy *p;

	LIST_FOREACH(p, &all->list, link)
		if (p->number == number)
			return all->ops.may(all->ud, &p->to, p->port, p->what, p->name);
	return true;
}

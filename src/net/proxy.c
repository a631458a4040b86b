/*
 * Theory of operation. One connection has two ends: the guest's is a duct to tcp.c, the server's a socket of the host,
 * which is connected already (tcp_hand_over()). Which way it goes is known from the guest's first message, which is
 * looked at and left where it is. A server that speaks before that does so in the clear, and is heard.
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
 *	proxy_begin.c     all before PASS and SPLICE        proxy_room.c  memory
 *	http1.c, http2.c  what PASS does                     ca.c, tls.c   certificates, TLS
 *
 * Bounds. PROXIES_MAX connections, each with its buffers, SECRET_MAX of them with TLS; SHAKE_MS until both handshakes
 * are over; then the guest's end of the flow (tcp.c) and keep-alive of the kernel say when it is over. An event moves
 * no more than the buffers hold, and then lets others have their turn.
 */
#include "net/proxy_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"

#define PROXIES_MAX 1024
#define IN_MAX (5 * TLS_PIECE) /* the longest head, and a piece more, so that it is seen to be too long */
#define DUCT_MAX (512 * KIB) /* between the guest's TCP and here, each way: what is under way to the guest lies there */
#define SHAKE_MS 30000
#define CLOSE_MS 5000

/* --- their life ------------------------------------------------------------------------------------------- */

static void proxy_free(struct proxy *p)
{
	LIST_REMOVE(p, link);
	p->all->n--;
	p->all->nsecret -= p->secret;
	p->all->held -= p->held;
	proxy_set_waits(p, false);
	end_fini(&p->guest, p->all->loop);
	end_fini(&p->server, p->all->loop);
	http1_free(p->http1);
	http2_free(p->http2);
	free(p);
}

void proxy_set_limit(struct proxy *p, uint64_t ms)
{
	p->until_ms = ms ? clock_ms() + ms : 0;
	if (ms)
		proxy_tick(p->all);
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
	proxies_wake(all); /* there may be some room, though not much */
	for (p = LIST_FIRST(&all->list); p; p = next) {
		next = LIST_NEXT(p, link);
		if (p->until_ms && p->until_ms <= now)
			proxy_free(p);
		else if (p->until_ms)
			proxy_tick(all);
	}
}

void proxy_denied(void *ud, const char *reason)
{
	struct proxy *p = ud;

	p->all->ops.denied(p->all->ud, &p->to, p->port, p->name, reason);
}

/* ALPN of the guest's side: what the server has chosen, or nothing. */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
		       unsigned int in_len, void *arg)
{
	static const unsigned char h2[] = "\x02h2", http1[] = "\x08http/1.1";
	struct proxy *p = SSL_get_app_data(ssl);
	unsigned char *chosen = NULL;

	(void)arg;
	if (!p->alpn)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_select_next_proto(&chosen, out_len, p->h2 ? h2 : http1, p->h2 ? 3 : 9, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED) {
		proxy_denied(p, "alpn");
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

struct proxies *proxies_new(struct loop *l, struct secrets *s, const struct proxy_ops *ops, void *ud,
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

void proxy_close_soon(struct proxy *p)
{
	p->state = CLOSE;
	proxy_set_limit(p, CLOSE_MS);
}

/* --- moving ----------------------------------------------------------------------------------------------- */

/* What one end has read to what the other one writes. */
ssize_t proxy_copy(struct end *from, struct end *to, size_t most)
{
	size_t n = MIN(MIN(buf_len(&from->in), most), buf_room(&to->out));

	if (n && buf_append(&to->out, buf_data(&from->in), n) < 0)
		return -ENOMEM;
	if (n)
		buf_consume(&from->in, n);
	if (from->eof && !buf_len(&from->in) && !buf_len(&to->out))
		end_shut(to);
	return (ssize_t)n;
}

/* What the guest says, while it is for the name that it began with. */
static bool splice_guest(struct proxy *p)
{
	struct end *g = &p->guest;
	size_t *cleared = &p->again.cleared;
	ssize_t n;

	if (inspect_again(&p->again, buf_data(&g->in), buf_len(&g->in), p->name) < 0) {
		p->all->ops.denied(p->all->ud, &p->to, p->port, NULL, "claim");
		return false;
	}
	n = proxy_copy(g, &p->server, g->eof ? SIZE_MAX : *cleared);
	*cleared -= MIN(*cleared, (size_t)MAX(n, 0));
	return n >= 0;
}

/* False: it cannot go on. */
static bool translate(struct proxy *p)
{
	struct end *g = &p->guest, *s = &p->server;
	int r;

	if (p->state == SPLICE)
		return splice_guest(p) && proxy_copy(s, g, SIZE_MAX) >= 0;
	if (p->http2) {
		r = http2_move(p->http2, &g->in, &g->out, &s->in, &s->out, g->eof, s->eof);
	} else {
		r = http1_request(p->http1, &g->in, &s->out, g->eof);
		if (r == 0)
			r = http1_answer(p->http1, &s->in, &g->out, s->eof);
	}
	return r == 0;
}

static bool is_over(const struct proxy *p)
{
	if (p->state == SPLICE)
		return p->guest.shut && (p->server.shut || p->server.deaf);
	return p->http2 ? http2_over(p->http2) : http1_over(p->http1);
}

/* One round: then what it has come to is sent to the guest, while the next one is worked on. */
static bool pass(struct proxy *p)
{
	bool moved = proxy_has_room(p) && end_fill(&p->guest, proxy_round(p));

	moved |= !p->waits && end_fill(&p->server, proxy_round(p));
	if (!translate(p))
		return false;
	moved |= end_flush(&p->server);
	moved |= end_flush(&p->guest);
	if (p->guest.broken || p->guest.deaf)
		return false;
	if (is_over(p) && p->state == PASS)
		proxy_close_soon(p);
	else if (p->server.broken && !moved && !buf_len(&p->guest.out)) /* it had said no more than the guest has */
		return false;
	else if (moved)
		proxy_yield(p);
	return !(p->state == SPLICE && is_over(p));
}

/* --- all of it -------------------------------------------------------------------------------------------- */

/* What waits for the guest is sent, and what it still says is not heard. */
static bool close_down(struct proxy *p)
{
	struct end *g = &p->guest;

	if (end_flush(g))
		proxy_set_limit(p, CLOSE_MS);
	if (!buf_len(&g->out))
		end_shut(g);
	do
		buf_consume(&g->in, buf_len(&g->in));
	while (end_fill(g, SIZE_MAX) && !g->eof);
	return !g->broken && !g->deaf && !(g->eof && g->shut);
}

static bool step(struct proxy *p)
{
	switch (p->state) {
	case LISTEN: return proxy_listen(p);
	case SERVER: return proxy_shake_server(p);
	case GUEST: return proxy_shake_guest(p);
	case REFUSE: return proxy_say_refusal(p);
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
		if (p->guest.duct.reset || !step(p)) { /* of a reset: nothing that is still here goes on */
			proxy_free(p);
			proxies_wake_if_room(all);
			return;
		}
	} while (p->state != before);
	proxy_count(p);
	proxies_wake_if_room(all);
}

static void on_guest(struct duct *d)
{
	struct proxy *p = container_of(d, struct proxy, guest.duct);

	end_event(&p->guest, EPOLLIN | EPOLLOUT);
	p->ended |= d->eof;
	if (!d->peer && !p->guest.shut) /* it hears nothing any more */
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

uint64_t proxies_serve(struct proxies *all, struct duct *guest, duct_fn *on, int server, const struct ip_addr *to,
		       uint16_t port, uint64_t since_ms)
{
	auto_fd int s = server;
	struct proxy *p = all->n < PROXIES_MAX ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		all->ops.denied(all->ud, to, port, NULL, "limit");
		return 0;
	}
	p->all = all;
	p->number = ++all->numbers;
	p->to = *to;
	p->port = port;
	p->since_ms = since_ms;
	end_init(&p->guest, IN_MAX, HTTP1_OUT_MAX);
	end_init(&p->server, IN_MAX, HTTP1_OUT_MAX);
	LIST_INSERT_HEAD(&all->list, p, link);
	all->n++;
	if (end_watch(&p->server, all->loop, take_fd(&s), on_server) < 0) {
		proxy_free(p);
		return 0;
	}
	duct_pair(&p->guest.duct, on_guest, guest, on, all->loop, DUCT_MAX);
	proxy_set_limit(p, SHAKE_MS);
	duct_wake(&p->guest.duct);
	return p->number;
}

bool proxies_recheck(struct proxies *all, uint64_t number)
{
	const struct proxy *p;

	LIST_FOREACH(p, &all->list, link)
		if (p->number == number)
			return all->ops.may(all->ud, &p->to, p->port, p->since_ms, p->what, p->name);
	return true;
}

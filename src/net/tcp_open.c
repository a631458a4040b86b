/*
 * How connections begin: the guest's SYN becomes a connect(2) of the host, an accepted connection of the host a SYN.
 *
 * The guest's SYN is answered when the host's peer was reached, and not before: a program that tries one address after
 * the other must hear of each what became of it. That goes for the proxy's connections as well, which are like all
 * others until then.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "base/sock.h"
#include "net/bytes.h"
#include "net/hostsock.h"
#include "net/tcp.h"

#define FIRST_SPARE_PORT 32768 /* shown to the guest if somebody else's is in use already */
#define EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)

#define DNS_PORT 53

/* A new one around a socket, which is taken; it is in the table and watched. NULL: there is no room for it. */
static struct tcp *add(struct net *n, int sock, const struct flow_key *k)
{
	auto_fd int fd = sock;
	struct tcp *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->f.fd = -1;
	t->f.watch = WATCH_NONE;
	t->held = BUF_INIT(TCP_HELD_MAX);
	if (getrandom(&t->snd_una, sizeof(t->snd_una), 0) != sizeof(t->snd_una) ||
	    !flow_add(n, &t->f, &tcp_flow_ops, k)) {
		free(t);
		return NULL;
	}
	t->snd_nxt = t->snd_una;
	t->f.fd = take_fd(&fd);
	if (loop_add(&n->loop, &t->f.watch, t->f.fd, EVENTS, tcp_host_event) < 0) {
		flow_end(&t->f);
		return NULL;
	}
	return t;
}

static void set_options(struct tcp *t)
{
	int on = 1, zero = 0;

	/* The guest has waited for full segments already, if it wanted to. */
	setsockopt(t->f.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* A peer that is gone without a word would hold its place for ever. */
	setsockopt(t->f.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	/* Urgent bytes keep their place among the others (RFC 6093): a count of bytes that leaves some out is wrong. */
	setsockopt(t->f.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	t->peeks_on = setsockopt(t->f.fd, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) == 0;
}

/* Sends the SYN, of one kind or the other, and waits for what it brings. */
static void send_syn(struct tcp *t, enum tcp_state state)
{
	t->state = state;
	t->snd_nxt = t->snd_una + 1;
	t->resend_ms = t->f.net->now_ms + TCP_RESEND_MS;
	tcp_send(t, state == TCP_ASKED ? SEG_SYN : SEG_SYN | SEG_ACK, t->snd_una);
	flow_time(&t->f, true);
	t->f.net->stats.connections++;
}

/* --- out --- */

/* What connect(2) has come to, if that was nothing. The guest hears the reason that its own kernel would have. */
static void refuse(struct tcp *t, int error)
{
	if (error == EHOSTUNREACH || error == ENETUNREACH || error == EACCES || error == EPERM ||
	    error == EADDRNOTAVAIL) {
		uint8_t quote[QUOTE_BYTES];
		struct packet p = { .dst = t->f.key.remote, .ip = quote };

		p.ip_len = stack_quote(quote, &t->f.key);
		put32(quote + p.ip_len - 4, t->rcv_nxt - 1);
		stack_unreachable(t->f.net, &p, UNREACHABLE_HOST);
		flow_end(&t->f);
	} else {
		tcp_reset(t);
	}
}

bool tcp_hand_over(struct tcp *t)
{
	struct net *n = t->f.net;

	loop_remove(&n->loop, &t->f.watch);
	t->hup = t->urgent = t->drained = t->peeks_on = false;
	t->proxy = proxies_serve(n->proxies, &t->duct, tcp_duct_event, take_fd(&t->f.fd), &t->f.key.remote,
				 t->f.key.remote_port, t->f.since_ms);
	if (t->proxy)
		return true;
	tcp_reset(t); /* which frees it */
	return false;
}

static void established(struct tcp *t)
{
	if (!t->to_proxy || tcp_hand_over(t))
		send_syn(t, TCP_ANSWERED);
}

void tcp_connected(struct tcp *t)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (getsockopt(t->f.fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		error = errno;
	if (error)
		refuse(t, error);
	else
		established(t);
}

/* Takes from the guest's SYN what concerns the connection. */
static void take_syn(struct tcp *t, const struct packet *p)
{
	tcp_options(t, p->data, (size_t)(p->data[12] >> 4) * 4);
	t->window = get16(p->data + 14);
	t->rcv_nxt = t->acked = t->edge = get32(p->data + 4) + 1;
}

static void connect_out(struct net *n, const struct packet *p, const struct flow_key *k, const struct ip_addr *to,
			bool by_name)
{
	struct host_addr a = host_addr_of(to, k->remote_port);
	int fd = socket(a.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;
	struct tcp *t;

	if (fd < 0) {
		stack_unreachable(n, p, UNREACHABLE_HOST); /* no IPv6 here, or no more files */
		return;
	}
	/* Before it is watched: of a socket without a connection epoll says that it has hung up. */
	r = connect(fd, &a.sa, a.len) == 0 ? 0 : errno;
	t = add(n, fd, k);
	if (!t) {
		tcp_send_rst(n, p);
		return;
	}
	take_syn(t, p);
	set_options(t);
	t->to_proxy = proxy_wants(n, to, k->remote_port);
	t->unchecked = by_name && !t->to_proxy;
	t->state = TCP_CONNECTING;
	if (r == 0)
		established(t);
	else if (r != EINPROGRESS)
		refuse(t, r);
}

/* A SYN whose other end is in this program: the fd of a stream socket, or -errno, and the guest was refused. */
static int open_internal(struct net *n, const struct packet *p, const struct flow_key *k)
{
	int pair[2], zero = 0, r = sock_pair(pair);
	struct tcp *t;

	if (r < 0) {
		tcp_send_rst(n, p);
		return r;
	}
	t = add(n, pair[0], k);
	if (!t) {
		close_fd(&pair[1]);
		tcp_send_rst(n, p);
		return -ENOMEM;
	}
	t->internal = true;
	t->peeks_on = setsockopt(t->f.fd, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) == 0;
	take_syn(t, p);
	send_syn(t, TCP_ANSWERED);
	return pair[1];
}

/* The gateway's own DNS. */
static void connect_resolver(struct net *n, const struct packet *p, const struct flow_key *k)
{
	int fd = open_internal(n, p, k);

	if (fd >= 0)
		resolver_serve(n->resolver, fd);
}

void tcp_open_out(struct net *n, const struct packet *p)
{
	struct flow_key k = { p->dst, get16(p->data + 2), get16(p->data), IPPROTO_TCP };
	struct ip_addr to;
	bool by_name;

	if (flows_full(n)) {
		tcp_ask_for_all(n);
		denied(n, NET_TCP, &p->dst, k.remote_port, NULL, "limit");
		tcp_send_rst(n, p);
	} else if (ip_is_gateway(&p->dst)) {
		if (k.remote_port == DNS_PORT)
			connect_resolver(n, p, &k);
		else
			tcp_send_rst(n, p);
	} else if (!stack_may(n, NET_TCP, &p->dst, k.remote_port, POLICY_NOW, &to, &by_name)) {
		tcp_send_rst(n, p);
	} else {
		connect_out(n, p, &k, &to, by_name);
	}
}

/* --- in --- */

/* The peer's own port, or another one if it is in use towards this port of the guest. */
static bool find_port(const struct net *n, struct flow_key *k)
{
	uint32_t tries;

	for (tries = 0; flow_find(&n->flows, k); tries++) {
		if (tries > UINT16_MAX - FIRST_SPARE_PORT)
			return false;
		k->remote_port = (uint16_t)(FIRST_SPARE_PORT + tries);
	}
	return true;
}

/* A connection of the host's begins. NULL: there is no room for it. */
static struct tcp *open_in(struct net *n, int sock, const struct ip_addr *from, uint16_t from_port,
			   uint16_t guest_port)
{
	struct flow_key k = { *from, from_port, guest_port, IPPROTO_TCP };
	auto_fd int fd = sock;
	struct tcp *t;

	if (!find_port(n, &k))
		return NULL;
	t = flows_full_outside(n) ? NULL : add(n, take_fd(&fd), &k);
	if (!t) {
		tcp_ask_for_all(n);
		return NULL;
	}
	flow_from_outside(&t->f);
	t->scales = true;
	t->inbound = true;
	send_syn(t, TCP_ASKED);
	return t;
}

void tcp_accepted(struct net *n, int sock, const struct ip_addr *from, uint16_t from_port, uint16_t guest_port)
{
	struct tcp *t = open_in(n, sock, from, from_port, guest_port);

	if (t)
		set_options(t);
}

bool tcp_dial(struct net *n, int sock, uint16_t guest_port)
{
	struct ip_addr gateway = stack_gateway(false);
	struct tcp *t = open_in(n, sock, &gateway, FIRST_SPARE_PORT, guest_port);

	if (!t)
		return false;
	t->internal = true;
	t->dial_until_ms = n->now_ms + DIAL_WAIT_MS;
	return true;
}

void tcp_dialled(struct tcp *t, int code)
{
	if (!t->dial_until_ms)
		return;
	t->dial_until_ms = 0;
	change_dialled(t->f.fd, t->f.key.guest_port, code);
}

/* --- other rules --- */

/*
 * What was looked into is asked about once more; what has said nothing yet will be. For what is under way already, and
 * was never looked into because no name mattered, nobody knows for which name it comes: where names matter now, it
 * ends. The proxy looks into all of its own, and is asked about them.
 */
void tcp_recheck(struct flow *f)
{
	struct tcp *t = tcp_of(f);
	struct net *n = f->net;
	struct ip_addr to;
	bool by_name;

	if (t->inbound || ip_is_gateway(&f->key.remote))
		return;
	if (t->proxy) {
		if (!proxies_recheck(n->proxies, t->proxy))
			tcp_reset(t);
		return;
	}
	if (!stack_may(n, NET_TCP, &f->key.remote, f->key.remote_port, f->since_ms, &to, &by_name)) {
		tcp_reset(t);
	} else if (!by_name || (t->unchecked && !t->claim) || t->to_proxy) {
		return;
	} else if (t->state != TCP_OPEN) {
		t->unchecked = true;
	} else if (!t->inspected) {
		denied(n, NET_TCP, &f->key.remote, f->key.remote_port, NULL, "claim");
		tcp_reset(t);
	} else if (t->claim && !stack_may_claim(n, &f->key.remote, f->key.remote_port, f->since_ms, t->claim)) {
		tcp_reset(t);
	}
}

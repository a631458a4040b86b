/*
 * UDP. The first datagram to a peer makes a flow, with a socket that is connected to it: so only that peer's answers
 * come back, and what ICMP says of it does, too. A flow is forgotten after a while; the next datagram makes another.
 *
 * Questions to the gateway's port 53 are the resolver's, and make no flow. Datagrams that come for a published port do:
 * it has no socket of its own, but remembers through which listener, and to whom, the guest's answers go.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "net/bytes.h"
#include "net/datagram.h"
#include "net/tcp.h"

#define UDP_HEADER 8
#define SUM_OFFSET 6
#define DNS_PORT 53
#define IDLE_MS 30000
#define IDLE_ANSWERED_MS 120000 /* RFC 4787, 4.3: two minutes at least */

void udp_answer(struct net *n, const struct ip_addr *from, uint16_t from_port, uint16_t to, const void *data,
		size_t len)
{
	size_t room = stack_room(from) - UDP_HEADER;
	uint8_t h[UDP_HEADER] = { 0 };

	if (len > room)
		return; /* it would be two fragments; lost */
	put16(h, from_port);
	put16(h + 2, to);
	put16(h + 4, (uint16_t)(UDP_HEADER + len));
	stack_send(n, from, IPPROTO_UDP, h, sizeof(h), SUM_OFFSET, data, len);
}

static void deliver(struct datagram *d, uint8_t *data, size_t n)
{
	d->idle_ms = IDLE_ANSWERED_MS;
	udp_answer(d->f.net, &d->f.key.remote, d->f.key.remote_port, d->f.key.guest_port, data, n);
}

/* The peer has no such port: said to the guest in the peer's name. Or there is no way to it, which programs
 * wait out; or the host's own rules do not let it through, which they hear of. */
static void failed(struct datagram *d, int error)
{
	uint8_t quote[QUOTE_BYTES];
	struct packet p = { .dst = d->f.key.remote, .ip = quote };

	/* Lost, as datagrams are. EMSGSIZE: the way takes less at a time; the kernel knows now, and cuts the next. */
	if (error == EINTR || error == ENOBUFS || error == ENOMEM || error == EMSGSIZE)
		return;
	p.ip_len = stack_quote(quote, &d->f.key);
	put16(quote + p.ip_len - 4, UDP_HEADER);
	stack_unreachable(d->f.net, &p, error == ECONNREFUSED ? UNREACHABLE_PORT : datagram_unreachable(error));
}

static struct datagram *open_flow(struct net *n, const struct packet *p, const struct flow_key *k)
{
	struct datagram *d = datagram_open(n, p, k, IDLE_MS, deliver);

	if (d)
		d->failed = failed;
	return d;
}

static void send_host(struct datagram *d, const struct packet *p, const uint8_t *data, size_t len)
{
	datagram_used(d);
	if (d->peer.listener) {
		publish_answer(&d->peer, data, len);
		return;
	}
	/* An error of the one before is told by this call, which then has sent nothing. */
	if (send(d->f.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno == EAGAIN)
		return;
	if (errno == EMSGSIZE)
		stack_unreachable(d->f.net, p, UNREACHABLE_TOO_BIG);
	else
		failed(d, errno);
}

void udp_packet(struct net *n, const struct packet *p)
{
	struct flow_key k = { .remote = p->dst, .proto = IPPROTO_UDP };
	struct flow *f;
	size_t len;

	if (p->len < UDP_HEADER)
		return;
	len = get16(p->data + 4);
	if (len < UDP_HEADER || len > p->len)
		return;
	len -= UDP_HEADER;
	k.guest_port = get16(p->data);
	k.remote_port = get16(p->data + 2);
	f = flow_find(&n->flows, &k);
	if (f) {
		send_host(datagram_of(f), p, p->data + UDP_HEADER, len);
	} else if (!ip_is_gateway(&p->dst)) {
		struct datagram *d = open_flow(n, p, &k);

		if (d)
			send_host(d, p, p->data + UDP_HEADER, len);
	} else if (k.remote_port == DNS_PORT) {
		resolver_ask(n->resolver, &(struct resolver_client){ p->dst, k.guest_port }, p->data + UDP_HEADER, len);
	} else {
		stack_unreachable(n, p, UNREACHABLE_PORT);
	}
}

/* --- published ports --- */

#define SPARE_PORT 32768 /* the first that is shown to the guest if another peer's is the same there */
#define SPARE_TRIES 64

static bool same_peer(const struct udp_peer *a, const struct udp_peer *b)
{
	return a->listener == b->listener && ip_eq(&a->addr, &b->addr) && a->port == b->port &&
	       a->device == b->device && ip_eq(&a->to, &b->to);
}

/* As which port the guest sees the peer: several may be the same address to it. *ret: its flow, or NULL. False: there
 * is no port for it. */
static bool find_peer(const struct net *n, const struct udp_peer *peer, struct flow_key *k, struct flow **ret)
{
	unsigned tries;

	for (tries = 0; tries < SPARE_TRIES; tries++) {
		*ret = flow_find(&n->flows, k);
		/* Of the guest's own towards that very port there is one: this is not about it. */
		if (*ret && !datagram_of(*ret)->peer.listener)
			return false;
		if (!*ret || same_peer(&datagram_of(*ret)->peer, peer))
			return true;
		k->remote_port = (uint16_t)(SPARE_PORT + tries);
	}
	return false;
}

void udp_from_host(struct net *n, const struct udp_peer *peer, const struct ip_addr *shown, uint16_t guest_port,
		   const void *data, size_t len)
{
	struct flow_key k = { *shown, peer->port, guest_port, IPPROTO_UDP };
	struct datagram *d;
	struct flow *f;

	if (!find_peer(n, peer, &k, &f))
		return;
	if (!f) {
		d = flows_full_outside(n) ? NULL : datagram_add(n, -1, &k, IDLE_ANSWERED_MS, NULL);
		if (!d) {
			tcp_ask_for_all(n);
			return;
		}
		flow_from_outside(&d->f);
		d->peer = *peer;
		f = &d->f;
	}
	datagram_used(datagram_of(f));
	udp_answer(n, shown, k.remote_port, guest_port, data, len);
}

/*
 * ICMP echo, of both families: the host's ping sockets (icmp(7), net.ipv4.ping_group_range) send it, with an id of
 * their own, which is turned back here. The gateway answers for itself. Nothing else of ICMP goes out or comes in, but
 * what becomes of the guest's own packets.
 */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "net/bytes.h"
#include "net/datagram.h"

#define ECHO_HEADER 8
#define SUM_OFFSET 2
#define IDLE_MS 10000

static void deliver(struct datagram *d, uint8_t *data, size_t n)
{
	bool v4 = ip_is_v4(&d->f.key.remote);

	if (n < ECHO_HEADER || data[0] != (v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY))
		return;
	put16(data + 2, 0);
	put16(data + 4, d->f.key.guest_port);
	if (n > NET_LINK_MTU - 40)
		return;
	stack_send(d->f.net, &d->f.key.remote, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, data, ECHO_HEADER,
			  SUM_OFFSET, data + ECHO_HEADER, n - ECHO_HEADER);
}

static void answer_for_gateway(struct net *n, const struct packet *p)
{
	bool v4 = ip_is_v4(&p->dst);
	uint8_t h[ECHO_HEADER] = { v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY };

	memcpy(h + 4, p->data + 4, 4);
	stack_send(n, &p->dst, p->proto, h, sizeof(h), SUM_OFFSET, p->data + ECHO_HEADER, p->len - ECHO_HEADER);
}

void echo_packet(struct net *n, const struct packet *p)
{
	uint8_t request = ip_is_v4(&p->dst) ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	struct flow_key k = { .remote = p->dst, .proto = IPPROTO_ICMP };
	struct datagram *d;
	struct flow *f;

	if (p->len < ECHO_HEADER || p->data[0] != request || p->data[1])
		return;
	if (ip_is_gateway(&p->dst)) {
		answer_for_gateway(n, p);
		return;
	}
	k.guest_port = get16(p->data + 4);
	f = flow_find(&n->flows, &k);
	d = f ? datagram_of(f) : datagram_open(n, p, &k, IDLE_MS, deliver);
	if (!d)
		return;
	datagram_used(d);
	if (send(d->f.fd, p->data, p->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		stack_unreachable(n, p, datagram_unreachable(errno));
}

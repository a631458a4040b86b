/*
 * Frames and packets of the link between guest and gateway.
 *
 *	frame --> ARP, NDP: answered here
 *	      --> IPv4, IPv6 --> checked --> tcp.c  udp.c  echo.c
 *
 * The guest is the one station that is there (wire/netspec.h), and the gateway is all others: it answers for itself and
 * for the alias of the host, and everything goes through it. So no address is learned and none can be spoofed: a packet
 * that does not come from the guest's own addresses is dropped.
 *
 * What is dropped in silence is what no honest guest sends to a network like this: fragments (the MTU is as long as a
 * packet can be), source routes and other options, extension headers. Checksums are not looked at: the link is memory
 * of this host, and cards with offloads leave them out.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "base/clock.h"
#include "net/bytes.h"
#include "net/checksum.h"
#include "net/net.h"

#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define ARP_BYTES 28
#define TTL 64
#define QUOTE_MAX 1200 /* of a packet that came to nothing: what fits into a minimal MTU of IPv6 */

static const uint8_t guest_mac[ETH_ALEN] = NET_GUEST_MAC, gateway_mac[ETH_ALEN] = NET_GATEWAY_MAC;

/* The texts of wire/netspec.h as addresses. */
static struct {
	struct ip_addr gateway4, guest4, host4, gateway6, guest6, host6;
} known;

static const struct ip_addr link_local_gateway = { { 0xfe, 0x80, [15] = 1 } };

static void learn_known(void)
{
	if (known.guest4.b[15])
		return;
	(void)!ip_parse(NET_V4_GATEWAY, &known.gateway4);
	(void)!ip_parse(NET_V4_HOST, &known.host4);
	(void)!ip_parse(NET_V6_GATEWAY, &known.gateway6);
	(void)!ip_parse(NET_V6_GUEST, &known.guest6);
	(void)!ip_parse(NET_V6_HOST, &known.host6);
	(void)!ip_parse(NET_V4_GUEST, &known.guest4);
}

bool ip_is_gateway(const struct ip_addr *a)
{
	learn_known();
	return ip_eq(a, &known.gateway4) || ip_eq(a, &known.gateway6) || ip_eq(a, &link_local_gateway);
}

struct ip_addr stack_gateway(bool v6)
{
	learn_known();
	return v6 ? known.gateway6 : known.gateway4;
}

static bool is_host(const struct ip_addr *a)
{
	return ip_eq(a, &known.host4) || ip_eq(a, &known.host6);
}

static bool is_ours(const struct ip_addr *a)
{
	return ip_is_gateway(a) || is_host(a);
}

/* What the host's kernel would be asked for. */
static struct ip_addr host_side(const struct ip_addr *dst)
{
	if (!is_host(dst))
		return *dst;
	return ip_is_v4(dst) ? ip_v4(127, 0, 0, 1) : (struct ip_addr){ { [15] = 1 } };
}

bool stack_may(struct net *n, enum net_proto proto, const struct ip_addr *dst, uint16_t port, uint64_t since_ms,
	       struct ip_addr *ret, bool *ret_by_name)
{
	struct ip_addr addr = host_side(dst);
	struct policy_answer a = policy_check(n->policy, proto, &addr, port, is_host(dst), since_ms);

	if (!a.allow) {
		denied(n, proto, dst, port, a.name, a.reason);
		return false;
	}
	*ret = addr;
	if (ret_by_name)
		*ret_by_name = a.by_name;
	return true;
}

bool stack_may_claim(struct net *n, const struct ip_addr *dst, uint16_t port, uint64_t since_ms, const char *name)
{
	struct ip_addr addr = host_side(dst);
	struct policy_answer a = policy_check_claim(n->policy, &addr, port, is_host(dst), since_ms, name);

	if (!a.allow)
		denied(n, NET_TCP, dst, port, a.name, a.reason);
	return a.allow;
}

/* --- to the guest ---------------------------------------------------------------------------------- */

static size_t put_eth(uint8_t *at, uint16_t type)
{
	memcpy(at, guest_mac, ETH_ALEN);
	memcpy(at + ETH_ALEN, gateway_mac, ETH_ALEN);
	put16(at + 2 * ETH_ALEN, type);
	return ETH_HLEN;
}

static size_t put_ipv4(uint8_t *at, const struct ip_addr *src, uint8_t proto, size_t l4_len)
{
	uint16_t sum;

	memset(at, 0, IPV4_BYTES);
	at[0] = 0x45;
	put16(at + 2, (uint16_t)(IPV4_BYTES + l4_len));
	at[6] = 0x40; /* do not fragment; so no id is needed (RFC 6864) */
	at[8] = TTL;
	at[9] = proto;
	memcpy(at + 12, src->b + 12, 4);
	memcpy(at + 16, known.guest4.b + 12, 4);
	sum = checksum_fold(checksum_add(0, at, IPV4_BYTES));
	memcpy(at + 10, &sum, sizeof(sum));
	return IPV4_BYTES;
}

static size_t put_ipv6(uint8_t *at, const struct ip_addr *src, uint8_t proto, size_t l4_len, uint8_t hops)
{
	memset(at, 0, IPV6_BYTES);
	at[0] = 0x60;
	put16(at + 4, (uint16_t)l4_len);
	at[6] = proto;
	at[7] = hops;
	memcpy(at + 8, src->b, 16);
	memcpy(at + 24, known.guest6.b, 16);
	return IPV6_BYTES;
}

size_t stack_room(const struct ip_addr *a)
{
	return NET_LINK_MTU - (ip_is_v4(a) ? IPV4_BYTES : IPV6_BYTES);
}

size_t stack_headers(uint8_t at[HEADERS_MAX], const struct ip_addr *src, uint8_t proto, size_t l4_len, uint16_t *sum)
{
	bool v4 = ip_is_v4(src);
	size_t eth = put_eth(at, v4 ? ETH_P_IP : ETH_P_IPV6), ip;
	uint8_t tail[8] = { 0 };
	uint32_t s;

	if (v4)
		ip = put_ipv4(at + eth, src, proto, l4_len);
	else
		ip = put_ipv6(at + eth, src, proto, l4_len, proto == IPPROTO_ICMPV6 ? 255 : TTL);
	/* The pseudo header (RFC 9293, 3.1; RFC 8200, 8.1). */
	put32(tail, (uint32_t)l4_len);
	tail[7] = proto;
	s = checksum_add(0, tail, sizeof(tail));
	s = v4 ? checksum_add(s, at + eth + 12, 8) : checksum_add(s, at + eth + 8, 32);
	*sum = proto == IPPROTO_ICMP ? 0 : (uint16_t)checksum_reduce(s);
	return eth + ip;
}

bool stack_send(struct net *n, const struct ip_addr *src, uint8_t proto, const void *head, size_t head_len,
		uint16_t sum_offset, const void *data, size_t len)
{
	uint8_t frame[HEADERS_MAX];
	struct iovec v[2] = { { frame, 0 }, { (void *)data, len } };
	struct link_sum sum = { .offset = sum_offset };
	uint16_t pseudo;

	sum.start = (uint16_t)stack_headers(frame, src, proto, head_len + len, &pseudo);
	memcpy(frame + sum.start, head, head_len);
	memcpy(frame + sum.start + sum_offset, &pseudo, sizeof(pseudo));
	v[0].iov_len = sum.start + head_len;
	if (!link_send(&n->link, v, len ? 2 : 1, &sum))
		return false;
	n->stats.received_packets++;
	n->stats.received_bytes += v[0].iov_len - ETH_HLEN + len;
	return true;
}

void stack_unreachable(struct net *n, const struct packet *p, enum unreachable why)
{
	static const struct {
		uint8_t type4, code4, type6, code6;
	} codes[] = {
		[UNREACHABLE_HOST] = { ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH,
				       ICMP6_DST_UNREACH_ADDR },
		[UNREACHABLE_PORT] = { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH,
				       ICMP6_DST_UNREACH_NOPORT },
		[UNREACHABLE_PROHIBITED] = { ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, ICMP6_DST_UNREACH,
					     ICMP6_DST_UNREACH_ADMIN },
		[UNREACHABLE_TOO_BIG] = { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ICMP6_PACKET_TOO_BIG, 0 },
	};
	bool v4 = ip_is_v4(&p->dst);
	uint8_t head[8] = { v4 ? codes[why].type4 : codes[why].type6, v4 ? codes[why].code4 : codes[why].code6 };
	/* A host's own answer comes from itself, which is what programs expect of a port that is closed. */
	struct ip_addr from = why == UNREACHABLE_PORT ? p->dst : stack_gateway(!v4);

	stack_send(n, &from, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, head, sizeof(head), 2, p->ip,
		   MIN(p->ip_len, QUOTE_MAX));
}

size_t stack_quote(uint8_t at[QUOTE_BYTES], const struct flow_key *k)
{
	bool v4 = ip_is_v4(&k->remote);
	size_t ip = v4 ? IPV4_BYTES : IPV6_BYTES;

	memset(at, 0, ip + 8);
	at[0] = v4 ? 0x45 : 0x60;
	put16(at + (v4 ? 2 : 4), (uint16_t)(v4 ? ip + 8 : 8));
	at[v4 ? 9 : 6] = k->proto;
	memcpy(at + (v4 ? 12 : 8), v4 ? known.guest4.b + 12 : known.guest6.b, v4 ? 4 : 16);
	memcpy(at + (v4 ? 16 : 24), v4 ? k->remote.b + 12 : k->remote.b, v4 ? 4 : 16);
	put16(at + ip, k->guest_port);
	put16(at + ip + 2, k->remote_port);
	return ip + 8;
}

/* --- neighbours ------------------------------------------------------------------------------------ */

/* RFC 826. Whatever asks for the gateway or the host gets one answer. */
static void arp(struct net *n, const uint8_t *a, size_t len)
{
	static const uint8_t request[8] = { 0, 1, 8, 0, 6, 4, 0, 1 }; /* Ethernet, IPv4, their lengths, the question */
	uint8_t frame[ETH_HLEN + ARP_BYTES];
	struct iovec v = { frame, sizeof(frame) };
	struct ip_addr asked;

	if (len < ARP_BYTES || memcmp(a, request, sizeof(request)) != 0)
		return;
	asked = ip_from_v4(a + 24);
	if (!is_ours(&asked))
		return;
	put_eth(frame, ETH_P_ARP);
	memcpy(frame + ETH_HLEN, request, sizeof(request));
	frame[ETH_HLEN + 7] = 2; /* the answer */
	memcpy(frame + ETH_HLEN + 8, gateway_mac, ETH_ALEN);
	memcpy(frame + ETH_HLEN + 14, a + 24, 4);
	memcpy(frame + ETH_HLEN + 18, a + 8, 10); /* who has asked */
	link_send(&n->link, &v, 1, NULL);
}

/* RFC 4861, 4.3 and 4.4: a neighbour solicitation. */
static void neighbour(struct net *n, const struct packet *p)
{
	uint8_t head[32] = { ND_NEIGHBOR_ADVERT, [4] = 0xe0 }; /* a router, solicited, override (ND_NA_FLAG_*) */
	struct ip_addr asked;

	if (p->len < 24 || ip_eq(&p->src, &(struct ip_addr){ 0 }))
		return;
	memcpy(asked.b, p->data + 8, 16);
	if (!is_ours(&asked))
		return;
	memcpy(head + 8, asked.b, 16);
	head[24] = ND_OPT_TARGET_LINKADDR;
	head[25] = 1; /* in units of 8 bytes */
	memcpy(head + 26, gateway_mac, ETH_ALEN);
	stack_send(n, &asked, IPPROTO_ICMPV6, head, sizeof(head), 2, NULL, 0);
}

/* --- from the guest -------------------------------------------------------------------------------- */

static void packet(struct net *n, struct packet *p)
{
	n->stats.sent_packets++;
	n->stats.sent_bytes += p->ip_len;
	if (p->proto == IPPROTO_TCP)
		tcp_packet(n, p);
	else if (p->proto == IPPROTO_UDP)
		udp_packet(n, p);
	else if (p->proto == (ip_is_v4(&p->dst) ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		echo_packet(n, p);
}

static void ipv4(struct net *n, const uint8_t *at, size_t len)
{
	struct packet p = { .ip = at };

	if (len < IPV4_BYTES || at[0] != 0x45)
		return;
	p.ip_len = get16(at + 2);
	if (p.ip_len < IPV4_BYTES || p.ip_len > len || get16(at + 6) & 0x3fff) /* more fragments, or not the first */
		return;
	p.src = ip_from_v4(at + 12);
	p.dst = ip_from_v4(at + 16);
	if (!ip_eq(&p.src, &known.guest4))
		return;
	p.proto = at[9];
	p.data = at + IPV4_BYTES;
	p.len = p.ip_len - IPV4_BYTES;
	packet(n, &p);
}

static void ipv6(struct net *n, const uint8_t *at, size_t len)
{
	static const uint8_t link_local[8] = { 0xfe, 0x80 };
	struct packet p = { .ip = at };

	if (len < IPV6_BYTES || at[0] >> 4 != 6)
		return;
	p.len = get16(at + 4);
	if (p.len > len - IPV6_BYTES)
		return;
	p.ip_len = IPV6_BYTES + p.len;
	memcpy(p.src.b, at + 8, 16);
	memcpy(p.dst.b, at + 24, 16);
	p.proto = at[6];
	p.data = at + IPV6_BYTES;
	if (p.proto == IPPROTO_ICMPV6 && p.len >= 8 && p.data[0] == ND_NEIGHBOR_SOLICIT &&
	    (ip_eq(&p.src, &known.guest6) || memcmp(p.src.b, link_local, sizeof(link_local)) == 0))
		neighbour(n, &p);
	else if (ip_eq(&p.src, &known.guest6) && !ip_is_v4(&p.dst)) /* a mapped address is no IPv6 address on a wire */
		packet(n, &p);
}

static void on_frame(void *ud, const uint8_t *frame, size_t len)
{
	struct net *n = ud;

	((struct net *)ud)->now_ms = clock_ms();
	learn_known();
	if (len < ETH_HLEN)
		return;
	switch (get16(frame + 2 * ETH_ALEN)) {
	case ETH_P_IP: ipv4(n, frame + ETH_HLEN, len - ETH_HLEN); break;
	case ETH_P_IPV6: ipv6(n, frame + ETH_HLEN, len - ETH_HLEN); break;
	case ETH_P_ARP: arp(n, frame + ETH_HLEN, len - ETH_HLEN); break;
	}
}

static void on_batch(void *ud)
{
	tcp_batch(ud);
}

static void on_room(void *ud)
{
	tcp_room();
	flows_resume(ud);
}

static void on_gone(void *ud)
{
	link_close(&((struct net *)ud)->link);
}

const struct link_ops stack_link_ops = { .frame = on_frame, .batch = on_batch, .room = on_room, .gone = on_gone };

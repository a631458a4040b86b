/*
 * Addresses and networks of both families in one shape: IPv4 is ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so that nothing
 * that compares addresses can forget a family.
 */
#ifndef BASE_IP_H
#define BASE_IP_H

#include <string.h>

#include "base/base.h"

struct ip_addr {
	uint8_t b[16]; /* network order */
};

/* A network: addresses whose first `bits` bits are those of addr; the others are 0. Of IPv4: 96 to 128. */
struct ip_net {
	struct ip_addr addr;
	uint8_t bits; /* 0..128 */
};

#define IP_TEXT_MAX 46 /* INET6_ADDRSTRLEN */

static inline bool ip_is_v4(const struct ip_addr *a)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(a->b, prefix, sizeof(prefix)) == 0;
}

static inline bool ip_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static inline struct ip_addr ip_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct ip_addr){ { [10] = 0xff, [11] = 0xff, a, b, c, d } };
}

static inline struct ip_addr ip_from_v4(const void *four)
{
	const uint8_t *p = four;

	return ip_v4(p[0], p[1], p[2], p[3]);
}

/* "192.0.2.1", "2001:db8::1", and nothing else that inet_aton(3) would take: 0 or -EINVAL. An IPv4-mapped IPv6 address
 * is the IPv4 address that it is. */
int ip_parse(const char *text, struct ip_addr *ret) MUST_CHECK;

/* An address, or one with "/bits", of the address's family: 0 or -EINVAL, also if bits beyond are set. */
int ip_parse_net(const char *text, struct ip_net *ret) MUST_CHECK;

char *ip_format(const struct ip_addr *a, char out[IP_TEXT_MAX]); /* returns out; without brackets */

bool ip_in(const struct ip_addr *a, const struct ip_net *n);
bool ip_net_in(const struct ip_net *inner, const struct ip_net *outer); /* wholly */

#endif

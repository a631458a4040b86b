#include "base/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "base/str.h"

#define V4_BITS 96 /* of ::ffff:0:0/96, before the four bytes */

int ip_parse(const char *text, struct ip_addr *ret)
{
	struct ip_addr a;
	uint8_t four[4];

	if (inet_pton(AF_INET, text, four) == 1)
		a = ip_from_v4(four);
	else if (inet_pton(AF_INET6, text, a.b) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

/* Whether the first bits of both are the same. */
static bool same_bits(const struct ip_addr *a, const struct ip_addr *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a->b, b->b, whole) != 0)
		return false;
	return rest == 0 || ((a->b[whole] ^ b->b[whole]) >> (8 - rest)) == 0;
}

static bool bits_beyond(const struct ip_net *n)
{
	unsigned i;

	for (i = n->bits; i < 128; i++)
		if (n->addr.b[i / 8] & (0x80 >> (i % 8)))
			return true;
	return false;
}

int ip_parse_net(const char *text, struct ip_net *ret)
{
	const char *slash = strchr(text, '/');
	char address[IP_TEXT_MAX];
	struct ip_net n = { .bits = 128 };
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t bits;

	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = 0;
	if (ip_parse(address, &n.addr) < 0)
		return -EINVAL;
	if (slash) {
		/* What is written with colons counts all 128 bits, an IPv4-mapped address, too. */
		unsigned before = strchr(address, ':') ? 0 : V4_BITS;

		if (slash[1] == '0' && slash[2]) /* 08 */
			return -EINVAL;
		if (str_parse_u64(slash + 1, 128 - before, &bits) < 0)
			return -EINVAL;
		n.bits = (uint8_t)(before + bits);
	}
	if (bits_beyond(&n))
		return -EINVAL;
	*ret = n;
	return 0;
}

char *ip_format(const struct ip_addr *a, char out[IP_TEXT_MAX])
{
	bool v4 = ip_is_v4(a);

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->b + 12 : a->b, out, IP_TEXT_MAX))
		out[0] = 0; /* cannot be: there is room */
	return out;
}

/* A network of IPv6 that is wider than IPv4's place in it (::/0) means IPv6 alone: who writes it thinks of no other. */
static bool net_is_v4(const struct ip_net *n)
{
	return n->bits >= V4_BITS && ip_is_v4(&n->addr);
}

bool ip_in(const struct ip_addr *a, const struct ip_net *n)
{
	return ip_is_v4(a) == net_is_v4(n) && same_bits(a, &n->addr, n->bits);
}

bool ip_net_in(const struct ip_net *inner, const struct ip_net *outer)
{
	return net_is_v4(inner) == net_is_v4(outer) && inner->bits >= outer->bits &&
	       same_bits(&inner->addr, &outer->addr, outer->bits);
}

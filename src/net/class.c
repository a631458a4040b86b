#include "net/class.h"

#define V4(a, b, c, d, n) { { { [10] = 0xff, [11] = 0xff, a, b, c, d } }, 96 + (n) }
#define V6(n, ...) { { { __VA_ARGS__ } }, n }

static const struct ip_net loopback[] = { V4(127, 0, 0, 0, 8), V6(128, [15] = 1) };

/* The first that has an address is its class: what lies inside of another class stands before it. */
static const struct {
	enum net_class class;
	struct ip_net net;
} nets[] = {
	{ CLASS_SPECIAL, V4(0, 0, 0, 0, 8) },
	{ CLASS_SPECIAL, V4(127, 0, 0, 0, 8) },
	{ CLASS_SPECIAL, V4(224, 0, 0, 0, 4) },
	{ CLASS_SPECIAL, V4(240, 0, 0, 0, 4) }, /* and 255.255.255.255 */
	{ CLASS_SPECIAL, V6(128, 0) },
	{ CLASS_SPECIAL, V6(128, [15] = 1) },
	{ CLASS_SPECIAL, V6(8, 0xff) },
	/* The link (wire/netspec.h): what the host has there the guest must not meet by chance. */
	{ CLASS_SPECIAL, V4(192, 168, 127, 0, 24) },
	{ CLASS_SPECIAL, V6(64, 0xfd, 0x62, 0x6f, 0x78, 0x6c, 0x69, 0x74, 0x65) },

	{ CLASS_METADATA, V4(169, 254, 169, 254, 32) }, /* AWS, Azure, Google, most others */
	{ CLASS_METADATA, V4(169, 254, 170, 2, 32) },   /* AWS: roles of containers */
	{ CLASS_METADATA, V4(169, 254, 170, 23, 32) },  /* AWS: roles of pods */
	{ CLASS_METADATA, V4(169, 254, 42, 42, 32) },   /* Scaleway */
	{ CLASS_METADATA, V4(100, 100, 100, 200, 32) }, /* Alibaba */
	{ CLASS_METADATA, V4(192, 0, 0, 192, 32) },     /* Oracle */
	{ CLASS_METADATA, V4(168, 63, 129, 16, 32) },   /* Azure's WireServer: certificates of the machine */
	{ CLASS_METADATA, V6(128, 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, 0x54) }, /* AWS, fd00:ec2::254 */
	{ CLASS_METADATA, V6(128, 0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23) },       /* AWS, pods */
	{ CLASS_METADATA, V6(128, 0xfd, 0x20, 0x00, 0xce, [14] = 0x02, 0x54) }, /* Google, fd20:ce::254 */
	{ CLASS_METADATA, V6(128, 0xfd, 0x00, 0x00, 0x42, [15] = 0x42) },       /* Scaleway, fd00:42::42 */
	{ CLASS_METADATA, V6(128, 0xfd, 0x00, 0x00, 0xc1, [12] = 0xa9, 0xfe, 0xa9, 0xfe) }, /* Oracle, fd00:c1:: */
	{ CLASS_METADATA, V6(128, 0xfd, 0x00, 0xa9, 0xfe, 0xa9, 0xfe, [15] = 0x01) }, /* Akamai */
	{ CLASS_METADATA, V6(128, 0xfd, 0x00, 0x01, 0x00, [12] = 0x01, 0x00, 0x02, 0x00) }, /* Alibaba, fd00:100:: */
	{ CLASS_METADATA, V6(128, 0xfe, 0x80, [12] = 0xa9, 0xfe, 0xa9, 0xfe) }, /* OpenStack, fe80::a9fe:a9fe */

	{ CLASS_LINK_LOCAL, V4(169, 254, 0, 0, 16) },
	{ CLASS_LINK_LOCAL, V6(10, 0xfe, 0x80) },

	{ CLASS_PRIVATE, V4(10, 0, 0, 0, 8) },
	{ CLASS_PRIVATE, V4(172, 16, 0, 0, 12) },
	{ CLASS_PRIVATE, V4(192, 168, 0, 0, 16) },
	{ CLASS_PRIVATE, V4(100, 64, 0, 0, 10) },
	/* Of a network's own machinery: DS-Lite; its NAT, which PCP would have opened; segments of its routers. */
	{ CLASS_PRIVATE, V4(192, 0, 0, 0, 24) },                       /* RFC 6890, RFC 7723 */
	{ CLASS_PRIVATE, V6(48, 0x20, 0x01, 0x00, 0x01) },             /* RFC 7723 */
	{ CLASS_PRIVATE, V6(16, 0x5f, 0x00) },                         /* RFC 9602 */
	{ CLASS_PRIVATE, V6(7, 0xfc) },
	{ CLASS_PRIVATE, V6(10, 0xfe, 0xc0) },                              /* site-local, deprecated by RFC 3879 */
	{ CLASS_PRIVATE, V6(48, 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01) },      /* a translator of one's own, RFC 8215 */
};

/* Where IPv6 addresses have IPv4 addresses in them. */
static const struct {
	struct ip_net net;
	uint8_t at;
	bool inverted;
} embeddings[] = {
	{ V6(96, 0x00, 0x64, 0xff, 0x9b), 12, false },             /* NAT64, RFC 6052 */
	{ V6(48, 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01), 12, false }, /* RFC 8215 */
	{ V6(16, 0x20, 0x02), 2, false },                          /* 6to4, RFC 3056 */
	{ V6(32, 0x20, 0x01), 4, false },                          /* Teredo, RFC 4380: its server */
	{ V6(32, 0x20, 0x01), 12, true },                          /* and its client */
	{ V6(96, [8] = 0xff, 0xff), 12, false },                   /* translated, RFC 2765 */
	{ V6(96, 0), 12, false },                                  /* compatible, RFC 4291, 2.5.5.1 */
};

/* ISATAP, RFC 5214, 6.1: in whatever network, and so in none of the above. */
static bool is_isatap(const struct ip_addr *a)
{
	return (a->b[8] | 2) == 2 && !a->b[9] && a->b[10] == 0x5e && a->b[11] == 0xfe;
}

const char *class_name(enum net_class c)
{
	static const char *const names[] = {
		[CLASS_PUBLIC] = "public",	   [CLASS_HOST] = "host",	  [CLASS_PRIVATE] = "private",
		[CLASS_LINK_LOCAL] = "link-local", [CLASS_METADATA] = "metadata", [CLASS_SPECIAL] = "special",
	};

	return names[c];
}

enum net_class class_of(const struct ip_addr *a)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(nets); i++)
		if (ip_in(a, &nets[i].net))
			return nets[i].class;
	return CLASS_PUBLIC;
}

bool class_has(enum net_class c, const struct ip_net *n)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(nets); i++)
		if (nets[i].class == c && ip_net_in(n, &nets[i].net))
			return true;
	return false;
}

bool class_loopback(const struct ip_addr *a)
{
	return ip_in(a, &loopback[0]) || ip_in(a, &loopback[1]);
}

size_t class_embedded(const struct ip_addr *a, struct ip_addr out[CLASS_EMBEDDED_MAX])
{
	size_t i, k, n = 0;
	uint8_t four[4];

	if (is_isatap(a))
		out[n++] = ip_from_v4(a->b + 12);
	for (i = 0; i < ARRAY_SIZE(embeddings) && n < CLASS_EMBEDDED_MAX; i++) {
		if (!ip_in(a, &embeddings[i].net))
			continue;
		for (k = 0; k < 4; k++)
			four[k] = a->b[embeddings[i].at + k] ^ (embeddings[i].inverted ? 0xff : 0);
		out[n++] = ip_from_v4(four);
	}
	return n;
}

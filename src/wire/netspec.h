/*
 * What network a box has: part of its description (wire/spec.h), and what boxlite-net enforces. Rules and ports travel
 * and are kept as the text that a person writes.
 *
 *	rule   [tcp:|udp:|icmp:]TARGET[:PORT[-PORT]]
 *	TARGET *  name  *.name  IPv4[/bits]  IPv6[/bits]; with a port, IPv6 is in brackets: [2001:db8::/32]:443
 *	port   [IP:]HOST:GUEST[/tcp|/udp]; an IPv6 address in brackets; HOST 0 or empty: the system picks one
 *
 * Rules are asked in order and the first that matches decides. If none does: a box with at least one `allow` may
 * nothing else, any other box may everything else. Both only outside of the closed classes of addresses (NET_OPEN_*),
 * each of which has a switch of its own; a rule that allows an address or a network that lies within such a class opens
 * that much of it. A name never opens any: who controls it could point it there.
 */
#ifndef WIRE_NETSPEC_H
#define WIRE_NETSPEC_H

#include "base/error.h"
#include "base/ip.h"
#include "base/json.h"
#include "wire/secret.h"

enum net_proto { NET_ANY = 0, NET_ICMP = 1, NET_TCP = 6, NET_UDP = 17 }; /* numbers of IANA; ICMPv6 is NET_ICMP, too */

const char *net_proto_name(enum net_proto p); /* "tcp"; "" for any */

enum net_target { TARGET_ALL, TARGET_NAME, TARGET_SUBNAMES, TARGET_NET };

#define NET_NAME_MAX 253 /* RFC 1035, 2.3.4, as text without the last dot */
#define NET_RULES_MAX 1024
#define NET_PORTS_MAX 256
#define NET_FLOWS_MAX 4096
#define NET_RATE_MIN (8 * KIB)
#define NET_RATE_MAX (1024 * GIB)
#define NET_RULE_TEXT_MAX 512

struct net_rule {
	bool allow;
	enum net_proto proto;
	enum net_target target;
	char *name;        /* owned; of TARGET_NAME and TARGET_SUBNAMES (without "*."); lower case, no last dot */
	struct ip_net net; /* of TARGET_NET */
	uint16_t first_port, last_port; /* 0 and 0: any, also of a protocol without ports */
};

/* A port of the guest that the host listens for. */
struct net_port {
	enum net_proto proto; /* NET_TCP or NET_UDP */
	struct ip_addr host;  /* the address to listen at; 127.0.0.1 unless one is given */
	uint16_t host_port;   /* 0: the system picks one */
	uint16_t guest_port;
};

/* Classes of addresses that are closed until they are opened. */
enum net_open {
	NET_OPEN_HOST = 1,       /* the host itself: its loopback, as host.boxlite.internal, and each address it has */
	NET_OPEN_PRIVATE = 2,    /* RFC 1918, RFC 6598 (100.64/10), 192.0.0/24, fc00::/7 */
	NET_OPEN_LINK_LOCAL = 4, /* 169.254/16, fe80::/10 */
	NET_OPEN_METADATA = 8,   /* of clouds: 169.254.169.254, 169.254.170.2, 100.100.100.200, fd00:ec2::254 ... */
};

struct net_spec {
	bool none;     /* no device at all; the rest is empty then */
	unsigned open; /* NET_OPEN_*, or'ed */
	struct net_rule *rules; /* owned */
	struct net_port *ports; /* owned */
	struct secret *secrets; /* owned; without their values */
	size_t nrules, nports, nsecrets;
	uint64_t rate;  /* bytes a second, each way; 0: no limit */
	uint32_t flows; /* connections and the like at once; 0: NET_FLOWS_MAX */
};

void net_spec_fini(struct net_spec *s);

/* 0, or -EINVAL with what is wrong and at which character of the text; -ENOMEM. */
int net_rule_parse(const char *text, bool allow, struct net_rule *ret, struct error *err) MUST_CHECK;
int net_port_parse(const char *text, struct net_port *ret, struct error *err) MUST_CHECK;
int net_spec_add_rule(struct net_spec *s, const char *text, bool allow, struct error *err) MUST_CHECK; /* and -E2BIG */
int net_spec_add_port(struct net_spec *s, const char *text, struct error *err) MUST_CHECK;
int net_spec_push_port(struct net_spec *s, const struct net_port *p, struct error *err) MUST_CHECK; /* copies */
/* Can the host listen for it beside the ports that there are? -EEXIST, with the one that is in the way. */
int net_spec_check_port(const struct net_spec *s, const struct net_port *p, struct error *err) MUST_CHECK;
/* With a new placeholder. */
int net_spec_add_secret(struct net_spec *s, const char *text, struct error *err) MUST_CHECK;
int net_open_parse(const char *text, unsigned *open, struct error *err) MUST_CHECK; /* "host", "private", ...; ORs it in */

/* Their canonical texts, which the functions above take: out is terminated; returns it. */
char *net_rule_format(const struct net_rule *r, char out[NET_RULE_TEXT_MAX]);
char *net_port_format(const struct net_port *p, char out[NET_RULE_TEXT_MAX]);

/* {none, rate, flows, open: ["host"...], rules: ["allow tcp:example.com:443"...], ports: ["127.0.0.1:8080:80/tcp"...],
 * secrets: [{name, host, placeholder, from}...]}. A missing member is empty; NULL for j is the default: internet,
 * nothing else. */
json_t *net_spec_to_json(const struct net_spec *s); /* new object, or NULL: no memory */
int net_spec_from_json(const json_t *j, struct net_spec *ret, struct error *err) MUST_CHECK; /* -EBADMSG, -ENOMEM */

/* The link between guest and boxlite-net. Boxes never share one, so all have the same addresses. */
#define NET_LINK_MTU 65520
#define NET_GUEST_MAC { 0x02, 0x62, 0x6f, 0x78, 0x00, 0x02 }
#define NET_GATEWAY_MAC { 0x02, 0x62, 0x6f, 0x78, 0x00, 0x01 }
#define NET_V4_BITS 24
#define NET_V4_GATEWAY "192.168.127.1"
#define NET_V4_GUEST "192.168.127.2"
#define NET_V4_HOST "192.168.127.254" /* host.boxlite.internal: the host's 127.0.0.1 */
#define NET_V6_BITS 64
#define NET_V6_GATEWAY "fd62:6f78:6c69:7465::1"
#define NET_V6_GUEST "fd62:6f78:6c69:7465::2"
#define NET_V6_HOST "fd62:6f78:6c69:7465::fe" /* the host's ::1 */
#define NET_HOST_NAME "host.boxlite.internal"

#endif

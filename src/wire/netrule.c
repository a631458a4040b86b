/*
 * Rules and ports as text. People write them, so what is wrong is said with its place; and what could be read in two
 * ways is refused: "127.1" is an address to some programs and a name to others.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "wire/netspec.h"

#define QUOTE_MAX 120 /* of the text, in an error: the reason must fit behind it */
#define LABEL_MAX 63
#define PORT_DIGITS 5

/* What is being read, for errors. */
struct source {
	const char *what, *text;
	struct error *err;
};

static const struct {
	enum net_proto proto;
	const char *name;
} protos[] = { { NET_TCP, "tcp" }, { NET_UDP, "udp" }, { NET_ICMP, "icmp" } };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

const char *net_proto_name(enum net_proto p)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].proto == p)
			return protos[i].name;
	return "";
}

/* Any case: else "TCP:80" would be the name tcp. */
static bool proto_of(const char *s, size_t n, enum net_proto *ret)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(protos); i++)
		if (strlen(protos[i].name) == n && strncasecmp(s, protos[i].name, n) == 0) {
			*ret = protos[i].proto;
			return true;
		}
	return false;
}

PRINTF_LIKE(2, 3) static int wrong(const struct source *s, const char *fmt, ...)
{
	bool cut = strlen(s->text) > QUOTE_MAX;
	char reason[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	return error_set(s->err, -EINVAL, "%s '%.*s%s': %s", s->what, QUOTE_MAX, s->text, cut ? "..." : "", reason);
}

/* As people count: the first is 1. */
static int place(const struct source *s, const char *at)
{
	return (int)(at - s->text) + 1;
}

static int shown(size_t n)
{
	return (int)MIN(n, (size_t)QUOTE_MAX);
}

static int check_length(const struct source *s)
{
	size_t n = strlen(s->text);

	if (n >= NET_RULE_TEXT_MAX)
		return wrong(s, "%zu characters; at most %d are allowed", n, NET_RULE_TEXT_MAX - 1);
	return 0;
}

static int parse_port_number(const struct source *s, const char *at, size_t n, uint16_t *ret)
{
	uint32_t v = 0;
	size_t i;

	if (n == 0)
		return wrong(s, "a port is missing at character %d", place(s, at));
	for (i = 0; i < n && i < PORT_DIGITS && is_digit(at[i]); i++)
		v = v * 10 + (uint32_t)(at[i] - '0');
	if (i < n && !is_digit(at[i]))
		return wrong(s, "port %.*s at character %d is not a number", shown(n), at, place(s, at));
	if (i < n || v == 0 || v > UINT16_MAX)
		return wrong(s, "port %.*s at character %d is not 1 to 65535", shown(n), at, place(s, at));
	*ret = (uint16_t)v;
	return 0;
}

/* PORT or PORT-PORT, to the end of the text. */
static int parse_port_range(const struct source *s, const char *at, struct net_rule *r)
{
	const char *dash = strchr(at, '-');
	size_t n = dash ? (size_t)(dash - at) : strlen(at);

	if (parse_port_number(s, at, n, &r->first_port) < 0)
		return -EINVAL;
	r->last_port = r->first_port;
	if (dash && parse_port_number(s, dash + 1, strlen(dash + 1), &r->last_port) < 0)
		return -EINVAL;
	if (r->last_port < r->first_port)
		return wrong(s, "ports %s at character %d are not in order", at, place(s, at));
	if (r->proto == NET_ICMP)
		return wrong(s, "icmp has no ports: %s at character %d", at, place(s, at));
	return 0;
}

static int parse_net(const struct source *s, const char *at, size_t n, struct ip_net *ret)
{
	size_t before = strcspn(at, "/");
	char text[IP_TEXT_MAX + 4];
	struct ip_addr a;

	if (n < sizeof(text)) {
		memcpy(text, at, n);
		text[n] = 0;
		if (ip_parse_net(text, ret) == 0)
			return 0;
		if (before < n) {
			text[before] = 0;
			if (ip_parse(text, &a) == 0)
				return wrong(s, "network %.*s at character %d: after the '/' come as many bits as the "
					     "network has, and the address has none beyond them", (int)n, at,
					     place(s, at));
		}
	}
	return wrong(s, "%.*s at character %d is not an IP address or network", shown(n), at, place(s, at));
}

/* Does it end in a number, as some programs write addresses (127.1, 0x7f.1, 2130706433)? No domain does. */
static bool like_address(const char *name)
{
	const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;

	if (last[0] == '0' && last[1] == 'x')
		return last[2 + strspn(last + 2, "0123456789abcdef")] == 0;
	return last[strspn(last, "0123456789")] == 0;
}

static int check_name_char(const struct source *s, const char *at)
{
	char c = *at;

	if (is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.')
		return 0;
	if (c == '*')
		return wrong(s, "the '*' at character %d: it can stand alone, or with a dot before a name", place(s, at));
	if ((unsigned char)c >= 0x80)
		return wrong(s, "a name has only ASCII, but not at character %d: write it as DNS does (xn--...)",
			     place(s, at));
	return wrong(s, "a name cannot have '%c', as at character %d", c, place(s, at));
}

/* Copies a name in lower case without its last dot. */
static int parse_name(const struct source *s, const char *at, size_t n, char out[NET_NAME_MAX + 1])
{
	size_t i, label = 0;

	if (n > 1 && at[n - 1] == '.')
		n--;
	if (n > NET_NAME_MAX)
		return wrong(s, "the name at character %d is longer than %d", place(s, at), NET_NAME_MAX);
	for (i = 0; i < n; i++) {
		char c = at[i];

		if (check_name_char(s, at + i) < 0)
			return -EINVAL;
		if (c == '.' && label == 0)
			return wrong(s, "a part of a name is missing before the dot at character %d", place(s, at + i));
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return wrong(s, "a part of the name is longer than %d at character %d", LABEL_MAX,
				     place(s, at + i));
		out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
	}
	out[n] = 0;
	if (label == 0)
		return wrong(s, "a part of a name is missing at character %d", place(s, at + n));
	if (like_address(out))
		return wrong(s, "%.*s at character %d is neither a name nor a whole IP address: write all four numbers, "
			     "decimal and without zeros before them", shown(n), at, place(s, at));
	return 0;
}

/* The target in text[at .. at+n), without brackets. */
static int parse_target(const struct source *s, const char *at, size_t n, struct net_rule *r)
{
	char name[NET_NAME_MAX + 1];
	struct ip_addr a;
	bool sub = n >= 2 && at[0] == '*' && at[1] == '.';

	if (n == 0)
		return wrong(s, "a target is missing at character %d: *, a name or an IP address", place(s, at));
	if (n == 1 && *at == '*') {
		r->target = TARGET_ALL;
		return 0;
	}
	snprintf(name, sizeof(name), "%.*s", (int)MIN(n, sizeof(name) - 1), at);
	if (memchr(at, '/', n) || memchr(at, ':', n) || (n < sizeof(name) && ip_parse(name, &a) == 0)) {
		r->target = TARGET_NET;
		return parse_net(s, at, n, &r->net);
	}
	if (parse_name(s, sub ? at + 2 : at, sub ? n - 2 : n, name) < 0)
		return -EINVAL;
	r->target = sub ? TARGET_SUBNAMES : TARGET_NAME;
	r->name = strdup(name);
	return r->name ? 0 : error_nomem(s->err);
}

/* TARGET[:PORT[-PORT]]: a target with two colons or more is IPv6, and then all of it is. */
static int parse_rest(const struct source *s, const char *at, struct net_rule *r)
{
	const char *colon = strchr(at, ':');
	size_t n = strlen(at);
	int k;

	if (*at == '[') {
		const char *end = strchr(at, ']');

		if (!end || !memchr(at, ':', (size_t)(end - at)))
			return wrong(s, "the '[' at character %d: an IPv6 address and a ']' belong behind it", place(s, at));
		if (end[1] && end[1] != ':')
			return wrong(s, "behind the ']' comes a ':' and a port, or nothing: character %d",
				     place(s, end + 1));
		k = parse_target(s, at + 1, (size_t)(end - at - 1), r);
		colon = end[1] ? end + 1 : NULL;
	} else if (colon && !strchr(colon + 1, ':')) {
		k = parse_target(s, at, (size_t)(colon - at), r);
	} else {
		k = parse_target(s, at, n, r);
		colon = NULL;
	}
	return k == 0 && colon ? parse_port_range(s, colon + 1, r) : k;
}

int net_rule_parse(const char *text, bool allow, struct net_rule *ret, struct error *err)
{
	struct source s = { "rule", text, err };
	struct net_rule rule = { .allow = allow };
	const char *colon = strchr(text, ':');
	int r = check_length(&s);

	if (r < 0)
		return r;
	if (colon && proto_of(text, (size_t)(colon - text), &rule.proto))
		text = colon + 1;
	r = parse_rest(&s, text, &rule);
	if (r < 0)
		free(rule.name);
	else
		*ret = rule;
	return r;
}

/* An address, with its bits if it is a network, and in brackets if a port comes behind it. */
static void format_net(const struct ip_net *n, bool brackets, char *out, size_t size)
{
	bool v4 = ip_is_v4(&n->addr);
	char text[IP_TEXT_MAX], bits[8] = "";

	if (n->bits < 128)
		snprintf(bits, sizeof(bits), "/%d", v4 ? n->bits - 96 : n->bits);
	brackets = brackets && !v4;
	snprintf(out, size, "%s%s%s%s", brackets ? "[" : "", ip_format(&n->addr, text), bits, brackets ? "]" : "");
}

char *net_rule_format(const struct net_rule *r, char out[NET_RULE_TEXT_MAX])
{
	char target[NET_NAME_MAX + IP_TEXT_MAX] = "*", ports[16] = "";
	const char *proto = net_proto_name(r->proto);
	enum net_proto p;

	if (r->first_port && r->first_port == r->last_port)
		snprintf(ports, sizeof(ports), ":%u", r->first_port);
	else if (r->first_port)
		snprintf(ports, sizeof(ports), ":%u-%u", r->first_port, r->last_port);
	if (r->target == TARGET_NET) {
		format_net(&r->net, ports[0], target, sizeof(target));
	} else if (r->target != TARGET_ALL) {
		/* A host that is called tcp: its last dot keeps it from being a protocol. */
		bool dot = !*proto && proto_of(r->name, strlen(r->name), &p);

		snprintf(target, sizeof(target), "%s%s%s", r->target == TARGET_SUBNAMES ? "*." : "", r->name,
			 dot ? "." : "");
	}
	snprintf(out, NET_RULE_TEXT_MAX, "%s%s%s%s", proto, *proto ? ":" : "", target, ports);
	return out;
}

/* --- ports ------------------------------------------------------------------------------------------------ */

/* The address in front, with its colon: *at is moved behind it. */
static int parse_listen_address(const struct source *s, const char **at, struct ip_addr *ret)
{
	const char *from = *at, *colon = strchr(from, ':'), *end;
	struct ip_net net;

	if (*from == '[') {
		end = strchr(++from, ']');
		if (!end || end[1] != ':')
			return wrong(s, "the '[' at character %d: an IPv6 address and ']:' belong behind it",
				     place(s, *at));
		*at = end + 2;
	} else if (colon && strchr(colon + 1, ':')) {
		end = colon;
		*at = colon + 1;
		if (strchr(strchr(colon + 1, ':') + 1, ':'))
			return wrong(s, "too many colons: an IPv6 address stands in brackets, [::1]:8080:80");
	} else {
		return 0;
	}
	if (memchr(from, '/', (size_t)(end - from)) || parse_net(s, from, (size_t)(end - from), &net) < 0)
		return wrong(s, "%.*s at character %d is not an IP address", shown((size_t)(end - from)), from,
			     place(s, from));
	*ret = net.addr;
	return 0;
}

int net_port_parse(const char *text, struct net_port *ret, struct error *err)
{
	struct source s = { "port", text, err };
	struct net_port p = { .proto = NET_TCP, .host = ip_v4(127, 0, 0, 1) };
	const char *at = text, *colon, *slash;
	size_t n;

	if (check_length(&s) < 0 || parse_listen_address(&s, &at, &p.host) < 0)
		return -EINVAL;
	colon = strchr(at, ':');
	if (!colon)
		return wrong(&s, "HOST:GUEST is expected at character %d, like 8080:80", place(&s, at));
	n = (size_t)(colon - at);
	if (n && !(n == 1 && *at == '0') && parse_port_number(&s, at, n, &p.host_port) < 0)
		return -EINVAL;
	slash = strchr(colon, '/');
	n = slash ? (size_t)(slash - colon) - 1 : strlen(colon + 1);
	if (parse_port_number(&s, colon + 1, n, &p.guest_port) < 0)
		return -EINVAL;
	if (slash && (!proto_of(slash + 1, strlen(slash + 1), &p.proto) || p.proto == NET_ICMP))
		return wrong(&s, "%s at character %d is not /tcp or /udp", slash, place(&s, slash));
	*ret = p;
	return 0;
}

char *net_port_format(const struct net_port *p, char out[NET_RULE_TEXT_MAX])
{
	struct ip_net host = { p->host, 128 };
	char text[IP_TEXT_MAX + 8];

	format_net(&host, true, text, sizeof(text));
	snprintf(out, NET_RULE_TEXT_MAX, "%s:%u:%u/%s", text, p->host_port, p->guest_port, net_proto_name(p->proto));
	return out;
}

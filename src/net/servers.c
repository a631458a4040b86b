#include "net/servers.h"

#include <string.h>

#include "base/ip.h"
#include "base/str.h"

#define PORT_DNS 53
#define KEYWORD "nameserver"
#define WORD_MAX 80

static void set_address(struct server *s, const struct ip_addr *a, uint16_t port, uint32_t scope)
{
	memset(s, 0, sizeof(*s));
	if (ip_is_v4(a)) {
		s->v4.sin_family = AF_INET;
		s->v4.sin_port = htons(port);
		memcpy(&s->v4.sin_addr, a->b + 12, 4);
		s->len = sizeof(s->v4);
	} else {
		s->v6.sin6_family = AF_INET6;
		s->v6.sin6_port = htons(port);
		s->v6.sin6_scope_id = scope;
		memcpy(&s->v6.sin6_addr, a->b, 16);
		s->len = sizeof(s->v6);
	}
}

/* "[ADDRESS]:PORT" is cut into its parts, in place. */
static bool split_port(char **word, uint16_t *port)
{
	char *end = strchr(*word, ']');
	uint64_t v;

	if (**word != '[')
		return true;
	if (!end)
		return false;
	*end = 0;
	++*word;
	if (!end[1])
		return true;
	if (end[1] != ':' || str_parse_u64(end + 2, UINT16_MAX, &v) < 0 || v == 0)
		return false;
	*port = (uint16_t)v;
	return true;
}

/* A link-local address needs the number of its interface; names of interfaces are not for this process to look up. */
static bool split_scope(char *word, uint32_t *scope)
{
	char *percent = strchr(word, '%');
	uint64_t v;

	if (!percent)
		return true;
	*percent = 0;
	if (str_parse_u64(percent + 1, UINT32_MAX, &v) < 0)
		return false;
	*scope = (uint32_t)v;
	return true;
}

static bool parse_server(const char *from, size_t n, struct server *ret)
{
	char buf[WORD_MAX], *word = buf;
	uint16_t port = PORT_DNS;
	uint32_t scope = 0;
	struct ip_addr a;

	if (n >= sizeof(buf))
		return false;
	memcpy(buf, from, n);
	buf[n] = 0;
	if (!split_port(&word, &port) || !split_scope(word, &scope) || ip_parse(word, &a) < 0)
		return false;
	set_address(ret, &a, port, scope);
	return true;
}

size_t servers_parse(const char *resolv, struct server out[SERVERS_MAX])
{
	const struct ip_addr loopback = ip_v4(127, 0, 0, 1);
	size_t n = 0;

	for (; *resolv && n < SERVERS_MAX; resolv += *resolv == '\n') {
		const char *at = resolv, *end = resolv + strcspn(resolv, "\n");

		resolv = end;
		if (!str_starts(at, KEYWORD))
			continue;
		at += strlen(KEYWORD);
		if (*at != ' ' && *at != '\t')
			continue;
		at += strspn(at, " \t");
		n += parse_server(at, strcspn(at, " \t\r\n#;"), &out[n]);
	}
	if (n == 0)
		set_address(&out[n++], &loopback, PORT_DNS, 0);
	return n;
}

/*
 * HTTP is recognised by its request line, which need not begin with a method that anybody knows. Whatever servers read
 * in different ways is bad here: a request line with more or other space than it should have, two Hosts, a Host that is
 * folded or has a space before its colon, or anything but a port behind the name, a bare line feed within a line; also
 * HTTP/2 in the clear, whose names are compressed, and HTTP/0.9, which has none. So is TLS that begins with anything
 * but a ClientHello.
 */
#include "net/inspect.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define TLS_HEADER 5
#define AGAIN_MAX (64 * KIB) /* more than servers let come before a second ClientHello */

enum { TLS_CIPHERS = 0x14, TLS_ALERT = 0x15, TLS_HANDSHAKE = 0x16, TLS_DATA = 0x17 };

struct text {
	const char *p;
	size_t n;
};

/* The first line of t, without its end, which is taken from t. False: its end is not there. */
static bool next_line(struct text *t, struct text *ret)
{
	const char *end = t->n ? memchr(t->p, '\n', t->n) : NULL;
	size_t len;

	if (!end)
		return false;
	len = (size_t)(end - t->p);
	*ret = (struct text){ t->p, len && t->p[len - 1] == '\r' ? len - 1 : len };
	t->p += len + 1;
	t->n -= len + 1;
	return true;
}

/* What is behind a name: nothing, ":" or a port. Some servers take the name from behind an '@' there. */
static bool is_port(struct text t)
{
	size_t i;

	for (i = 1; i < t.n && isdigit((unsigned char)t.p[i]); i++)
		;
	return !t.n || (t.p[0] == ':' && i == t.n);
}

/* A name, without port and last dot, in lower case. False: it is none. An IPv6 address in brackets is one, too: no rule
 * is about it. */
static bool take_name(struct text t, char name[NET_NAME_MAX + 1])
{
	const char *end = memchr(t.p, t.n && t.p[0] == '[' ? ']' : ':', t.n);
	size_t i, n = end ? (size_t)(end - t.p) + (*end == ']') : t.n;

	if (!is_port((struct text){ t.p + n, t.n - n }))
		return false;
	if (n && t.p[n - 1] == '.')
		n--;
	if (!n || n > NET_NAME_MAX)
		return false;
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)t.p[i];

		if (!isalnum(c) && !strchr("-_.[]:", c))
			return false;
		name[i] = (char)tolower(c);
	}
	name[n] = 0;
	return true;
}

/* Of "http://name/...": 1; of another target 0; of a bad one -1. */
static int target_name(struct text target, char name[NET_NAME_MAX + 1])
{
	const char *slash;

	if (target.n < 7 || strncasecmp(target.p, "http://", 7) != 0)
		return target.n && target.p[0] == '/' ? 0 : target.n == 1 && target.p[0] == '*' ? 0 : -1;
	target.p += 7;
	target.n -= 7;
	slash = memchr(target.p, '/', target.n);
	target.n = slash ? (size_t)(slash - target.p) : target.n;
	return !memchr(target.p, '@', target.n) && take_name(target, name) ? 1 : -1;
}

static bool is_token(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("-_!#$%&'*+.^`|~", c));
}

/* A space, and what some readers take for one (RFC 9112, 3). */
static bool is_gap(char c)
{
	return c && strchr(" \t\v\f\r", c);
}

/* A token and a space: 1, something else: 0, not to be seen yet: -EAGAIN. Said before the line has its end, because a
 * protocol that is not of lines would have to wait for one for ever. */
static int begins_like_request(struct text t)
{
	size_t i;

	for (i = 0; i < t.n && is_token(t.p[i]); i++)
		;
	if (i == t.n || (i + 1 == t.n && t.p[i] == '\r'))
		return -EAGAIN;
	return i && is_gap(t.p[i]) && !(t.p[i] == '\r' && t.p[i + 1] == '\n');
}

/* The next word of a line, which is taken from it; n 0: there is none. */
static struct text next_word(struct text *line)
{
	struct text word;

	while (line->n && is_gap(*line->p)) {
		line->p++;
		line->n--;
	}
	word = (struct text){ line->p, 0 };
	while (line->n && !is_gap(*line->p)) {
		line->p++;
		line->n--;
		word.n++;
	}
	return word;
}

/* Of two words: GET and a target. HTTP/0.9 has no more than that, and no other names than those in a target. */
static bool is_old_request(struct text target, bool two)
{
	return target.n && (target.p[0] == '/' || (two && memmem(target.p, target.n, "://", 3)));
}

/* METHOD SP TARGET SP HTTP/1.x: 1 with the target, 0 something else, -1 HTTP of a kind that is not taken. */
static int request_line(struct text line, struct text *target)
{
	struct text rest = line, method = next_word(&rest), last, word;
	size_t words = 2;

	*target = last = next_word(&rest);
	for (; (word = next_word(&rest)).n; words++)
		last = word;
	if (last.n < 5 || strncasecmp(last.p, "HTTP/", 5) != 0)
		return is_old_request(*target, words == 2) ? -1 : 0;
	if (words != 3 || method.n + target->n + last.n + 2 != line.n || method.p[method.n] != ' ' ||
	    target->p[target->n] != ' ')
		return -1;
	return last.n >= 7 && strncmp(last.p, "HTTP/1.", 7) == 0 ? 1 : -1;
}

/* A header line: 1 with the name of a Host, 0 another one, -1 bad. */
static int host_line(struct text line, char name[NET_NAME_MAX + 1])
{
	const char *colon = memchr(line.p, ':', line.n);
	size_t len = colon ? (size_t)(colon - line.p) : 0;

	if (!colon || isspace((unsigned char)line.p[0]) || isspace((unsigned char)line.p[len - (len > 0)]) ||
	    memchr(line.p, '\r', line.n) || memchr(line.p, 0, line.n))
		return -1;
	if (len != 4 || strncasecmp(line.p, "Host", 4) != 0)
		return 0;
	line.p += len + 1;
	line.n -= len + 1;
	for (; line.n && (*line.p == ' ' || *line.p == '\t'); line.p++)
		line.n--;
	while (line.n && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
		line.n--;
	return take_name(line, name) ? 1 : -1;
}

static enum inspect http(struct text t, char name[NET_NAME_MAX + 1])
{
	char host[NET_NAME_MAX + 1], target_host[NET_NAME_MAX + 1];
	struct text line, target = { 0 };
	int r, has_target, hosts = 0;

	/* Servers skip empty lines before a request (RFC 9112, 2.2), and some skip spaces. */
	while (t.n && (*t.p == '\n' || is_gap(*t.p))) {
		t.p++;
		t.n--;
	}
	r = begins_like_request(t);
	if (r <= 0)
		return r == 0 ? INSPECT_OTHER : INSPECT_MORE;
	if (!next_line(&t, &line))
		return INSPECT_MORE;
	r = request_line(line, &target);
	if (r <= 0)
		return r < 0 ? INSPECT_BAD : INSPECT_OTHER;
	has_target = target_name(target, target_host);
	if (has_target < 0)
		return INSPECT_BAD;
	for (;;) {
		if (!next_line(&t, &line))
			return INSPECT_MORE;
		if (!line.n)
			break;
		r = host_line(line, host);
		hosts += r;
		if (r < 0 || hosts > 1)
			return INSPECT_BAD;
	}
	if (!hosts || (has_target && strcmp(host, target_host) != 0))
		return INSPECT_BAD;
	memcpy(name, host, sizeof(host));
	return INSPECT_HTTP;
}

/* A record of TLS with an alert: servers of Java and Go pass it by when they wait for a ClientHello, those of Go in any
 * version below 16. 1; another beginning: 0; not to be seen yet: -EAGAIN. */
static int begins_like_alert(const uint8_t *p, size_t n)
{
	static const uint8_t alert[] = { TLS_ALERT, 0, 0, 0, 2 }, mask[] = { 0xff, 0xf0, 0, 0xff, 0xff };
	size_t i;

	for (i = 0; i < n && i < sizeof(alert); i++)
		if ((p[i] & mask[i]) != alert[i])
			return 0;
	return i < sizeof(alert) ? -EAGAIN : 1;
}

enum inspect inspect_claim(const uint8_t *p, size_t n, char name[NET_NAME_MAX + 1])
{
	enum inspect what;
	struct hello h;
	int r;

	r = begins_like_alert(p, n);
	if (r != 0)
		return r < 0 ? INSPECT_MORE : INSPECT_BAD;
	if (p[0] == TLS_HANDSHAKE) {
		r = hello_parse(p, n, &h);
		if (r == -EAGAIN)
			return n < INSPECT_MAX ? INSPECT_MORE : INSPECT_BAD;
		if (r < 0 || !h.name[0])
			return INSPECT_BAD;
		memcpy(name, h.name, sizeof(h.name));
		return INSPECT_TLS;
	}
	what = http((struct text){ (const char *)p, n }, name);
	return what == INSPECT_MORE && n >= INSPECT_MAX ? INSPECT_BAD : what;
}

void inspect_again_begin(struct inspect_again *a, const uint8_t *p, size_t n)
{
	struct hello h;

	*a = (struct inspect_again){ .over = hello_parse(p, n, &h) < 0 };
	if (a->over)
		return;
	a->left = h.end;
	a->early = h.early;
}

/* A record with handshake messages: 0 they are for that name, or say of none; -EAGAIN, -EPERM. */
static int check_again(const uint8_t *p, size_t n, const char *name)
{
	struct hello h;
	int r = hello_begins(p, n);

	if (r <= 0)
		return r;
	r = hello_parse(p, n, &h);
	if (r == -EAGAIN && n < INSPECT_MAX)
		return r;
	return r == 0 && strcmp(h.name, name) == 0 ? 0 : -EPERM;
}

int inspect_again(struct inspect_again *a, const uint8_t *p, size_t n, const char *name)
{
	while (!a->over) {
		size_t step = MIN(a->left, n - a->cleared);
		const uint8_t *record;
		int r = 0;

		a->cleared += step;
		a->left -= step;
		if (a->left || n - a->cleared < TLS_HEADER)
			return 0;
		record = p + a->cleared;
		if (*record == TLS_HANDSHAKE)
			r = check_again(record, n - a->cleared, name);
		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		/* Servers pass these by, the last one if they were told of it. */
		a->over = *record != TLS_CIPHERS && *record != TLS_ALERT && !(*record == TLS_DATA && a->early);
		a->left = TLS_HEADER + ((size_t)record[3] << 8 | record[4]);
		a->passed += a->left;
		a->over |= a->passed > AGAIN_MAX;
	}
	a->cleared = n;
	return 0;
}

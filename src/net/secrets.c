/*
 * Where values are. They come in one message on the control socket and go, with the other ways to write them, into one
 * mapping that is locked (never on a swap device), left out of core dumps, and wiped at the end. The buffer that the
 * message was read into is wiped by who has it (control.c). From the mapping a value is copied only into what is sent
 * to its host: buffers of a connection, wiped when they go, and those of OpenSSL and nghttp2, which are ordinary
 * memory of this process. For these it is that the process is not dumpable (main.c): no core, no ptrace, no
 * /proc/PID/mem for others of the same user.
 */
#include "net/secrets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/str.h"

#define FORMS 3 /* of a value in the guest's reach: as it is, in a URL, in JSON */

struct form {
	const uint8_t *p;
	size_t n;
};

struct secrets {
	uint8_t *map; /* owned, locked */
	size_t map_len, used;
	struct net_secrets list; /* all in the map */
	struct form url[SECRETS_MAX], json[SECRETS_MAX];
};

static bool is_unreserved(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

/* RFC 3986, 2.1: right in a path, in a query and in a form. */
static size_t put_url(uint8_t *to, uint8_t c)
{
	static const char digits[] = "0123456789ABCDEF";

	to[0] = c;
	if (is_unreserved(c))
		return 1;
	to[0] = '%';
	to[1] = (uint8_t)digits[c >> 4];
	to[2] = (uint8_t)digits[c & 15];
	return 3;
}

/* RFC 8259, 7: inside of a string. */
static size_t put_json(uint8_t *to, uint8_t c)
{
	static const char digits[] = "0123456789abcdef", from[] = "\"\\\n\r\t", as[] = "\"\\nrt";
	const char *at = c ? strchr(from, c) : NULL;

	to[0] = c;
	if (!at && c >= ' ')
		return 1;
	to[0] = '\\';
	to[1] = at ? (uint8_t)as[at - from] : 'u';
	if (at)
		return 2;
	memcpy(to + 2, "00", 2);
	to[4] = (uint8_t)digits[c >> 4];
	to[5] = (uint8_t)digits[c & 15];
	return 6;
}

/* The value itself if it is written as it is. */
static struct form make_form(struct secrets *s, const struct net_secret *v, size_t (*put)(uint8_t *to, uint8_t c))
{
	struct form f = { s->map + s->used, 0 };
	uint8_t *to = s->map + s->used;
	size_t i;

	for (i = 0; i < v->value_len; i++)
		f.n += put(to + f.n, v->value[i]);
	if (f.n == v->value_len)
		return (struct form){ v->value, v->value_len };
	s->used += f.n;
	return f;
}

struct secrets *secrets_new(const void *payload, size_t n, struct error *err)
{
	struct secrets *s = calloc(1, sizeof(*s));
	size_t i;

	if (!s) {
		error_nomem(err);
		return NULL;
	}
	s->map_len = n * 10 + 16; /* as it is, at most 3 times as long in a URL, 6 in JSON */
	s->map = mmap(NULL, s->map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->map == MAP_FAILED) {
		free(s);
		error_nomem(err);
		return NULL;
	}
	if (mlock(s->map, s->map_len) < 0 || madvise(s->map, s->map_len, MADV_DONTDUMP) < 0) {
		error_sys(err, "cannot lock %zu bytes of memory for secrets (see ulimit -l)", s->map_len);
		secrets_free(s);
		return NULL;
	}
	if (n)
		memcpy(s->map, payload, n);
	s->used = n;
	if (wire_get_net_secrets(s->map, n, &s->list, err) < 0) {
		secrets_free(s);
		return NULL;
	}
	for (i = 0; i < s->list.n; i++) {
		s->url[i] = make_form(s, &s->list.v[i], put_url);
		s->json[i] = make_form(s, &s->list.v[i], put_json);
	}
	return s;
}

void secrets_free(struct secrets *s)
{
	if (!s)
		return;
	explicit_bzero(s->map, s->map_len);
	munmap(s->map, s->map_len);
	free(s);
}

static bool is_for(const struct net_secret *v, const char *name, uint16_t port)
{
	size_t n = strlen(name), sub;

	if (v->port != port)
		return false;
	if (!str_starts(v->host, "*."))
		return str_eq(v->host, name);
	sub = strlen(v->host) - 1; /* with its dot */
	return n > sub && str_eq(name + n - sub, v->host + 1);
}

bool secrets_has(const struct secrets *s, const char *name, uint16_t port)
{
	size_t i;

	for (i = 0; i < s->list.n && !is_for(&s->list.v[i], name, port); i++)
		;
	return i < s->list.n;
}

bool secrets_has_port(const struct secrets *s, uint16_t port)
{
	size_t i;

	for (i = 0; i < s->list.n && s->list.v[i].port != port; i++)
		;
	return i < s->list.n;
}

/* A value that would end a header does not go into one: its placeholder does. */
static bool fits_header(const struct net_secret *v)
{
	size_t i;

	for (i = 0; i < v->value_len; i++)
		if ((v->value[i] < ' ' && v->value[i] != '\t') || v->value[i] == 0x7f)
			return false;
	return true;
}

static void add(struct secret_set *set, const struct secrets *s, size_t i)
{
	const struct net_secret *v = &s->list.v[i];
	const struct form *url = &s->url[i], *json = &s->json[i];
	size_t n = strlen(v->placeholder);

	if (fits_header(v))
		swaps_add(&set->header, v->placeholder, n, v->value, v->value_len);
	swaps_add(&set->url, v->placeholder, n, url->p, url->n);
	swaps_add(&set->json, v->placeholder, n, json->p, json->n);
	swaps_add(&set->body, v->placeholder, n, v->value, v->value_len);
	swaps_add(&set->scrub, v->value, v->value_len, v->placeholder, n);
	if (url->p != v->value)
		swaps_add(&set->scrub, url->p, url->n, v->placeholder, n);
	if (json->p != v->value)
		swaps_add(&set->scrub, json->p, json->n, v->placeholder, n);
}

struct secret_set *secrets_of(const struct secrets *s, const char *name, uint16_t port)
{
	struct secret_set *set = calloc(1, sizeof(*set));
	size_t i;

	_Static_assert(SECRETS_MAX * FORMS <= SWAPS_MAX, "each form of each value has its place");
	for (i = 0; set && i < s->list.n; i++)
		if (is_for(&s->list.v[i], name, port))
			add(set, s, i);
	return set;
}

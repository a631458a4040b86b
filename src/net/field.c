#include "net/field.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clean.h"
#include "net/http1_body.h"

bool field_is_dropped(struct text name)
{
	static const char *const dropped[] = { "accept-encoding", "te", "trailer", "http2-settings", "content-length",
					       "transfer-encoding" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dropped); i++)
		if (text_is(name, dropped[i]))
			return true;
	return false;
}

static bool begins(struct text t, const char *word)
{
	size_t n = strlen(word);

	return t.n >= n && strncasecmp(t.p, word, n) == 0;
}

/* The bytes behind Base64; false: it is none. */
static bool decode(struct text t, struct buf *out)
{
	uint8_t *to = buf_reserve(out, t.n);
	size_t pad = 0;
	int n;

	if (!to || !t.n || t.n % 4)
		return false;
	while (pad < 2 && t.p[t.n - 1 - pad] == '=')
		pad++;
	n = EVP_DecodeBlock(to, (const uint8_t *)t.p, (int)t.n);
	if (n < (int)pad)
		return false;
	buf_commit(out, (size_t)n - pad);
	return true;
}

static int encode(const struct buf *in, struct buf *out)
{
	size_t n = (buf_len(in) + 2) / 3 * 4;
	uint8_t *to = n < buf_room(out) ? buf_reserve(out, n + 1) : NULL; /* with a NUL */

	if (!to)
		return -ENOBUFS;
	EVP_EncodeBlock(to, buf_data(in), (int)buf_len(in));
	buf_commit(out, n);
	return 0;
}

/* `value` is behind "Basic ". */
static int put_basic(const struct secret_set *set, struct text value, struct buf *out)
{
	struct buf plain = BUF_INIT(HEAD_MAX), swapped = BUF_INIT(BODY_ROOM);
	int r = -EBADMSG;

	if (decode(value, &plain))
		r = swap_put(&set->header, buf_data(&plain), buf_len(&plain), &swapped);
	if (r == 0)
		r = encode(&swapped, out);
	else if (r == -EBADMSG) /* not ours to judge */
		r = swap_put(&set->header, value.p, value.n, out);
	wipe(&plain);
	wipe(&swapped);
	return r;
}

int field_put(const struct secret_set *set, struct text name, struct text value, struct buf *out)
{
	static const char basic[] = "Basic ";
	size_t n = sizeof(basic) - 1;
	int r;

	if (!(text_is(name, "authorization") || text_is(name, "proxy-authorization")) || !begins(value, basic))
		return swap_put(&set->header, value.p, value.n, out);
	r = buf_append(out, value.p, n);
	while (n < value.n && value.p[n] == ' ')
		n++;
	return r < 0 ? r : put_basic(set, (struct text){ value.p + n, value.n - n }, out);
}

static bool contains(struct text t, const char *word)
{
	size_t n = strlen(word), i;

	for (i = 0; i + n <= t.n; i++)
		if (strncasecmp(t.p + i, word, n) == 0)
			return true;
	return false;
}

const struct swaps *field_body_swaps(const struct secret_set *set, struct text content_type)
{
	const char *semi = content_type.n ? memchr(content_type.p, ';', content_type.n) : NULL;
	struct text type = { content_type.p, semi ? (size_t)(semi - content_type.p) : content_type.n };

	if (contains(type, "x-www-form-urlencoded"))
		return &set->url;
	return contains(type, "json") ? &set->json : &set->body;
}

bool field_is_authority(struct text value, const char *name, uint16_t port)
{
	char text[8];
	size_t n = strlen(name);

	if (value.n < n || strncasecmp(value.p, name, n) != 0)
		return false;
	value.p += n;
	value.n -= n;
	if (value.n && *value.p == '.') { /* written in full, as clients pass it on */
		value.p++;
		value.n--;
	}
	snprintf(text, sizeof(text), ":%u", port);
	return value.n == 0 ? port == 443 : text_is(value, text);
}

static bool is_here(const struct swap *w, const char *at)
{
	size_t i;

	for (i = 0; i < w->from_len && tolower((unsigned char)at[i]) == tolower(w->from[i]); i++)
		;
	return i == w->from_len;
}

bool field_name_tells(const struct secret_set *set, struct text name)
{
	const struct swaps *s = &set->scrub;
	size_t i, at;

	for (i = 0; i < s->n; i++)
		for (at = 0; at + s->v[i].from_len <= name.n; at++)
			if (is_here(&s->v[i], name.p + at))
				return true;
	return false;
}

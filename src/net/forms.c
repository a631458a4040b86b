/*
 * Each encoder of the world leaves other characters as they are. These are those of the libraries that most servers
 * are written with; a way that changes nothing of a value costs nothing.
 *
 * In Base64 the value may be inside of something longer, as behind "user:". Which characters it then gives depends on
 * how many bytes are before it, modulo 3, and those at its borders have bits of its neighbours: they are left out, so
 * up to 4 bits of its first byte and 4 of its last one stay.
 */
#include "net/forms.h"

#include <string.h>

#define ESCAPE_MAX 6
#define BASE64_MIN 8 /* characters; what is shorter is found where it is not */

static const char upper[] = "0123456789ABCDEF", lower[] = "0123456789abcdef";

struct way {
	size_t (*put)(const struct way *w, uint8_t *to, uint8_t c);
	const char *digits;     /* hexadecimal ones */
	const char *set;        /* URL: is left as it is; else: is escaped, too */
	const char *quot, *apos; /* of HTML */
	bool form;              /* URL: as browsers send forms, where "+" is a space and "~" is not left */
	bool slash;             /* JSON: as "\/" */
	bool all;               /* JSON: all but letters, digits and "-._" */
};

static bool is_in(uint8_t c, const char *set)
{
	return c && set && strchr(set, c);
}

static bool is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 3986, 2.1: right in a path, in a query and in a form. */
static size_t put_url(const struct way *w, uint8_t *to, uint8_t c)
{
	to[0] = c;
	if (w->form && c == ' ')
		to[0] = '+';
	if (is_alnum(c) || is_in(c, "-._") || is_in(c, w->set) || (c == '~' && !w->form) || (c == ' ' && w->form))
		return 1;
	to[0] = '%';
	to[1] = (uint8_t)w->digits[c >> 4];
	to[2] = (uint8_t)w->digits[c & 15];
	return 3;
}

/* RFC 8259, 7: inside of a string. */
static size_t put_json(const struct way *w, uint8_t *to, uint8_t c)
{
	static const char from[] = "\"\\\n\r\t\b\f", as[] = "\"\\nrtbf";
	const char *at = c ? strchr(from, c) : NULL;
	bool coded = is_in(c, w->set) || (w->all && !is_alnum(c) && !is_in(c, "-._") && c < 0x80);

	to[0] = c;
	if (!at && !coded && c >= ' ' && !(c == '/' && w->slash))
		return 1;
	to[0] = '\\';
	to[1] = c == '/' && !coded ? '/' : at && !coded ? (uint8_t)as[at - from] : 'u';
	if (to[1] != 'u')
		return 2;
	memcpy(to + 2, "00", 2);
	to[4] = (uint8_t)w->digits[c >> 4];
	to[5] = (uint8_t)w->digits[c & 15];
	return 6;
}

static size_t put_html(const struct way *w, uint8_t *to, uint8_t c)
{
	char code[] = "&#x00;";
	const char *as = c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? w->quot :
			 c == '\'' ? w->apos : is_in(c, w->set) ? code : NULL;

	code[3] = upper[c >> 4];
	code[4] = upper[c & 15];
	to[0] = c;
	if (!as)
		return 1;
	memcpy(to, as, strlen(as));
	return strlen(as);
}

static const struct way ways[] = {
	[FORM_URL] = { put_url, upper },
	[FORM_JSON] = { put_json, lower },
	{ put_url, lower },
	{ put_url, upper, "/" },      /* Python's quote() */
	{ put_url, upper, "!'()*" },  /* encodeURIComponent() */
	{ put_url, upper, "!$&'()*+,;=:@/" }, /* a path */
	{ put_url, upper, "*", .form = true },
	{ put_json, lower, .slash = true },   /* PHP */
	{ put_json, lower, "<>&" },           /* Go, Ruby */
	{ put_json, lower, "<>&='" },         /* Gson */
	{ put_json, upper, "\"&'+<>`" },      /* .NET */
	{ put_json, lower, .all = true },
	{ put_json, upper, .all = true },
	{ put_html, .quot = "&quot;" },
	{ put_html, .quot = "&quot;", .apos = "&#39;" },
	{ put_html, .quot = "&#34;", .apos = "&#39;" },   /* Go, Jinja */
	{ put_html, .quot = "&quot;", .apos = "&#x27;" }, /* Python */
	{ put_html, .quot = "&quot;", .apos = "&#039;" }, /* PHP */
	{ put_html, .quot = "&quot;", .apos = "&#39;", .set = "/`=" }, /* Mustache */
};

/* Behind these: alignments 0, 1, 2 in Base64, and the same in its alphabet for URLs. */
_Static_assert(ARRAY_SIZE(ways) + 6 == FORMS, "all ways are counted");

/* Those characters that are of the value alone, with `before` bytes before it. */
static size_t put_base64(const uint8_t *p, size_t n, unsigned before, const char *digits, uint8_t *to)
{
	static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t bit = before * 8, first = (bit + 5) / 6, end = (bit + n * 8) / 6, i;

	if (end < first + BASE64_MIN)
		return 0;
	for (i = first; to && i < end; i++) {
		size_t at = (i * 6 - bit) / 8, shift = (i * 6 - bit) % 8;
		unsigned two = (unsigned)p[at] << 8 | (at + 1 < n ? p[at + 1] : 0), v = two >> (10 - shift) & 63;

		*to++ = (uint8_t)(v < 62 ? common[v] : digits[v - 62]);
	}
	return end - first;
}

size_t form_put(unsigned i, const uint8_t *p, size_t n, uint8_t *to)
{
	uint8_t one[ESCAPE_MAX];
	size_t len = 0, at;
	bool same = true;

	if (i >= ARRAY_SIZE(ways)) {
		i -= ARRAY_SIZE(ways);
		return put_base64(p, n, i % 3, i < 3 ? "+/" : "-_", to);
	}
	for (at = 0; at < n; at++) {
		size_t k = ways[i].put(&ways[i], one, p[at]);

		same &= k == 1 && one[0] == p[at];
		if (to)
			memcpy(to + len, one, k);
		len += k;
	}
	explicit_bzero(one, sizeof(one));
	return same ? 0 : len;
}

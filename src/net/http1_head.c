#include "net/http1_head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define LENGTH_DIGITS 18 /* less than 2^63 */

bool text_is(struct text t, const char *word)
{
	return t.n == strlen(word) && strncasecmp(t.p, word, t.n) == 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct text trim(struct text t)
{
	while (t.n && is_space(*t.p)) {
		t.p++;
		t.n--;
	}
	while (t.n && is_space(t.p[t.n - 1]))
		t.n--;
	return t;
}

bool text_has(struct text t, const char *word)
{
	while (t.n) {
		const char *comma = memchr(t.p, ',', t.n);
		size_t n = comma ? (size_t)(comma - t.p) : t.n;

		if (text_is(trim((struct text){ t.p, n }), word))
			return true;
		n += comma != NULL;
		t.p += n;
		t.n -= n;
	}
	return false;
}

bool text_length(struct text t, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < t.n && i < LENGTH_DIGITS && t.p[i] >= '0' && t.p[i] <= '9'; i++)
		v = v * 10 + (uint64_t)(t.p[i] - '0');
	*ret = v;
	return t.n > 0 && i == t.n;
}

const struct head_field *head_get(const struct head *h, const char *name)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (text_is(h->fields[i].name, name))
			return &h->fields[i];
	return NULL;
}

ssize_t head_find(const uint8_t *p, size_t n)
{
	const uint8_t *end = n ? memmem(p, MIN(n, HEAD_MAX), "\r\n\r\n", 4) : NULL;

	if (end)
		return end - p + 4;
	return n >= HEAD_MAX ? -EBADMSG : 0;
}

/* RFC 9110, 5.6.2. */
static bool is_token(struct text t)
{
	size_t i;

	for (i = 0; i < t.n; i++)
		if (!((t.p[i] >= '0' && t.p[i] <= '9') || (t.p[i] >= 'a' && t.p[i] <= 'z') ||
		      (t.p[i] >= 'A' && t.p[i] <= 'Z') || (t.p[i] && strchr("!#$%&'*+-.^_`|~", t.p[i]))))
			return false;
	return t.n > 0;
}

static bool is_visible(struct text t)
{
	size_t i;

	for (i = 0; i < t.n; i++)
		if (t.p[i] <= ' ' || t.p[i] >= 0x7f)
			return false;
	return t.n > 0;
}

/* No controls but tabs: no NUL, no CR, no LF by itself. */
static bool is_value(struct text t)
{
	size_t i;

	for (i = 0; i < t.n; i++)
		if (((unsigned char)t.p[i] < ' ' && t.p[i] != '\t') || t.p[i] == 0x7f)
			return false;
	return true;
}

/* "HTTP/1.x" */
static bool take_version(struct text t, struct head *h)
{
	if (t.n != 8 || memcmp(t.p, "HTTP/1.", 7) != 0 || (t.p[7] != '0' && t.p[7] != '1'))
		return false;
	h->minor = (unsigned)(t.p[7] - '0');
	return true;
}

static struct text word(struct text *line)
{
	const char *space = memchr(line->p, ' ', line->n);
	struct text t = { line->p, space ? (size_t)(space - line->p) : line->n };
	size_t skip = t.n + (space != NULL);

	line->p += skip;
	line->n -= skip;
	return t;
}

static bool take_request_line(struct text line, struct head *h)
{
	h->method = word(&line);
	h->target = word(&line);
	return is_token(h->method) && is_visible(h->target) && take_version(line, h);
}

static bool take_status_line(struct text line, struct head *h)
{
	struct text code;
	size_t i;

	h->status_line = line;
	if (!take_version(word(&line), h) || !is_value(line))
		return false;
	code = word(&line);
	for (i = 0; i < code.n && code.p[i] >= '0' && code.p[i] <= '9'; i++)
		h->status = h->status * 10 + (unsigned)(code.p[i] - '0');
	return code.n == 3 && i == 3 && h->status >= 100;
}

static bool take_field(struct text line, struct head *h)
{
	const char *colon = memchr(line.p, ':', line.n);
	struct head_field *f;

	if (!colon || h->n == HEAD_FIELDS_MAX)
		return false;
	f = &h->fields[h->n++];
	f->name = (struct text){ line.p, (size_t)(colon - line.p) };
	f->value = trim((struct text){ colon + 1, line.n - f->name.n - 1 });
	return is_token(f->name) && is_value(f->value); /* a folded line begins with a space, which no token has */
}

/* RFC 9112, 6.3: one length or one coding, never both, never twice. */
static bool take_framing(struct head *h, bool request)
{
	bool lengths = false, codings = false;
	size_t i;

	h->framing = request ? FRAMING_NONE : FRAMING_CLOSE;
	for (i = 0; i < h->n; i++) {
		const struct head_field *f = &h->fields[i];

		if (text_is(f->name, "content-length")) {
			if (lengths || codings || !text_length(f->value, &h->length))
				return false;
			lengths = true;
			h->framing = FRAMING_LENGTH;
		} else if (text_is(f->name, "transfer-encoding")) {
			if (lengths || codings || h->minor == 0 || !text_is(f->value, "chunked"))
				return false;
			codings = true;
			h->framing = FRAMING_CHUNKED;
		}
	}
	return true;
}

int head_parse(const uint8_t *p, size_t n, bool request, struct head *ret)
{
	struct text rest = { (const char *)p, n };
	bool first = true;

	memset(ret, 0, offsetof(struct head, fields));
	ret->n = 0;
	for (;;) {
		const char *end = memmem(rest.p, rest.n, "\r\n", 2);
		struct text line = { rest.p, end ? (size_t)(end - rest.p) : 0 };

		if (!end)
			return -EBADMSG;
		rest.p += line.n + 2;
		rest.n -= line.n + 2;
		if (first ? !(request ? take_request_line : take_status_line)(line, ret) :
			    line.n && !take_field(line, ret))
			return -EBADMSG;
		if (!line.n)
			break;
		first = false;
	}
	return take_framing(ret, request) ? 0 : -EBADMSG;
}

/*
 * A ClientHello is a handshake message, which lies in one record or is spread over several (RFC 8446, 5.1). Whatever
 * two readers could take differently is refused: names twice, extensions twice, names with a NUL, lengths that do not
 * add up.
 */
#include "net/hello.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

#define RECORD_HANDSHAKE 22
#define RECORD_MAX 16384
#define CLIENT_HELLO 1
#define HANDSHAKE_HEADER 4

enum { EXT_NAME = 0, EXT_ALPN = 16, EXT_EARLY = 42, EXT_ECH = 0xfe0d, EXT_ESNI = 0xffce };

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

/* Any text without spaces will do: what is no name of ours matches none of ours. */
static bool take_name(struct rd *r, struct hello *h)
{
	size_t n = rd_be16(r), i;
	const uint8_t *at = rd_bytes(r, n);

	if (r->bad || !n || n > NET_NAME_MAX + 1)
		return false;
	if (at[n - 1] == '.')
		n--;
	if (!n || n > NET_NAME_MAX)
		return false;
	for (i = 0; i < n; i++) {
		if (at[i] <= ' ' || at[i] >= 0x7f)
			return false;
		h->name[i] = (char)lower(at[i]);
	}
	h->name[n] = 0;
	return true;
}

/* RFC 6066, 3: a list, of which there has never been more than one host name. */
static bool take_names(struct rd r, struct hello *h)
{
	size_t n = rd_be16(&r);

	return !r.bad && n == rd_left(&r) && rd_u8(&r) == 0 && take_name(&r, h) && rd_done(&r);
}

static bool is(const uint8_t *at, size_t n, const char *name)
{
	return n == strlen(name) && memcmp(at, name, n) == 0;
}

/* RFC 7301, 3.1. */
static bool take_alpn(struct rd r, struct hello *h)
{
	size_t n = rd_be16(&r);

	if (r.bad || n != rd_left(&r) || !n)
		return false;
	h->alpn = r.p;
	h->alpn_len = n;
	h->offers = true;
	while (rd_left(&r)) {
		size_t len = rd_u8(&r);
		const uint8_t *at = rd_bytes(&r, len);

		if (r.bad || !len)
			return false;
		h->h2 |= is(at, len, "h2");
		h->http1 |= is(at, len, "http/1.1");
	}
	return true;
}

static bool take_extension(unsigned type, struct rd r, struct hello *h, unsigned *seen)
{
	unsigned bit = type == EXT_NAME ? 1 : type == EXT_ALPN ? 2 : 0;

	if (*seen & bit)
		return false;
	*seen |= bit;
	if (type == EXT_NAME)
		return take_names(r, h);
	if (type == EXT_ALPN)
		return take_alpn(r, h);
	h->early |= type == EXT_EARLY;
	h->ech |= type == EXT_ECH || type == EXT_ESNI;
	return true;
}

/* What is behind the header of the message. */
static int parse_body(struct rd r, struct hello *ret)
{
	struct hello h = { 0 };
	unsigned seen = 0;
	size_t n;

	if (rd_u8(&r) != 3) /* the version is 3.x, of all that have extensions */
		return -EBADMSG;
	rd_bytes(&r, 1 + 32);         /* and its second half; random */
	rd_bytes(&r, rd_u8(&r));      /* the session's id */
	rd_bytes(&r, rd_be16(&r));    /* ciphers */
	rd_bytes(&r, rd_u8(&r));      /* compression */
	if (!r.bad && !rd_left(&r)) { /* no extensions at all */
		*ret = h;
		return 0;
	}
	n = rd_be16(&r);
	if (r.bad || n != rd_left(&r))
		return -EBADMSG;
	while (rd_left(&r)) {
		unsigned type = rd_be16(&r);
		size_t len = rd_be16(&r);
		const uint8_t *at = rd_bytes(&r, len);

		if (r.bad || !take_extension(type, rd_over(at, len), &h, &seen))
			return -EBADMSG;
	}
	*ret = h;
	return 0;
}

/* The next record's bytes: 0, -EAGAIN (with those that are there), -EBADMSG. */
static int next_record(struct rd *r, struct rd *ret)
{
	size_t n, there;

	if (rd_left(r) && r->p[0] != RECORD_HANDSHAKE)
		return -EBADMSG;
	if (rd_left(r) > 1 && r->p[1] != 3)
		return -EBADMSG;
	if (rd_left(r) < 5)
		return -EAGAIN;
	rd_bytes(r, 3);
	n = rd_be16(r);
	if (!n || n > RECORD_MAX)
		return -EBADMSG;
	there = MIN(n, rd_left(r));
	*ret = rd_over(rd_bytes(r, there), there);
	return there < n ? -EAGAIN : 0;
}

/* The length of the message of which these are the first bytes: -EAGAIN, -EBADMSG. */
static int message_len(struct rd r)
{
	size_t n;

	if (rd_left(&r) && r.p[0] != CLIENT_HELLO)
		return -EBADMSG;
	if (rd_left(&r) < HANDSHAKE_HEADER)
		return -EAGAIN;
	rd_u8(&r);
	n = (size_t)rd_be(&r, 3);
	return n > HELLO_MAX ? -EBADMSG : (int)n;
}

/* Spread over several records. The pieces go one behind the other. */
static int parse_spread(struct rd r, struct hello *ret)
{
	uint8_t whole[HELLO_MAX];
	const uint8_t *begin = r.p;
	size_t have = 0;
	struct rd piece;
	int len, n;

	for (;;) {
		n = next_record(&r, &piece);
		if (n < 0)
			return n;
		memcpy(whole + have, piece.p, rd_left(&piece)); /* all that is there is less than HELLO_MAX */
		have += rd_left(&piece);
		len = message_len(rd_over(whole, have));
		if (len == -EBADMSG)
			return len;
		if (len >= 0 && have >= HANDSHAKE_HEADER + (size_t)len)
			break;
	}
	if (have > HANDSHAKE_HEADER + (size_t)len)
		return -EBADMSG;
	n = parse_body(rd_over(whole + HANDSHAKE_HEADER, (size_t)len), ret);
	if (n == 0) {
		ret->end = (size_t)(r.p - begin);
		ret->alpn = NULL; /* it lies in what goes now */
		ret->alpn_len = 0;
	}
	return n;
}

int hello_parse(const uint8_t *p, size_t n, struct hello *ret)
{
	struct rd r = rd_over(p, MIN(n, HELLO_MAX)), first = { 0 };
	int whole = next_record(&r, &first), len;

	if (whole == -EBADMSG)
		return whole;
	len = message_len(first);
	if (len == -EBADMSG)
		return len;
	if (len >= 0 && rd_left(&first) >= HANDSHAKE_HEADER + (size_t)len) {
		if (whole < 0 || rd_left(&first) > HANDSHAKE_HEADER + (size_t)len) /* its record has more */
			return -EBADMSG;
		whole = parse_body(rd_over(first.p + HANDSHAKE_HEADER, (size_t)len), ret);
		ret->end = whole == 0 ? (size_t)(r.p - p) : 0;
		return whole;
	}
	if (whole == 0)
		whole = parse_spread(rd_over(p, MIN(n, HELLO_MAX)), ret);
	return whole == -EAGAIN && n >= HELLO_MAX ? -EBADMSG : whole;
}

int hello_begins(const uint8_t *p, size_t n)
{
	uint8_t head[HANDSHAKE_HEADER + 1] = { 0 };
	struct rd r = rd_over(p, n);
	size_t have = 0;
	int k = 0;

	while (k == 0 && have < sizeof(head)) {
		struct rd piece = { 0 };
		size_t more;

		k = next_record(&r, &piece);
		more = MIN(rd_left(&piece), sizeof(head) - have);
		if (more)
			memcpy(head + have, piece.p, more);
		have += more;
	}
	if (have && head[0] != CLIENT_HELLO)
		return 0;
	if (have < sizeof(head)) /* no honest client cuts anything else like that */
		return k == -EAGAIN ? k : 1;
	return head[1] < 4 && head[HANDSHAKE_HEADER] == 3; /* its length, more than servers take; its version */
}

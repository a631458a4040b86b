/*
 * in --from--> work --swaps--> out, framed as `to`.
 *
 * To replace changes lengths. A body of which the length is told is either held as a whole until the new one is known
 * (body_hold()), or sent in chunks, or only its beginning is held and changed (body_fix()): the length of what is
 * behind that has been told by then, and if it has something to be replaced it goes no further. Chunks are not kept as
 * they were: their borders mean nothing (RFC 9112, 7.1). Trailers are left out, as anybody on the way may do (7.1.2).
 */
#include "net/http1_body.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#define WORK_LOW (16 * KIB) /* more is taken while there is less, and as much as may be the beginning of a value */
#define PIECE (64 * KIB)
#define OUT_HIGH (64 * KIB) /* more is not put while there is as much */
#define LINE_MAX 4096 /* of a chunk's head, and of trailers */
#define CHUNK_DIGITS 8 /* of those that come out: enough for BODY_ROOM */

enum where { IN_SIZE, IN_DATA, IN_END, IN_TRAILER }; /* struct body.where */

static size_t whole_all;

void wipe(struct buf *b)
{
	if (b->mem)
		explicit_bzero(b->mem, b->cap);
	buf_fini(b);
}

bool hold_take(size_t *held, size_t n)
{
	if (whole_all + n > BODY_WHOLE_ALL_MAX)
		return false;
	*held = n;
	whole_all += n;
	return true;
}

void hold_give(size_t *held)
{
	whole_all -= *held;
	*held = 0;
}

void body_init(struct body *b)
{
	*b = (struct body){ .work = BUF_INIT(BODY_WHOLE_MAX + PIECE), .taken = true, .over = true };
}

void body_fini(struct body *b)
{
	hold_give(&b->whole);
	wipe(&b->work);
}

void body_begin(struct body *b, enum framing from, uint64_t length, enum framing to, const struct swaps *swaps)
{
	b->from = from;
	b->to = to;
	b->left = from == FRAMING_LENGTH ? length : 0;
	b->where = IN_SIZE;
	b->swaps = swaps;
	b->taken = from == FRAMING_NONE || (from == FRAMING_LENGTH && length == 0);
	b->over = from == FRAMING_NONE;
	b->hold = b->begin = 0;
	b->fixed = false;
}

bool body_hold(struct body *b)
{
	if (b->left > BODY_WHOLE_MAX || !hold_take(&b->whole, (size_t)b->left))
		return false;
	b->hold = (size_t)b->left;
	return true;
}

void body_fix(struct body *b, bool hold)
{
	bool room = hold_take(&b->whole, hold ? BODY_WHOLE_MAX : 0);
	size_t most = room ? BODY_WHOLE_MAX : PIECE; /* a buffer of that is there in any case */

	b->fixed = true;
	b->hold = hold ? (size_t)MIN(b->left, most) : 0;
}

bool body_is_held(const struct body *b)
{
	return b->taken || buf_len(&b->work) >= b->hold;
}

size_t body_held(const struct body *b)
{
	return b->whole ? 0 : b->work.cap;
}

/* --- in --- */

static int take_bytes(struct body *b, struct buf *in, uint64_t most)
{
	size_t n = (size_t)MIN(most, MIN(buf_len(in), buf_room(&b->work)));
	size_t most_work = b->hold ? b->hold : PIECE + b->swaps->widest;
	int r;

	n = MIN(n, most_work - MIN(most_work, buf_len(&b->work)));
	r = buf_append(&b->work, buf_data(in), n);
	if (r == 0 && n)
		buf_consume(in, n);
	return r < 0 ? r : (int)n;
}

/* The length of the line at the beginning of `in`, without its end; -EAGAIN, -EBADMSG. */
static ssize_t find_line(const struct buf *in)
{
	size_t n = MIN(buf_len(in), LINE_MAX);
	const uint8_t *p = buf_data(in), *lf = n ? memchr(p, '\n', n) : NULL;

	if (!lf)
		return n == LINE_MAX ? -EBADMSG : -EAGAIN;
	if (lf == p || lf[-1] != '\r' || memchr(p, '\r', (size_t)(lf - p)) != lf - 1)
		return -EBADMSG;
	return lf - p - 1;
}

/* RFC 9112, 7.1; extensions are left out. */
static bool take_size(const uint8_t *p, size_t n, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < n && i < 15; i++) {
		int d = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' :
			p[i] >= 'a' && p[i] <= 'f' ? p[i] - 'a' + 10 :
			p[i] >= 'A' && p[i] <= 'F' ? p[i] - 'A' + 10 : -1;

		if (d < 0)
			break;
		v = v << 4 | (unsigned)d;
	}
	*ret = v;
	return i > 0 && (i == n || p[i] == ';' || ((p[i] == ' ' || p[i] == '\t') && memchr(p + i, ';', n - i)));
}

/* One step: > 0 it went on, 0: more bytes are needed, -EBADMSG, -ENOMEM. */
static int take_chunked(struct body *b, struct buf *in)
{
	ssize_t line;
	int r;

	if (b->where == IN_DATA) {
		r = take_bytes(b, in, b->left);
		b->left -= r > 0 ? (uint64_t)r : 0;
		if (b->left == 0)
			b->where = IN_END;
		return b->left == 0 ? 1 : r < 0 ? r : 0;
	}
	line = find_line(in);
	if (line < 0)
		return line == -EAGAIN ? 0 : (int)line;
	if (b->where == IN_SIZE) {
		if (!take_size(buf_data(in), (size_t)line, &b->left))
			return -EBADMSG;
		b->where = b->left ? IN_DATA : IN_TRAILER;
	} else if (b->where == IN_END) {
		if (line)
			return -EBADMSG;
		b->where = IN_SIZE;
	} else if (line == 0) {
		b->taken = true;
	}
	buf_consume(in, (size_t)line + 2);
	return 1;
}

int body_take(struct body *b, struct buf *in, bool eof)
{
	int r = 1;

	if (b->taken || buf_len(&b->work) >= (b->hold ? b->hold : WORK_LOW + b->swaps->widest))
		return 0;
	if (b->from == FRAMING_CHUNKED) {
		while (r > 0 && !b->taken)
			r = take_chunked(b, in);
	} else {
		r = take_bytes(b, in, b->from == FRAMING_LENGTH ? b->left : UINT64_MAX);
		if (r > 0 && b->from == FRAMING_LENGTH)
			b->left -= (uint64_t)r;
		if (b->from == FRAMING_LENGTH ? b->left == 0 : eof && !buf_len(in))
			b->taken = true;
	}
	if (r < 0)
		return r;
	return eof && !b->taken && !buf_len(in) ? -EBADMSG : 0; /* it was cut short */
}

/* --- out --- */

int64_t body_release(struct body *b)
{
	size_t n = buf_len(&b->work);
	ssize_t length;

	b->hold = 0;
	if (!b->fixed)
		return swap_length(b->swaps, buf_data(&b->work), n, 1 << 30);
	length = swap_length_begun(b->swaps, buf_data(&b->work), n, 1 << 30, &b->begin);
	return length < 0 ? length : (int64_t)(b->left + (n - b->begin)) + length;
}

/* A chunk: its head is written when it is known how long it is. */
static ssize_t put_chunk(struct body *b, struct buf *out, size_t room)
{
	uint8_t head[CHUNK_DIGITS + 3];
	size_t at = buf_len(out);
	ssize_t n;
	int r = buf_append(out, "00000000\r\n", CHUNK_DIGITS + 2);

	if (r < 0)
		return r;
	n = swap_move(b->swaps, &b->work, out, room, b->taken);
	if (n <= 0) {
		out->tail -= CHUNK_DIGITS + 2;
		return n;
	}
	snprintf((char *)head, sizeof(head), "%08x\r\n", (unsigned)n);
	memcpy(buf_data(out) + at, head, CHUNK_DIGITS + 2);
	r = buf_append(out, "\r\n", 2);
	return r < 0 ? r : n;
}

/* What was held has gone. */
static void shrink(struct body *b)
{
	hold_give(&b->whole);
	if (b->work.cap > 2 * PIECE)
		wipe(&b->work);
}

static int put_end(struct body *b, struct buf *out)
{
	int r = b->to == FRAMING_CHUNKED ? buf_append(out, "0\r\n\r\n", 5) : 0;

	if (r < 0)
		return r;
	b->over = true;
	return 0;
}

static ssize_t put_some(struct body *b, struct buf *out, size_t room)
{
	if (b->to == FRAMING_CHUNKED)
		return put_chunk(b, out, room);
	return b->fixed ? swap_move_fixed(b->swaps, &b->work, &b->begin, out, room, b->taken) :
			  swap_move(b->swaps, &b->work, out, room, b->taken);
}

int body_put(struct body *b, struct buf *out)
{
	ssize_t n = 1;

	while (!b->over && n > 0 && buf_room(out) >= BODY_ROOM && buf_len(out) < OUT_HIGH) {
		size_t room = BODY_ROOM - 64;

		if (buf_len(&b->work))
			n = put_some(b, out, room);
		if (n < 0)
			return (int)n;
		if (!buf_len(&b->work)) {
			shrink(b);
			return b->taken ? put_end(b, out) : 0;
		}
	}
	return 0;
}

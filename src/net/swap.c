/*
 * All strings are looked for at once (Wu and Manber, 1994): a window as long as the shortest of them goes over the
 * bytes. What the two bytes at its end are says how far it may go on: to where a string has them further in front, or
 * past them. Where it may not go on, those strings that have them at its end are compared. So most bytes are not looked
 * at, and how many strings there are makes little difference.
 *
 * Of strings that overlap the one that begins first wins, and of those the longest: so that of a value that begins
 * like another one nothing is left over. What is put in is not looked at again.
 */
#include "net/swap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_MAX 255

void swaps_add(struct swaps *s, const void *from, size_t from_len, const void *to, size_t to_len)
{
	s->v[s->n++] = (struct swap){ .from = from, .to = to, .from_len = from_len, .to_len = to_len };
	s->longest = MAX(s->longest, to_len);
	s->widest = MAX(s->widest, from_len);
}

bool swaps_keep_length(const struct swaps *s)
{
	size_t i;

	for (i = 0; i < s->n && s->v[i].from_len == s->v[i].to_len; i++)
		;
	return i == s->n;
}

/* The slot of the two bytes before `end`, that of a window; of a window of one byte, of that. */
static size_t slot(const struct swaps *s, const uint8_t *end)
{
	return s->window < 2 ? end[-1] : (size_t)(end[-2] << 4 ^ end[-1]) % SWAP_SLOTS;
}

void swaps_done(struct swaps *s)
{
	size_t i, k;

	s->window = s->n ? WINDOW_MAX : 0;
	for (i = 0; i < s->n; i++)
		s->window = MIN(s->window, s->v[i].from_len);
	memset(s->skip, (int)MAX(s->window, 1) - 1, sizeof(s->skip));
	memset(s->first, 0, sizeof(s->first));
	for (i = 0; i < s->n; i++) {
		const uint8_t *end = s->v[i].from + s->window;
		size_t last = slot(s, end);

		for (k = 1; k + 1 < s->window; k++) { /* the two bytes that end k before the window does */
			uint8_t *skip = &s->skip[slot(s, end - k)];

			*skip = MIN(*skip, (uint8_t)k);
		}
		s->skip[last] = 0;
		s->next[i] = s->first[last];
		s->first[last] = (uint16_t)(i + 1);
	}
}

/* A walk over bytes. */
struct walk {
	const struct swaps *s;
	const uint8_t *p;
	size_t n, at;
};

/* The longest string that is at `at`, of those that end their window like it, and of equal ones the first that was
 * added, which are linked last; NULL: none. */
static const struct swap *longest_at(const struct walk *w, size_t at)
{
	const struct swap *best = NULL;
	size_t i;

	for (i = w->s->first[slot(w->s, w->p + at + w->s->window)]; i; i = w->s->next[i - 1]) {
		const struct swap *v = &w->s->v[i - 1];

		if (v->from_len <= w->n - at && (!best || v->from_len >= best->from_len) &&
		    memcmp(w->p + at, v->from, v->from_len) == 0)
			best = v;
	}
	return best;
}

/* Past windows from `at` on that go no string's way: most do, and then by as far as it can be. That is always as far,
 * so that a processor need not wait for what one look has said before it begins the next one. */
static size_t skip_far(const struct swaps *s, const uint8_t *p, size_t at, size_t end)
{
	const size_t step = MAX(s->window, 1) - 1;

	if (step)
		while (at < end && s->skip[slot(s, p + at + s->window)] == step)
			at += step;
	return at;
}

/* The next string that is there and begins before `limit`, and where (n: none). */
static const struct swap *walk_next(const struct walk *w, size_t limit, size_t *ret)
{
	const struct swaps *s = w->s;
	size_t at = w->at, end = s->n && s->window <= w->n ? MIN(limit, w->n - s->window + 1) : 0;

	while ((at = skip_far(s, w->p, at, end)) < end) {
		size_t skip = s->skip[slot(s, w->p + at + s->window)];
		const struct swap *v = skip ? NULL : longest_at(w, at);

		*ret = at;
		if (v)
			return v;
		at += MAX(skip, 1);
	}
	*ret = w->n;
	return NULL;
}

/* How many bytes at the end may be the beginning of a string. */
static size_t begun(const struct swaps *s, const uint8_t *p, size_t n)
{
	size_t most = 0, i;

	for (i = 0; i < s->n; i++) {
		const struct swap *v = &s->v[i];
		size_t at = n - MIN(n, v->from_len - 1);
		const uint8_t *hit;

		while (n - at > most && (hit = memchr(p + at, v->from[0], n - at))) {
			at = (size_t)(hit - p);
			if (n - at > most && memcmp(hit, v->from, n - at) == 0)
				most = n - at;
			at++;
		}
	}
	return most;
}

/* Of bytes before `limit`, with strings that begin there; w->at is behind them then. */
static ssize_t length_of(struct walk *w, size_t limit, size_t most)
{
	const struct swap *v;
	size_t total = 0, at;

	while ((v = walk_next(w, limit, &at))) {
		total += at - w->at + v->to_len;
		if (total > most)
			return -ERANGE;
		w->at = at + v->from_len;
	}
	if (w->at < limit) {
		total += limit - w->at;
		w->at = limit;
	}
	return total > most ? -ERANGE : (ssize_t)total;
}

ssize_t swap_length(const struct swaps *s, const void *p, size_t n, size_t most)
{
	struct walk w = { s, p, n, 0 };

	return length_of(&w, n, most);
}

ssize_t swap_length_begun(const struct swaps *s, const void *p, size_t n, size_t most, size_t *ret_taken)
{
	struct walk w = { s, p, n, 0 };
	ssize_t total = length_of(&w, n - begun(s, p, n), most);

	*ret_taken = w.at;
	return total;
}

/* Copies up to the string at `at`, or `limit`, and what takes its place: false when there is no room for all of it. */
static bool copy(struct walk *w, size_t upto, const struct swap *v, uint8_t *to, size_t room, size_t *done)
{
	size_t plain = MIN(upto - w->at, room - *done);

	if (plain)
		memcpy(to + *done, w->p + w->at, plain);
	*done += plain;
	w->at += plain;
	if (w->at < upto)
		return false;
	if (!v)
		return true;
	if (v->to_len > room - *done)
		return false;
	if (v->to_len)
		memcpy(to + *done, v->to, v->to_len);
	*done += v->to_len;
	w->at += v->from_len;
	return true;
}

/* Copies bytes before `limit`, with strings that begin there; returns how many were taken, *done put. */
static size_t run(const struct swaps *s, const uint8_t *p, size_t n, size_t limit, uint8_t *to, size_t room,
		  size_t *done)
{
	struct walk w = { s, p, n, 0 };

	*done = 0;
	while (w.at < limit) {
		size_t at;
		const struct swap *v = walk_next(&w, limit, &at);

		if (!copy(&w, v ? at : limit, v, to, room, done))
			break;
	}
	return w.at;
}

int swap_put(const struct swaps *s, const void *p, size_t n, struct buf *out)
{
	ssize_t len = swap_length(s, p, n, buf_room(out));
	uint8_t *to;
	size_t done;

	if (len <= 0)
		return len ? -ENOBUFS : 0;
	to = buf_reserve(out, (size_t)len);
	if (!to)
		return -ENOMEM;
	run(s, p, n, n, to, (size_t)len, &done);
	buf_commit(out, done);
	return 0;
}

/* Of the first n bytes of `in`. */
static ssize_t move(const struct swaps *s, struct buf *in, size_t n, struct buf *out, size_t room, bool last)
{
	size_t limit = last ? n : n - begun(s, buf_data(in), n), done;
	uint8_t *to;

	if (!limit)
		return 0;
	if (room > buf_room(out))
		return -ENOBUFS;
	room = MIN(room, MAX(limit, s->longest)); /* as it is, or for one string: the rest comes next time */
	to = buf_reserve(out, room);
	if (!to)
		return -ENOMEM;
	buf_consume(in, run(s, buf_data(in), n, limit, to, room, &done));
	buf_commit(out, done);
	return (ssize_t)done;
}

ssize_t swap_move(const struct swaps *s, struct buf *in, struct buf *out, size_t room, bool last)
{
	return move(s, in, buf_len(in), out, room, last);
}

/* Bytes in which nothing may be found. */
static ssize_t move_plain(const struct swaps *s, struct buf *in, struct buf *out, size_t room, bool last)
{
	size_t n = buf_len(in), limit = MIN(room, last ? n : n - begun(s, buf_data(in), n)), at;
	struct walk w = { s, buf_data(in), n, 0 };
	int r;

	if (walk_next(&w, limit, &at))
		return -EPERM;
	r = buf_append(out, buf_data(in), limit);
	if (r == 0 && limit)
		buf_consume(in, limit);
	return r < 0 ? r : (ssize_t)limit;
}

ssize_t swap_move_fixed(const struct swaps *s, struct buf *in, size_t *begin, struct buf *out, size_t room, bool last)
{
	size_t n = buf_len(in);
	ssize_t moved;

	if (!*begin)
		return move_plain(s, in, out, room, last);
	moved = move(s, in, *begin, out, room, true);
	*begin -= n - buf_len(in);
	return moved;
}

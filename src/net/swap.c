/*
 * Each string is looked for by itself (memmem(3), which is quick for any length), and where it comes next is
 * remembered until the stream has passed it. Of strings that overlap the one that begins first wins, and of those the
 * longest: so that of a value that begins like another one nothing is left over. What is put in is not looked at
 * again.
 */
#include "net/swap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void swaps_add(struct swaps *s, const void *from, size_t from_len, const void *to, size_t to_len)
{
	s->v[s->n++] = (struct swap){ .from = from, .to = to, .from_len = from_len, .to_len = to_len };
	s->longest = MAX(s->longest, to_len);
}

bool swaps_keep_length(const struct swaps *s)
{
	size_t i;

	for (i = 0; i < s->n && s->v[i].from_len == s->v[i].to_len; i++)
		;
	return i == s->n;
}

/* A walk over bytes: where each string comes next. */
struct walk {
	const struct swaps *s;
	const uint8_t *p;
	size_t n, at;
	size_t next[SWAPS_MAX]; /* n: not any more */
};

static size_t find(const struct walk *w, size_t i)
{
	const uint8_t *hit = memmem(w->p + w->at, w->n - w->at, w->s->v[i].from, w->s->v[i].from_len);

	return hit ? (size_t)(hit - w->p) : w->n;
}

static void walk_begin(struct walk *w, const struct swaps *s, const void *p, size_t n)
{
	size_t i;

	w->s = s;
	w->p = p;
	w->n = n;
	w->at = 0;
	for (i = 0; i < s->n; i++)
		w->next[i] = n ? find(w, i) : n;
}

/* The next string that is there, and where (n: none). */
static const struct swap *walk_next(struct walk *w, size_t *ret)
{
	const struct swap *best = NULL;
	size_t i, at = w->n;

	for (i = 0; i < w->s->n; i++) {
		const struct swap *v = &w->s->v[i];

		if (w->next[i] < w->at)
			w->next[i] = find(w, i);
		if (w->next[i] < at || (w->next[i] == at && best && v->from_len > best->from_len)) {
			at = w->next[i];
			best = v;
		}
	}
	*ret = at;
	return best;
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

ssize_t swap_length(const struct swaps *s, const void *p, size_t n, size_t most)
{
	const struct swap *v;
	struct walk w;
	size_t total = 0, at;

	walk_begin(&w, s, p, n);
	while ((v = walk_next(&w, &at))) {
		total += at - w.at + v->to_len;
		if (total > most)
			return -ERANGE;
		w.at = at + v->from_len;
	}
	total += n - w.at;
	return total > most ? -ERANGE : (ssize_t)total;
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
	struct walk w;

	walk_begin(&w, s, p, n);
	*done = 0;
	while (w.at < limit) {
		size_t at;
		const struct swap *v = walk_next(&w, &at);

		if (at >= limit)
			v = NULL;
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

ssize_t swap_move(const struct swaps *s, struct buf *in, struct buf *out, size_t room, bool last)
{
	size_t n = buf_len(in), limit = last ? n : n - begun(s, buf_data(in), n), done;
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

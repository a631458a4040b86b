/*
 * A queue of bytes that can be looked at anywhere, up to a ceiling given at birth. Unlike struct buf it never moves
 * what is in it, but for when it grows: for much that lies there for long.
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <sys/uio.h>

#include "base/base.h"

struct ring {
	uint8_t *mem; /* owned */
	size_t cap;   /* bytes allocated: a power of two, or none */
	size_t head, len;
	size_t max;   /* ceiling of len: a power of two */
};

#define RING_INIT(maximum) ((struct ring){ .max = (maximum) })

void ring_fini(struct ring *r); /* wipes and frees; it is empty and usable again */

static inline size_t ring_room(const struct ring *r)
{
	return r->max - r->len;
}

/* Appends n bytes, n <= ring_room(): 0 or -ENOMEM, with nothing appended. */
int ring_put(struct ring *r, const void *p, size_t n) MUST_CHECK;

/* Where the n bytes behind the first `at` lie, at + n <= len: in how many pieces. They stay there until they are
 * dropped, or something is put. */
unsigned ring_look(const struct ring *r, size_t at, size_t n, struct iovec v[2]);

/* The first bytes, n <= len: copies them, and leaves them where they are; drops them. */
void ring_copy(const struct ring *r, void *to, size_t n);
void ring_drop(struct ring *r, size_t n);

#endif

/* Replacing byte strings in a stream: placeholders by values one way, values by placeholders the other. */
#ifndef NET_SWAP_H
#define NET_SWAP_H

#include "base/base.h"
#include "base/buf.h"

#define SWAPS_MAX 1664
#define SWAP_SLOTS 4096

struct swap {
	const uint8_t *from, *to; /* borrowed; from is not empty */
	size_t from_len, to_len;
};

struct swaps {
	struct swap v[SWAPS_MAX];
	size_t n;
	size_t longest; /* of what they put in */
	size_t widest;  /* of what they look for: less than that may have to wait for more */
	size_t window; /* what follows is of swaps_done(); see swap.c */
	uint8_t skip[SWAP_SLOTS];
	uint16_t first[SWAP_SLOTS], next[SWAPS_MAX]; /* indices and 1; 0: none */
};

void swaps_add(struct swaps *s, const void *from, size_t from_len, const void *to, size_t to_len); /* n < SWAPS_MAX */
void swaps_done(struct swaps *s); /* after the last one, and before anything else */

/* Nothing becomes longer or shorter. */
bool swaps_keep_length(const struct swaps *s);

/* How long the n bytes would be; -ERANGE: longer than `most`. */
ssize_t swap_length(const struct swaps *s, const void *p, size_t n, size_t most);

/* The same of those of them that can be replaced before more are there: *ret_taken are. */
ssize_t swap_length_begun(const struct swaps *s, const void *p, size_t n, size_t most, size_t *ret_taken);

/* Appends n bytes, which are all there are. 0, -ENOBUFS, -ENOMEM. */
int swap_put(const struct swaps *s, const void *p, size_t n, struct buf *out) MUST_CHECK;

/*
 * Moves bytes from in to out, at most `room` of them as they come out, and returns how many those are; or -ENOBUFS,
 * -ENOMEM. Unless nothing follows (last), what may be the beginning of a string to be replaced stays in `in`. With a
 * room of at least s->longest it moves something if it can.
 */
ssize_t swap_move(const struct swaps *s, struct buf *in, struct buf *out, size_t room, bool last);

/*
 * The same of what has a fixed length: strings are replaced in the first *begin bytes of `in` only, of which that many
 * are left then. -EPERM: what follows has one of them.
 */
ssize_t swap_move_fixed(const struct swaps *s, struct buf *in, size_t *begin, struct buf *out, size_t room, bool last);

#endif

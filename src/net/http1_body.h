/*
 * The body of a message of HTTP/1.1 on its way through: taken out of one framing, changed, and put into another one.
 */
#ifndef NET_HTTP1_BODY_H
#define NET_HTTP1_BODY_H

#include "net/http1_head.h"
#include "net/swap.h"

#define BODY_WHOLE_MAX (1 * MIB)  /* a body that is held until its new length is known; of a longer one so much */
#define BODY_WHOLE_ALL_MAX (32 * MIB) /* by all connections */
#define BODY_ROOM (128 * KIB) /* what a buffer to be filled has at least, or is not: more than any value in any form */

struct body {
	enum framing from, to;
	uint64_t left;             /* of FRAMING_LENGTH, and of a chunk */
	unsigned where;            /* in chunks */
	const struct swaps *swaps; /* borrowed */
	struct buf work;           /* taken, not yet changed */
	size_t whole;              /* of BODY_WHOLE_ALL_MAX: what it holds of it */
	size_t hold;               /* so much is awaited in `work` before any goes out */
	size_t begin;              /* of `work`: what is still changed, of a body with a fixed end */
	bool fixed;                /* the length of the rest is told, and nothing can be replaced in it */
	bool taken, over;          /* the last byte came in; went out */
};

/* Room for n bytes of a body that is held, of BODY_WHOLE_ALL_MAX: false, or *held are n until they are given back. */
bool hold_take(size_t *held, size_t n);
void hold_give(size_t *held);

void body_init(struct body *b);
void body_fini(struct body *b); /* wipes what it held */

/* The next message's. */
void body_begin(struct body *b, enum framing from, uint64_t length, enum framing to, const struct swaps *swaps);

/* True: all of it is held, for which there is room now. */
bool body_hold(struct body *b);

/* Its end is fixed: only what is held of its beginning can be changed, which is nothing if `hold` is not set. */
void body_fix(struct body *b, bool hold);

/* Takes what is there, up to all that is held. `eof`: nothing more comes. 0, -EBADMSG, -ENOMEM. */
int body_take(struct body *b, struct buf *in, bool eof) MUST_CHECK;

/* Is all there that was to be held? */
bool body_is_held(const struct body *b);

/* How long it will be, after which it is held no longer; -ERANGE: too long to be told. */
int64_t body_release(struct body *b);

/* Puts what there is room for. 0, -ENOBUFS, -ENOMEM; -EPERM: what follows has something to be replaced, and cannot. */
int body_put(struct body *b, struct buf *out) MUST_CHECK;

size_t body_held(const struct body *b); /* bytes of memory, but for those of BODY_WHOLE_ALL_MAX */

/* Frees a buffer that values were in. */
void wipe(struct buf *b);

#endif

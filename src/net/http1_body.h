/*
 * The body of a message of HTTP/1.1 on its way through: taken out of one framing, changed, and put into another one.
 */
#ifndef NET_HTTP1_BODY_H
#define NET_HTTP1_BODY_H

#include "net/http1_head.h"
#include "net/swap.h"

#define BODY_WHOLE_MAX (1 * MIB)  /* a body that is held until its new length is known */
#define BODY_WHOLE_ALL_MAX (32 * MIB) /* by all connections */
#define BODY_ROOM (128 * KIB) /* what a buffer to be filled has at least, or is not: more than any value in any form */

struct body {
	enum framing from, to;
	uint64_t left;             /* of FRAMING_LENGTH, and of a chunk */
	unsigned where;            /* in chunks */
	const struct swaps *swaps; /* borrowed */
	struct buf work;           /* taken, not yet changed */
	size_t whole;              /* of BODY_WHOLE_ALL_MAX: what it holds of it */
	bool taken, over;          /* the last byte came in; went out */
};

void body_init(struct body *b);
void body_fini(struct body *b); /* wipes what it held */

/* The next message's. */
void body_begin(struct body *b, enum framing from, uint64_t length, enum framing to, const struct swaps *swaps);

/* True: all of it may be held, for which there is room now. */
bool body_hold(struct body *b);

/* Takes what is there, up to all of it if it is held. `eof`: nothing more comes. 0, -EBADMSG, -ENOMEM. */
int body_take(struct body *b, struct buf *in, bool eof) MUST_CHECK;

/* How long a body that is held and taken will be; -ERANGE: too long to be told. */
ssize_t body_length(const struct body *b);

/* Puts what there is room for. 0, -ENOBUFS, -ENOMEM. */
int body_put(struct body *b, struct buf *out) MUST_CHECK;

/* Frees a buffer that values were in. */
void wipe(struct buf *b);

#endif

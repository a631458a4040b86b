/* A question to the shim of a box that runs, and its answer, which may take a moment: several can be under way. */
#ifndef BOX_ASK_H
#define BOX_ASK_H

#include "box/home.h"
#include "wire/conn.h"

#define ASK_WAIT_MS 10000 /* for the shim itself, which waits for nobody longer than QUERY_WAIT_MS */

/* Connects and sends a message: 0, and the caller ends *ret by conn_fini(); -ENOTCONN: the box does not run. */
int ask_start(struct home *h, const char *id, const struct buf *message, struct conn *ret,
	      struct error *err) MUST_CHECK;

/* Waits for the frame of that type: 0, *ret borrows from c; -ENOTCONN: the box has ended meanwhile; -ETIMEDOUT. */
int ask_await(struct conn *c, const char *id, uint8_t type, struct frame *ret, struct error *err) MUST_CHECK;

#endif

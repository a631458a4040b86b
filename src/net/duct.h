/*
 * A stream both ways between two parts of this process: what a socket pair would be, but for the calls of the kernel
 * and its two copies, and with as much under way as is wanted. An end is embedded in the object that owns it.
 *
 * An end hears of the other one by its function, after the events that it happened in (loop_later()), and once for all
 * that has happened: bytes came, there is room again after there was none, all was taken, the other end says no more,
 * has closed.
 *
 * Nobody has to take what lies in a duct, so what all of them may hold is bounded here: while that is more than
 * DUCTS_MANY, none grows beyond DUCT_POOR. That is a first message at its longest (INSPECT_MAX), which lies there until
 * all of it can be understood.
 */
#ifndef NET_DUCT_H
#define NET_DUCT_H

#include "base/loop.h"
#include "base/ring.h"

#define DUCTS_MANY (64 * MIB)
#define DUCT_POOR (64 * KIB)

struct duct;
typedef void duct_fn(struct duct *d);

struct duct {
	struct duct *peer; /* borrowed; NULL: it has closed, or there was none */
	struct loop *loop;
	struct later later;
	duct_fn *fn;
	struct ring in; /* what the other end has sent: duct_recv(), or ring_look() at it and duct_drop() */
	bool eof;       /* it sends no more than that */
	bool reset;     /* it has closed before it took all that it was sent, or said all */
	bool full;      /* the other end had no room for all of it */
};

/* Connects two ends, each of which takes `max` bytes, a power of two. */
void duct_pair(struct duct *a, duct_fn *on_a, struct duct *b, duct_fn *on_b, struct loop *l, size_t max);

/* Closes an end, also one that never was an end; no call of its function follows. */
void duct_close(struct duct *d);

/* How many bytes were taken, 0: there is no room; -EPIPE, -ENOMEM. */
ssize_t duct_send(struct duct *d, const void *p, size_t n);
size_t duct_recv(struct duct *d, void *to, size_t n); /* how many came: up to n of what is there */
void duct_drop(struct duct *d, size_t n); /* the first bytes of d->in, for which there is room again */
void duct_shut(struct duct *d);           /* no more is sent */
void duct_abort(struct duct *d);          /* the other end is to see a reset when this one closes */
void duct_wake(struct duct *d);           /* calls its own function later */
void duct_trim(struct duct *d);           /* gives back the memory of both ways, if they are empty */
bool ducts_are_many(void);

#endif

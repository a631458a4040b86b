/* What boxlite_dispatch() works through: see dispatch.c. */
#ifndef LIB_DISPATCH_H
#define LIB_DISPATCH_H

#include <poll.h>

#include "base/error.h"
#include "base/loop.h"
#include "boxlite.h"
#include "wire/frame.h"

/* Something that the next boxlite_dispatch() is to call, once. Embedded in its owner, zero at first. */
struct due;
typedef void due_fn(struct due *x);
struct due {
	struct due *next, *prev; /* in a ring; NULL: it is in none */
	due_fn *fn;
};

struct dispatcher {
	struct loop loop;    /* epfd is -1 until something needs it */
	struct watch kick;   /* of an eventfd, owned: readable while something is due and no dispatch runs */
	struct due due;      /* the ring's head */
	struct due watches;  /* likewise, of all struct boxlite_watch */
	int watched;         /* fds in the loop */
	int called;          /* handlers, by the call that runs */
	bool running;
	struct error error;  /* what went wrong in the call that runs */
};

void dispatch_init(struct dispatcher *d);
void dispatch_fini(struct dispatcher *d);

/* Makes the epoll fd and the eventfd unless they are there. */
int dispatch_need(struct dispatcher *d, struct error *err) MUST_CHECK;

/* loop_add() and loop_remove(). -EPERM: epoll(7) takes no such fd. */
int dispatch_watch(struct dispatcher *d, struct watch *w, int fd, uint32_t events, watch_fn *fn) MUST_CHECK;
void dispatch_unwatch(struct dispatcher *d, struct watch *w);

void due_add(struct dispatcher *d, struct due *x); /* a no-op if it is due */
void due_remove(struct due *x);                    /* a no-op if it is in no ring */

void due_link(struct due *head, struct due *x); /* at the end of a ring */

/* --- a process's part of it ---------------------------------------------------------------------- */

struct streams; /* connect.c */

struct driven {
	struct boxlite_process *p; /* this is embedded in it */
	struct dispatcher *d;      /* borrowed; its home's */
	struct watch watch;        /* of the connection, while there is a handler or a stream */
	struct due due;
	boxlite_process_fn *fn;    /* NULL: no handler */
	void *ud;
	struct streams *streams;   /* owned; NULL: none is connected */
	bool tell;                 /* there is news for fn */
	bool told_end;             /* fn knows that it has ended */
	bool busy;                 /* its owner works on it, and calls driven_settle() at the end */
};

void driven_init(struct driven *v, struct boxlite_process *p, struct dispatcher *d);
void driven_fini(struct driven *v);

/* It has a handler or a stream: from now on boxlite_dispatch() sees to it. And: has it still? */
int driven_begin(struct driven *v, struct error *err) MUST_CHECK;
void driven_end(struct driven *v);

/* To be called after whatever may change what is waited for, or the end; does no work itself. */
void driven_changed(struct driven *v);
void driven_settle(struct driven *v); /* busy no more */

/* To be called for a new state of affairs: what is there already is news. */
void driven_tell(struct driven *v);

/* Before the connection's fd is closed. */
void driven_lose_fd(struct driven *v);

/* Moves the bytes of connected streams, as many as go now. */
void streams_turn(struct driven *v);
/* What it waits for otherwise: fills up to CHANNELS, and says how many. */
int streams_poll(const struct driven *v, struct pollfd *fds);
/* Arranges to be called when it can go on; closes the fds of a process that has ended. */
void streams_changed(struct driven *v);
void streams_drop(struct driven *v, int channel); /* its fd is not needed any more */
bool streams_has(const struct driven *v, int channel);
/* The first failure: 0 or its code. */
int streams_status(const struct driven *v, struct error *err);
void streams_close(struct streams *s); /* NULL is fine */

#endif

/*
 * A small event loop over epoll: fds, signals by signalfd, timers by timerfd,
 * children by pidfd. One thread. Callbacks may add, change and remove any
 * watch, their own included.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <signal.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#include "base/base.h"

struct watch;
typedef void watch_fn(struct watch *w, uint32_t events);

/* Embedded in the object that owns it; find the object with container_of(). */
struct watch {
	int fd;          /* -1: not in a loop */
	uint32_t events; /* as registered */
	watch_fn *fn;
};

#define WATCH_NONE ((struct watch){ .fd = -1 })
#define LOOP_BATCH 16

/* Something to be done once the events of now are over; embedded like a watch. */
struct later;
typedef void later_fn(struct later *t);

struct later {
	TAILQ_ENTRY(later) link;
	bool queued;
	later_fn *fn;
};

struct loop {
	int epfd;
	struct epoll_event batch[LOOP_BATCH]; /* events being delivered */
	int batch_len, batch_at;
	TAILQ_HEAD(, later) later; /* in turn */
	unsigned nlater;
	bool stop;
};

int loop_init(struct loop *l) MUST_CHECK;
void loop_fini(struct loop *l); /* watches must have been removed; fds stay their owners' */

/* Calls fn(w, events) whenever fd is ready; level-triggered. The fd stays the caller's. */
int loop_add(struct loop *l, struct watch *w, int fd, uint32_t events, watch_fn *fn) MUST_CHECK;
/* Also from another thread than the loop's, if calls for one watch do not overlap. */
void loop_change(struct loop *l, struct watch *w, uint32_t events);
void loop_remove(struct loop *l, struct watch *w); /* no callback after this; a no-op if not added */

/* Calls t->fn(t) after this batch of events, once however often it was asked for; if asked for by such a call, after
 * the next batch, so that fds have their turn. From the loop's own thread only. */
void loop_later(struct loop *l, struct later *t);
void loop_never(struct loop *l, struct later *t); /* takes that back; a no-op if it was not asked for */

/* Waits up to timeout_ms (-1 = for ever) and delivers one batch: 0 or -errno. */
int loop_once(struct loop *l, int timeout_ms);

/* loop_once() until loop_stop(). */
int loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* A signalfd for these signals, which are blocked for the process first: fd or -errno. */
int loop_signal_fd(const sigset_t *set) MUST_CHECK;

/* A timerfd on CLOCK_MONOTONIC, disarmed: fd or -errno. */
int loop_timer_fd(void) MUST_CHECK;
void loop_timer_set(int fd, uint64_t ms); /* once after ms; 0 disarms */

#endif

/*
 * One blocking piece of work in a thread of its own, whose end is an event in
 * the loop. For the few things that Linux cannot wait for otherwise: flock(2),
 * fdatasync(2), hashing a gigabyte.
 *
 * While it runs, the thread alone owns what `run` touches. There is no way to
 * cancel it: a process that gives up calls _exit(2), which ends it wherever it
 * sleeps, so `run` leaves nothing behind that must be undone.
 */
#ifndef IMAGE_WORK_H
#define IMAGE_WORK_H

#include <pthread.h>

#include "base/loop.h"

struct work {
	struct watch watch;
	struct loop *loop;
	pthread_t thread;
	int event;                            /* eventfd */
	int result;                           /* of run */
	int (*run)(struct work *);            /* in the thread */
	void (*done)(struct work *, int result); /* in the loop; may start the work again */
};

/* Just before _exit(2): has the thread of a started work ended, so that its result (and what it touched) may be
 * looked at although `done` was not called? */
bool work_ended(struct work *w);

/* 0 or -errno; done is called later if and only if it was 0. The struct must live until then. */
int work_start(struct work *w, struct loop *loop, int (*run)(struct work *),
	       void (*done)(struct work *, int result)) MUST_CHECK;

#endif

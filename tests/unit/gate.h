/*
 * A gate in a device's work: whoever comes to it while it is closed waits there, and the test knows that somebody does.
 * For devices whose queues have threads of their own.
 */
#ifndef UNIT_GATE_H
#define UNIT_GATE_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "unit/vring.h"

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed;
	unsigned waiting;
};

#define GATE_OPEN { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0 }

static inline void gate_set(struct gate *g, bool closed)
{
	pthread_mutex_lock(&g->lock);
	g->closed = closed;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static inline void gate_pass(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->waiting++;
	pthread_cond_broadcast(&g->changed);
	while (g->closed)
		pthread_cond_wait(&g->changed, &g->lock);
	g->waiting--;
	pthread_mutex_unlock(&g->lock);
}

/* Until somebody waits at the gate. */
static inline void gate_await(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->waiting)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* Until somebody else has the lock. Nothing tells of that: it is looked at again and again. */
static inline void await_locked(pthread_mutex_t *lock)
{
	while (pthread_mutex_trylock(lock) != EBUSY) {
		pthread_mutex_unlock(lock);
		sched_yield();
	}
}

/* --- threads of a device and of a vCPU --------------------------------------------------------- */

struct kicker {
	struct virtio *v;
	unsigned queue;
	pthread_t thread;
};

static inline void *gate_kick(void *ud)
{
	const struct kicker *k = ud;

	virtio_kick(k->v, k->queue);
	return NULL;
}

static inline void *gate_reset(void *ud)
{
	driver_reset(ud);
	return NULL;
}

static inline pthread_t start_thread(void *(*fn)(void *ud), void *ud)
{
	pthread_t t;

	if (pthread_create(&t, NULL, fn, ud))
		driver_die("no thread");
	return t;
}

/* A kick by a thread, which is to be joined. */
static inline void start_kick(struct kicker *k, struct virtio *v, unsigned queue)
{
	*k = (struct kicker){ .v = v, .queue = queue };
	k->thread = start_thread(gate_kick, k);
}

#endif

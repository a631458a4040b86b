/*
 * A virtio device and its virtio-mmio transport (virtio 1.2, 4.2, version 2).
 *
 * Locks. Registers are written by vCPU threads, queues are worked on by the thread that serves the device. The
 * device's lock is held by whoever is in one of the functions below or in one of its ops; the two registers of the
 * interrupt are atomic and need none, so that an interrupt is acknowledged while a request is being worked on.
 *
 * A device whose queues are apart (ops->queues_apart) has one more lock for each of them, and ops->kick is called
 * with that one alone: each queue may have a thread of its own, and vCPUs that touch registers do not wait for
 * requests. What all queues rest on changes with all locks held, the device's first, then the queues' in the order
 * of their numbers: a write to Status waits until no queue is being worked on. So after a reset no request from
 * before it touches memory, and whoever holds a queue's lock and finds the device running has a set-up that stays.
 * Nobody who holds a queue's lock takes the device's. What a request changes beyond its queue is atomic: Status,
 * which gets DEVICE_NEEDS_RESET (the other queues see it before their next request), and ConfigGeneration.
 *
 * Once DRIVER_OK is set, nothing of the queues' set-up changes until a reset; writes to it are ignored.
 * A guest that breaks the rules gets DEVICE_NEEDS_RESET and a configuration interrupt: the device rests until the
 * driver resets it. That is a guest's own affair and no error of this process.
 */
#ifndef VMM_VIRTIO_H
#define VMM_VIRTIO_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/virtq.h"

#define VIRTIO_QUEUES_MAX 8

struct virtio;

struct virtio_ops {
	uint32_t id;         /* virtio 1.2, 5: 1 net, 2 block, 3 console, 4 entropy, 5 balloon, 19 socket */
	unsigned nqueues;    /* the most of them */
	uint16_t queue_size; /* of each, a power of two */
	bool queues_apart;   /* see above */

	/* What the device offers beside VERSION_1, INDIRECT_DESC and EVENT_IDX. */
	uint64_t (*features)(struct virtio *v);
	/* DRIVER_OK with these features: queues run. May be NULL. */
	void (*start)(struct virtio *v, uint64_t features);
	/* The driver has put requests into a queue. Where queues are apart: for several of them at once. */
	void (*kick)(struct virtio *v, unsigned queue);
	/* The driver has reset the device: forget what was under way. May be NULL. */
	void (*reset)(struct virtio *v);
	/* Device configuration space; beyond what the device has, reads are 0 and writes nothing. May be NULL. */
	void (*config_read)(struct virtio *v, uint32_t offset, void *to, uint32_t n);
	void (*config_write)(struct virtio *v, uint32_t offset, const void *from, uint32_t n);
};

struct virtio {
	const struct virtio_ops *ops;
	pthread_mutex_t lock;
	pthread_mutex_t queue_lock[VIRTIO_QUEUES_MAX]; /* used where queues are apart */
	struct virtq queue[VIRTIO_QUEUES_MAX];
	unsigned nqueues; /* ops->nqueues, or fewer: set by the device when it is opened */

	/* Raises the device's interrupt line (edge). Any thread, several at once, with or without locks. */
	void (*interrupt)(void *ud);
	void *interrupt_ud;

	/* Makes the thread that serves the device call virtio_kick(v, queue) again, after other work: a device
	 * does a bounded share of its requests in one kick. Called with the kick's lock. NULL (as after virtio_init()):
	 * the device goes on until its queue is empty. */
	void (*kick_again)(void *ud, unsigned queue);
	void *kick_again_ud;

	/* The transport's registers. */
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	uint64_t driver_features;
	atomic_uint status, config_generation, isr;
	uint32_t times_broken; /* for the log, which a guest must not fill */
};

void virtio_init(struct virtio *v, const struct virtio_ops *ops, const struct memory *mem,
		 void (*interrupt)(void *ud), void *ud);
void virtio_fini(struct virtio *v);

/* A vCPU's access to the registers; offset < MMIO_SIZE, n is 1, 2, 4 or 8. QueueNotify comes here only where no
 * ioeventfd takes it. */
void virtio_mmio_read(struct virtio *v, uint64_t offset, void *to, uint32_t n);
void virtio_mmio_write(struct virtio *v, uint64_t offset, const void *from, uint32_t n);

/* A kick that came by ioeventfd: takes the lock (where queues are apart: the queue's) and calls ops->kick if the device
 * runs. */
void virtio_kick(struct virtio *v, unsigned queue);

/* --- for devices, with the lock held, or one of a queue if queues are apart -------------------- */

bool virtio_running(const struct virtio *v); /* DRIVER_OK, and not broken */
void virtio_notify_queue(struct virtio *v, unsigned queue); /* after pushes: an interrupt if the driver wants one */
void virtio_notify_queues(struct virtio *v, unsigned mask);  /* of the queues whose bit is set: one for all of them */
void virtio_config_changed(struct virtio *v);
void virtio_broken(struct virtio *v, const char *why); /* needs-reset; logged, not often */

#endif

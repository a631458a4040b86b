/*
 * A virtio driver in plain memory: the other end of vmm/virtq.h and vmm/virtio.h, for unit tests of devices.
 *
 *	struct driver d;
 *	struct virtio *v;
 *	uint64_t buf;
 *
 *	driver_memory(&d, 4 * MIB);                       memory first: the device is opened with it
 *	v = rng_open(&d.mem, driver_irq, &d, NULL);
 *	driver_start(&d, v, DRIVER_ALL);                  features, all queues, DRIVER_OK
 *	buf = driver_alloc(&d, 64);                       buffers are guest addresses
 *	is_int(driver_do(&d, 0, (struct seg[]){ { buf, 64, true } }, 1), 64, "64 bytes");
 *	driver_reset(&d);
 *	rng_close(v);
 *	driver_free(&d);
 *
 * driver_do() is driver_add(), driver_kick() and driver_used(). A device that answers later needs them apart,
 * with turns of its loop between. Everything goes through the registers, and the driver kicks only where the
 * device asks for it: a device that forgets virtq_kicks_on() fails here as it does with a guest.
 *
 * The driver trusts nobody: a device that uses what was not given to it, or twice, ends the test by abort().
 * A test that plays a hostile guest writes into the rings itself: d.q[i].ring_*, driver_desc(),
 * driver_offer().
 */
#ifndef TESTS_UNIT_VRING_H
#define TESTS_UNIT_VRING_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/layout.h"
#include "vmm/virtio.h"

#define DRIVER_ALL UINT64_MAX /* every feature that the device offers */
#define DRIVER_EVENT_IDX (1ULL << VIRTIO_RING_F_EVENT_IDX)
#define DRIVER_INDIRECT (1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define DRIVER_VERSION_1 (1ULL << VIRTIO_F_VERSION_1)
#define DRIVER_FIRST_GPA 0x1000 /* so that no buffer is at 0 */

/* A piece of a request. */
struct seg {
	uint64_t gpa;
	uint32_t len;
	bool writable; /* by the device */
};

struct driver_queue {
	uint16_t size; /* 0: not set up */
	uint64_t desc, avail, used;
	struct vring_desc *ring_desc;
	struct vring_avail *ring_avail;
	struct vring_used *ring_used;

	/* The driver's own idea of its ring: nothing is believed that the device could have changed. */
	uint16_t avail_idx, kicked_idx, last_used;
	bool taken[VIRTQ_SIZE_MAX];     /* descriptors in use */
	uint16_t next[VIRTQ_SIZE_MAX];  /* of a descriptor in a chain */
	uint16_t count[VIRTQ_SIZE_MAX]; /* of a head: descriptors of its chain; 0: not a head */
};

struct driver {
	struct memory mem;
	uint64_t next_gpa; /* of driver_alloc() */
	struct virtio *v;
	uint64_t features; /* negotiated */
	atomic_uint irqs;  /* interrupts so far */
	struct driver_queue q[VIRTIO_QUEUES_MAX];
};

__attribute__((noreturn)) static inline void driver_die(const char *why)
{
	printf("Bail out! %s\n", why);
	fflush(stdout);
	abort();
}

/* --- memory ------------------------------------------------------------------------------------ */

/* Half of the bytes at 0, half at 4 GiB, each malloc'ed by itself: ASan sees a step beyond either. */
static inline void driver_memory(struct driver *d, uint64_t bytes)
{
	unsigned i;

	*d = (struct driver){ .mem = { .n = 2 }, .next_gpa = DRIVER_FIRST_GPA };
	for (i = 0; i < 2; i++) {
		d->mem.region[i] = (struct mem_region){ .gpa = i * HIGH_MEMORY, .size = bytes / 2 };
		d->mem.region[i].host = calloc(1, bytes / 2);
		if (!d->mem.region[i].host)
			driver_die("no memory");
	}
}

/* As the machine has it. */
static inline void driver_mapped(struct driver *d, uint64_t bytes)
{
	struct error err = { 0 };

	*d = (struct driver){ .next_gpa = DRIVER_FIRST_GPA };
	if (mem_open(&d->mem, bytes, &err) < 0)
		driver_die(err.text);
}

/* After the device was closed. */
static inline void driver_free(struct driver *d)
{
	unsigned i;

	for (i = 0; !d->mem.owned_bytes && i < d->mem.n; i++)
		free(d->mem.region[i].host);
	mem_close(&d->mem);
}

static inline void *driver_ptr(struct driver *d, uint64_t gpa, uint64_t len)
{
	void *p = mem_at(&d->mem, gpa, len);

	if (!p)
		driver_die("the test uses an address that is not memory");
	return p;
}

/* Memory that is not in use, aligned to 4096; zero at first, what was there after another driver_start(). */
static inline uint64_t driver_alloc(struct driver *d, uint64_t bytes)
{
	uint64_t gpa = d->next_gpa;

	driver_ptr(d, gpa, bytes);
	d->next_gpa = ALIGN_UP(gpa + bytes, 4096ULL);
	return gpa;
}

/* Bytes of the test in guest memory. */
static inline uint64_t driver_put(struct driver *d, const void *from, uint64_t len)
{
	uint64_t gpa = driver_alloc(d, len);

	memcpy(driver_ptr(d, gpa, len), from, len);
	return gpa;
}

/* --- registers --------------------------------------------------------------------------------- */

static inline uint32_t driver_read(struct driver *d, uint64_t offset)
{
	uint32_t v = 0xa5a5a5a5;

	virtio_mmio_read(d->v, offset, &v, sizeof(v));
	return v;
}

static inline void driver_write(struct driver *d, uint64_t offset, uint32_t v)
{
	virtio_mmio_write(d->v, offset, &v, sizeof(v));
}

/* n bytes (1, 2, 4, 8) of the device's configuration. */
static inline uint64_t driver_config(struct driver *d, uint32_t offset, uint32_t n)
{
	uint64_t v = 0;

	virtio_mmio_read(d->v, VIRTIO_MMIO_CONFIG + offset, &v, n);
	return v;
}

static inline uint64_t driver_offered(struct driver *d)
{
	uint64_t v;

	driver_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	v = driver_read(d, VIRTIO_MMIO_DEVICE_FEATURES);
	driver_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	return v | (uint64_t)driver_read(d, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
}

static inline void driver_status(struct driver *d, uint32_t bits)
{
	driver_write(d, VIRTIO_MMIO_STATUS, driver_read(d, VIRTIO_MMIO_STATUS) | bits);
}

static inline bool driver_has_status(struct driver *d, uint32_t bits)
{
	return (driver_read(d, VIRTIO_MMIO_STATUS) & bits) == bits;
}

/* --- the start of a conversation --------------------------------------------------------------- */

static inline void driver_reset(struct driver *d)
{
	memset(d->q, 0, sizeof(d->q));
	d->features = 0;
	driver_write(d, VIRTIO_MMIO_STATUS, 0);
}

/* Steps 1 to 6 of 3.1.1 with exactly these features: whether the device accepts them. */
static inline bool driver_accept(struct driver *d, struct virtio *v, uint64_t features)
{
	d->v = v;
	driver_reset(d);
	driver_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	driver_status(d, VIRTIO_CONFIG_S_DRIVER);
	driver_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	driver_write(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	driver_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	driver_write(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	driver_status(d, VIRTIO_CONFIG_S_FEATURES_OK);
	d->features = features;
	return driver_has_status(d, VIRTIO_CONFIG_S_FEATURES_OK);
}

/* Tells the device where the rings are, from d->q[i]. */
static inline void driver_place_queue(struct driver *d, unsigned i)
{
	struct driver_queue *q = &d->q[i];

	driver_write(d, VIRTIO_MMIO_QUEUE_SEL, i);
	driver_write(d, VIRTIO_MMIO_QUEUE_NUM, q->size);
	driver_write(d, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)q->desc);
	driver_write(d, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(q->desc >> 32));
	driver_write(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)q->avail);
	driver_write(d, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(q->avail >> 32));
	driver_write(d, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)q->used);
	driver_write(d, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(q->used >> 32));
	driver_write(d, VIRTIO_MMIO_QUEUE_READY, 1);
}

/* Rings in new memory, of that size (0: the largest). */
static inline void driver_make_queue(struct driver *d, unsigned i, uint16_t size)
{
	struct driver_queue *q = &d->q[i];
	uint32_t max;

	driver_write(d, VIRTIO_MMIO_QUEUE_SEL, i);
	max = driver_read(d, VIRTIO_MMIO_QUEUE_NUM_MAX);
	if (!max || max > VIRTQ_SIZE_MAX || size > max || driver_read(d, VIRTIO_MMIO_QUEUE_READY))
		driver_die("no such queue, or it is in use");
	*q = (struct driver_queue){ .size = size ? size : (uint16_t)max };
	q->desc = driver_alloc(d, 16ULL * q->size);
	q->avail = driver_alloc(d, 6 + 2ULL * q->size);
	q->used = driver_alloc(d, 6 + 8ULL * q->size);
	q->ring_desc = driver_ptr(d, q->desc, 16ULL * q->size);
	q->ring_avail = driver_ptr(d, q->avail, 6 + 2ULL * q->size);
	q->ring_used = driver_ptr(d, q->used, 6 + 8ULL * q->size);
	memset(q->ring_desc, 0, 16ULL * q->size);
	memset(q->ring_avail, 0, 6 + 2ULL * q->size);
	memset(q->ring_used, 0, 6 + 8ULL * q->size);
}

/*
 * Resets the device and starts it with VERSION_1 and those of `wanted` that it offers, each of its queues with
 * `size` entries (0: the largest). All memory of driver_alloc() is free again.
 */
static inline void driver_start_sized(struct driver *d, struct virtio *v, uint64_t wanted, uint16_t size)
{
	unsigned i;

	d->v = v;
	driver_reset(d);
	d->next_gpa = DRIVER_FIRST_GPA;
	if (!driver_accept(d, v, (driver_offered(d) & wanted) | DRIVER_VERSION_1))
		driver_die("the device does not accept what it offers");
	for (i = 0; i < v->nqueues; i++) {
		driver_make_queue(d, i, size);
		driver_place_queue(d, i);
	}
	driver_status(d, VIRTIO_CONFIG_S_DRIVER_OK);
}

static inline void driver_start(struct driver *d, struct virtio *v, uint64_t wanted)
{
	driver_start_sized(d, v, wanted, 0);
}

/* --- requests ---------------------------------------------------------------------------------- */

/* A descriptor as it stands: for a guest that says anything. */
static inline void driver_desc(struct driver *d, unsigned queue, uint16_t i, uint64_t gpa, uint32_t len,
			       uint16_t flags, uint16_t next)
{
	d->q[queue].ring_desc[i] = (struct vring_desc){ .addr = gpa, .len = len, .flags = flags, .next = next };
}

/* Puts any head into the available ring. */
static inline void driver_offer(struct driver *d, unsigned queue, uint16_t head)
{
	struct driver_queue *q = &d->q[queue];

	q->ring_avail->ring[q->avail_idx % q->size] = head;
	q->avail_idx++;
	__atomic_store_n(&q->ring_avail->idx, q->avail_idx, __ATOMIC_RELEASE); /* 2.7.13.3 */
}

static inline int driver_take_desc(struct driver_queue *q)
{
	int i;

	for (i = 0; i < q->size; i++)
		if (!q->taken[i]) {
			q->taken[i] = true;
			return i;
		}
	return -1;
}

static inline void driver_give_descs(struct driver_queue *q, uint16_t head)
{
	uint16_t n = q->count[head], i = head;

	for (; n; n--, i = q->next[i])
		q->taken[i] = false;
	q->count[head] = 0;
}

/* Offers a chain of these pieces: its head, or -1 when the queue has no room. Nobody is kicked. */
static inline int driver_add(struct driver *d, unsigned queue, const struct seg *s, unsigned n)
{
	struct driver_queue *q = &d->q[queue];
	int head = -1, last = -1, at;
	unsigned i;

	for (i = 0; i < n; i++) {
		at = driver_take_desc(q);
		if (at < 0) {
			if (head >= 0)
				driver_give_descs(q, (uint16_t)head);
			return -1;
		}
		driver_desc(d, queue, (uint16_t)at, s[i].gpa, s[i].len, s[i].writable ? VRING_DESC_F_WRITE : 0, 0);
		if (i == 0) {
			head = at;
		} else {
			q->next[last] = q->ring_desc[last].next = (uint16_t)at;
			q->ring_desc[last].flags |= VRING_DESC_F_NEXT;
		}
		q->count[head] = (uint16_t)(i + 1);
		last = at;
	}
	driver_offer(d, queue, (uint16_t)head);
	return head;
}

/* An indirect table of these pieces at `gpa`, in the order that they have. */
static inline void driver_table(struct driver *d, uint64_t gpa, const struct seg *s, unsigned n)
{
	uint8_t *to = driver_ptr(d, gpa, n * sizeof(struct vring_desc)); /* not aligned, perhaps */
	unsigned i;

	for (i = 0; i < n; i++) {
		struct vring_desc x = { .addr = s[i].gpa, .len = s[i].len, .next = (uint16_t)(i + 1) };

		x.flags = (s[i].writable ? VRING_DESC_F_WRITE : 0) | (i + 1 < n ? VRING_DESC_F_NEXT : 0);
		memcpy(to + i * sizeof(x), &x, sizeof(x));
	}
}

/* driver_add() with the pieces in an indirect table, which takes new memory. */
static inline int driver_add_indirect(struct driver *d, unsigned queue, const struct seg *s, unsigned n)
{
	struct driver_queue *q = &d->q[queue];
	uint64_t table = driver_alloc(d, n * sizeof(struct vring_desc));
	int head = driver_take_desc(q);

	if (head < 0)
		return -1;
	driver_table(d, table, s, n);
	driver_desc(d, queue, (uint16_t)head, table, (uint32_t)(n * sizeof(struct vring_desc)),
		    VRING_DESC_F_INDIRECT, 0);
	q->count[head] = 1;
	driver_offer(d, queue, (uint16_t)head);
	return head;
}

/* Whether the device asks for a kick after what was offered since the last time. */
static inline bool driver_wants_kick(struct driver *d, unsigned queue)
{
	struct driver_queue *q = &d->q[queue];
	const void *avail_event = &q->ring_used->ring[q->size];
	uint16_t old = q->kicked_idx, event;

	q->kicked_idx = q->avail_idx;
	__sync_synchronize(); /* 2.7.13.4 */
	memcpy(&event, avail_event, sizeof(event));
	if (d->features & DRIVER_EVENT_IDX)
		return vring_need_event(event, q->avail_idx, old);
	return !(q->ring_used->flags & VRING_USED_F_NO_NOTIFY);
}

/* Kicks, if the device asks for it: whether it did. */
static inline bool driver_kick(struct driver *d, unsigned queue)
{
	if (!driver_wants_kick(d, queue))
		return false;
	driver_write(d, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	return true;
}

/* Takes the next chain that was used: false if there is none. head and len may be NULL. */
static inline bool driver_used(struct driver *d, unsigned queue, uint16_t *head, uint32_t *len)
{
	struct driver_queue *q = &d->q[queue];
	uint16_t idx = __atomic_load_n(&q->ring_used->idx, __ATOMIC_ACQUIRE); /* 2.7.14 */
	struct vring_used_elem e;

	if (idx == q->last_used)
		return false;
	e = q->ring_used->ring[q->last_used % q->size];
	if ((uint16_t)(idx - q->last_used) > q->size || e.id >= q->size || !q->count[e.id])
		driver_die("the device used a chain that it does not have");
	driver_give_descs(q, (uint16_t)e.id);
	q->last_used++;
	if (head)
		*head = (uint16_t)e.id;
	if (len)
		*len = e.len;
	return true;
}

/* A whole request to a device that answers at once: bytes written, or -1 when there is no answer. */
static inline int64_t driver_do(struct driver *d, unsigned queue, const struct seg *s, unsigned n)
{
	uint16_t head;
	uint32_t len;
	int added = driver_add(d, queue, s, n);

	if (added < 0)
		driver_die("the test has no descriptors left");
	driver_kick(d, queue);
	return driver_used(d, queue, &head, &len) && head == added ? (int64_t)len : -1;
}

/* --- interrupts -------------------------------------------------------------------------------- */

/* The function and (with the driver as ud) the argument that a device is opened with. */
static inline void driver_irq(void *ud)
{
	atomic_fetch_add(&((struct driver *)ud)->irqs, 1);
}

/* Interrupts since it was last asked. */
static inline unsigned driver_irqs(struct driver *d)
{
	return atomic_exchange(&d->irqs, 0);
}

/* What an interrupt handler does first: InterruptStatus, acknowledged. */
static inline uint32_t driver_ack(struct driver *d)
{
	uint32_t isr = driver_read(d, VIRTIO_MMIO_INTERRUPT_STATUS);

	driver_write(d, VIRTIO_MMIO_INTERRUPT_ACK, isr);
	return isr;
}

/* Asks for an interrupt when entry `event` of the used ring is written; without EVENT_IDX nobody looks. */
static inline void driver_want_irq_at(struct driver *d, unsigned queue, uint16_t event)
{
	__atomic_store_n(&d->q[queue].ring_avail->ring[d->q[queue].size], event, __ATOMIC_RELAXED);
	__sync_synchronize(); /* then it looks at used->idx again: 2.7.14 */
}

/* Asks for an interrupt at the next use, or for none. */
static inline void driver_want_irqs(struct driver *d, unsigned queue, bool on)
{
	struct driver_queue *q = &d->q[queue];

	__atomic_store_n(&q->ring_avail->flags, on ? 0 : VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
	driver_want_irq_at(d, queue, on ? q->last_used : (uint16_t)(q->last_used - 1));
}

#endif

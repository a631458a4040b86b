/*
 * A hostile guest for fuzz targets of devices: the driver of tests/unit/vring.h, with chains that the input makes up.
 *
 * It knows what it gives to the device: between hostile_before() and hostile_after(), which go around a turn of the
 * device, no other byte of the guest's low memory may change. What was given is found by walking copies of the queues,
 * as the device will. That is not exact when the device may write over the descriptors of a chain that it has not come
 * to yet; then nobody looks.
 */
#ifndef FUZZ_VMM_GUEST_H
#define FUZZ_VMM_GUEST_H

#include "../tests/unit/vring.h"
#include "base/cursor.h"
#include "base/log.h"
#include "fuzz.h"

#define HOSTILE_UNIT 64  /* places of buffers are multiples of it */
#define HOSTILE_PIECES 9 /* of a chain, fewer than */
#define HOSTILE_GIVEN_MAX 256

struct hostile {
	struct driver d;
	uint64_t area; /* low memory from here on is for buffers */
	uint16_t next_desc[VIRTIO_QUEUES_MAX];
	bool tables; /* there may be indirect ones */
	bool rings;  /* the device may have written into one with requests: what waits in it is anybody's guess */

	/* Of hostile_before(). */
	uint8_t *before; /* owned: low memory as it was */
	struct iovec given[HOSTILE_GIVEN_MAX]; /* what of it the device may write */
	unsigned ngiven;
	bool exact; /* and nothing else */
};

static inline void must(bool right)
{
	if (!right)
		abort();
}

static inline uint64_t hostile_bytes(const struct hostile *h)
{
	return h->d.mem.region[0].size;
}

static inline uint8_t *hostile_memory(const struct hostile *h)
{
	return h->d.mem.region[0].host;
}

/* So many bytes of low memory, and as many high; or as the machine maps it, low memory only. */
static inline void hostile_open(struct hostile *h, uint64_t bytes, bool mapped)
{
	log_init("fuzz", LOG_ERROR);
	*h = (struct hostile){ 0 };
	if (mapped)
		driver_mapped(&h->d, bytes);
	else
		driver_memory(&h->d, 2 * bytes);
	h->before = calloc(1, bytes);
	must(h->before);
}

static inline void hostile_close(struct hostile *h)
{
	driver_free(&h->d);
	free(h->before);
}

static inline void hostile_start(struct hostile *h, struct virtio *v, uint64_t features, uint16_t size)
{
	driver_start_sized(&h->d, v, features, MIN(size, v->ops->queue_size));
	h->area = h->d.next_gpa;
	h->tables = h->rings = false;
	memset(h->next_desc, 0, sizeof(h->next_desc));
}

/* --- chains -------------------------------------------------------------------------------------- */

static inline void hostile_desc(struct hostile *h, unsigned queue, uint16_t i, uint64_t gpa, uint32_t len,
				uint16_t flags, uint16_t next)
{
	driver_desc(&h->d, queue, i, gpa, len, flags, next);
	h->tables |= (flags & VRING_DESC_F_INDIRECT) != 0;
}

/* A descriptor, anything at all, and its number as a request of the queue that is returned. */
static inline unsigned hostile_lie(struct hostile *h, struct rd *r)
{
	unsigned queue = rd_u8(r) % h->d.v->nqueues;
	uint16_t i = rd_u8(r) % h->d.q[queue].size, flags = rd_u8(r), next = rd_u8(r);
	uint64_t gpa = rd_u32(r);

	hostile_desc(h, queue, i, gpa, rd_u16(r), flags, next);
	driver_offer(&h->d, queue, i);
	return queue;
}

/* A piece from the input: its place (in units of HOSTILE_UNIT), its length (2 bytes), and flags: those of a descriptor
 * but NEXT; 0x08: the next one is that of the three highest bits; 0x10: its place is that descriptor itself. */
static inline void hostile_piece(struct hostile *h, unsigned queue, uint16_t i, bool more, struct rd *r)
{
	const struct driver_queue *q = &h->d.q[queue];
	uint64_t gpa = h->area + rd_u8(r) * (uint64_t)HOSTILE_UNIT;
	uint16_t len = rd_u16(r), next = (uint16_t)((i + 1) % q->size), flags = more ? VRING_DESC_F_NEXT : 0;
	uint8_t bits = rd_u8(r);

	if (bits & 0x08)
		next = (uint16_t)((bits >> 5) % q->size);
	if (bits & 0x10)
		gpa = q->desc + (bits >> 5) * sizeof(struct vring_desc);
	hostile_desc(h, queue, i, gpa, len, flags | (bits & (VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT)), next);
}

/* A chain of `first`, which may be NULL, and as many pieces from the input as its next byte says. */
static inline void hostile_chain(struct hostile *h, unsigned queue, const struct seg *first, struct rd *r)
{
	uint16_t size = h->d.q[queue].size, head = h->next_desc[queue], at = head;
	unsigned n = rd_u8(r) % HOSTILE_PIECES;

	if (first) {
		hostile_desc(h, queue, at, first->gpa, first->len,
			     (first->writable ? VRING_DESC_F_WRITE : 0) | (n ? VRING_DESC_F_NEXT : 0),
			     (uint16_t)((at + 1) % size));
		at = (uint16_t)((at + 1) % size);
	}
	for (; n; n--) {
		hostile_piece(h, queue, at, n > 1, r);
		at = (uint16_t)((at + 1) % size);
	}
	h->next_desc[queue] = at;
	driver_offer(&h->d, queue, head);
}

/* A buffer in a chain of two pieces, the first of 5 bytes: for packets, whose header they part. Too many of them at
 * once are left to hostile_lie(). */
static inline void hostile_pair(struct hostile *h, unsigned queue, struct seg s)
{
	struct driver_queue *q = &h->d.q[queue];
	uint16_t i = h->next_desc[queue], write = s.writable ? VRING_DESC_F_WRITE : 0;

	if ((uint16_t)(q->avail_idx - q->ring_used->idx) >= q->size / 2)
		return;
	h->next_desc[queue] = (uint16_t)((i + 2) % q->size);
	hostile_desc(h, queue, i, s.gpa, 5, write | VRING_DESC_F_NEXT, i + 1);
	hostile_desc(h, queue, i + 1, s.gpa + 5, s.len - 5, write, 0);
	driver_offer(&h->d, queue, i);
}

/* --- around a turn of the device ----------------------------------------------------------------- */

/* The device may write there: low memory, or who cares. */
static inline void hostile_give(struct hostile *h, void *p, uint64_t len)
{
	uintptr_t low = (uintptr_t)hostile_memory(h), at = (uintptr_t)p;
	unsigned i;

	if (at < low || at - low >= hostile_bytes(h))
		return;
	for (i = 0; i < h->ngiven; i++)
		if (at >= (uintptr_t)h->given[i].iov_base &&
		    at + len <= (uintptr_t)h->given[i].iov_base + h->given[i].iov_len)
			return;
	if (h->ngiven < HOSTILE_GIVEN_MAX)
		h->given[h->ngiven++] = (struct iovec){ p, len };
	else
		h->exact = false;
}

static inline bool hostile_overlaps(const struct iovec *v, const void *p, uint64_t len)
{
	return (uintptr_t)v->iov_base < (uintptr_t)p + len && (uintptr_t)p < (uintptr_t)v->iov_base + v->iov_len;
}

/* Whether a device that writes there may change requests. */
static inline bool hostile_is_ring(const struct hostile *h, const struct iovec *v)
{
	unsigned i;

	for (i = 0; i < h->d.v->nqueues; i++) {
		const struct driver_queue *q = &h->d.q[i];

		if (hostile_overlaps(v, q->ring_desc, 16ULL * q->size) ||
		    hostile_overlaps(v, q->ring_avail, 6 + 2ULL * q->size))
			return true;
	}
	return false;
}

/* What waits in a queue, as the device will see it: chains. */
static inline unsigned hostile_walk(struct hostile *h, unsigned queue)
{
	struct virtq q = h->d.v->queue[queue]; /* a copy: nothing that is done to it is known to the device */
	struct virtq_chain c;
	unsigned n = 0, i;

	for (; virtq_pop(&q, &c) == 1; n++)
		for (i = 0; i < c.nwritable; i++) {
			hostile_give(h, c.writable[i].iov_base, c.writable[i].iov_len);
			h->rings |= hostile_is_ring(h, &c.writable[i]);
		}
	return n;
}

static inline void hostile_before(struct hostile *h)
{
	unsigned i, n = 0;

	memcpy(h->before, hostile_memory(h), hostile_bytes(h));
	h->ngiven = 0;
	h->exact = true;
	for (i = 0; i < h->d.v->nqueues; i++) {
		hostile_give(h, h->d.q[i].ring_used, 6 + 8ULL * h->d.q[i].size);
		n += hostile_walk(h, i);
	}
	h->exact &= n <= 1 || (!h->tables && !h->rings);
}

static inline void hostile_after(struct hostile *h)
{
	const uint8_t *now = hostile_memory(h);
	unsigned i;

	for (i = 0; i < h->ngiven; i++)
		memcpy(h->before + ((uint8_t *)h->given[i].iov_base - now), h->given[i].iov_base, h->given[i].iov_len);
	must(!h->exact || !memcmp(now, h->before, hostile_bytes(h)));
}

/* A request that the device has not taken. */
static inline bool has_request(const struct virtq *q)
{
	return q->running && !q->broken && q->ring_avail->idx != q->next_avail;
}

/* A device that does requests at once, those of the queues in this set of bits, has done them. */
static inline void hostile_check_done(const struct hostile *h, unsigned queues)
{
	const struct virtio *v = h->d.v;
	unsigned i;

	for (i = 0; virtio_running(v) && !h->rings && i < v->nqueues; i++)
		if (queues & 1U << i)
			must(!has_request(&v->queue[i]) && v->queue[i].next_used == v->queue[i].next_avail);
}

/* --- steps that fit every device ----------------------------------------------------------------- */

static inline void hostile_config(struct hostile *h, struct rd *r)
{
	uint32_t offset = VIRTIO_MMIO_CONFIG + rd_u8(r), n = 1U << rd_u8(r) % 4;
	uint64_t value = rd_u64(r);

	virtio_mmio_write(h->d.v, offset, &value, n);
	virtio_mmio_read(h->d.v, offset, &value, n);
}

/* What the guest does before it kicks the queue that is returned. Chains most of the time. */
static inline unsigned hostile_step(struct hostile *h, struct rd *r)
{
	uint8_t what = rd_u8(r);
	unsigned queue = (what >> 4) % h->d.v->nqueues;

	switch (what & 15) {
	case 0: return hostile_lie(h, r);
	case 1: return rd_u8(r);
	case 2: hostile_config(h, r); break;
	case 3: hostile_start(h, h->d.v, what & 16 ? DRIVER_ALL : 0, 64); break;
	case 4: memset(hostile_memory(h) + h->area, rd_u8(r), hostile_bytes(h) - h->area); break;
	default: hostile_chain(h, queue, NULL, r); break;
	}
	return queue;
}

/* Such a step and the device's turn. */
static inline void hostile_turn(struct hostile *h, struct rd *r)
{
	unsigned queue = hostile_step(h, r);

	hostile_before(h);
	driver_write(&h->d, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	hostile_after(h);
}

#endif

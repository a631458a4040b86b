/*
 * The device's end of a split virtqueue. Section numbers are those of virtio 1.2.
 *
 * Two indices that only grow (modulo 2^16) say all about the requests of a queue:
 *
 *	next_used <= next_avail <= avail->idx <= next_used + size
 *
 * [next_used, next_avail) are under way in the device, [next_avail, avail->idx) wait. The last inequality is
 * the driver's to keep: an entry is not offered again before it was used. It is checked at every pop, so a device
 * never has more than `size` requests at a time, whatever the guest writes.
 *
 * A chain is walked once. Each descriptor is copied when the walk comes to it, and only the copy is looked at.
 * What is left of the guest's tables afterwards are host pointers with lengths, good for as long as the machine's
 * memory is.
 */
#include "vmm/virtq.h"

#include <errno.h>
#include <string.h>

/* The rings are little-endian (2.4) and used as they are. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a big-endian host must convert");

/* The ring's layout, 2.7: entries, and two bytes for the event index behind avail and used. */
#define AVAIL_BYTES(size) (sizeof(struct vring_avail) + sizeof(uint16_t) * ((size) + 1))
#define USED_BYTES(size) \
	(sizeof(struct vring_used) + sizeof(struct vring_used_elem) * (size) + sizeof(uint16_t))

static int breaks(struct virtq *q, const char *why)
{
	q->broken = true;
	__atomic_store_n(&q->why, why, __ATOMIC_RELAXED);
	return -EBADMSG;
}

const char *virtq_why(const struct virtq *q)
{
	return __atomic_load_n(&q->why, __ATOMIC_RELAXED);
}

void virtq_init(struct virtq *q, const struct memory *mem, uint16_t size_max)
{
	*q = (struct virtq){ .mem = mem, .size_max = MIN(size_max, VIRTQ_SIZE_MAX) };
}

void virtq_reset(struct virtq *q)
{
	virtq_init(q, q->mem, q->size_max);
}

int virtq_start(struct virtq *q, bool event_idx, bool indirect)
{
	if (!q->ready)
		return 0;
	if (!q->size || q->size > q->size_max || (q->size & (q->size - 1)))
		return breaks(q, "a queue of a size that was not offered");
	if (q->desc % VRING_DESC_ALIGN_SIZE || q->avail % VRING_AVAIL_ALIGN_SIZE ||
	    q->used % VRING_USED_ALIGN_SIZE)
		return breaks(q, "a ring that is not aligned");
	q->ring_desc = mem_at(q->mem, q->desc, sizeof(struct vring_desc) * q->size);
	q->ring_avail = mem_at(q->mem, q->avail, AVAIL_BYTES(q->size));
	q->ring_used = mem_at(q->mem, q->used, USED_BYTES(q->size));
	if (!q->ring_desc || !q->ring_avail || !q->ring_used)
		return breaks(q, "a ring that is not in memory");
	q->event_idx = event_idx;
	q->indirect = indirect;
	q->signalled_valid = true; /* at index 0 nothing was used and nothing signalled */
	q->running = true;
	return 0;
}

static bool works(const struct virtq *q)
{
	return q->running && !q->broken;
}

/* used_event and avail_event, 2.7.7 and 2.7.10: behind the last entry. */
static const uint16_t *used_event(const struct virtq *q)
{
	return &q->ring_avail->ring[q->size];
}

static uint16_t *avail_event(struct virtq *q)
{
	return (uint16_t *)(void *)&q->ring_used->ring[q->size];
}

/* --- walking a chain -------------------------------------------------------------------------- */

/* The table that a walk is in: the queue's, or an indirect one, which need not be aligned. */
struct table {
	const uint8_t *at;
	uint32_t n;
	bool indirect;
};

static struct vring_desc copy_desc(const struct table *t, uint32_t i)
{
	struct vring_desc d;

	memcpy(&d, t->at + (size_t)i * sizeof(d), sizeof(d));
	/* From here on `d` is its own value: the compiler may not fetch a field from the guest again. */
	__asm__ volatile("" : "+m"(d));
	return d;
}

/* 2.7.5.3.1. VRING_DESC_F_WRITE says nothing in a descriptor that refers to a table (2.7.5.3.2). */
static int enter_indirect(struct virtq *q, const struct vring_desc *d, struct table *t)
{
	const uint8_t *at;

	if (!q->indirect)
		return breaks(q, "an indirect descriptor, which was not negotiated");
	if (t->indirect)
		return breaks(q, "an indirect descriptor in an indirect table");
	if (d->flags & VRING_DESC_F_NEXT)
		return breaks(q, "an indirect descriptor with a next one");
	if (!d->len || d->len % sizeof(*d))
		return breaks(q, "an indirect table of a size that is not one of descriptors");
	at = mem_at(q->mem, d->addr, d->len);
	if (!at)
		return breaks(q, "an indirect table that is not in memory");
	*t = (struct table){ .at = at, .n = d->len / (uint32_t)sizeof(*d), .indirect = true };
	return 0;
}

static int add_buffer(struct virtq *q, const struct vring_desc *d, struct virtq_chain *c)
{
	bool writable = d->flags & VRING_DESC_F_WRITE;
	struct iovec *v = writable ? &c->writable[c->nwritable] : &c->readable[c->nreadable];
	void *host;

	/* A loop comes here, too. */
	if (c->nreadable + c->nwritable == VIRTQ_CHAIN_MAX)
		return breaks(q, "a chain that is too long");
	if (!writable && c->nwritable)
		return breaks(q, "a readable buffer after a writable one"); /* 2.7.4.2 */
	if (!d->len)
		return breaks(q, "an empty buffer");
	/* One byte less than 2.7.5 allows, so that `len` of the used ring can say that all were written. */
	if (c->readable_bytes + c->writable_bytes + d->len > UINT32_MAX)
		return breaks(q, "a chain of more than 4 GiB");
	host = mem_at(q->mem, d->addr, d->len);
	if (!host)
		return breaks(q, "a buffer that is not in memory");

	*v = (struct iovec){ .iov_base = host, .iov_len = d->len };
	if (writable) {
		c->nwritable++;
		c->writable_bytes += d->len;
	} else {
		c->nreadable++;
		c->readable_bytes += d->len;
	}
	return 0;
}

/* Ends: a turn of the loop adds a buffer, of which there are VIRTQ_CHAIN_MAX, or enters the one table. */
static int walk(struct virtq *q, uint32_t i, struct virtq_chain *c)
{
	struct table t = { .at = (const uint8_t *)q->ring_desc, .n = q->size };

	for (;;) {
		struct vring_desc d;
		int r;

		if (i >= t.n)
			return breaks(q, "a descriptor beyond the end of its table");
		d = copy_desc(&t, i);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			r = enter_indirect(q, &d, &t);
			i = 0;
		} else {
			r = add_buffer(q, &d, c);
			i = d.next;
		}
		if (r < 0)
			return r;
		if (!(d.flags & (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT)))
			return 0;
	}
}

/* No memset: a chain is 8 KiB, nearly all of it beyond its counts. */
static void empty_chain(struct virtq_chain *c)
{
	c->nreadable = c->nwritable = 0;
	c->readable_bytes = c->writable_bytes = 0;
}

int virtq_pop(struct virtq *q, struct virtq_chain *ret)
{
	uint16_t idx, waiting, under_way;
	int r;

	empty_chain(ret);
	if (q->broken)
		return -EBADMSG;
	if (!q->running)
		return 0;
	/* idx, then the entry and its chain: pairs with the driver's barrier before its store of idx (2.7.13.3). */
	idx = __atomic_load_n(&q->ring_avail->idx, __ATOMIC_ACQUIRE);
	waiting = (uint16_t)(idx - q->next_avail);
	under_way = (uint16_t)(q->next_avail - q->next_used);
	if (!waiting)
		return 0;
	if (waiting + under_way > q->size)
		return breaks(q, "more requests than the queue can hold");

	ret->head = __atomic_load_n(&q->ring_avail->ring[q->next_avail & (q->size - 1)], __ATOMIC_RELAXED);
	r = walk(q, ret->head, ret);
	if (r < 0) {
		empty_chain(ret);
		return r;
	}
	q->next_avail++;
	return 1;
}

void virtq_unpop(struct virtq *q)
{
	/* Not after a reset, which has already forgotten it. */
	if (works(q) && q->next_avail != q->next_used)
		q->next_avail--;
}

/* --- giving back, and who wakes whom ----------------------------------------------------------- */

void virtq_push_all(struct virtq *q, const struct virtq_used *u, unsigned n)
{
	uint16_t under_way = (uint16_t)(q->next_avail - q->next_used);
	uint16_t since = (uint16_t)(q->next_used - q->signalled_used);
	unsigned i;

	if (!works(q) || n > under_way)
		return;
	for (i = 0; i < n; i++)
		q->ring_used->ring[(q->next_used + i) & (q->size - 1U)] =
			(struct vring_used_elem){ .id = u[i].head, .len = u[i].written };
	q->next_used += (uint16_t)n;
	/*
	 * What was written into the buffers, then the entries, then idx. Pairs with the driver's barrier between its
	 * load of idx and that of the entries (2.7.14).
	 */
	__atomic_store_n(&q->ring_used->idx, q->next_used, __ATOMIC_RELEASE);
	/* Once around since the last decision: "between then and now" holds every index. */
	if (since + n > UINT16_MAX)
		q->signalled_valid = false;
}

void virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t written)
{
	virtq_push_all(q, &(struct virtq_used){ c->head, written }, 1);
}

bool virtq_wants_interrupt(struct virtq *q)
{
	uint16_t old = q->signalled_used, event, flags;
	bool valid = q->signalled_valid;

	if (!works(q))
		return false;
	if (valid && q->next_used == old)
		return false;
	q->signalled_used = q->next_used;
	q->signalled_valid = true;
	/*
	 * used->idx is stored before used_event (or the flag) is loaded. Pairs with the driver's full barrier
	 * between its store of used_event and its last look at used->idx (2.7.14): one of the two sees the
	 * other's, so that either the driver finds the entry or we interrupt it.
	 */
	__sync_synchronize();
	flags = __atomic_load_n(&q->ring_avail->flags, __ATOMIC_RELAXED);
	if (!q->event_idx)
		return !(flags & VRING_AVAIL_F_NO_INTERRUPT);
	event = __atomic_load_n(used_event(q), __ATOMIC_RELAXED);
	return !valid || vring_need_event(event, q->next_used, old);
}

bool virtq_kicks_on(struct virtq *q)
{
	if (!works(q))
		return false;
	if (q->event_idx)
		__atomic_store_n(avail_event(q), q->next_avail, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&q->ring_used->flags, 0, __ATOMIC_RELAXED);
	/*
	 * avail_event (or the flag) is stored before avail->idx is loaded. Pairs with the driver's full barrier
	 * between its store of avail->idx and its look at avail_event (2.7.13.4): either we find the request or it
	 * kicks.
	 */
	__sync_synchronize();
	return __atomic_load_n(&q->ring_avail->idx, __ATOMIC_RELAXED) != q->next_avail;
}

/* With event indices, avail_event that is left behind asks for no kick until 2^16 requests later. */
void virtq_kicks_off(struct virtq *q)
{
	if (works(q) && !q->event_idx)
		__atomic_store_n(&q->ring_used->flags, VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

/* --- bytes -------------------------------------------------------------------------------------- */

/* Copies between `n` bytes of host memory and a part, from its offset. */
static size_t copy(const struct iovec *v, unsigned nv, uint64_t offset, uint8_t *host, size_t n,
		   bool to_guest)
{
	size_t done = 0;
	unsigned i;

	for (i = 0; i < nv && done < n; i++) {
		size_t len = v[i].iov_len, now;
		uint8_t *at = v[i].iov_base;

		if (offset >= len) {
			offset -= len;
			continue;
		}
		now = MIN(len - offset, n - done);
		if (to_guest)
			memcpy(at + offset, host + done, now);
		else
			memcpy(host + done, at + offset, now);
		done += now;
		offset = 0;
	}
	return done;
}

size_t virtq_read(const struct virtq_chain *c, uint64_t offset, void *to, size_t n)
{
	return copy(c->readable, c->nreadable, offset, to, n, false);
}

size_t virtq_write(const struct virtq_chain *c, uint64_t offset, const void *from, size_t n)
{
	return copy(c->writable, c->nwritable, offset, (uint8_t *)(uintptr_t)from, n, true);
}

/*
 * A hostile guest's rings. The input: how the queue is set up, how many pokes follow, the pokes, and the image
 * of low memory. A poke is what the guest does between two requests: it changes two bytes of its memory, and the
 * device does one of the things that devices do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "fuzz.h"
#include "vmm/layout.h"
#include "vmm/virtq.h"

#define LOW_BYTES (64 * KIB)
#define HIGH_BYTES (4 * KIB)
#define STEPS_MAX 1024
#define UNDER_WAY 4 /* chains that this device keeps, pushed in any order */

struct device {
	struct memory mem;
	struct virtq q;
	struct virtq_chain chain[UNDER_WAY];
	bool taken[UNDER_WAY];
};

static void make_memory(struct memory *m)
{
	*m = (struct memory){ .n = 2 };
	m->region[0] = (struct mem_region){ .gpa = 0, .size = LOW_BYTES, .host = calloc(1, LOW_BYTES) };
	m->region[1] = (struct mem_region){ .gpa = HIGH_MEMORY, .size = HIGH_BYTES, .host = calloc(1, HIGH_BYTES) };
	if (!m->region[0].host || !m->region[1].host)
		abort();
}

static bool is_memory(const struct memory *m, const struct iovec *v)
{
	const uint8_t *p = v->iov_base;
	unsigned i;

	for (i = 0; i < m->n; i++) {
		const struct mem_region *r = &m->region[i];

		if (p >= r->host && p < r->host + r->size && v->iov_len <= (size_t)(r->host + r->size - p))
			return true;
	}
	return false;
}

static uint64_t check_part(const struct memory *m, const struct iovec *v, unsigned n)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < n; sum += v[i++].iov_len)
		if (!v[i].iov_len || !is_memory(m, &v[i]))
			abort();
	return sum;
}

/* What a device relies on. */
static void check(const struct device *d, const struct virtq_chain *c)
{
	if (c->head >= d->q.size || c->nreadable + c->nwritable == 0 || c->nreadable > VIRTQ_CHAIN_MAX ||
	    c->nwritable > VIRTQ_CHAIN_MAX || c->nreadable + c->nwritable > VIRTQ_CHAIN_MAX)
		abort();
	if (check_part(&d->mem, c->readable, c->nreadable) != c->readable_bytes ||
	    check_part(&d->mem, c->writable, c->nwritable) != c->writable_bytes ||
	    c->readable_bytes + c->writable_bytes > UINT32_MAX)
		abort();
}

/* Through every byte of it, by pieces that no buffer has. */
static void use(const struct virtq_chain *c)
{
	uint8_t piece[61];
	uint64_t at;
	size_t n;

	for (at = 0; at < MIN(c->readable_bytes, MIB) && (n = virtq_read(c, at, piece, sizeof(piece))); at += n)
		;
	if (at < MIN(c->readable_bytes, MIB) || virtq_read(c, c->readable_bytes, piece, 1))
		abort();
	/* The first and last byte: more would write over the rings, after which little happens. */
	if (c->nwritable && (virtq_write(c, 0, "", 1) != 1 || virtq_write(c, c->writable_bytes - 1, "", 2) != 1))
		abort();
}

static void pop(struct device *d, unsigned slot)
{
	struct virtq_chain *c = &d->chain[slot];
	bool broken = d->q.broken;
	int r;

	if (d->taken[slot])
		return;
	r = virtq_pop(&d->q, c);
	if (r == 1 && !broken) {
		check(d, c);
		use(c);
		d->taken[slot] = true;
	} else if (r == 1 || (r < 0 && (r != -EBADMSG || !d->q.broken || !d->q.why)) || c->nreadable || c->nwritable ||
		   (broken && r == 0)) {
		abort();
	}
}

static void push(struct device *d, unsigned slot)
{
	if (d->taken[slot])
		virtq_push(&d->q, &d->chain[slot], (uint32_t)d->chain[slot].writable_bytes);
	d->taken[slot] = false;
}

static void step(struct device *d, uint8_t what)
{
	unsigned slot = (what >> 4) % UNDER_WAY;

	switch (what & 7) {
	case 0:
	case 1:
	case 2: pop(d, slot); break;
	case 3:
	case 4: push(d, slot); break;
	case 5: virtq_wants_interrupt(&d->q); break;
	case 6: virtq_kicks_on(&d->q); break;
	default: virtq_kicks_off(&d->q); break;
	}
	if ((uint16_t)(d->q.next_avail - d->q.next_used) > d->q.size)
		abort();
}

/* Pops until there is nothing more; the guest has stopped, so that there is an end. */
static void drain(struct device *d)
{
	unsigned i, turns;

	for (i = 0; i < UNDER_WAY; i++)
		push(d, i);
	for (turns = 0; turns <= VIRTQ_SIZE_MAX; turns++) {
		pop(d, 0);
		if (!d->taken[0])
			return;
		virtq_unpop(&d->q);
		d->taken[0] = false;
		pop(d, 0); /* a writable buffer may be the ring */
		push(d, 0);
	}
}

static void set_up(struct device *d, struct rd *in)
{
	uint8_t flags = rd_u8(in);

	make_memory(&d->mem);
	virtq_init(&d->q, &d->mem, flags & 4 ? 8 : VIRTQ_SIZE_MAX);
	d->q.ready = !(flags & 8);
	d->q.size = rd_u16(in);
	d->q.desc = rd_u64(in);
	d->q.avail = rd_u64(in);
	d->q.used = rd_u64(in);
	if (virtq_start(&d->q, flags & 1, flags & 2) < 0 && !d->q.broken)
		abort();
	d->q.next_avail = d->q.next_used = d->q.signalled_used = rd_u16(in); /* as after so many requests */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd in = rd_over(data, size), pokes;
	struct device *d = calloc(1, sizeof(*d));
	unsigned steps;
	size_t n;

	if (!d)
		abort();
	set_up(d, &in);
	steps = rd_u16(&in);
	n = MIN(MIN(steps, STEPS_MAX) * 5, rd_left(&in));
	pokes = rd_over(rd_bytes(&in, n), n);
	n = MIN(rd_left(&in), LOW_BYTES);
	if (n)
		memcpy(d->mem.region[0].host, rd_bytes(&in, n), n);
	while (rd_left(&pokes) >= 5) {
		uint8_t what = rd_u8(&pokes);
		uint16_t at = rd_u16(&pokes), value = rd_u16(&pokes);

		if (what & 8)
			memcpy(d->mem.region[0].host + MIN(at, LOW_BYTES - 2), &value, 2);
		step(d, what);
	}
	drain(d);
	virtq_reset(&d->q);
	if (virtq_pop(&d->q, &d->chain[0]))
		abort();
	free(d->mem.region[0].host);
	free(d->mem.region[1].host);
	free(d);
	return 0;
}

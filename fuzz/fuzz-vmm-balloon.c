/*
 * A hostile guest of the balloon: pages that it names, in any way, may become zero, whole; no other byte changes.
 *
 * In what it names it may name its own rings, which are zero then: page 0 may be named by each of them. Where it names
 * pages of the list itself, of which the device may not have read all, the rest may name any page.
 */
#include <linux/virtio_balloon.h>

#include "vmm_guest.h"
#include "vmm/devices.h"

#define STEPS_MAX 100
#define LOW_BYTES (256 * KIB)
#define PAGE 4096
#define PAGES_MAX 4096 /* of one request */

enum { INFLATEQ, DEFLATEQ, REPORTINGQ };

static bool is_of_list(const struct virtq_chain *c, const void *page)
{
	unsigned i;

	for (i = 0; i < c->nreadable; i++)
		if (hostile_overlaps(&c->readable[i], page, PAGE))
			return true;
	return false;
}

static void give_named(struct hostile *h)
{
	struct virtq q = h->d.v->queue[INFLATEQ];
	struct virtq_chain c;
	uint32_t pfn;
	unsigned i;

	hostile_give(h, hostile_memory(h), PAGE);
	while (virtq_pop(&q, &c) == 1)
		for (i = 0; i < PAGES_MAX && virtq_read(&c, i * sizeof(pfn), &pfn, sizeof(pfn)) == sizeof(pfn); i++)
			if (pfn < hostile_bytes(h) / PAGE) {
				void *page = hostile_memory(h) + (size_t)pfn * PAGE;

				hostile_give(h, page, PAGE);
				h->exact &= !is_of_list(&c, page);
			}
}

static bool is_used_ring(const struct hostile *h, size_t page)
{
	unsigned i;

	for (i = 0; i < h->d.v->ops->nqueues; i++)
		if (h->d.q[i].used / PAGE == page)
			return true;
	return false;
}

/* What has changed has become zero, page by page. */
static void check_pages(struct hostile *h)
{
	static const uint8_t zero[PAGE];
	size_t page;

	for (page = 0; page < hostile_bytes(h) / PAGE; page++) {
		const uint8_t *now = hostile_memory(h) + page * PAGE;

		must(is_used_ring(h, page) || !memcmp(now, h->before + page * PAGE, PAGE) || !memcmp(now, zero, PAGE));
	}
}

/* A list of pages that are there, most of them. */
static void inflate(struct hostile *h, struct rd *r)
{
	unsigned n = 1 + rd_u8(r) % 64, i;
	uint64_t list = h->area + 128;

	for (i = 0; i < n; i++) {
		uint32_t pfn = rd_u8(r);

		memcpy(hostile_memory(h) + list + i * sizeof(pfn), &pfn, sizeof(pfn));
	}
	hostile_chain(h, INFLATEQ, &(struct seg){ list, (uint32_t)(n * sizeof(uint32_t)), false }, r);
}

static void turn(struct hostile *h, struct rd *r)
{
	unsigned queue = INFLATEQ;

	if (rd_u8(r) % 4 == 0)
		inflate(h, r);
	else
		queue = hostile_step(h, r);
	hostile_before(h);
	give_named(h);
	driver_write(&h->d, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	check_pages(h);
	hostile_after(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_over(data, size);
	struct hostile h;
	struct virtio *v;
	unsigned steps;

	hostile_open(&h, LOW_BYTES, true);
	v = balloon_open(&h.d.mem, driver_irq, &h.d, NULL);
	must(v);
	hostile_start(&h, v, DRIVER_ALL, 64);
	for (steps = 0; rd_left(&r) && steps < STEPS_MAX; steps++)
		turn(&h, &r);
	balloon_close(v);
	hostile_close(&h);
	return 0;
}

/*
 * The balloon (virtio 1.2, 5.5): memory that the guest does not use goes back to the host. We never ask for
 * any (num_pages stays 0): what comes is free page reporting, and what a driver inflates by itself.
 *
 * What is given back is free for the host at once, and reads as zeros when the guest touches it again.
 * Deflating needs nothing from us, therefore.
 *
 * Giving back is a favour: a failure, or pages beyond what one request may name, cost the host memory and the
 * guest nothing. Pages that are no memory are a broken driver.
 *
 * VIRTIO_BALLOON_F_PAGE_POISON is not offered: a guest that fills free pages with a pattern does not report
 * then, as ours would come back as zeros.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "vmm/devices.h"
#include "vmm/serve.h"

/*
 * 5.5.2 numbers five queues, and says that some exist only with their feature. In drivers and devices (Linux,
 * QEMU) the ones that exist are numbered without gaps; with neither VIRTIO_BALLOON_F_STATS_VQ nor
 * VIRTIO_BALLOON_F_FREE_PAGE_HINT the reporting queue is the third.
 */
enum { INFLATEQ, DEFLATEQ, REPORTINGQ, QUEUES };

#define PAGE 4096ULL
#define REQUEST_PAGES_MAX 4096 /* that one inflate request may name; Linux names 256 */

struct balloon {
	struct virtio v;
	const struct memory *mem; /* borrowed */
	uint32_t actual;          /* the driver's, for itself to read; little-endian */
	bool reporting;           /* VIRTIO_BALLOON_F_REPORTING was negotiated */
	bool warned;
};

static struct balloon *balloon_of(struct virtio *v)
{
	return container_of(v, struct balloon, v);
}

/* Gives the whole pages within these bytes of guest memory (of one region) back. */
static void give_back(struct balloon *b, void *base, uint64_t len)
{
	uint64_t skip = -(uintptr_t)base & (PAGE - 1);
	int r;

	if (len < skip + PAGE)
		return;
	r = madvise((uint8_t *)base + skip, (len - skip) & ~(PAGE - 1), MADV_DONTNEED);
	if (r < 0 && !b->warned)
		log_warn("balloon: cannot give memory back: %s", strerror(errno));
	b->warned |= r < 0;
}

/* The driver names pages one by one, often in order: neighbours are one hole. */
static void inflate_pages(struct virtio *v, const uint32_t *pfn, size_t n)
{
	struct balloon *b = balloon_of(v);
	size_t i, run;
	void *p;

	for (i = 0; i < n; i += run) {
		for (run = 1; i + run < n && le32toh(pfn[i + run]) == (uint64_t)le32toh(pfn[i]) + run; run++)
			;
		p = mem_at(b->mem, (uint64_t)le32toh(pfn[i]) << VIRTIO_BALLOON_PFN_SHIFT, run * PAGE);
		if (!p) {
			virtio_broken(v, "a balloon of pages that are no memory");
			return;
		}
		give_back(b, p, run * PAGE);
	}
}

static uint32_t serve_inflate(struct virtio *v, const struct virtq_chain *c)
{
	uint32_t pfn[256];
	uint64_t at;
	size_t n;

	for (at = 0; at < REQUEST_PAGES_MAX * sizeof(pfn[0]) && virtio_running(v); at += sizeof(pfn)) {
		n = virtq_read(c, at, pfn, sizeof(pfn));
		inflate_pages(v, pfn, n / sizeof(pfn[0]));
		if (n < sizeof(pfn))
			break;
	}
	return 0;
}

static uint32_t serve_deflate(struct virtio *v, const struct virtq_chain *c)
{
	(void)v;
	(void)c;
	return 0;
}

/* The free pages are the buffers that the device may write (5.5.6.7). */
static uint32_t serve_reporting(struct virtio *v, const struct virtq_chain *c)
{
	unsigned i;

	for (i = 0; i < c->nwritable; i++)
		give_back(balloon_of(v), c->writable[i].iov_base, c->writable[i].iov_len);
	return 0;
}

static void kick(struct virtio *v, unsigned queue)
{
	static serve_fn *const fn[QUEUES] = { serve_inflate, serve_deflate, serve_reporting };

	if (queue != REPORTINGQ || balloon_of(v)->reporting)
		serve_queue(v, queue, fn[queue]);
}

static void start(struct virtio *v, uint64_t features)
{
	balloon_of(v)->reporting = features & 1ULL << VIRTIO_BALLOON_F_REPORTING;
}

static void reset(struct virtio *v)
{
	balloon_of(v)->actual = 0;
}

static uint64_t features(struct virtio *v)
{
	(void)v;
	return 1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM | 1ULL << VIRTIO_BALLOON_F_REPORTING;
}

static void config_read(struct virtio *v, uint32_t offset, void *to, uint32_t n)
{
	struct virtio_balloon_config c = { .num_pages = 0, .actual = balloon_of(v)->actual };

	config_copy(&c, sizeof(c), offset, to, n);
}

static void config_write(struct virtio *v, uint32_t offset, const void *from, uint32_t n)
{
	uint32_t value;

	if (offset != offsetof(struct virtio_balloon_config, actual) || n != sizeof(value))
		return;
	memcpy(&value, from, sizeof(value));
	balloon_of(v)->actual = value;
}

static const struct virtio_ops balloon_ops = {
	.id = VIRTIO_ID_BALLOON,
	.nqueues = QUEUES,
	.queue_size = 64, /* Linux reports only with 32 or more */
	.features = features,
	.start = start,
	.kick = kick,
	.reset = reset,
	.config_read = config_read,
	.config_write = config_write,
};

struct virtio *balloon_open(const struct memory *mem, irq_fn *irq, void *ud, struct error *err)
{
	struct balloon *b = calloc(1, sizeof(*b));

	if (!b) {
		error_nomem(err);
		return NULL;
	}
	b->mem = mem;
	virtio_init(&b->v, &balloon_ops, mem, irq, ud);
	return &b->v;
}

void balloon_close(struct virtio *v)
{
	if (!v)
		return;
	virtio_fini(v);
	free(balloon_of(v));
}

/*
 * A hostile guest at a device's registers. The input: a size and the image of its memory, then accesses. An
 * access is a byte (read or write, its width), an offset and a value; or a kick by eventfd, or a change of the
 * configuration.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/log.h"
#include "fuzz.h"
#include "vmm/layout.h"
#include "vmm/virtio.h"

#define MEMORY_BYTES (16 * KIB)
#define ACCESS_BYTES 11
#define CONFIG_BYTES 24
#define OWN_FEATURES 0x300000005ULL /* VERSION_1 again, ACCESS_PLATFORM, and two of the device's */
#define FEATURES (OWN_FEATURES | 1ULL << VIRTIO_RING_F_INDIRECT_DESC | 1ULL << VIRTIO_RING_F_EVENT_IDX)

struct dummy {
	struct virtio v;
	struct virtq frozen[VIRTIO_QUEUES_MAX]; /* as they were at the start */
	bool started;
	uint8_t config[CONFIG_BYTES];
};

static uint64_t features(struct virtio *v)
{
	(void)v;
	return OWN_FEATURES;
}

static void start(struct virtio *v, uint64_t accepted)
{
	struct dummy *d = container_of(v, struct dummy, v);

	if (d->started || !virtio_running(v) || (accepted & ~FEATURES) || !(accepted & 1ULL << VIRTIO_F_VERSION_1))
		abort();
	d->started = true;
	memcpy(d->frozen, v->queue, sizeof(d->frozen));
}

static void kick(struct virtio *v, unsigned queue)
{
	static struct virtq_chain c;
	struct dummy *d = container_of(v, struct dummy, v);
	struct virtq *q = &v->queue[queue];
	unsigned turns = 0;
	int r;

	if (!d->started || !virtio_running(v) || queue >= v->nqueues || !q->running)
		abort();
	/* Its answers may be written over its own ring: it could go on for ever. */
	while ((r = virtq_pop(q, &c)) == 1 && turns++ < VIRTQ_SIZE_MAX) {
		uint32_t n = (uint32_t)virtq_write(&c, 0, d->config, sizeof(d->config));

		virtq_push(q, &c, n);
	}
	if (r < 0)
		virtio_broken(v, "a bad request");
	else if (r == 0)
		virtq_kicks_on(q);
	virtio_notify_queue(v, queue);
}

static void reset(struct virtio *v)
{
	unsigned i;

	container_of(v, struct dummy, v)->started = false;
	for (i = 0; i < v->nqueues; i++)
		if (v->queue[i].running || v->queue[i].broken || v->queue[i].ready)
			abort();
}

static void config_read(struct virtio *v, uint32_t offset, void *to, uint32_t n)
{
	const struct dummy *d = container_of(v, struct dummy, v);

	if (offset + n > MMIO_SIZE - VIRTIO_MMIO_CONFIG)
		abort();
	if (offset < CONFIG_BYTES)
		memcpy(to, d->config + offset, MIN(n, CONFIG_BYTES - offset));
}

static void config_write(struct virtio *v, uint32_t offset, const void *from, uint32_t n)
{
	struct dummy *d = container_of(v, struct dummy, v);

	if (offset + n > MMIO_SIZE - VIRTIO_MMIO_CONFIG)
		abort();
	if (offset < CONFIG_BYTES)
		memcpy(d->config + offset, from, MIN(n, CONFIG_BYTES - offset));
}

static const struct virtio_ops dummy_ops = {
	.id = 42, .nqueues = 3, .queue_size = 16, .features = features, .start = start, .kick = kick, .reset = reset,
	.config_read = config_read, .config_write = config_write,
};

static void interrupt(void *ud)
{
	const struct dummy *d = ud;

	if (!(d->v.status & VIRTIO_CONFIG_S_DRIVER_OK) || !d->v.isr)
		abort();
}

static void check(const struct dummy *d)
{
	unsigned i;

	if (d->v.isr > 3 || (virtio_running(&d->v) && !d->started))
		abort();
	for (i = 0; d->started && i < dummy_ops.nqueues; i++) {
		const struct virtq *q = &d->v.queue[i], *f = &d->frozen[i];

		if (q->size != f->size || q->ready != f->ready || q->desc != f->desc || q->avail != f->avail ||
		    q->used != f->used || q->running != f->running || q->ring_desc != f->ring_desc ||
		    q->ring_avail != f->ring_avail || q->ring_used != f->ring_used)
			abort();
	}
}

/* Reads and writes a guest's word of exactly n bytes: a sanitizer sees one more. */
static void access(struct dummy *d, uint8_t what, uint64_t offset, uint64_t value)
{
	uint32_t n = 1U << (what & 3);
	uint8_t *word = malloc(n);

	if (!word)
		abort();
	memcpy(word, &value, n);
	if (what & 4)
		virtio_mmio_read(&d->v, offset, word, n);
	else
		virtio_mmio_write(&d->v, offset, word, n);
	free(word);
}

static void step(struct dummy *d, struct rd *in)
{
	uint8_t what = rd_u8(in);
	uint16_t offset = rd_u16(in);
	uint64_t value = rd_u64(in);

	switch (what >> 4) {
	case 1:
		virtio_kick(&d->v, (unsigned)value);
		break;
	case 2:
		pthread_mutex_lock(&d->v.lock);
		virtio_config_changed(&d->v);
		pthread_mutex_unlock(&d->v.lock);
		break;
	case 3: /* a register's width, so that a set-up is soon found */
		access(d, (uint8_t)((what & 4) | 2), offset & 0x1fc, value);
		break;
	default:
		access(d, what, offset, value);
		break;
	}
	check(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd in = rd_over(data, size);
	struct dummy d = { .started = false };
	struct memory mem = { .n = 1 };
	uint8_t *low = calloc(1, MEMORY_BYTES);
	size_t n = rd_u16(&in);

	if (!low)
		abort();
	log_init("fuzz", LOG_ERROR);
	mem.region[0] = (struct mem_region){ .gpa = 0, .size = MEMORY_BYTES, .host = low };
	n = MIN(n, MIN(rd_left(&in), MEMORY_BYTES));
	if (n)
		memcpy(low, rd_bytes(&in, n), n);
	virtio_init(&d.v, &dummy_ops, &mem, interrupt, &d);
	while (rd_left(&in) >= ACCESS_BYTES)
		step(&d, &in);
	virtio_fini(&d.v);
	free(low);
	return 0;
}

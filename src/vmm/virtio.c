/*
 * The transport: registers of virtio-mmio version 2 (virtio 1.2, 4.2.2) and the status dance of 3.1.1.
 *
 * The driver walks ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK. Features are open until FEATURES_OK, queues
 * until DRIVER_OK; what is written to them later is ignored. At DRIVER_OK all of it is checked, once. Status bits
 * only ever get more (2.1.1), until a 0 resets the device.
 *
 * An access of another width than a register's, or to none: reads 0, writes nothing.
 */
#include "vmm/virtio.h"

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>

#include "base/log.h"
#include "vmm/layout.h"

#define MAGIC 0x74726976  /* "virt" */
#define VENDOR 0x544c5842 /* "BXLT" */
#define NO_REGION 0xffffffffu /* of shared memory: length and base of one that does not exist */

/* What a driver may set. DEVICE_NEEDS_RESET is ours. */
#define DRIVER_BITS                                                                                         \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |               \
	 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED)

#define VERSION_1 (1ULL << VIRTIO_F_VERSION_1)
#define INDIRECT_DESC (1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_IDX (1ULL << VIRTIO_RING_F_EVENT_IDX)

void virtio_init(struct virtio *v, const struct virtio_ops *ops, const struct memory *mem,
		 void (*interrupt)(void *ud), void *ud)
{
	unsigned i;

	assert(ops->nqueues <= VIRTIO_QUEUES_MAX);
	*v = (struct virtio){ .ops = ops, .nqueues = ops->nqueues, .interrupt = interrupt, .interrupt_ud = ud };
	pthread_mutex_init(&v->lock, NULL);
	for (i = 0; i < ops->nqueues; i++) {
		pthread_mutex_init(&v->queue_lock[i], NULL);
		virtq_init(&v->queue[i], mem, ops->queue_size);
	}
}

void virtio_fini(struct virtio *v)
{
	unsigned i;

	for (i = 0; i < v->ops->nqueues; i++)
		pthread_mutex_destroy(&v->queue_lock[i]);
	pthread_mutex_destroy(&v->lock);
}

/* --- interrupts and the end of a conversation -------------------------------------------------- */

/* The cause is in InterruptStatus before the line is raised: the driver reads it first thing. */
static void interrupt(struct virtio *v, unsigned cause)
{
	atomic_fetch_or(&v->isr, cause);
	v->interrupt(v->interrupt_ud);
}

bool virtio_running(const struct virtio *v)
{
	const unsigned bits = VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET;

	return (v->status & bits) == VIRTIO_CONFIG_S_DRIVER_OK;
}

void virtio_notify_queues(struct virtio *v, unsigned mask)
{
	bool wanted = false;
	unsigned i;

	for (i = 0; virtio_running(v) && i < v->nqueues; i++)
		if (mask & 1U << i)
			wanted |= virtq_wants_interrupt(&v->queue[i]);
	if (wanted)
		interrupt(v, VIRTIO_MMIO_INT_VRING);
}

void virtio_notify_queue(struct virtio *v, unsigned queue)
{
	virtio_notify_queues(v, 1U << queue);
}

void virtio_config_changed(struct virtio *v)
{
	v->config_generation++;
	/* A driver that is not ready reads the configuration anyway, and must not be interrupted (2.1.2). */
	if (v->status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt(v, VIRTIO_MMIO_INT_CONFIG);
}

/* Where queues are apart, several may find something at once: one of them says so. The next one that does comes after a
 * reset, which takes all locks, so times_broken needs none of its own. */
void virtio_broken(struct virtio *v, const char *why)
{
	const char *detail = NULL, *found;
	unsigned i;

	if (atomic_fetch_or(&v->status, VIRTIO_CONFIG_S_NEEDS_RESET) & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	for (i = 0; i < v->nqueues; i++) {
		found = virtq_why(&v->queue[i]);
		if (found)
			detail = found;
	}
	/* A guest may do it again and again: every power of two is told. */
	v->times_broken++;
	if (!(v->times_broken & (v->times_broken - 1)))
		log_warn("virtio device %u rests until its driver resets it: %s%s%s", v->ops->id, why,
			 detail ? ": " : "", detail ? detail : "");
	virtio_config_changed(v);
}

void virtio_kick(struct virtio *v, unsigned queue)
{
	pthread_mutex_t *lock;

	if (queue >= v->nqueues)
		return;
	lock = v->ops->queues_apart ? &v->queue_lock[queue] : &v->lock;
	pthread_mutex_lock(lock);
	if (virtio_running(v) && v->queue[queue].running)
		v->ops->kick(v, queue);
	pthread_mutex_unlock(lock);
}

/* --- status -------------------------------------------------------------------------------------- */

static uint64_t offered(struct virtio *v)
{
	return VERSION_1 | INDIRECT_DESC | EVENT_IDX | (v->ops->features ? v->ops->features(v) : 0);
}

/* The queues are off before the device hears of it: what it still pushes goes nowhere. */
static void reset(struct virtio *v)
{
	unsigned i;

	for (i = 0; i < v->nqueues; i++)
		virtq_reset(&v->queue[i]);
	v->status = 0;
	v->device_features_sel = v->driver_features_sel = v->queue_sel = 0;
	v->driver_features = 0;
	atomic_store(&v->isr, 0);
	if (v->ops->reset)
		v->ops->reset(v);
}

static void start(struct virtio *v)
{
	unsigned i;

	v->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	if (!virtio_running(v))
		return; /* only a reset helps */
	if (!(v->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		virtio_broken(v, "DRIVER_OK before FEATURES_OK");
		return;
	}
	for (i = 0; i < v->nqueues; i++)
		if (virtq_start(&v->queue[i], v->driver_features & EVENT_IDX,
				v->driver_features & INDIRECT_DESC) < 0) {
			virtio_broken(v, "a queue cannot be used");
			return;
		}
	if (v->ops->start)
		v->ops->start(v, v->driver_features);
}

static void set_status(struct virtio *v, uint32_t value)
{
	uint32_t added = value & DRIVER_BITS & ~v->status;

	if (!value) {
		reset(v);
		return;
	}
	/* A driver sees by reading it back that FEATURES_OK was refused (2.2.2). */
	if ((v->driver_features & ~offered(v)) || !(v->driver_features & VERSION_1))
		added &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
	v->status |= added & ~(uint32_t)VIRTIO_CONFIG_S_DRIVER_OK;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		start(v);
}

/* Waits for the requests that are being worked on, where they are not done under the lock that is held already. */
static void write_status(struct virtio *v, uint32_t value)
{
	unsigned i, n = v->ops->queues_apart ? v->nqueues : 0;

	for (i = 0; i < n; i++)
		pthread_mutex_lock(&v->queue_lock[i]);
	set_status(v, value);
	for (i = 0; i < n; i++)
		pthread_mutex_unlock(&v->queue_lock[i]);
}

/* --- registers ----------------------------------------------------------------------------------- */

static uint32_t half(uint64_t v, uint32_t sel)
{
	return sel < 2 ? (uint32_t)(v >> (32 * sel)) : 0;
}

static void set_half(uint64_t *v, uint32_t sel, uint32_t value)
{
	*v = (*v & ~(0xffffffffULL << (32 * sel))) | ((uint64_t)value << (32 * sel));
}

/* The queue that QueueSel names; NULL if there is none. */
static struct virtq *selected(struct virtio *v)
{
	return v->queue_sel < v->nqueues ? &v->queue[v->queue_sel] : NULL;
}

static uint32_t read_register(struct virtio *v, uint64_t offset)
{
	struct virtq *q = selected(v);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE: return MAGIC;
	case VIRTIO_MMIO_VERSION: return 2;
	case VIRTIO_MMIO_DEVICE_ID: return v->ops->id;
	case VIRTIO_MMIO_VENDOR_ID: return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES: return half(offered(v), v->device_features_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX: return q ? q->size_max : 0;
	case VIRTIO_MMIO_QUEUE_READY: return q ? q->ready : 0;
	case VIRTIO_MMIO_STATUS: return v->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH: return NO_REGION;
	case VIRTIO_MMIO_CONFIG_GENERATION: return v->config_generation;
	default: return 0; /* none, or one that is only written */
	}
}

static void write_driver_features(struct virtio *v, uint32_t value)
{
	if (v->driver_features_sel < 2 && !(v->status & VIRTIO_CONFIG_S_FEATURES_OK))
		set_half(&v->driver_features, v->driver_features_sel, value);
}

/* The set-up of the selected queue; what it amounts to is checked when the driver is ready. */
static void write_queue(struct virtio *v, uint64_t offset, uint32_t value)
{
	struct virtq *q = selected(v);

	if (!q || (v->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM: q->size = value <= UINT16_MAX ? (uint16_t)value : 0; break;
	case VIRTIO_MMIO_QUEUE_READY: q->ready = value & 1; break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW: set_half(&q->desc, 0, value); break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH: set_half(&q->desc, 1, value); break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW: set_half(&q->avail, 0, value); break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH: set_half(&q->avail, 1, value); break;
	case VIRTIO_MMIO_QUEUE_USED_LOW: set_half(&q->used, 0, value); break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH: set_half(&q->used, 1, value); break;
	default: break; /* none, or one that is only read */
	}
}

static void write_register(struct virtio *v, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL: v->device_features_sel = value; break;
	case VIRTIO_MMIO_DRIVER_FEATURES: write_driver_features(v, value); break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL: v->driver_features_sel = value; break;
	case VIRTIO_MMIO_QUEUE_SEL: v->queue_sel = value; break;
	case VIRTIO_MMIO_STATUS: write_status(v, value); break;
	default: write_queue(v, offset, value); break;
	}
}

static void config_read(struct virtio *v, uint64_t offset, void *to, uint32_t n)
{
	pthread_mutex_lock(&v->lock);
	if (v->ops->config_read)
		v->ops->config_read(v, (uint32_t)(offset - VIRTIO_MMIO_CONFIG), to, n);
	pthread_mutex_unlock(&v->lock);
}

static void config_write(struct virtio *v, uint64_t offset, const void *from, uint32_t n)
{
	pthread_mutex_lock(&v->lock);
	if (v->ops->config_write)
		v->ops->config_write(v, (uint32_t)(offset - VIRTIO_MMIO_CONFIG), from, n);
	pthread_mutex_unlock(&v->lock);
}

/* Whether things there have that width: 32 bits for registers (4.2.2.2), 8 to 64 for the configuration. */
static bool is_access(uint64_t offset, uint32_t n)
{
	if (offset < VIRTIO_MMIO_CONFIG)
		return n == 4;
	return (n == 1 || n == 2 || n == 4 || n == 8) && offset <= MMIO_SIZE - n;
}

void virtio_mmio_read(struct virtio *v, uint64_t offset, void *to, uint32_t n)
{
	uint32_t value;

	memset(to, 0, n);
	if (!is_access(offset, n))
		return;
	if (offset >= VIRTIO_MMIO_CONFIG) {
		config_read(v, offset, to, n);
		return;
	}
	if (offset == VIRTIO_MMIO_INTERRUPT_STATUS) {
		value = atomic_load(&v->isr);
	} else {
		pthread_mutex_lock(&v->lock);
		value = read_register(v, offset);
		pthread_mutex_unlock(&v->lock);
	}
	memcpy(to, &value, sizeof(value));
}

void virtio_mmio_write(struct virtio *v, uint64_t offset, const void *from, uint32_t n)
{
	uint32_t value;

	if (!is_access(offset, n))
		return;
	if (offset >= VIRTIO_MMIO_CONFIG) {
		config_write(v, offset, from, n);
		return;
	}
	memcpy(&value, from, sizeof(value));
	if (offset == VIRTIO_MMIO_INTERRUPT_ACK) {
		atomic_fetch_and(&v->isr, ~value);
	} else if (offset == VIRTIO_MMIO_QUEUE_NOTIFY) {
		virtio_kick(v, value);
	} else {
		pthread_mutex_lock(&v->lock);
		write_register(v, offset, value);
		pthread_mutex_unlock(&v->lock);
	}
}

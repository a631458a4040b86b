/*
 * A split virtqueue (virtio 1.2, 2.7), seen from the device. The one walker of rings: everything the guest wrote is
 * copied once, the copy is checked, and the chain is bounded. A queue of a guest that lies is broken: it gives
 * nothing any more, and the device tells the driver (needs-reset).
 *
 * Not thread-safe, unless it says so: the device's lock is held, or the queue's (vmm/virtio.h).
 */
#ifndef VMM_VIRTQ_H
#define VMM_VIRTQ_H

#include <linux/virtio_ring.h>
#include <sys/uio.h>

#include "vmm/memory.h"

#define VIRTQ_SIZE_MAX 256
#define VIRTQ_CHAIN_MAX 256 /* descriptors of a chain, indirect ones too */

struct virtq {
	const struct memory *mem; /* borrowed */
	uint16_t size_max;        /* what the device offers, a power of two <= VIRTQ_SIZE_MAX */

	/* What the driver sets before DRIVER_OK, by the transport. */
	uint16_t size;
	bool ready;
	uint64_t desc, avail, used; /* guest physical addresses */

	/* Ours. */
	bool running;    /* virtq_start() has checked the above and they do not change */
	bool broken;
	const char *why; /* broken: what was wrong, for the log. Atomic */
	bool event_idx;  /* VIRTIO_RING_F_EVENT_IDX was negotiated */
	bool indirect;   /* VIRTIO_RING_F_INDIRECT_DESC was */
	uint16_t next_avail, next_used;
	uint16_t signalled_used; /* used index when an interrupt was last decided on */
	bool signalled_valid;    /* fewer than 2^16 pushes since */

	/* running: the three rings of `size` entries, checked to be memory. */
	const struct vring_desc *ring_desc;
	struct vring_avail *ring_avail;
	struct vring_used *ring_used;
};

/* One request: what the device may read, then what it may write. Pointers into guest memory, the device's to use until
 * virtq_push(). */
struct virtq_chain {
	uint16_t head;
	unsigned nreadable, nwritable;
	struct iovec readable[VIRTQ_CHAIN_MAX], writable[VIRTQ_CHAIN_MAX];
	uint64_t readable_bytes, writable_bytes; /* sums */
};

void virtq_init(struct virtq *q, const struct memory *mem, uint16_t size_max);

/* DRIVER_OK: 0, or -EBADMSG when size or addresses make no sense. A queue that is not ready is fine and stays off. */
int virtq_start(struct virtq *q, bool event_idx, bool indirect) MUST_CHECK;
void virtq_reset(struct virtq *q); /* as after virtq_init() */

/*
 * The next request: 1, 0 when there is none, -EBADMSG when the queue is broken (from then on always). Unless 1, *ret is
 * empty. Whatever is popped is pushed some time, or unpopped: at most `size` requests are under way.
 */
int virtq_pop(struct virtq *q, struct virtq_chain *ret) MUST_CHECK;

/*
 * Gives the last popped chain back as if it had not been popped: the device has no room for it now. It comes again from
 * the guest's memory, which may say something else then; and virtq_kicks_on() says true as long as it waits. Once more,
 * and the one before it comes back, too.
 */
void virtq_unpop(struct virtq *q);

/* What was wrong with a queue that is broken, else NULL. Any thread, but not during virtq_reset(). */
const char *virtq_why(const struct virtq *q);

/* Hands a chain back with `written` bytes in its writable part. */
void virtq_push(struct virtq *q, const struct virtq_chain *c, uint32_t written);

/* A chain that is done. */
struct virtq_used {
	uint16_t head;
	uint32_t written;
};

/* Hands n chains back in this order, all at once: the driver sees none of them or all. */
void virtq_push_all(struct virtq *q, const struct virtq_used *u, unsigned n);

/* After pushes: whether the driver wants an interrupt for them. */
bool virtq_wants_interrupt(struct virtq *q);

/*
 * Asks the driver to kick when it adds requests (after pop has said 0). true: some came meanwhile, pop again.
 * Between, no kick is wanted: virtq_kicks_off() once requests are being taken.
 */
bool virtq_kicks_on(struct virtq *q);
void virtq_kicks_off(struct virtq *q);

/* Bytes between the parts of a chain and host memory, from an offset in that part: the count, short at its end. */
size_t virtq_read(const struct virtq_chain *c, uint64_t offset, void *to, size_t n);
size_t virtq_write(const struct virtq_chain *c, uint64_t offset, const void *from, size_t n);

#endif

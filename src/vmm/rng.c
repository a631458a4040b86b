/* Random bytes (virtio 1.2, 5.4), straight from getrandom(2) into the guest's buffers. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#include "vmm/devices.h"
#include "vmm/serve.h"

/* A request may be answered with less than its buffer (5.4.6.2); Linux asks for 64 bytes. */
#define REQUEST_BYTES_MAX (64 * KIB)

static uint32_t serve(struct virtio *v, const struct virtq_chain *c)
{
	struct iovec iov[VIRTQ_CHAIN_MAX];
	unsigned n = iov_part(iov, c->writable, c->nwritable, 0, REQUEST_BYTES_MAX);
	uint32_t done = 0;
	ssize_t r;

	while (n) {
		r = getrandom(iov[0].iov_base, iov[0].iov_len, 0);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		done += (uint32_t)r;
		n = iov_part(iov, iov, n, (uint64_t)r, UINT64_MAX);
	}
	/* At least one byte is due. */
	if (!done)
		virtio_broken(v, c->writable_bytes ? "no random bytes" : "a request for no random bytes");
	return done;
}

static void kick(struct virtio *v, unsigned queue)
{
	serve_queue(v, queue, serve);
}

static uint64_t features(struct virtio *v)
{
	(void)v;
	return 0;
}

static const struct virtio_ops rng_ops = {
	.id = VIRTIO_ID_RNG,
	.nqueues = 1,
	.queue_size = 16,
	.features = features,
	.kick = kick,
};

struct virtio *rng_open(const struct memory *mem, irq_fn *irq, void *ud, struct error *err)
{
	struct virtio *v = calloc(1, sizeof(*v));

	if (v)
		virtio_init(v, &rng_ops, mem, irq, ud);
	else
		error_nomem(err);
	return v;
}

void rng_close(struct virtio *v)
{
	if (!v)
		return;
	virtio_fini(v);
	free(v);
}

/* What devices have in common: serving a queue, parts of a chain, bytes of a configuration space. */
#ifndef VMM_SERVE_H
#define VMM_SERVE_H

#include "vmm/virtio.h"

/* Does one request; returns how many bytes at the beginning of the writable part it has filled. A request
 * that breaks the rules: virtio_broken(), and the value does not matter. */
typedef uint32_t serve_fn(struct virtio *v, const struct virtq_chain *c);

/*
 * A device's share of a turn. Its lock is held while it serves a queue, so that vCPUs that touch its registers wait
 * (where queues are apart, it is the queue's, and a reset waits); and the loop's thread has no time for other devices.
 * A driver that adds as fast as requests are done must not keep them for ever: after a share (SERVE_REQUESTS, SERVE_MS)
 * the rest is left to another kick, which v->kick_again asks for. What bounds the time under the lock is the share and
 * one more request, and each device bounds its requests.
 */
#define SERVE_REQUESTS VIRTQ_SIZE_MAX
#define SERVE_MS 20

struct share {
	uint64_t until_ms;
	unsigned requests;
};

struct share share_start(void);

/* After each request: whether the share is used up and this was the last one for now. The device leaves kicks off: what
 * the driver adds until then is found by the kick that was asked for. */
bool share_spent(struct share *s, struct virtio *v, unsigned queue);

/* Does the requests of a queue until there are none and the driver is asked to kick for the next, or a share of them;
 * the driver hears of each as it is done. */
void serve_queue(struct virtio *v, unsigned queue, serve_fn *fn);

/* The part [skip, skip + len) of n iovecs, without empty ones, into `to` (room for n; may be `from`): how
 * many. Short at their end. */
unsigned iov_part(struct iovec *to, const struct iovec *from, unsigned n, uint64_t skip, uint64_t len);

/* A read of n bytes at an offset of a configuration space of `size` bytes; zeros beyond. */
void config_copy(const void *config, size_t size, uint32_t offset, void *to, uint32_t n);

#endif

#include "vmm/serve.h"

#include <string.h>

#include "base/clock.h"

struct share share_start(void)
{
	return (struct share){ .until_ms = clock_ms() + SERVE_MS };
}

bool share_spent(struct share *s, struct virtio *v, unsigned queue)
{
	if (!v->kick_again || (++s->requests < SERVE_REQUESTS && clock_ms() < s->until_ms))
		return false;
	v->kick_again(v->kick_again_ud, queue);
	return true;
}

void serve_queue(struct virtio *v, unsigned queue, serve_fn *fn)
{
	struct virtq *q = &v->queue[queue];
	struct share share = share_start();
	struct virtq_chain c;
	uint32_t written;
	int r;

	do {
		virtq_kicks_off(q);
		while ((r = virtq_pop(q, &c)) == 1) {
			written = fn(v, &c);
			if (!virtio_running(v))
				return;
			virtq_push(q, &c, written);
			virtio_notify_queue(v, queue);
			if (share_spent(&share, v, queue))
				return;
		}
	} while (r == 0 && virtq_kicks_on(q));
	if (r < 0)
		virtio_broken(v, "a malformed queue");
}

unsigned iov_part(struct iovec *to, const struct iovec *from, unsigned n, uint64_t skip, uint64_t len)
{
	unsigned i, count = 0;
	uint64_t take;

	for (i = 0; i < n && len; i++) {
		if (skip >= from[i].iov_len) {
			skip -= from[i].iov_len;
			continue;
		}
		take = MIN(from[i].iov_len - skip, len);
		to[count++] = (struct iovec){ (uint8_t *)from[i].iov_base + skip, take };
		len -= take;
		skip = 0;
	}
	return count;
}

void config_copy(const void *config, size_t size, uint32_t offset, void *to, uint32_t n)
{
	memset(to, 0, n);
	if (offset < size)
		memcpy(to, (const uint8_t *)config + offset, MIN(n, size - offset));
}

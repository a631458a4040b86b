/*
 * hvc0 (virtio 1.2, 5.3): one port, what the guest writes goes to an fd. Queue 0 is for input, which there is
 * none of: its buffers stay with us.
 *
 * The guest's writer waits until its request is done, so the fd is never waited for: a request is one
 * writev(2), and what that does not take is lost. The reader of the fd is told where: a line "[N bytes lost]"
 * goes ahead of the next output that there is room for.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_console.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "vmm/devices.h"
#include "vmm/serve.h"

#define TRANSMITQ 1
#define REQUEST_BYTES_MAX (64 * KIB) /* of one request; Linux makes none above 32 KiB. The rest is lost */

struct console {
	struct virtio v;
	int fd; /* owned, does not block */
	uint64_t lost; /* bytes that the reader has not been told of */
};

static struct console *console_of(struct virtio *v)
{
	return container_of(v, struct console, v);
}

/* As much as there is room for now; an fd whose reader has left has none. */
static size_t write_some(struct console *c, const struct iovec *iov, unsigned n)
{
	ssize_t r;

	do
		r = writev(c->fd, iov, (int)n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? 0 : (size_t)r;
}

/* Says what has been lost; false while there is no room for that. So few bytes go into a pipe or a local
 * socket all together or not at all. */
static bool write_note(struct console *c)
{
	char note[48];
	int n;

	if (!c->lost)
		return true;
	/* A line of its own, wherever the output broke off. */
	n = snprintf(note, sizeof(note), "\n[%" PRIu64 " bytes lost]\n", c->lost);
	if (!write_some(c, &(struct iovec){ note, (size_t)n }, 1))
		return false;
	c->lost = 0;
	return true;
}

static uint32_t serve(struct virtio *v, const struct virtq_chain *chain)
{
	struct console *c = console_of(v);
	struct iovec iov[VIRTQ_CHAIN_MAX];
	unsigned n = iov_part(iov, chain->readable, chain->nreadable, 0, REQUEST_BYTES_MAX);
	size_t written = 0;

	if (n && write_note(c))
		written = write_some(c, iov, n);
	c->lost += chain->readable_bytes - written;
	return 0;
}

static void kick(struct virtio *v, unsigned queue)
{
	if (queue == TRANSMITQ)
		serve_queue(v, queue, serve);
}

static uint64_t features(struct virtio *v)
{
	(void)v;
	return 0;
}

static const struct virtio_ops console_ops = {
	.id = VIRTIO_ID_CONSOLE,
	.nqueues = 2,
	.queue_size = 64,
	.features = features,
	.kick = kick,
};

struct virtio *console_open(int out_fd, const struct memory *mem, irq_fn *irq, void *ud, struct error *err)
{
	auto_fd int fd = out_fd;
	struct console *c;
	int r = io_set_nonblock(fd, true);

	if (r < 0) {
		error_code(err, r, "cannot use the console's output");
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		error_nomem(err);
		return NULL;
	}
	c->fd = take_fd(&fd);
	virtio_init(&c->v, &console_ops, mem, irq, ud);
	return &c->v;
}

void console_close(struct virtio *v)
{
	if (!v)
		return;
	/* Bytes lost at the very end are told of, too, if there is room by now. */
	write_note(console_of(v));
	virtio_fini(v);
	close_fd(&console_of(v)->fd);
	free(console_of(v));
}

/*
 * Theory of operation.
 *
 * Output. Frames are appended to `out`; channel_settle() runs after each batch
 * of events and writes until the device takes no more. Above
 * CHANNEL_OUT_BUSY no process' output is read any more, so user data never
 * makes the buffer grow beyond that and one frame per stream. Control frames
 * are always appended: they are answers to frames of the host (above
 * CHANNEL_OUT_FULL none of those is read) or the end of a process, of which
 * there are PROCS_MAX. Their sum is below the buffer's ceiling.
 *
 * A frame that can wait (channel_hold()) stays in `out` until another one comes, or its time is over.
 *
 * Input. `in` holds at most one frame of the largest size plus a read's worth.
 *
 * A virtio port (drivers/char/virtio_console.c) differs from a socket in three
 * ways that matter here. Its node appears when the host's message about the
 * port has been handled, perhaps after init has started, and a moment before
 * it can be opened (see open_port()). Until the host's side
 * is known to be connected, poll says HUP and read says end of file, but a
 * blocking write waits: so the first write, HELLO, is a blocking one, and
 * after it HUP and end of file mean what they say. And one write moves at most
 * 32 KiB.
 */
#include "agent/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/proc.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/str.h"
#include "wire/metrics.h"

#define READ_MOST (64 * KIB)
#define PORT_WRITE_MOST (32 * KIB)  /* drivers/char/virtio_console.c */
#define VSOCK_WRITE_MOST (64 * KIB) /* net/vmw_vsock: one packet */
#define DELIVER_MOST_S 5 /* for a host that does not answer; a sound one takes no time */
#define PORT_YIELDS_MAX 100000 /* seconds of them: a port that stays closed (the console's) is an error */

/* Of the answers the longest is that to TOP, of which the host waits for one at a time. */
_Static_assert(CHANNEL_OUT_FULL + PROCS_MAX * 2 * KIB + TOP_MAX * KIB <= 4 * MIB, "the last frames of all processes fit");

/*
 * Opens the node of a port; waits (without polling) until the kernel has made it. The driver makes the node a moment
 * before it can be opened (add_port() lists the port last; until then ENXIO): its worker is runnable, so it is let run.
 */
static int open_port(const char *path)
{
	char event[sizeof(struct inotify_event) + NAME_MAX + 1];
	auto_fd int events = -1;
	unsigned yields = 0;

	for (;;) {
		auto_fd int fd = open(path, O_RDWR | O_CLOEXEC);

		if (fd >= 0)
			return take_fd(&fd);
		if (errno == ENXIO && yields++ < PORT_YIELDS_MAX) {
			sched_yield();
		} else if (errno != ENOENT) {
			return -errno;
		} else if (events < 0) {
			/* It may come before the watch: look again, then wait for the next node. */
			events = inotify_init1(IN_CLOEXEC);
			if (events < 0 || inotify_add_watch(events, "/dev", IN_CREATE) < 0)
				return -errno;
		} else if (read(events, event, sizeof(event)) < 0) {
			return -errno;
		}
	}
}

/* "CID:PORT" */
static int open_vsock(const char *text)
{
	struct sockaddr_vm sa = { .svm_family = AF_VSOCK };
	const char *colon = strchr(text, ':');
	auto_fd int fd = -1;
	uint64_t cid, port;
	char first[16];

	if (!colon || (size_t)(colon - text) >= sizeof(first))
		return -EINVAL;
	snprintf(first, sizeof(first), "%.*s", (int)(colon - text), text);
	if (str_parse_u64(first, UINT32_MAX, &cid) < 0 || str_parse_u64(colon + 1, UINT32_MAX, &port) < 0)
		return -EINVAL;
	sa.svm_cid = (unsigned)cid;
	sa.svm_port = (unsigned)port;
	fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return take_fd(&fd);
}

void channel_init(struct channel *c, int fd)
{
	*c = (struct channel){
		.fd = fd,
		.watch = WATCH_NONE,
		.frame_most = PORT_WRITE_MOST - FRAME_HEADER,
		.in = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX + READ_MOST),
		.out = BUF_INIT(4 * MIB),
	};
}

int channel_open(struct channel *c, const char *where, struct error *err)
{
	int fd = str_starts(where, "vsock:") ? open_vsock(where + 6) : open_port(where);

	if (fd < 0)
		return error_code(err, fd, "cannot open the channel %s", where);
	channel_init(c, fd);
	if (str_starts(where, "vsock:"))
		c->frame_most = VSOCK_WRITE_MOST - FRAME_HEADER;
	return 0;
}

void channel_close(struct channel *c)
{
	if (c->loop)
		loop_remove(c->loop, &c->watch);
	close_fd(&c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
}

int channel_write_all(struct channel *c)
{
	int r;

	if (c->lost)
		return -EPIPE;
	r = io_write_full(c->fd, buf_data(&c->out), buf_len(&c->out));
	buf_consume(&c->out, buf_len(&c->out));
	return r;
}

/*
 * A write to a port is done when the host has the bytes. A vsock takes them and leaves the sending to a worker of the
 * kernel: a machine that is turned off at once takes them along. Closed with SO_LINGER, the socket waits for the host's
 * answer to that, which comes behind all bytes.
 */
void channel_deliver(struct channel *c)
{
	struct linger linger = { .l_onoff = 1, .l_linger = DELIVER_MOST_S };

	if (c->fd >= 0 && setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0)
		channel_close(c);
}

int channel_watch(struct channel *c, struct loop *l, watch_fn *fn)
{
	int r = io_set_nonblock(c->fd, true);

	if (r == 0)
		r = loop_add(l, &c->watch, c->fd, EPOLLIN, fn);
	if (r == 0)
		c->loop = l;
	return r;
}

void channel_fill(struct channel *c)
{
	ssize_t got;

	while (!c->lost && buf_len(&c->in) < FRAME_HEADER + FRAME_PAYLOAD_MAX) {
		got = buf_read_fd(&c->in, c->fd, READ_MOST);
		if (got == -EAGAIN)
			return;
		if (got <= 0)
			c->lost = true;
		else if (got < (ssize_t)READ_MOST)
			return; /* that was all; what has come since makes an event of its own */
	}
}

void channel_hold(struct channel *c, unsigned ms)
{
	if (ms && buf_len(&c->out) == 0)
		c->hold_until_ns = clock_ns() + ms * 1000000ULL;
}

/* Whether that one frame is all that there is, and its time is not over. */
static bool holds(struct channel *c)
{
	if (!c->hold_until_ns)
		return false;
	if (!c->hold_len)
		c->hold_len = buf_len(&c->out);
	if (buf_len(&c->out) == c->hold_len && clock_ns() < c->hold_until_ns)
		return true;
	c->hold_until_ns = 0;
	c->hold_len = 0;
	return false;
}

int channel_timeout(const struct channel *c)
{
	uint64_t now = c->hold_until_ns ? clock_ns() : 0;

	if (!c->hold_until_ns)
		return -1;
	return now >= c->hold_until_ns ? 0 : (int)((c->hold_until_ns - now) / 1000000) + 1;
}

void channel_settle(struct channel *c)
{
	ssize_t put = 0;

	if (!c->lost && holds(c))
		return;
	while (!c->lost && buf_len(&c->out) && put >= 0) {
		put = buf_write_fd(&c->out, c->fd);
		if (put < 0 && put != -EAGAIN)
			c->lost = true;
	}
	if (c->lost) {
		/* HUP would be reported for ever. */
		loop_remove(c->loop, &c->watch);
		buf_consume(&c->out, buf_len(&c->out));
		return;
	}
	loop_change(c->loop, &c->watch, (buf_len(&c->out) > CHANNEL_OUT_FULL ? 0 : EPOLLIN) |
						(buf_len(&c->out) ? EPOLLOUT : 0));
}

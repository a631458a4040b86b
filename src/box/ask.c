#include "box/ask.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "box/box.h"

int ask_start(struct home *h, const char *id, const struct buf *message, struct conn *ret, struct error *err)
{
	struct conn c;
	int fd = box_connect(h, id, err), r;

	if (fd < 0)
		return fd;
	r = conn_init(&c, fd, 64 * KIB + buf_len(message));
	if (r == 0)
		r = wire_put_hello(&c.out, "client");
	if (r == 0)
		r = buf_append(&c.out, buf_data(message), buf_len(message));
	if (r == 0)
		r = conn_write(&c);
	/* A shim that is just closing is seen by the read. */
	if (r == -EPIPE || r == -ECONNRESET) {
		buf_consume(&c.out, buf_len(&c.out));
		r = 0;
	}
	if (r < 0) {
		conn_fini(&c);
		return error_code(err, r, "cannot ask box %s", id);
	}
	*ret = c;
	return 0;
}

/* 1: it is there, 0: not yet, -errno. Frames before it (HELLO, READY) are passed over. */
static int take(struct conn *c, uint8_t type, struct frame *ret, struct error *err)
{
	struct frame f;
	int r;

	while ((r = conn_peek(c, &f)) == 1) {
		if (f.type == type) {
			*ret = f;
			return 1;
		}
		if (f.type == FRAME_HELLO && (r = wire_get_hello(&f, err)) < 0)
			return r;
		conn_next(c, &f);
	}
	return r < 0 ? error_code(err, r, "the shim broke the protocol") : 0;
}

int ask_await(struct conn *c, const char *id, uint8_t type, struct frame *ret, struct error *err)
{
	uint64_t end = clock_ms() + ASK_WAIT_MS, now;
	int r = take(c, type, ret, err);
	ssize_t got;

	while (r == 0) {
		struct pollfd p = { .fd = c->fd, .events = (short)(POLLIN | (conn_wants_write(c) ? POLLOUT : 0)) };

		now = clock_ms();
		if (now >= end)
			return error_set(err, -ETIMEDOUT, "the shim of box %s does not answer", id);
		if (poll(&p, 1, (int)(end - now)) < 0 && errno != EINTR)
			return error_sys(err, "cannot wait for box %s", id);
		(void)conn_write(c);
		got = conn_read(c);
		if (got < 0 && (r = take(c, type, ret, err)) == 0)
			return got == -EPIPE || got == -ECONNRESET
				       ? error_set(err, -ENOTCONN, "box %s does not run", id)
				       : error_code(err, (int)got, "cannot hear box %s", id);
		if (r == 0)
			r = take(c, type, ret, err);
	}
	return r < 0 ? r : 0;
}

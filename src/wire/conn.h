/*
 * One connection that speaks frames: a stream socket and a bounded buffer each way. It
 * moves bytes when it is told to; the caller owns the loop and the meaning.
 */
#ifndef WIRE_CONN_H
#define WIRE_CONN_H

#include "wire/frame.h"

struct conn {
	int fd; /* owned, non-blocking; -1 once closed */
	struct buf in, out;
	size_t chunk; /* bytes that one read may take */
};

/* Takes the fd. `out_max` bounds what may wait to be sent. 0 or -errno (the fd is then closed). */
int conn_init(struct conn *c, int fd, size_t out_max) MUST_CHECK;
void conn_fini(struct conn *c);

static inline bool conn_wants_write(const struct conn *c)
{
	return buf_len(&c->out) > 0;
}

/* Reads once what is there: > 0 bytes, 0 nothing now, -EPIPE at the end, -errno. */
ssize_t conn_read(struct conn *c);

/* The same; an fd that came with these bytes is the caller's in *ret_fd, else that is -1. At most one comes with a
 * read, and it belongs to the first frame that ends in them or after them. */
ssize_t conn_read_fd(struct conn *c, int *ret_fd);

/* Sends what `message` holds, with an fd, which stays the caller's. 0, or -EAGAIN: not now, something waits before it;
 * -errno. What of the bytes does not go at once waits. */
int conn_put_fd(struct conn *c, const struct buf *message, int fd) MUST_CHECK;

/* Writes as much as goes without waiting: 0 (some may remain), or -errno. */
int conn_write(struct conn *c);

/*
 * A frame of data: sent at once, from where it is, if nothing waits before it; what does not go waits in `out`.
 * 0, -ENOBUFS, -ENOMEM; that the connection has broken is seen by the next read or write.
 */
int conn_put_data(struct conn *c, uint8_t flags, uint32_t stream, const void *payload, size_t len) MUST_CHECK;

/* The next complete frame, as frame_peek(); drop it with conn_next(). */
static inline int conn_peek(struct conn *c, struct frame *f)
{
	return frame_peek(&c->in, f);
}

static inline void conn_next(struct conn *c, const struct frame *f)
{
	buf_consume(&c->in, frame_size(f));
}

#endif

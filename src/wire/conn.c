#include "wire/conn.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/sock.h"

/* One read takes a few DATA frames; larger ones gain nothing and cost memory per connection. Most connections only ever
 * have some messages to read: a chunk grows when a read has filled it. */
#define READ_FIRST (2 * KIB)
#define READ_MOST (128 * KIB)

/* Less than that is cheaper to copy than to wake the peer for. */
#define AT_ONCE_LEAST (8 * KIB)

int conn_init(struct conn *c, int fd, size_t out_max)
{
	int r = io_set_nonblock(fd, true);

	*c = (struct conn){ .fd = fd, .chunk = READ_FIRST };
	buf_init(&c->in, FRAME_HEADER + FRAME_PAYLOAD_MAX + READ_MOST);
	buf_init(&c->out, out_max);
	if (r < 0)
		close_fd(&c->fd);
	return r;
}

void conn_fini(struct conn *c)
{
	close_fd(&c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
}

ssize_t conn_read(struct conn *c)
{
	ssize_t got = buf_read_fd(&c->in, c->fd, c->chunk);

	if (got == (ssize_t)c->chunk)
		c->chunk = MIN(c->chunk * 8, READ_MOST);
	if (got == -EAGAIN)
		return 0;
	return got == 0 ? -EPIPE : got;
}

ssize_t conn_read_fd(struct conn *c, int *ret_fd)
{
	uint8_t *to = buf_reserve(&c->in, READ_FIRST);
	ssize_t got;

	*ret_fd = -1;
	got = to ? sock_recv_fd(c->fd, to, READ_FIRST, ret_fd) : -ENOBUFS;
	if (got > 0)
		buf_commit(&c->in, (size_t)got);
	if (got == -EAGAIN)
		return 0;
	return got == 0 ? -EPIPE : got;
}

int conn_put_fd(struct conn *c, const struct buf *message, int fd)
{
	ssize_t put;

	if (conn_wants_write(c) || c->fd < 0)
		return -EAGAIN;
	put = sock_send_fd(c->fd, buf_data(message), buf_len(message), fd);
	return put < 0 ? (int)put : buf_append(&c->out, buf_data(message) + put, buf_len(message) - (size_t)put);
}

int conn_write(struct conn *c)
{
	while (conn_wants_write(c)) {
		/* send(), not write(): no SIGPIPE in the embedding process. */
		ssize_t put = send(c->fd, buf_data(&c->out), buf_len(&c->out), MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno == EAGAIN ? 0 : -errno;
		buf_consume(&c->out, (size_t)put);
	}
	return 0;
}

int conn_put_data(struct conn *c, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
	uint8_t head[FRAME_HEADER];
	struct iovec part[] = { { head, sizeof(head) }, { (void *)(uintptr_t)payload, len } };
	struct msghdr m = { .msg_iov = part, .msg_iovlen = len ? 2 : 1 };
	size_t sent;
	ssize_t put;
	int r;

	if (conn_wants_write(c) || c->fd < 0 || len < AT_ONCE_LEAST)
		return frame_put(&c->out, FRAME_DATA, flags, stream, payload, len);
	frame_head(head, FRAME_DATA, flags, stream, len);
	do
		put = sendmsg(c->fd, &m, MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	sent = put < 0 ? 0 : (size_t)put;
	if (sent < sizeof(head)) {
		r = buf_append(&c->out, head + sent, sizeof(head) - sent);
		return r < 0 ? r : buf_append(&c->out, payload, len);
	}
	sent -= sizeof(head);
	return buf_append(&c->out, (const uint8_t *)payload + sent, len - sent);
}

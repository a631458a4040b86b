#include "wire/conn.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "base/io.h"

/* One read takes a few DATA frames; larger ones gain nothing and cost memory per connection. Most connections only ever
 * have some messages to read: a chunk grows when a read has filled it. */
#define READ_FIRST (2 * KIB)
#define READ_MOST (128 * KIB)

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

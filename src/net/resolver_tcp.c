/*
 * The guest's connections (RFC 7766): questions behind one another, each with its length before it; answers as they
 * come. A guest that does not read its answers is not read from either: what waits for it is bounded by PENDING_MAX
 * answers.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/io.h"
#include "net/resolver_impl.h"

#define IDLE_MS 10000
#define PENDING_MAX 4
#define WAITING_MAX (2 + MESSAGE_MAX) /* bytes to be read by the guest, beyond which none of its questions is read */

static void on_conn(struct watch *w, uint32_t events);

void conn_free(struct conn *c)
{
	size_t i;
	int fd;

	if (!c)
		return;
	for (i = 0; i < ASKS_MAX; i++)
		if (c->r->asks[i] && c->r->asks[i]->conn == c)
			ask_free(c->r->asks[i]);
	for (i = 0; i < CONNS_MAX; i++)
		if (c->r->conns[i] == c)
			c->r->conns[i] = NULL;
	fd = c->watch.fd;
	loop_remove(c->r->loop, &c->watch);
	close_fd(&fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c);
}

static void alive(struct conn *c)
{
	c->until_ms = clock_ms() + IDLE_MS;
	resolver_until(c->r, c->until_ms);
}

void conn_late(struct conn *c)
{
	if (c->pending)
		alive(c); /* its questions have times of their own */
	else
		conn_free(c);
}

void resolver_serve(struct resolver *r, int fd)
{
	auto_fd int own = fd;
	struct conn *c;
	size_t i;

	for (i = 0; i < CONNS_MAX && r->conns[i]; i++)
		;
	c = i < CONNS_MAX && io_set_nonblock(own, true) == 0 ? calloc(1, sizeof(*c)) : NULL;
	if (!c)
		return;
	*c = (struct conn){ .r = r, .watch = WATCH_NONE };
	buf_init(&c->in, 2 + DNS_UDP_MAX);
	buf_init(&c->out, WAITING_MAX + (PENDING_MAX + 1) * (2 + MESSAGE_MAX));
	if (loop_add(r->loop, &c->watch, own, EPOLLIN, on_conn) < 0) {
		free(c);
		return;
	}
	(void)take_fd(&own);
	r->conns[i] = c;
	alive(c);
}

void conn_put(struct conn *c, const void *msg, size_t n)
{
	uint8_t *to = buf_reserve(&c->out, 2 + n);

	if (!to)
		return; /* no memory: to the guest it looks like a slow server */
	to[0] = (uint8_t)(n >> 8);
	to[1] = (uint8_t)n;
	memcpy(to + 2, msg, n);
	buf_commit(&c->out, 2 + n);
}

ssize_t conn_send(struct buf *out, int fd)
{
	ssize_t n = send(fd, buf_data(out), buf_len(out), MSG_NOSIGNAL);

	if (n < 0)
		return -errno;
	buf_consume(out, (size_t)n);
	return n;
}

static bool may_ask(const struct conn *c)
{
	return c->pending < PENDING_MAX && buf_len(&c->out) < WAITING_MAX;
}

static bool may_read(const struct conn *c)
{
	return !c->over && may_ask(c);
}

/* The questions that are there whole; false: what comes is none. */
static bool take_questions(struct conn *c)
{
	while (may_ask(c)) {
		struct rd r = rd_over(buf_data(&c->in), buf_len(&c->in));
		size_t len = rd_be16(&r);
		const uint8_t *msg;

		if (r.bad)
			break;
		if (len < DNS_HEADER || len > DNS_UDP_MAX)
			return false;
		msg = rd_bytes(&r, len);
		if (!msg)
			break;
		resolver_question(c->r, NULL, c, msg, len);
		buf_consume(&c->in, 2 + len);
	}
	return true;
}

void conn_settle(struct conn *c)
{
	uint32_t events;

	if (!take_questions(c)) {
		conn_free(c);
		return;
	}
	if (buf_len(&c->out) && conn_send(&c->out, c->watch.fd) > 0)
		alive(c);
	if (c->over && !c->pending && !buf_len(&c->out)) {
		conn_free(c);
		return;
	}
	events = (may_read(c) ? EPOLLIN : 0) | (buf_len(&c->out) ? EPOLLOUT : 0);
	if (events != c->watch.events)
		loop_change(c->r->loop, &c->watch, events);
}

static void on_conn(struct watch *w, uint32_t events)
{
	struct conn *c = container_of(w, struct conn, watch);
	ssize_t n = -EAGAIN;

	if (may_read(c) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		n = buf_read_fd(&c->in, w->fd, 2 + DNS_UDP_MAX);
	if ((n < 0 && n != -EAGAIN && n != -EINTR) || (events & EPOLLERR) || (n == -EAGAIN && (events & EPOLLHUP))) {
		conn_free(c);
		return;
	}
	if (n > 0)
		alive(c);
	else if (n == 0)
		c->over = true; /* what it has asked is still answered */
	conn_settle(c);
}

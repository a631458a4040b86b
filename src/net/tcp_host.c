/*
 * The host's end of a connection: a socket, or a duct to the proxy. What the guest has not acknowledged stays in it, is
 * looked at to be sent, and to be sent again.
 */
#include <errno.h>
#include <sys/socket.h>

#include "net/tcp.h"

#define BIN_PIECES 128

static uint8_t outbox[TCP_LOOK_MAX]; /* bytes on their way from a socket into the link */
static uint8_t bin[64 * KIB];        /* those that were seen before */

void tcp_host_abort(struct tcp *t)
{
	const struct linger at_once = { .l_onoff = 1 };

	if (t->proxy)
		duct_abort(&t->duct);
	else if (t->f.fd >= 0)
		setsockopt(t->f.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void tcp_host_shut(struct tcp *t)
{
	if (t->proxy)
		duct_shut(&t->duct);
	else
		shutdown(t->f.fd, SHUT_WR);
}

ssize_t tcp_host_put(struct tcp *t, const void *p, size_t n)
{
	ssize_t r;

	if (t->proxy)
		return duct_send(&t->duct, p, n);
	do
		r = send(t->f.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EAGAIN ? 0 : -errno;
	return r;
}

static ssize_t look_into_duct(const struct duct *d, uint32_t seen, size_t n, struct tcp_look *ret)
{
	size_t there = MIN(n, d->in.len - seen);

	ring_look(&d->in, seen, there, ret->v);
	return there ? (ssize_t)there : d->eof ? 0 : -EAGAIN;
}

ssize_t tcp_host_look(struct tcp *t, uint32_t seen, size_t most, struct tcp_look *ret)
{
	struct iovec v[BIN_PIECES + 1];
	struct msghdr m = { .msg_iov = v };
	uint32_t skip = t->peeks_on ? 0 : seen, left = skip;
	ssize_t r;

	if (t->proxy)
		return look_into_duct(&t->duct, seen, most, ret);
	while (left && m.msg_iovlen < BIN_PIECES) {
		uint32_t piece = MIN(left, (uint32_t)sizeof(bin));

		v[m.msg_iovlen++] = (struct iovec){ bin, piece };
		left -= piece;
	}
	if (left)
		return -EBUSY; /* so much under way */
	v[m.msg_iovlen++] = (struct iovec){ outbox, most };
	do
		r = recvmsg(t->f.fd, &m, MSG_PEEK | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	*ret = (struct tcp_look){ { { outbox, (size_t)MAX(r - skip, 0) } } };
	if (r > skip)
		return r - skip;
	if (skip && t->urgent)
		return -EBUSY; /* no look goes over an urgent byte */
	if (r < skip)
		return -EPROTO;
	return t->hup || !skip ? 0 : -EAGAIN;
}

unsigned tcp_look_at(const struct tcp_look *l, size_t at, size_t n, struct iovec v[2])
{
	size_t first = l->v[0].iov_len;

	if (at >= first) {
		v[0] = (struct iovec){ (uint8_t *)l->v[1].iov_base + (at - first), n };
		return 1;
	}
	v[0] = (struct iovec){ (uint8_t *)l->v[0].iov_base + at, MIN(n, first - at) };
	v[1] = (struct iovec){ l->v[1].iov_base, n - v[0].iov_len };
	return v[1].iov_len ? 2 : 1;
}

void tcp_host_look_from(struct tcp *t, uint32_t behind)
{
	int at = (int)behind;

	if (t->peeks_on)
		setsockopt(t->f.fd, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof(at));
}

static bool drop_of_duct(struct duct *d, uint32_t n)
{
	if (n > d->in.len)
		return false;
	duct_drop(d, n);
	return true;
}

bool tcp_host_drop(struct tcp *t, uint32_t n)
{
	if (t->proxy)
		return drop_of_duct(&t->duct, n);
	while (n) {
		/* TCP can throw bytes away without copying them (tcp(7)); the sockets of a pair cannot. */
		ssize_t r = t->internal ? recv(t->f.fd, bin, MIN(n, sizeof(bin)), MSG_DONTWAIT) :
					  recv(t->f.fd, NULL, n, MSG_DONTWAIT | MSG_TRUNC);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		n -= (uint32_t)r;
	}
	return true;
}

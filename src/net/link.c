/*
 * Theory of operation. Receiving takes a batch of messages with one system call into buffers that are always there;
 * nothing of them is kept, who needs bytes for longer copies them. Sending keeps nothing either: a frame goes or it
 * does not, and who sends is told when there is room again. So whatever the guest does, this holds no memory for it.
 *
 * A limit of the rate is one more reason for there being no room, or for not receiving: the frames stay where they are,
 * in the guest's own queue or in the sockets of the host, and the senders slow down by what their own protocols do.
 */
#include "net/link.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "base/clock.h"
#include "net/checksum.h"

#define FRAME_MAX 65550 /* virtio 1.2, 5.1.6.3 */
#define HEADER_BYTES sizeof(struct virtio_net_hdr_v1)
#define BATCH 8
#define SUM_HERE_MAX 512 /* of shorter frames it is made here in any case: it costs less than what it might confuse */

static uint8_t inbox[BATCH][HEADER_BYTES + FRAME_MAX];

/* --- rates ----------------------------------------------------------------------------------------- */

#define MOMENT_MS 20 /* a rate's worth of this may go at once */
#define MOMENT_MIN (128 * KIB)

static int64_t moment(const struct meter *m)
{
	return (int64_t)MAX(m->rate * MOMENT_MS / 1000, MOMENT_MIN);
}

/* 0: go on; else the ms until then. */
static uint64_t meter_wait(struct meter *m)
{
	uint64_t now = clock_ns(), ns = now - m->at_ns, earned;

	if (!m->rate)
		return 0;
	earned = (uint64_t)((double)ns * (double)m->rate / 1e9);
	if (earned) {
		m->tokens = MIN(m->tokens + (int64_t)MIN(earned, (uint64_t)INT64_MAX / 2), moment(m));
		m->at_ns = now;
	}
	return m->tokens > 0 ? 0 : (uint64_t)(-m->tokens) * 1000 / m->rate + 1;
}

static void meter_take(struct meter *m, size_t bytes)
{
	if (m->rate)
		m->tokens -= (int64_t)bytes;
}

/* For whichever may go on first. */
static void arm(struct link *l)
{
	uint64_t in = l->slow_in ? meter_wait(&l->in) : UINT64_MAX;
	uint64_t out = l->slow_out ? meter_wait(&l->out) : UINT64_MAX;

	if (l->slow_in || l->slow_out)
		loop_timer_set(l->timer.fd, MAX(MIN(in, out), 1));
}

static void watch_what_matters(struct link *l)
{
	loop_change(l->loop, &l->watch, (l->slow_in ? 0U : (uint32_t)EPOLLIN) | (l->full ? (uint32_t)EPOLLOUT : 0U));
}

static void unblock(struct link *l)
{
	l->blocked = l->full || l->slow_out;
	watch_what_matters(l);
	if (!l->blocked)
		l->ops->room(l->ud);
}

static void on_timer(struct watch *w, uint32_t events)
{
	struct link *l = container_of(w, struct link, timer);
	bool was_slow = l->slow_out;
	uint64_t expired;

	(void)events;
	if (read(w->fd, &expired, sizeof(expired)) != sizeof(expired))
		return;
	l->slow_in = l->slow_in && meter_wait(&l->in);
	l->slow_out = l->slow_out && meter_wait(&l->out);
	arm(l);
	if (was_slow && !l->slow_out)
		unblock(l);
	else
		watch_what_matters(l);
}

int link_limit(struct link *l, uint64_t rate, struct error *err)
{
	int fd, r;

	l->in = l->out = (struct meter){ .rate = rate, .at_ns = clock_ns() };
	l->in.tokens = l->out.tokens = moment(&l->in);
	if (!rate || l->timer.fd >= 0)
		return 0;
	fd = loop_timer_fd();
	r = fd < 0 ? fd : loop_add(l->loop, &l->timer, fd, EPOLLIN, on_timer);
	if (r < 0)
		close_fd(&fd);
	return r < 0 ? error_code(err, r, "cannot make a timer") : 0;
}

/* --- receiving ------------------------------------------------------------------------------------- */

/* One batch: how many messages; 0 none now; negative: it is over. */
static int receive(struct link *l, struct mmsghdr *m)
{
	struct iovec v[BATCH];
	int i, n;

	for (i = 0; i < BATCH; i++) {
		v[i] = (struct iovec){ inbox[i], sizeof(inbox[i]) };
		m[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &v[i], .msg_iovlen = 1 } };
	}
	do
		n = recvmmsg(l->fd, m, BATCH, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	/* The end of a seqpacket socket is an empty message; no frame is. */
	return n == 0 || m[0].msg_len == 0 ? -EPIPE : n;
}

static void on_link(struct watch *w, uint32_t events)
{
	struct link *l = container_of(w, struct link, watch);
	size_t skip = l->headers ? HEADER_BYTES : 0;
	struct mmsghdr m[BATCH];
	int i, n;

	if (events & EPOLLOUT) {
		l->full = false;
		unblock(l);
	}
	/* Of an end epoll tells without being asked, again and again. */
	if (!(events & (EPOLLHUP | EPOLLERR)) && meter_wait(&l->in)) {
		l->slow_in = true;
		watch_what_matters(l);
		arm(l);
		return;
	}
	n = receive(l, m);
	for (i = 0; i < n; i++)
		meter_take(&l->in, m[i].msg_len);
	for (i = 0; i < n; i++)
		if (m[i].msg_len > skip && !(m[i].msg_hdr.msg_flags & MSG_TRUNC))
			l->ops->frame(l->ud, inbox[i] + skip, m[i].msg_len - skip);
	if (n > 0)
		l->ops->batch(l->ud);
	else if (n < 0)
		l->ops->gone(l->ud);
}

int link_open(struct link *l, struct loop *loop, int link_fd, bool headers, const struct link_ops *ops, void *ud,
	      struct error *err)
{
	auto_fd int fd = link_fd;
	int r;

	*l = (struct link){ .loop = loop, .watch = WATCH_NONE, .timer = WATCH_NONE, .fd = -1, .headers = headers,
			    .ops = ops, .ud = ud };
	r = loop_add(loop, &l->watch, fd, EPOLLIN, on_link);
	if (r < 0)
		return error_code(err, r, "cannot watch the link to the guest");
	l->fd = take_fd(&fd);
	return 0;
}

void link_close(struct link *l)
{
	int timer = l->timer.fd;

	loop_remove(l->loop, &l->timer);
	close_fd(&timer);
	loop_remove(l->loop, &l->watch);
	close_fd(&l->fd);
}

/* Finishes the checksum over all pieces, from its start on. */
static void finish_sum(const struct iovec *v, unsigned n, const struct link_sum *sum)
{
	uint8_t *field = (uint8_t *)v[0].iov_base + sum->start + sum->offset;
	size_t at = v[0].iov_len - sum->start;
	uint16_t folded;
	uint32_t s;
	unsigned i;

	s = checksum_add(0, (uint8_t *)v[0].iov_base + sum->start, at);
	for (i = 1; i < n; at += v[i++].iov_len) {
		uint32_t more = checksum_add(0, v[i].iov_base, v[i].iov_len);

		/* Where a ring ends nobody has asked for an even length: behind that, bytes change places in their
		 * words, and so do those of the sum (RFC 1071, 2 (B)). */
		s += at % 2 ? __builtin_bswap16((uint16_t)more) : more;
	}
	folded = checksum_fold(s);
	/* 0 would say "none" in UDP; it and 0xffff are the same number here (RFC 768). */
	folded = folded ? folded : 0xffff;
	memcpy(field, &folded, sizeof(folded));
}

static size_t pieces_bytes(const struct iovec *v, unsigned n)
{
	size_t bytes = 0;

	while (n--)
		bytes += v[n].iov_len;
	return bytes;
}

bool link_send(struct link *l, const struct iovec *v, unsigned n, const struct link_sum *sum)
{
	struct virtio_net_hdr_v1 h = { .gso_type = VIRTIO_NET_HDR_GSO_NONE };
	struct iovec piece[LINK_PIECES_MAX + 1] = { { &h, HEADER_BYTES } };
	struct msghdr m = { .msg_iov = piece + !l->headers, .msg_iovlen = n + l->headers };
	ssize_t r;

	if (l->blocked || l->fd < 0)
		return false;
	if (meter_wait(&l->out)) {
		l->blocked = l->slow_out = true;
		arm(l);
		return false;
	}
	memcpy(piece + 1, v, n * sizeof(*v));
	if (sum && l->headers && pieces_bytes(v, n) > SUM_HERE_MAX) {
		h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h.csum_start = htole16(sum->start);
		h.csum_offset = htole16(sum->offset);
	} else if (sum) {
		finish_sum(v, n, sum);
	}
	do
		r = sendmsg(l->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r > 0)
		meter_take(&l->out, (size_t)r);
	if (r >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM))
		return true; /* a link that is gone is seen by receiving; its frames are lost as in a cable */
	l->blocked = l->full = true;
	watch_what_matters(l);
	return false;
}

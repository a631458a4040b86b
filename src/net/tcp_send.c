/* TCP towards the guest: segments, acknowledgements, and bytes of the host's socket. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "net/bytes.h"
#include "net/tcp.h"

#define SUM_OFFSET 16

/* What the guest may still send: as far as its edge, or further. */
static uint32_t our_window(struct tcp *t)
{
	uint32_t all = tcp_held > TCP_HELD_ALL_MAX / 2 ? TCP_WINDOW_POOR : TCP_WINDOW;
	uint32_t most = t->scales ? all : MIN(all, UINT16_MAX);
	uint32_t held = (uint32_t)MIN(buf_len(&t->held), most), window;

	window = most - held;
	/* Not by drops (RFC 9293, 3.8.6.2.2); and whole units of the scale. */
	if (window < most / 4)
		window = 0;
	if (seq_before(t->rcv_nxt + window, t->edge))
		window = t->edge - t->rcv_nxt;
	return window;
}

/* Fills in all but the checksum. */
static size_t put_header(struct tcp *t, uint8_t *at, uint8_t flags, uint32_t seq)
{
	uint32_t window = our_window(t), unit = t->scales && !(flags & SEG_SYN) ? TCP_SCALE : 0, shown;
	size_t len = TCP_HEADER;

	memset(at, 0, TCP_HEADER);
	put16(at, t->f.key.remote_port);
	put16(at + 2, t->f.key.guest_port);
	put32(at + 4, seq);
	if (flags & SEG_ACK)
		put32(at + 8, t->rcv_nxt);
	if (flags & SEG_SYN) {
		at[len] = TCPOPT_MAXSEG;
		at[len + 1] = TCPOLEN_MAXSEG;
		put16(at + len + 2, (uint16_t)(stack_room(&t->f.key.remote) - TCP_HEADER));
		len += TCPOLEN_MAXSEG;
		if (t->scales) {
			at[len] = TCPOPT_NOP;
			at[len + 1] = TCPOPT_WINDOW;
			at[len + 2] = TCPOLEN_WINDOW;
			at[len + 3] = TCP_SCALE;
			len += 4;
		}
	}
	at[12] = (uint8_t)(len / 4 << 4);
	at[13] = flags;
	shown = MIN((window + (1U << unit) - 1) >> unit, UINT16_MAX);
	put16(at + 14, (uint16_t)shown);
	if (flags & SEG_ACK && seq_before(t->edge, t->rcv_nxt + (shown << unit)))
		t->edge = t->rcv_nxt + (shown << unit);
	return len;
}

/* Bytes of `look` from `at` on; of none, look is NULL. */
static bool send_segment(struct tcp *t, uint8_t flags, uint32_t seq, const struct tcp_look *look, size_t at, size_t len)
{
	struct net *n = t->f.net;
	uint8_t frame[HEADERS_MAX], tcp[TCP_HEADER + 8];
	size_t head = put_header(t, tcp, flags, seq);
	struct link_sum sum = { .offset = SUM_OFFSET };
	struct iovec v[3] = { { frame, 0 } };
	unsigned pieces = look ? tcp_look_at(look, at, len, v + 1) : 0;
	uint16_t pseudo;

	sum.start = (uint16_t)stack_headers(frame, &t->f.key.remote, IPPROTO_TCP, head + len, &pseudo);
	memcpy(tcp + SUM_OFFSET, &pseudo, sizeof(pseudo));
	memcpy(frame + sum.start, tcp, head);
	v[0].iov_len = sum.start + head;
	if (!link_send(&n->link, v, 1 + pieces, &sum))
		return false;
	n->stats.received_packets++;
	n->stats.received_bytes += v[0].iov_len + len - 14;
	if (flags & SEG_ACK) {
		t->acked = t->rcv_nxt;
		tcp_forget_ack(t);
	}
	return true;
}

bool tcp_send(struct tcp *t, uint8_t flags, uint32_t seq)
{
	return send_segment(t, flags, seq, NULL, 0, 0);
}

/* RFC 9293, 3.5.2: it must look like the answer to what came. */
void tcp_send_rst(struct net *n, const struct packet *p)
{
	uint8_t h[TCP_HEADER] = { 0 };
	size_t header = (size_t)(p->data[12] >> 4) * 4;
	uint8_t flags = p->data[13];
	uint32_t len = (uint32_t)(p->len - header) + !!(flags & SEG_SYN) + !!(flags & SEG_FIN);

	put16(h, get16(p->data + 2));
	put16(h + 2, get16(p->data));
	if (flags & SEG_ACK) {
		put32(h + 4, get32(p->data + 8));
		h[13] = SEG_RST;
	} else {
		put32(h + 8, get32(p->data + 4) + len);
		h[13] = SEG_RST | SEG_ACK;
	}
	h[12] = TCP_HEADER / 4 << 4;
	stack_send(n, &p->dst, IPPROTO_TCP, h, sizeof(h), SUM_OFFSET, NULL, 0);
}

/* --- bytes of the host --- */

void tcp_expect_ack(struct tcp *t)
{
	if (!t->f.is_timed)
		t->resend_ms = t->f.net->now_ms + TCP_RESEND_MS;
	flow_time(&t->f, true);
}

static void advance(struct tcp *t, uint32_t n)
{
	t->snd_nxt += n;
	tcp_expect_ack(t);
}

static void send_fin(struct tcp *t)
{
	if (!tcp_send(t, SEG_FIN | SEG_ACK, t->snd_nxt)) {
		flow_stick(&t->f);
		return;
	}
	t->fin_sent = true;
	advance(t, 1);
}

/* False: no room in the link. */
static bool send_seen(struct tcp *t, const struct tcp_look *look, uint32_t n)
{
	uint32_t at = 0;

	while (at < n) {
		uint32_t len = MIN(n - at, (uint32_t)t->mss);

		if (!send_segment(t, SEG_ACK | (at + len == n ? SEG_PSH : 0), t->snd_nxt, look, at, len)) {
			flow_stick(&t->f);
			tcp_host_look_from(t, t->snd_nxt - t->snd_una);
			return false;
		}
		advance(t, len);
		at += len;
	}
	return true;
}

/* What the guest's window has room for. */
static uint32_t guest_room(const struct tcp *t)
{
	uint32_t flying = t->snd_nxt - t->snd_una;

	return t->window > flying ? t->window - flying : 0;
}

bool tcp_pull(struct tcp *t)
{
	while (t->state == TCP_OPEN && !t->fin_sent && !t->drained) {
		uint32_t flying = t->snd_nxt - t->snd_una, room = guest_room(t), most;
		struct tcp_look look;
		ssize_t n;

		t->starved = room == 0;
		if (!room) {
			tcp_expect_ack(t);
			return true;
		}
		most = MIN(room, TCP_LOOK_MAX);
		n = tcp_host_look(t, flying, most, &look);
		if (n == -EAGAIN) {
			t->drained = true;
		} else if (n == -EBUSY) {
			return true;
		} else if (n < 0 || (n == 0 && t->is_cut)) {
			tcp_reset(t);
			return false;
		} else if (n == 0) {
			send_fin(t);
			return true;
		} else if (!send_seen(t, &look, (uint32_t)n)) {
			return true;
		} else if ((uint32_t)n < most && !t->hup && !t->urgent) {
			t->drained = true; /* what comes from now on, epoll tells */
		}
	}
	return true;
}

/* One segment: the guest keeps what came behind it, and says what is missing next. */
bool tcp_resend(struct tcp *t)
{
	uint32_t flying = t->snd_nxt - t->snd_una - t->fin_sent;
	struct tcp_look look;
	ssize_t n;

	if (!t->recovering)
		t->recover = t->snd_nxt;
	t->recovering = true;
	t->dupacks = 0;
	if (!flying)
		return tcp_send(t, SEG_FIN | SEG_ACK, t->snd_una), true;
	tcp_host_look_from(t, 0);
	n = tcp_host_look(t, 0, MIN(flying, (uint32_t)t->mss), &look);
	tcp_host_look_from(t, flying);
	if (n <= 0) {
		tcp_reset(t);
		return false;
	}
	send_segment(t, SEG_ACK | SEG_PSH, t->snd_una, &look, 0, (size_t)n);
	return true;
}

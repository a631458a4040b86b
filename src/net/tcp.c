/*
 * TCP between guest and host: each connection of the guest is one socket of the host, and this file keeps the two in
 * step. It is RFC 9293 for a link that loses nothing, keeps the order and has a peer beside it: no congestion control,
 * no reordering, no SACK, no time stamps. What a guest loses all the same (under memory pressure) is sent again.
 *
 *	guest --segment--> held? --send(2)--> host           tcp_packet()
 *	guest <--segments-- recv(2) with MSG_PEEK <-- host   tcp_pull()
 *
 * Or a duct to the proxy in place of the host's socket (tcp_host.c).
 *
 * To the guest. Nothing is kept here: bytes stay in the queue of the host's socket until the guest has acknowledged
 * them, and are looked at (MSG_PEEK) to be sent, and to be sent again. So a connection costs this process a struct tcp,
 * and what is under way is in the kernel's memory, with the kernel's bounds. Linux since 6.10 remembers how far we have
 * looked (SO_PEEK_OFF); before, what was seen already is read into the bin.
 *
 * From the guest. A segment goes into the host's socket at once. What that has no room for is held, at most what the
 * window promised; the window shrinks by as much, and a guest that sends into it all the same is not heard. An
 * acknowledgement waits a moment (ACK_MS) for data to travel with, unless a good part of the window is owed.
 *
 * Names. Where the policy goes by names, the first bytes of the guest are held until they say for which it comes, or
 * that they are of a protocol without names. Before that the host's end is connected, and hears nothing. TLS is looked
 * at until there can be no second ClientHello (inspect.h). In HTTP each request may be for another name: such a
 * connection becomes the proxy's, which looks into all of them.
 *
 * The end. Each direction ends by itself: FIN of the guest --> shutdown(2), end of file of the host --> FIN. When both
 * are over and acknowledged the flow is gone; there is no TIME-WAIT, because on this link nothing arrives late. A reset
 * or an error of one side resets the other.
 *
 * Time. A flow is timed while the guest owes an acknowledgement, or its window is closed and bytes wait. After
 * TCP_RESEND_MS of silence, and then twice as long each time, it is sent what it may have lost, or asked for its
 * window. One where nothing is under way costs no time. A guest may have forgotten it without a word (a network name
 * space in it that is gone); so once the table is full it is asked for all that rest, and those it does not know end.
 */
#include "net/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/bytes.h"

#define ASK_EVERY_MS 5000

struct segment {
	uint32_t seq, ack;
	uint8_t flags;
	uint32_t window; /* not scaled */
	const uint8_t *data;
	uint32_t len;
};

uint64_t tcp_held;

/* False: it is none. */
static bool parse(const struct packet *p, struct segment *ret, size_t *ret_header)
{
	size_t header = p->len < TCP_HEADER ? 0 : (size_t)(p->data[12] >> 4) * 4;

	if (header < TCP_HEADER || header > p->len)
		return false;
	*ret = (struct segment){
		.seq = get32(p->data + 4),
		.ack = get32(p->data + 8),
		.flags = p->data[13],
		.window = get16(p->data + 14),
		.data = p->data + header,
		.len = (uint32_t)(p->len - header),
	};
	*ret_header = header;
	return true;
}

void tcp_options(struct tcp *t, const uint8_t *header, size_t header_len)
{
	size_t at = TCP_HEADER;

	t->mss = 536; /* RFC 9293, 3.7.1; without the option */
	t->scales = false;
	while (at < header_len && header[at] != TCPOPT_EOL) {
		size_t left = header_len - at, len;

		if (header[at] == TCPOPT_NOP) {
			at++;
			continue;
		}
		len = left < 2 ? 0 : header[at + 1];
		if (len < 2 || len > left)
			return;
		if (header[at] == TCPOPT_MAXSEG && len == TCPOLEN_MAXSEG)
			t->mss = MAX(get16(header + at + 2), 88);
		if (header[at] == TCPOPT_WINDOW && len == TCPOLEN_WINDOW) {
			t->scales = true;
			t->scale = MIN(header[at + 2], 14); /* RFC 7323, 2.3 */
		}
		at += len;
	}
	t->mss = (uint16_t)MIN((size_t)t->mss, stack_room(&t->f.key.remote) - TCP_HEADER);
}

/* --- ends --- */

static void on_end(struct flow *f)
{
	struct tcp *t = tcp_of(f);

	tcp_held -= buf_len(&t->held);
	buf_fini(&t->held);
	tcp_forget_ack(t);
	duct_close(&t->duct);
	free(t->claim);
	free(t);
}

void tcp_reset(struct tcp *t)
{
	tcp_dialled(t, -ETIMEDOUT);
	tcp_send(t, SEG_RST | SEG_ACK, t->snd_nxt);
	tcp_host_abort(t);
	flow_end(&t->f);
}

bool tcp_end_if_over(struct tcp *t)
{
	if (!t->guest_fin || !t->shut || !t->fin_sent || t->snd_una != t->snd_nxt)
		return false;
	/* Without this one the guest would send its end again, and hear that there is no such connection. */
	if (t->owes_ack && !tcp_send(t, SEG_ACK, t->snd_nxt))
		return false;
	flow_end(&t->f);
	return true;
}

/* The host's end is broken. What its peer has said before can be read still, as everywhere: often it is why. But there
 * is no end behind it, which would look as if that had been all. */
static void cut(struct tcp *t)
{
	t->is_cut = true;
	t->drained = false;
	if (tcp_pull(t))
		tcp_reset(t);
}

/* --- from the guest to the host --- */

/* What is held goes first. Once all is there, so does the end. False: the connection is broken, and gone. */
static bool push_host(struct tcp *t)
{
	while (t->unchecked ? t->again.cleared : buf_len(&t->held)) {
		ssize_t r = tcp_host_put(t, buf_data(&t->held), t->unchecked ? t->again.cleared : buf_len(&t->held));

		if (r == 0)
			return true;
		if (r < 0) {
			cut(t);
			return false;
		}
		buf_consume(&t->held, (size_t)r);
		t->again.cleared -= MIN(t->again.cleared, (size_t)r);
		tcp_held -= (uint64_t)r;
		tcp_owe_ack(t, buf_len(&t->held) == 0); /* for its window */
	}
	if (t->unchecked)
		return true;
	buf_fini(&t->held);
	if (t->guest_fin && !t->shut) {
		tcp_host_shut(t);
		t->shut = true;
	}
	return true;
}

/* False: the connection is gone. */
static bool give_to_proxy(struct tcp *t)
{
	/* What has been looked at lies in the socket that goes; and no server of HTTP speaks first. */
	if (t->snd_una == t->snd_nxt)
		return tcp_hand_over(t);
	tcp_reset(t);
	return false;
}

/* TLS that has said its name goes on while it says no other one. False: the connection is gone. */
static bool check_again(struct tcp *t, bool ended)
{
	if (inspect_again(&t->again, buf_data(&t->held), buf_len(&t->held), t->claim) < 0) {
		denied(t->f.net, NET_TCP, &t->f.key.remote, t->f.key.remote_port, NULL, "claim");
		tcp_reset(t);
		return false;
	}
	t->unchecked = !t->again.over && !ended;
	return push_host(t);
}

static bool may_claim(const struct tcp *t, const char *name)
{
	return stack_may_claim(t->f.net, &t->f.key.remote, t->f.key.remote_port, t->f.since_ms, name);
}

/* Of bytes that are all held: false, they may not go on, and the connection is gone. */
static bool check_claim(struct tcp *t, bool ended)
{
	char name[NET_NAME_MAX + 1] = "";
	enum inspect what;

	if (t->claim)
		return check_again(t, ended);
	what = inspect_claim(buf_data(&t->held), buf_len(&t->held), name);
	if (what == INSPECT_MORE && ended && buf_len(&t->held))
		what = INSPECT_BAD;
	if (what == INSPECT_MORE && !ended)
		return true;
	if (what == INSPECT_BAD)
		denied(t->f.net, NET_TCP, &t->f.key.remote, t->f.key.remote_port, NULL, "claim");
	if (what == INSPECT_BAD || (inspect_has_name(what) && !may_claim(t, name))) {
		tcp_reset(t);
		return false;
	}
	t->inspected = true;
	if (what == INSPECT_TLS) {
		t->claim = strdup(name);
		inspect_again_begin(&t->again, buf_data(&t->held), buf_len(&t->held));
		if (t->claim)
			return check_again(t, ended);
		tcp_reset(t);
		return false;
	}
	t->unchecked = false;
	return (what != INSPECT_HTTP || give_to_proxy(t)) && push_host(t);
}

/* How many of the next n bytes are taken: into the socket, or held. Negative: the connection is broken. */
static ssize_t take(struct tcp *t, const uint8_t *data, size_t n)
{
	ssize_t r = 0;

	if (!buf_len(&t->held) && !t->unchecked) {
		r = tcp_host_put(t, data, n);
		if (r < 0 || (size_t)r == n)
			return r;
	}
	n -= (size_t)r;
	if (tcp_held + n > TCP_HELD_ALL_MAX || buf_append(&t->held, data + r, n) < 0)
		return r;
	tcp_held += n;
	return r + (ssize_t)n;
}

/* The part of a segment that is wanted: new, in order, within the window. False: there is none. */
static bool trim(const struct tcp *t, struct segment *s)
{
	uint32_t old = t->rcv_nxt - s->seq, room;

	if (seq_before(t->rcv_nxt, s->seq))
		return false;
	if (old) {
		if (s->flags & SEG_SYN || old > s->len + !!(s->flags & SEG_FIN))
			return false;
		old = MIN(old, s->len);
		s->seq += old;
		s->data += old;
		s->len -= old;
		if (s->seq != t->rcv_nxt)
			return false;
	}
	room = t->edge - t->rcv_nxt;
	if (s->len > room) {
		s->len = room;
		s->flags &= (uint8_t)~SEG_FIN;
	}
	return s->len || s->flags & SEG_FIN;
}

/* False: the connection is gone. */
static bool receive(struct tcp *t, struct segment *s)
{
	bool something = s->len || s->flags & SEG_FIN;
	ssize_t taken = 0;

	if (!something) {
		/* Keepalives, and those that ask for a window, come with a number that is old. */
		if (seq_before(s->seq, t->rcv_nxt))
			tcp_owe_ack(t, true);
		return true;
	}
	if (t->guest_fin || !trim(t, s)) {
		tcp_owe_ack(t, true); /* sent again, out of order, or asking for a window: it hears where we are */
		return true;
	}
	if (s->len)
		taken = take(t, s->data, s->len);
	if (taken < 0) {
		cut(t);
		return false;
	}
	t->rcv_nxt += (uint32_t)taken;
	tcp_owe_ack(t, false);
	if (s->flags & SEG_FIN && (uint32_t)taken == s->len) {
		t->rcv_nxt++;
		t->guest_fin = true;
		tcp_owe_ack(t, true);
	}
	if (t->unchecked)
		return check_claim(t, t->guest_fin);
	return !t->guest_fin || push_host(t);
}

/* --- acknowledgements of the guest --- */

/* False: the connection is gone. */
static bool acknowledge(struct tcp *t, uint32_t ack)
{
	uint32_t data = ack - t->snd_una - (t->fin_sent && ack == t->snd_nxt);

	t->dupacks = 0;
	t->retries = 0;
	t->resend_ms = t->f.net->now_ms + TCP_RESEND_MS;
	t->snd_una = ack;
	if (data && !tcp_host_drop(t, data)) {
		tcp_reset(t);
		return false;
	}
	t->recovering = t->recovering && seq_before(ack, t->recover);
	return !t->recovering || tcp_resend(t);
}

/* False: the connection is gone. */
static bool take_ack(struct tcp *t, const struct segment *s)
{
	uint32_t window = s->window << (t->scales ? t->scale : 0);

	if (seq_before(t->snd_nxt, s->ack)) { /* of what was never sent */
		tcp_owe_ack(t, true);
		return true;
	}
	if (seq_before(t->snd_una, s->ack)) {
		if (!acknowledge(t, s->ack))
			return false;
	} else if (s->ack == t->snd_una && !s->len && window == t->window && t->snd_una != t->snd_nxt &&
		   !(s->flags & SEG_FIN) && ++t->dupacks == 3 && !t->recovering) { /* RFC 5681, 3.2 */
		return tcp_resend(t);
	}
	if (t->starved || !window)
		t->retries = MIN(t->retries, TCP_RETRIES_STARVED); /* it is there, only its reader is not */
	if (!seq_before(s->ack, t->snd_una))
		t->window = window;
	t->asked = false;
	if (t->snd_una == t->snd_nxt && !t->starved)
		flow_time(&t->f, false);
	return true;
}

/* --- segments --- */

/* A SYN, ACK to our SYN; or not. */
static void answer_to_syn(struct tcp *t, const struct segment *s, const uint8_t *header, size_t header_len)
{
	if (!(s->flags & SEG_ACK) || s->ack != t->snd_nxt)
		return;
	if (s->flags & SEG_RST) {
		tcp_dialled(t, -ECONNREFUSED);
		tcp_host_abort(t);
		flow_end(&t->f);
		return;
	}
	if (!(s->flags & SEG_SYN))
		return;
	tcp_options(t, header, header_len);
	t->window = s->window; /* that of a SYN is never scaled (RFC 7323, 2.2) */
	t->rcv_nxt = t->acked = t->edge = s->seq + 1;
	t->snd_una = s->ack;
	t->state = TCP_OPEN;
	t->retries = 0;
	flow_time(&t->f, false);
	tcp_owe_ack(t, true);
	tcp_dialled(t, 0);
	tcp_pull(t);
}

static void on_rst(struct tcp *t, const struct segment *s)
{
	/* RFC 5961, 3.2: one that is not the very next byte could be old. If it is meant, what came before it was lost
	 * or not taken, and the answer to where we are is the right one. */
	if (s->seq != t->rcv_nxt) {
		if (t->state == TCP_OPEN)
			tcp_owe_ack(t, true);
		return;
	}
	tcp_host_abort(t);
	flow_end(&t->f);
}

static void on_segment(struct tcp *t, struct segment *s, const uint8_t *header, size_t header_len)
{
	struct segment ack = *s;

	if (t->state == TCP_ASKED) {
		answer_to_syn(t, s, header, header_len);
		return;
	}
	if (s->flags & SEG_RST) {
		on_rst(t, s);
		return;
	}
	if (s->flags & SEG_SYN) { /* sent again; or of another connection, which hears of this one (RFC 5961, 4.2) */
		if (t->state == TCP_ANSWERED)
			tcp_send(t, SEG_SYN | SEG_ACK, t->snd_una);
		else if (t->state == TCP_OPEN)
			tcp_owe_ack(t, true);
		return;
	}
	if (t->state == TCP_CONNECTING || !(s->flags & SEG_ACK))
		return;
	if (t->state == TCP_ANSWERED) {
		if (s->ack != t->snd_nxt)
			return;
		t->state = TCP_OPEN;
		t->snd_una = s->ack;
		t->retries = 0;
		flow_time(&t->f, false);
	}
	/* The data first: while the host's peer thinks about it, the rest is done. */
	if (receive(t, s) && take_ack(t, &ack) && !tcp_end_if_over(t))
		tcp_pull(t);
}

void tcp_packet(struct net *n, const struct packet *p)
{
	struct segment s;
	size_t header;
	struct flow *f;

	if (!parse(p, &s, &header))
		return;
	f = flow_find(&n->flows, &(struct flow_key){ p->dst, get16(p->data + 2), get16(p->data), IPPROTO_TCP });
	if (f)
		on_segment(tcp_of(f), &s, p->data, header);
	else if ((s.flags & (SEG_SYN | SEG_ACK | SEG_RST)) == SEG_SYN)
		tcp_open_out(n, p);
	else if (!(s.flags & SEG_RST))
		tcp_send_rst(n, p);
}

/* --- the host's socket and time --- */

static void host_event(struct tcp *t, uint32_t events)
{
	t->f.net->now_ms = clock_ms();
	t->hup |= (events & (EPOLLRDHUP | EPOLLHUP)) != 0;
	t->urgent |= (events & EPOLLPRI) != 0;
	if (t->state == TCP_CONNECTING) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			tcp_connected(t);
		return;
	}
	if (events & EPOLLERR) {
		cut(t);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
		t->drained = false;
	if (t->state != TCP_OPEN)
		return;
	if (events & EPOLLOUT && !push_host(t))
		return;
	if (!tcp_end_if_over(t))
		tcp_pull(t);
}

void tcp_host_event(struct watch *w, uint32_t events)
{
	host_event(container_of(w, struct tcp, f.watch), events);
}

void tcp_duct_event(struct duct *d)
{
	host_event(container_of(d, struct tcp, duct),
		   EPOLLIN | EPOLLOUT | (d->eof ? EPOLLRDHUP : 0U) | (d->reset ? EPOLLERR : 0U));
}

static void on_resume(struct flow *f)
{
	tcp_pull(tcp_of(f));
}

/* Silence: see above. */
static void on_tick(struct flow *f)
{
	struct tcp *t = tcp_of(f);
	unsigned most = t->state == TCP_OPEN ? TCP_RETRIES : TCP_SYN_RETRIES;

	if (t->dial_until_ms && f->net->now_ms >= t->dial_until_ms) {
		tcp_reset(t);
		return;
	}
	if (f->net->now_ms < t->resend_ms)
		return;
	if (++t->retries > most) {
		tcp_reset(t);
		return;
	}
	t->resend_ms = f->net->now_ms + MIN((uint64_t)TCP_RESEND_MS << t->retries, TCP_RESEND_MOST_MS);
	if (t->state == TCP_ASKED)
		tcp_send(t, SEG_SYN, t->snd_una);
	else if (t->state == TCP_ANSWERED)
		tcp_send(t, SEG_SYN | SEG_ACK, t->snd_una);
	else if (t->snd_una != t->snd_nxt)
		(void)!tcp_resend(t);
	else if (t->starved || t->asked)
		tcp_send(t, SEG_ACK, t->snd_una - 1); /* is answered with an acknowledgement, and the window in it */
	else
		flow_time(f, false);
}

const struct flow_ops tcp_flow_ops = {
	.tick = on_tick, .resume = on_resume, .recheck = tcp_recheck, .end = on_end,
};

void tcp_ask_for_all(struct net *n)
{
	struct flow *f;
	size_t i;

	if (n->now_ms < n->flows.ask_ms)
		return;
	n->flows.ask_ms = n->now_ms + ASK_EVERY_MS;
	for (i = 0; i < NET_FLOWS_MAX; i++)
		for (f = n->flows.bucket[i]; f; f = f->next) {
			struct tcp *t = tcp_of(f);

			if (f->ops != &tcp_flow_ops || t->state != TCP_OPEN || f->is_timed)
				continue;
			t->asked = true;
			t->retries = 0;
			tcp_expect_ack(t);
		}
}

/*
 * A hostile guest and a hostile outside, with boxlite-net's stack between them: bytes are steps of both, of the link
 * and of time (net_world.h). After each, when all is at rest, what the stack believes must be true, and nothing may be
 * left undone that nobody would come back to. Each byte that arrives is known by its place; at the end both sides
 * become honest, and all that was said must arrive.
 */
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "net_world.h"

#include "base/cursor.h"
#include "fuzz.h"
#include "net/bytes.h"
#include "net/checksum.h"
#include "net/tcp.h"

#define STEPS_MAX 400
#define CONNS 4
#define FLOWS 6
#define SENT_MAX (300 * KIB) /* by the guest, so that the end comes soon */
#define LINK_BYTES (64 * KIB)
#define FRAME_MAX (66 * KIB)

/* A connection as both of its ends know it. Offsets are those of bytes in a direction. */
struct talk {
	bool used, v6, inwards;
	uint16_t remote_port, guest_port, mss;
	struct ip_addr remote;
	uint8_t scale, salt;
	int host;              /* the host's end; -1 */
	uint32_t iss, irs;     /* the guest's first number; the stack's */
	bool syn;              /* the stack's is known */
	uint32_t sent, got;    /* by the guest */
	uint32_t window;
	bool fin_got;
	uint32_t put, taken;   /* by the host */
	bool shut, eof;
	bool fin;              /* of the guest, behind all that was sent at that time */
	bool broken;           /* somebody has cheated: it may end in any way */
	bool wild;             /* and carry anything */
};

static struct machine {
	struct net n;
	int guest;
	struct talk talk[CONNS];
	uint16_t generation;
	uint64_t passed_ms;
} *m;

/* --- what the parts outside of the stack would do --------------------------------------------------- */

static void on_answer(void *ud, const struct resolver_client *c, const void *msg, size_t len)
{
	udp_answer(ud, &c->server, 53, c->port, msg, len);
}

static void on_name_denied(void *ud, const char *name, const char *reason)
{
	(void)ud, (void)name, (void)reason;
}

static void on_stale(void *ud)
{
	(void)ud;
}

static const struct resolver_ops resolver_ops = { on_answer, on_name_denied, on_stale };

/* --- bytes ------------------------------------------------------------------------------------------ */

static uint8_t content(const struct talk *c, bool of_host, uint32_t at)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

	if (!of_host && c->salt & 1 && at < sizeof(request) - 1)
		return (uint8_t)request[at];
	return (uint8_t)(0x80 | (at * 7 + (at >> 8) + c->salt + of_host));
}

static void fill(const struct talk *c, bool of_host, uint32_t at, uint8_t *to, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		to[i] = content(c, of_host, at + (uint32_t)i);
}

static void check_content(const struct talk *c, bool of_host, uint32_t at, const uint8_t *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		must(p[i] == content(c, of_host, at + (uint32_t)i));
}

static struct tcp *flow_of(const struct talk *c)
{
	struct flow_key k = { c->remote, c->remote_port, c->guest_port, IPPROTO_TCP };
	struct flow *f = c->used ? flow_find(&m->n.flows, &k) : NULL;

	return f ? tcp_of(f) : NULL;
}

/* Where it has come to, for who looks for the reason. */
static void tell(void)
{
	const struct talk *c;

	for (c = m->talk; c < m->talk + CONNS; c++) {
		const struct tcp *t = flow_of(c);

		if (!c->used || c->broken)
			continue;
		fprintf(stderr, "%zu: guest sent %u got %u fin %d got %d, host put %u taken %u shut %d eof %d\n",
			c - m->talk, c->sent, c->got, c->fin, c->fin_got, c->put, c->taken, c->shut, c->eof);
		if (t)
			fprintf(stderr, "\tstate %d una %u nxt %u window %u rcv %u edge %u held %zu drained %d\n",
				t->state, t->snd_una - c->irs, t->snd_nxt - c->irs, t->window, t->rcv_nxt - c->iss,
				t->edge - c->iss, buf_len(&t->held), t->drained);
	}
}

/* --- what must always hold --------------------------------------------------------------------------- */

static bool may_write(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) > 0 && p.revents & POLLOUT;
}

static void check_tcp(const struct tcp *t)
{
	int unread = 0;

	must(!seq_before(t->snd_nxt, t->snd_una));
	must(t->guest_fin || !seq_before(t->edge, t->rcv_nxt));
	must(buf_len(&t->held) <= TCP_WINDOW + 16 && t->edge - t->rcv_nxt <= TCP_WINDOW + 16 + t->guest_fin * 2U);
	must(t->snd_una == t->snd_nxt || t->f.is_timed);
	must(!t->shut || t->guest_fin);
	must(!t->f.is_stuck || m->n.link.blocked);
	if (t->state != TCP_OPEN)
		return;
	/* Nobody would come back to it: */
	must(t->fin_sent || t->drained || t->f.is_stuck || t->starved || (!t->peeks_on && t->snd_una != t->snd_nxt));
	must(!t->starved || t->fin_sent || t->drained || t->f.is_timed);
	must(!buf_len(&t->held) || t->unchecked || !may_write(t->f.fd));
	must(!t->guest_fin || t->shut || buf_len(&t->held) || t->unchecked);
	if (t->drained && !t->fin_sent)
		must(ioctl(t->f.fd, FIONREAD, &unread) == 0 && (uint32_t)unread <= t->snd_nxt - t->snd_una);
}

static void check(void)
{
	const struct flows *all = &m->n.flows;
	unsigned n = 0, timed = 0, stuck = 0, outside = 0;
	const struct flow *f;
	uint64_t held = 0, i;

	for (i = 0; all->n && i < NET_FLOWS_MAX; i++)
		for (f = all->bucket[i]; f; f = f->next) {
			n++;
			timed += f->is_timed;
			outside += f->is_outside;
			if (f->key.proto != IPPROTO_TCP)
				continue;
			held += buf_len(&container_of(f, struct tcp, f)->held);
			check_tcp(container_of(f, struct tcp, f));
		}
	must(n == all->n && n <= FLOWS && m->n.stats.flows == n && timed == all->ntimed && held == tcp_held);
	must(outside == all->noutside && outside <= FLOWS - FLOWS / 4);
	TAILQ_FOREACH(f, &all->timed, timed)
		must(f->is_timed && timed--);
	TAILQ_FOREACH(f, &all->stuck, stuck)
		must(f->is_stuck && ++stuck <= n);
}

/* Never an endless row of events. */
static void rest(void)
{
	struct pollfd p = { .fd = m->n.loop.epfd, .events = POLLIN };
	unsigned turns = 0;

	while (poll(&p, 1, 0) > 0) {
		must(++turns < 400);
		must(loop_once(&m->n.loop, 0) == 0);
	}
	check();
}

/* --- frames of the guest ----------------------------------------------------------------------------- */

static void send_frame(const uint8_t *frame, size_t n)
{
	send(m->guest, frame, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	rest();
}

static size_t put_ip(uint8_t *at, bool v6, const struct ip_addr *to, uint8_t proto, size_t len)
{
	static const uint8_t guest4[4] = { 192, 168, 127, 2 };
	static const uint8_t guest6[16] = { 0xfd, 0x62, 0x6f, 0x78, 0x6c, 0x69, 0x74, 0x65, [15] = 2 };

	memset(at, 0, 54);
	put16(at + 12, v6 ? 0x86dd : 0x0800);
	at += 14;
	at[0] = v6 ? 0x60 : 0x45;
	put16(at + (v6 ? 4 : 2), (uint16_t)(v6 ? len : len + 20));
	at[v6 ? 6 : 9] = proto;
	memcpy(at + (v6 ? 8 : 12), v6 ? guest6 : guest4, v6 ? 16 : 4);
	memcpy(at + (v6 ? 24 : 16), v6 ? to->b : to->b + 12, v6 ? 16 : 4);
	return v6 ? 54 : 34;
}

/* At an offset in what the guest says. */
static void send_tcp(struct talk *c, uint8_t flags, uint32_t at, uint32_t ack, uint16_t window, size_t len)
{
	static uint8_t frame[FRAME_MAX];
	size_t head = 20, ip;
	uint8_t *tcp;

	if (flags & SEG_SYN) {
		head = 28;
		at--;
		len = 0;
	}
	ip = put_ip(frame, c->v6, &c->remote, IPPROTO_TCP, head + len);
	tcp = frame + ip;
	memset(tcp, 0, head);
	put16(tcp, c->guest_port);
	put16(tcp + 2, c->remote_port);
	put32(tcp + 4, c->iss + 1 + at);
	put32(tcp + 8, flags & SEG_ACK ? ack : 0);
	tcp[12] = (uint8_t)(head / 4 << 4);
	tcp[13] = flags;
	put16(tcp + 14, window);
	if (flags & SEG_SYN) {
		memcpy(tcp + 20, (uint8_t[]){ 2, 4, 0, 0, 1, 3, 3, c->scale }, 8);
		put16(tcp + 22, c->mss);
		if (c->salt & 2)
			tcp[25] = 1, tcp[26] = 1, tcp[27] = 1;
	}
	fill(c, false, at, tcp + head, len);
	send_frame(frame, ip + head + len);
}

static uint32_t ack_of(const struct talk *c)
{
	return c->irs + 1 + c->got + c->fin_got;
}

static uint16_t shown_window(const struct talk *c)
{
	const struct tcp *t = flow_of(c);

	return (uint16_t)MIN(c->window >> (t && t->scales ? c->scale : 0), UINT16_MAX);
}

/* An honest acknowledgement, or the answer to a SYN. */
static void send_ack(struct talk *c)
{
	bool first = c->inwards && flow_of(c) && flow_of(c)->state == TCP_ASKED;

	if (c->syn)
		send_tcp(c, SEG_ACK | (first ? SEG_SYN : 0), first ? 0 : c->sent + c->fin, ack_of(c), shown_window(c),
			 0);
}

/* --- frames to the guest ----------------------------------------------------------------------------- */

static void on_tcp(struct talk *c, const uint8_t *tcp, size_t len)
{
	size_t head = (size_t)(tcp[12] >> 4) * 4, n;
	uint32_t seq = get32(tcp + 4), at;
	uint8_t flags = tcp[13];

	must(head >= 20 && head <= len);
	n = len - head;
	/* What was sent twice and taken late is acknowledged twice: the second one comes when all is over. */
	must(!(flags & SEG_RST) || c->broken || (c->fin && c->fin_got));
	if (flags & SEG_RST || c->wild)
		return;
	if (flags & SEG_SYN) {
		must(!n && (!c->syn || c->irs == seq || c->broken));
		c->irs = seq;
		c->syn = true;
		return;
	}
	must(c->syn || c->broken);
	at = seq - c->irs - 1;
	if (!n && at == UINT32_MAX)
		return; /* it asks for the window */
	must(at <= c->put + 1 && at + n <= c->put + !n);
	check_content(c, true, at, tcp + head, n);
	must(!(flags & SEG_FIN) || (c->shut && at + n == c->put));
	must(n <= c->mss);
	if (at > c->got || at + n < c->got)
		return;
	n -= c->got - at;
	if (n > c->window)
		return;
	c->got += (uint32_t)n;
	c->fin_got |= (flags & SEG_FIN) != 0;
}

static void check_sum(const uint8_t *ip, bool v6, const uint8_t *l4, size_t len, uint8_t proto)
{
	uint8_t tail[8] = { 0 };
	uint32_t s;

	put32(tail, (uint32_t)len);
	tail[7] = proto;
	s = proto == IPPROTO_ICMP ? 0 : checksum_add(0, tail, sizeof(tail));
	if (proto != IPPROTO_ICMP)
		s = v6 ? checksum_add(s, ip + 8, 32) : checksum_add(s, ip + 12, 8);
	must(checksum_reduce(checksum_add(s, l4, len)) == 0xffff);
}

static void on_frame(const uint8_t *frame, size_t n)
{
	bool v6 = get16(frame + 12) == 0x86dd;
	const uint8_t *ip = frame + 14, *l4 = ip + (v6 ? 40 : 20);
	struct ip_addr from;
	uint8_t proto;
	size_t i, len;

	must(n >= 34);
	if (get16(frame + 12) == 0x0806) {
		must(n == 42);
		return;
	}
	must(v6 ? ip[0] >> 4 == 6 : ip[0] == 0x45);
	must(n == 14U + (v6 ? 40U + get16(ip + 4) : get16(ip + 2)));
	len = n - (size_t)(l4 - frame);
	proto = v6 ? ip[6] : ip[9];
	must(len >= 8);
	if (len <= NET_LINK_MTU)
		check_sum(ip, v6, l4, len, proto);
	if (proto != IPPROTO_TCP)
		return;
	must(len >= 20);
	memset(&from, 0, sizeof(from));
	if (v6)
		memcpy(from.b, ip + 8, 16);
	else
		from = ip_from_v4(ip + 12);
	for (i = 0; i < CONNS; i++)
		if (m->talk[i].used && m->talk[i].guest_port == get16(l4 + 2) && ip_eq(&m->talk[i].remote, &from) &&
		    m->talk[i].remote_port == get16(l4))
			on_tcp(&m->talk[i], l4, len);
}

static bool take_frame(void)
{
	static uint8_t frame[FRAME_MAX + KIB];
	ssize_t n = syscall(SYS_recvfrom, m->guest, frame, sizeof(frame), MSG_DONTWAIT, NULL, NULL);

	if (n <= 0)
		return false;
	on_frame(frame, (size_t)n);
	return true;
}

/* --- steps of the guest ------------------------------------------------------------------------------ */

static void forget(struct talk *c)
{
	if (c->used)
		close_fd(&c->host);
	*c = (struct talk){ .host = -1 };
}

static struct talk *begin(struct talk *c, struct rd *r)
{
	static const uint32_t numbers[] = { 0, 0xffffff00, 0x7fffff00, 0xfffffffe };
	static const uint16_t sizes[] = { 88, 536, 1460, 9000 };
	uint8_t how = rd_u8(r);

	forget(c);
	c->used = true;
	c->salt = how;
	c->v6 = how & 4;
	c->iss = numbers[how >> 3 & 3];
	c->mss = sizes[how >> 5 & 3];
	c->scale = how >> 6;
	c->window = 20000;
	c->broken = c->wild = m->n.start.spec.nrules && how & 1; /* the proxy reads it, and finds one request only */
	c->guest_port = (uint16_t)(1000 + ++m->generation % 20000);
	c->remote_port = 80;
	c->remote = ip_v4(93, 184, 216, 34);
	if (c->v6)
		c->remote = (struct ip_addr){ { 0x26, 0x06, 0x47, [15] = 1 } };
	return c;
}

static void step_open(struct talk *c, struct rd *r)
{
	static const int results[] = { 0, EINPROGRESS, EINPROGRESS, ECONNREFUSED, EHOSTUNREACH, EINPROGRESS };
	uint8_t how = rd_u8(r), bytes[5];

	world.connects = results[how % ARRAY_SIZE(results)];
	world.fails = how % 6 == 5 ? ETIMEDOUT : 0;
	world.no_files = how >= 250;
	close_fd(&world.made);
	begin(c, r);
	if (how & 16) {
		fill(c, true, 0, bytes, sizeof(bytes));
		world.hello = bytes;
		world.nhello = c->put = sizeof(bytes);
		c->shut = true;
	}
	send_tcp(c, SEG_SYN, 0, 0, 20000, 0);
	world.hello = NULL;
	if (flow_of(c))
		c->host = take_fd(&world.made);
	else
		c->broken = true;
	c->broken |= how % 6 >= 3;
	world.fails = 0;
	world.no_files = false;
}

static void step_accept(struct talk *c, struct rd *r)
{
	int fds[2];

	begin(c, r);
	c->inwards = true;
	must(world_pair(SOCK_STREAM, fds) == 0);
	c->host = fds[1];
	m->n.now_ms = world.now_ms;
	tcp_accepted(&m->n, fds[0], &c->remote, c->remote_port, c->guest_port);
	rest();
	c->broken |= !flow_of(c);
}

/* In order, old, overlapping, or too far. */
static void step_data(struct talk *c, struct rd *r)
{
	uint8_t how = rd_u8(r), by = rd_u8(r), off = how & 3 ? rd_u8(r) : 0;
	uint32_t len = (uint32_t)by * by, at = c->sent;

	if (how & 1)
		at -= MIN(at, off);
	else if (how & 2)
		at += off;
	if (how & 4)
		at = 0;
	if ((c->fin || c->sent > SENT_MAX) && at + len > c->sent)
		len = at < c->sent ? c->sent - at : 0;
	send_tcp(c, SEG_ACK, at, ack_of(c), shown_window(c), len);
	if (at <= c->sent && at + len > c->sent)
		c->sent = at + len;
}

static void step_ack(struct talk *c, struct rd *r)
{
	uint8_t how = rd_u8(r), n = 1 + (how >> 6);

	if (how & 1)
		c->window = (uint32_t)rd_u8(r) << (how >> 4 & 7);
	if (how & 2) { /* what it has not got */
		c->broken = c->wild = true;
		send_tcp(c, SEG_ACK, c->sent + c->fin, ack_of(c) + rd_u16(r), shown_window(c), 0);
	} else if (how & 4) { /* as keepalives do */
		send_tcp(c, SEG_ACK, c->sent + c->fin - 1, ack_of(c), shown_window(c), 0);
	} else {
		while (n--)
			send_ack(c);
	}
}

static void step_fin(struct talk *c)
{
	const struct tcp *t = flow_of(c);

	if (!c->syn || !t || t->state != TCP_OPEN)
		return;
	c->fin = true;
	c->broken |= c->salt & 1 && c->sent && c->sent < 64; /* a request that is none may be looked at */
	send_tcp(c, SEG_FIN | SEG_ACK, c->sent, ack_of(c), shown_window(c), 0);
}

static void step_wild(struct talk *c, struct rd *r)
{
	uint8_t flags = rd_u8(r);
	int8_t seq = (int8_t)rd_u8(r), ack = (int8_t)rd_u8(r);

	c->broken = c->wild = true;
	send_tcp(c, flags, c->sent + (uint32_t)seq, ack_of(c) + (uint32_t)ack, rd_u16(r), rd_u8(r));
}

/* As a guest that is honest, but for what it leaves lying. */
static void step_take(struct rd *r)
{
	uint8_t how = rd_u8(r);
	unsigned n = how & 15 ? how & 15 : 1000;
	size_t i;

	while (n-- && take_frame())
		;
	rest();
	for (i = 0; how & 16 && i < CONNS; i++)
		if (m->talk[i].used && m->talk[i].syn)
			send_ack(&m->talk[i]);
}

static void step_other(struct rd *r)
{
	static uint8_t frame[FRAME_MAX];
	uint8_t how = rd_u8(r);
	struct ip_addr to = how & 8 ? ip_v4(192, 168, 127, 1) : ip_v4(93, 184, 216, 35 + (how & 1));
	size_t len = 8 + (how & 16 ? 1400 : rd_u8(r)), ip;
	bool udp = how & 2, v6 = how & 4;

	if (v6)
		to = (struct ip_addr){ { 0x26, 0x06, 0x47, [15] = 2 + (how & 1) } };
	ip = put_ip(frame, v6, &to, udp ? IPPROTO_UDP : v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, len);
	memset(frame + ip, 0x5a, len);
	put16(frame + ip, udp ? 4000 : v6 ? 128 << 8 : 8 << 8);
	put16(frame + ip + 2, how & 32 ? 53 : 7);
	put16(frame + ip + 4, (uint16_t)len);
	world.connects = how & 64 ? 0 : how & 128 ? EHOSTUNREACH : 0;
	send_frame(frame, ip + len);
}

/* Anything. What hits a connection may be anything, too. */
static void step_raw(struct rd *r)
{
	static uint8_t frame[256];
	uint8_t len = rd_u8(r), type = rd_u8(r);
	size_t n = MIN((size_t)len, rd_left(r)), i;
	const uint8_t *from = rd_bytes(r, n);
	struct ip_addr to = ip_v4(93, 184, 216, 34);
	size_t ip = put_ip(frame, type & 1, &to, (uint8_t)(type >> 1), 100);

	if (!from)
		return;
	if (type == 255)
		ip = 12;
	n = MIN(n, sizeof(frame) - ip);
	memcpy(frame + ip, from, n);
	for (i = 0; i < CONNS; i++)
		m->talk[i].broken = m->talk[i].wild = true;
	send_frame(frame, ip + n);
}

/* --- steps of the host ------------------------------------------------------------------------------- */

static void host_put(struct talk *c, uint32_t n)
{
	static uint8_t bytes[64 * KIB];
	ssize_t r;

	if (c->host < 0 || c->shut)
		return;
	fill(c, true, c->put, bytes, n);
	r = send(c->host, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (r > 0)
		c->put += (uint32_t)r;
	rest();
}

static void host_take(struct talk *c, size_t n)
{
	static uint8_t bytes[64 * KIB];
	ssize_t r;

	if (c->host < 0 || c->eof)
		return;
	r = syscall(SYS_recvfrom, c->host, bytes, MIN(n, sizeof(bytes)), MSG_DONTWAIT, NULL, NULL);
	if (r > 0 && !c->wild) {
		if (c->taken + (uint32_t)r > c->sent && !c->broken)
			tell();
		must(c->taken + (uint32_t)r <= c->sent || c->broken);
		check_content(c, false, c->taken, bytes, (size_t)r);
	}
	if (r > 0)
		c->taken += (uint32_t)r;
	c->eof = r == 0;
	must(!c->eof || c->broken || (c->fin && c->taken == c->sent));
	rest();
}

static void host_end(struct talk *c, uint8_t how)
{
	if (c->host < 0)
		return;
	if (how & 1) {
		shutdown(c->host, SHUT_WR);
	} else {
		c->broken = true;
		close_fd(&c->host);
	}
	c->shut = true;
	rest();
}

static void host_answer(struct rd *r)
{
	static const uint8_t bytes[9000] = { 0 };

	if (world.made >= 0)
		send(world.made, bytes, rd_u8(r) * 35U, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (world.made >= 0 && rd_u8(r) >= 240)
		close_fd(&world.made);
	rest();
}

/* --- time, and all of them --------------------------------------------------------------------------- */

static void pass(uint64_t ms)
{
	uint64_t until = world.now_ms + ms;

	while (world.now_ms < until) {
		world_pass(until - world.now_ms);
		rest();
	}
}

static void step_time(struct rd *r)
{
	uint8_t ms = rd_u8(r);
	uint64_t long_ms = ms >= 250 ? 15000 : ms >= 200 ? 1000 : ms;
	size_t i;

	m->passed_ms += long_ms;
	for (i = 0; m->passed_ms > 10000 && i < CONNS; i++)
		m->talk[i].broken = true; /* somebody may have given up */
	pass(long_ms);
}

static void step(struct rd *r)
{
	uint8_t what = rd_u8(r);
	struct talk *c = &m->talk[what & 3];

	what = (what >> 2) % 24;
	if (what >= 2 && what < 16 && !c->used)
		what = 1;
	switch (what) {
	case 0: step_accept(c, r); break;
	case 1: step_open(c, r); break;
	case 2: case 3: case 4: step_data(c, r); break;
	case 5: case 6: step_ack(c, r); break;
	case 7: step_fin(c); break;
	case 8: step_wild(c, r); break;
	case 9: case 10: host_put(c, 1 + rd_u16(r)); break;
	case 11: case 12: host_take(c, 1 + rd_u16(r)); break;
	case 13: host_end(c, rd_u8(r)); break;
	case 14: send_tcp(c, SEG_RST, c->sent + c->fin, 0, 0, 0); c->broken = true; break;
	case 15: c->wild |= !flow_of(c); send_tcp(c, SEG_SYN, 0, 0, 20000, 0); c->broken |= c->wild; break;
	case 16: case 17: case 18: step_take(r); break;
	case 19: case 20: step_time(r); break;
	case 21: step_other(r); break;
	case 22: step_raw(r); break;
	case 23: host_answer(r); break;
	}
}

/* Both ends are honest from here. */
static void round_of(struct talk *c)
{
	uint32_t at, len, before;
	struct tcp *t;

	c->window = 60000;
	send_ack(c);
	do {
		before = c->taken;
		host_take(c, 64 * KIB);
	} while (c->taken != before);
	t = flow_of(c);
	if (!t || t->state != TCP_OPEN)
		return;
	at = t->rcv_nxt - c->iss - 1;
	if (at == c->sent + c->fin)
		return;
	len = MIN(c->sent - at, 16000); /* it was not heard */
	send_tcp(c, SEG_ACK | (c->fin && at + len == c->sent ? SEG_FIN : 0), at, ack_of(c), shown_window(c), len);
}

static bool is_done(const struct talk *c, bool end)
{
	const struct tcp *t = flow_of(c);

	if (!c->used || c->broken)
		return true;
	if (t && t->state != TCP_OPEN)
		return false;
	return c->got == c->put && (c->taken == c->sent || (t && t->unchecked)) && c->eof == c->fin &&
	       c->fin_got == c->shut && !(end && t);
}

static bool all_done(bool end)
{
	size_t i;

	for (i = 0; i < CONNS && is_done(&m->talk[i], end); i++)
		;
	return i == CONNS;
}

#define ROUNDS 2000 /* what was lost comes again one segment a round, and a guest may want short ones */

static void settle_all(bool end)
{
	unsigned rounds, i;

	for (rounds = 0; !all_done(end); rounds++) {
		if (rounds == ROUNDS)
			tell();
		must(rounds < ROUNDS);
		while (take_frame())
			;
		rest();
		for (i = 0; i < CONNS; i++)
			if (m->talk[i].used && !m->talk[i].broken)
				round_of(&m->talk[i]);
		pass(100);
	}
	for (i = 0; !end && i < CONNS; i++) {
		struct talk *c = &m->talk[i];

		if (!c->used || c->broken)
			continue;
		if (!c->shut)
			host_end(c, 1);
		if (!c->fin)
			step_fin(c);
	}
}

static void open_machine(struct rd *r)
{
	static struct machine machine;
	uint8_t how = rd_u8(r);
	int fds[2], bytes = LINK_BYTES, i;
	struct error err;

	world_begin();
	world.no_peek_off = how & 1;
	world.buffer = how & 2 ? 16384 : 2304;
	m = &machine;
	*m = (struct machine){ .n.start.spec = { .open = 15, .flows = FLOWS } };
	for (i = 0; i < CONNS; i++)
		m->talk[i].host = -1;
	if (how & 4)
		must(net_spec_add_rule(&m->n.start.spec, "b.example", false, &err) == 0);
	m->n.control.fd = m->n.control_watch.fd = -1;
	must(loop_init(&m->n.loop) == 0 && denied_open(&m->n) == 0);
	m->n.policy = policy_new(&m->n.start.spec, &err);
	m->n.resolver = resolver_new(&m->n.loop, m->n.policy, "nameserver 127.0.0.1", &resolver_ops, &m->n, &err);
	must(m->n.policy && m->n.resolver && flows_open(&m->n, &err) == 0);
	must(tcp_open(&m->n, &err) == 0 && proxy_start(&m->n, &err) == 0);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
	syscall(SYS_setsockopt, fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	m->guest = fds[1];
	must(link_open(&m->n.link, &m->n.loop, fds[0], false, &stack_link_ops, &m->n, &err) == 0);
	m->n.now_ms = world.now_ms;
}

static void close_machine(void)
{
	int i;

	flows_close(&m->n);
	must(tcp_held == 0);
	tcp_close(&m->n);
	proxy_stop(&m->n);
	link_close(&m->n.link);
	resolver_free(m->n.resolver);
	policy_free(m->n.policy);
	denied_close(&m->n);
	net_spec_fini(&m->n.start.spec);
	loop_fini(&m->n.loop);
	close_fd(&m->guest);
	for (i = 0; i < CONNS; i++)
		forget(&m->talk[i]);
	world_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_over(data, size);
	int steps;

	open_machine(&r);
	for (steps = 0; rd_left(&r) && steps < STEPS_MAX; steps++)
		step(&r);
	settle_all(false);
	settle_all(true);
	close_machine();
	return 0;
}

/*
 * A hostile guest of the network card and a hostile peer: bytes are steps of both. After each, when all is at rest, the
 * device's own state is looked at (so its source is included): nothing is kept, and nothing was left undone that could
 * be done, for nobody would come back to it. What either end gets has a header that is right, whatever was sent.
 */
#define net_open fuzzed_net_open
#define net_close fuzzed_net_close
#include "vmm/net.c"

#include "vmm_guest.h"

#define STEPS_MAX 300
#define LOW_BYTES (192 * KIB)
#define AREA_BYTES (72 * KIB)
#define NO_QUEUE NQUEUES

struct machine {
	struct hostile h;
	struct loop loop;
	struct net *n;
	int peer;
	bool shut;               /* the peer has shut or closed its end */
	bool lied;               /* since the last start: used buffers may be anywhere */
	uint64_t area[NQUEUES];  /* of rx and tx buffers: all at the same place */
	uint64_t features;       /* all that were ever negotiated: what is in the socket may be of another driver */
	unsigned again;          /* a set of queues */
};

static void kick_again(void *ud, unsigned queue)
{
	((struct machine *)ud)->again |= 1U << queue;
}

static void start(struct machine *m, unsigned how)
{
	static const uint64_t wanted[] = {
		DRIVER_ALL,
		DRIVER_ALL & ~F(VIRTIO_NET_F_MRG_RXBUF),
		0,
		DRIVER_ALL & ~(F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_GUEST_TSO4) | DRIVER_EVENT_IDX),
	};

	hostile_start(&m->h, &m->n->v, wanted[how % 4], how & 4 ? 8 : 64);
	m->features |= m->h.d.features;
	m->lied = false;
	m->area[QUEUE_RX] = driver_alloc(&m->h.d, AREA_BYTES);
	m->area[QUEUE_TX] = driver_alloc(&m->h.d, AREA_BYTES);
}

/* --- what must always hold --------------------------------------------------------------------- */

/* In other words than the device's. */
static void check_frame(const struct virtio_net_hdr_v1 *h, uint64_t bytes, uint64_t features, bool to_guest)
{
	uint64_t csum = F(to_guest ? VIRTIO_NET_F_GUEST_CSUM : VIRTIO_NET_F_CSUM);
	uint64_t tso4 = F(to_guest ? VIRTIO_NET_F_GUEST_TSO4 : VIRTIO_NET_F_HOST_TSO4);
	uint64_t tso6 = F(to_guest ? VIRTIO_NET_F_GUEST_TSO6 : VIRTIO_NET_F_HOST_TSO6);

	must(bytes >= 14 && bytes <= 65550);
	must(!h->flags || features & csum);
	must(!(h->flags & ~(to_guest ? 3 : 1)));
	if (!(h->flags & 1))
		must(!h->csum_start && !h->csum_offset && !h->gso_type);
	else
		must(h->csum_start >= 14 && h->csum_start + h->csum_offset + 2U <= bytes);
	if (!h->gso_type) {
		must(!h->gso_size && !h->hdr_len && bytes <= 65534);
		return;
	}
	must((h->gso_type == 1 && features & tso4) || (h->gso_type == 4 && features & tso6));
	must(h->gso_size && h->gso_size + (h->gso_type == 1 ? 40U : 60U) <= 65520);
	must(h->csum_offset == 16 && h->csum_start + 20U <= bytes && h->hdr_len <= bytes);
	must(h->csum_start >= (h->gso_type == 1 ? 34 : 54));
}

/* The frame that was the last one to the guest, if the buffers are its own: since it had used so many. */
static void check_received(const struct machine *m, uint16_t before)
{
	const struct driver_queue *q = &m->h.d.q[QUEUE_RX];
	uint16_t now = m->n->v.queue[QUEUE_RX].next_used, i;
	struct virtio_net_hdr_v1 h;
	uint64_t bytes = 0;

	if (m->lied || !virtio_running(&m->n->v) || now == before)
		return;
	memcpy(&h, hostile_memory(&m->h) + m->area[QUEUE_RX], sizeof(h));
	must(h.num_buffers && h.num_buffers <= (uint16_t)(now - before));
	must(h.num_buffers == 1 || m->h.d.features & F(VIRTIO_NET_F_MRG_RXBUF));
	for (i = 0; i < h.num_buffers; i++) {
		uint32_t len = q->ring_used->ring[(uint16_t)(now - 1 - i) % q->size].len;

		must(len);
		bytes += len;
	}
	check_frame(&h, bytes - HEADER_BYTES, m->h.d.features, true);
}

/* Bytes that the driver has room for now, as the device will find them; chains. */
static uint64_t rx_room(const struct net *n, unsigned *ret_chains)
{
	struct virtq q = n->v.queue[QUEUE_RX];
	struct virtq_chain c;
	uint64_t room = 0;
	unsigned i;

	for (i = 0; virtq_pop(&q, &c) == 1; i++)
		room += c.writable_bytes;
	*ret_chains = i;
	return room;
}

/* A message that is still in the socket does not fit now. Without buffers nobody looks: the next ones kick. */
static void check_waiting(const struct net *n)
{
	ssize_t bytes = recv(n->fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	unsigned chains;
	uint64_t room = rx_room(n, &chains);

	if (bytes >= 0 && chains)
		must(n->features & F(VIRTIO_NET_F_MRG_RXBUF) && room < (uint64_t)bytes);
}

static void check(struct machine *m)
{
	struct net *n = m->n;

	must(n->npieces <= PIECES_MAX && n->nused <= VIRTQ_SIZE_MAX);
	must(n->up || m->shut);
	if (!virtio_running(&n->v))
		return;
	must(n->v.queue[QUEUE_RX].next_used == n->v.queue[QUEUE_RX].next_avail);
	must(n->v.queue[QUEUE_TX].next_used == n->v.queue[QUEUE_TX].next_avail);
	if (m->h.rings)
		return;
	must(!has_request(&n->v.queue[QUEUE_TX]) || (n->up && n->watch.events & EPOLLOUT));
	if (n->up)
		check_waiting(n);
}

static void rest(struct machine *m)
{
	struct pollfd p = { .fd = m->loop.epfd, .events = POLLIN };
	unsigned turns = 0;

	/* An event or two of the fd, and the shares of all that fits a socket; never an endless row of them. */
	while (m->again || poll(&p, 1, 0) > 0) {
		unsigned again = m->again;

		must(++turns < 50);
		m->again = 0;
		if (again & 1U << QUEUE_RX)
			virtio_kick(&m->n->v, QUEUE_RX);
		if (again & 1U << QUEUE_TX)
			virtio_kick(&m->n->v, QUEUE_TX);
		must(loop_once(&m->loop, 0) == 0);
	}
	check(m);
}

/* --- frames that either end may send ----------------------------------------------------------- */

/* One that may well be right, or nearly. */
static struct virtio_net_hdr_v1 likely(struct rd *r, uint32_t *ret_bytes)
{
	static const uint32_t sizes[] = { 0, 13, 14, 60, 1514, 9000, 65534, 65550 };
	uint8_t how = rd_u8(r);
	struct virtio_net_hdr_v1 h = { 0 };

	*ret_bytes = sizes[how & 7] + (how & 8 ? rd_u8(r) : 0);
	if (how & 16)
		h = (struct virtio_net_hdr_v1){ .flags = 1, .csum_start = 34, .csum_offset = 16 };
	if (how & 32) {
		h.gso_type = how & 64 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		h.csum_start = how & 64 ? 54 : 34;
		h.gso_size = 1400;
		h.hdr_len = 74;
	}
	if (how & 128) { /* one byte is not */
		uint8_t at = rd_u8(r) % HEADER_BYTES;

		((uint8_t *)&h)[at] = rd_u8(r);
	}
	return h;
}

static struct virtio_net_hdr_v1 any(struct rd *r, uint32_t *ret_bytes)
{
	struct virtio_net_hdr_v1 h = { 0 };
	const uint8_t *from = rd_bytes(r, sizeof(h));

	if (from)
		memcpy(&h, from, sizeof(h));
	*ret_bytes = rd_u16(r);
	return h;
}

/* --- the guest ----------------------------------------------------------------------------------- */

static void send_to_peer(struct machine *m, struct virtio_net_hdr_v1 h, uint32_t bytes)
{
	memcpy(hostile_memory(&m->h) + m->area[QUEUE_TX], &h, sizeof(h));
	hostile_pair(&m->h, QUEUE_TX,
		     (struct seg){ m->area[QUEUE_TX], MIN(HEADER_BYTES + bytes, AREA_BYTES), false });
}

static void give_rx(struct machine *m, struct rd *r)
{
	unsigned n = 1 + rd_u8(r) % 32;
	uint32_t bytes = 6 + rd_u16(r);

	while (n--)
		hostile_pair(&m->h, QUEUE_RX, (struct seg){ m->area[QUEUE_RX], bytes, true });
}

/* --- the peer ------------------------------------------------------------------------------------ */

static void send_to_guest(struct machine *m, struct virtio_net_hdr_v1 h, uint32_t bytes)
{
	static uint8_t message[128 * KIB];

	memcpy(message, &h, sizeof(h));
	if (m->peer >= 0)
		send(m->peer, message, HEADER_BYTES + bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* No whole header. */
static void send_short(struct machine *m, struct rd *r)
{
	if (m->peer >= 0)
		send(m->peer, "0123456789", rd_u8(r) % 11, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void take(struct machine *m, struct rd *r)
{
	static uint8_t message[128 * KIB];
	unsigned n = 1 + rd_u8(r) % 32;
	struct virtio_net_hdr_v1 h;
	ssize_t bytes;

	while (n-- && m->peer >= 0 && (bytes = recv(m->peer, message, sizeof(message), MSG_DONTWAIT)) > 0) {
		must(bytes >= (ssize_t)sizeof(h));
		memcpy(&h, message, sizeof(h));
		must(!h.num_buffers);
		check_frame(&h, (uint64_t)bytes - sizeof(h), m->features, false);
	}
}

static void leave(struct machine *m, unsigned how)
{
	if (how < 3 && m->peer >= 0)
		shutdown(m->peer, (int)how);
	else
		close_fd(&m->peer);
	m->shut = true;
}

/* --- steps --------------------------------------------------------------------------------------- */

/* The queue that is to be kicked, if the device asks for it. */
static unsigned prepare(struct machine *m, unsigned what, struct rd *r, unsigned *ret_wild)
{
	struct virtio_net_hdr_v1 h;
	uint32_t bytes;

	switch (what) {
	case 0: case 1: case 2: h = likely(r, &bytes); send_to_peer(m, h, bytes); return QUEUE_TX;
	case 3: h = any(r, &bytes); send_to_peer(m, h, bytes); return QUEUE_TX;
	case 4: case 5: give_rx(m, r); return QUEUE_RX;
	case 6: *ret_wild = hostile_lie(&m->h, r); m->lied = true; break;
	case 7: *ret_wild = rd_u8(r); break;
	case 8: start(m, rd_u8(r)); break;
	case 9: case 10: case 11: h = likely(r, &bytes); send_to_guest(m, h, bytes); break;
	case 12: h = any(r, &bytes); send_to_guest(m, h, bytes); break;
	case 13: send_short(m, r); break;
	case 14: take(m, r); break;
	case 15: leave(m, rd_u8(r) % 5); break;
	case 16: hostile_config(&m->h, r); break;
	case 17: hostile_chain(&m->h, QUEUE_RX, NULL, r); m->lied = true; return QUEUE_RX;
	case 18: hostile_chain(&m->h, QUEUE_TX, NULL, r); return QUEUE_TX;
	}
	return NO_QUEUE;
}

static void step(struct machine *m, struct rd *r)
{
	unsigned wild = NO_QUEUE, queue = prepare(m, rd_u8(r) % 19, r, &wild);
	uint16_t before = m->n->v.queue[QUEUE_RX].next_used;

	hostile_before(&m->h);
	if (queue != NO_QUEUE)
		driver_kick(&m->h.d, queue);
	if (wild != NO_QUEUE)
		driver_write(&m->h.d, VIRTIO_MMIO_QUEUE_NOTIFY, wild);
	rest(m);
	hostile_after(&m->h);
	check_received(m, before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct rd r = rd_over(data, size);
	struct machine m = { .peer = -1 };
	struct virtio *v;
	int fds[2], steps;

	hostile_open(&m.h, LOW_BYTES, false);
	must(loop_init(&m.loop) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	m.peer = fds[1];
	v = net_open(fds[0], mac, &m.loop, &m.h.d.mem, driver_irq, &m.h.d, NULL);
	must(v);
	v->kick_again = kick_again;
	v->kick_again_ud = &m;
	m.n = of(v);
	start(&m, 0);
	for (steps = 0; rd_left(&r) && steps < STEPS_MAX; steps++)
		step(&m, &r);
	net_close(v);
	loop_fini(&m.loop);
	hostile_close(&m.h);
	close_fd(&m.peer);
	return 0;
}

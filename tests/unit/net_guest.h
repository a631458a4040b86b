/*
 * A guest of the network device for tests: the driver of vring.h with frames. It ends the test when the device breaks
 * its side of 5.1.6: buffers that are not filled, or not all at once.
 *
 * The fd's other end is `peer`. Nothing waits: each function gives the device's loop a turn where it could matter.
 */
#ifndef TESTS_UNIT_NET_GUEST_H
#define TESTS_UNIT_NET_GUEST_H

#include <errno.h>
#include <linux/virtio_net.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/loop.h"
#include "vmm/devices.h"
#include "turns.h"
#include "vring.h"

enum { RX, TX };

#define HEADER 12
#define MTU 65520
#define PLAIN_MAX (MTU + 14)  /* a frame that is not to be cut */
#define FRAME_MAX 65550
#define MESSAGE_MAX (HEADER + FRAME_MAX)
#define TX_SLOTS 96
#define TX_SLOT_BYTES (MESSAGE_MAX + 100)

typedef struct virtio_net_hdr_v1 header;

static const uint8_t guest_mac[6] = { 0x02, 0x12, 0x34, 0x56, 0x78, 0x9a };

struct guest {
	struct driver d;
	struct loop loop;
	int peer, cable; /* cable: the device's end, which the device owns */

	uint64_t tx_gpa; /* TX_SLOTS places for messages */
	bool tx_taken[TX_SLOTS];
	unsigned tx_slot[VIRTQ_SIZE_MAX]; /* of a head */
	unsigned tx_done;                 /* frames that were taken, as far as guest_tx_done() has seen */

	uint64_t rx_gpa[VIRTQ_SIZE_MAX];
	uint32_t rx_bytes;
	bool refill; /* a buffer goes back as soon as it was read */

	header h;                   /* of the last frame that came, to either end */
	uint8_t frame[MESSAGE_MAX]; /* and itself */
};

/* --- the guest ----------------------------------------------------------------------------------- */

/* A chain of a buffer: two pieces that part the header. */
static inline int guest_add_rx(struct guest *g, uint64_t gpa)
{
	struct seg s[2] = { { gpa, 5, true }, { gpa + 5, g->rx_bytes - 5, true } };
	int head = driver_add(&g->d, RX, s, 2);

	if (head >= 0)
		g->rx_gpa[head] = gpa;
	return head;
}

/* Offers n buffers of that size, which buffers stay: whether the device wanted to be kicked for them. */
static inline bool guest_rx(struct guest *g, unsigned n, uint32_t bytes)
{
	g->rx_bytes = bytes;
	while (n--)
		if (guest_add_rx(g, driver_alloc(&g->d, bytes)) < 0)
			driver_die("no room for so many rx buffers");
	return driver_kick(&g->d, RX);
}

static inline void guest_start_sized(struct guest *g, uint64_t features, uint16_t size)
{
	driver_start_sized(&g->d, g->d.v, features, size);
	g->tx_gpa = driver_alloc(&g->d, TX_SLOTS * TX_SLOT_BYTES);
	memset(g->tx_taken, 0, sizeof(g->tx_taken));
	g->tx_done = 0;
	g->refill = true;
}

static inline void guest_start(struct guest *g, uint64_t features)
{
	guest_start_sized(g, features, 0);
}

static inline void guest_open(struct guest *g, uint64_t features)
{
	struct error err = { 0 };
	int fds[2];

	*g = (struct guest){ .peer = -1 };
	driver_memory(&g->d, 32 * MIB);
	if (loop_init(&g->loop) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		driver_die("no loop, no sockets");
	g->cable = fds[0];
	g->peer = fds[1];
	g->d.v = net_open(fds[0], guest_mac, &g->loop, &g->d.mem, driver_irq, &g->d, &err);
	if (!g->d.v)
		driver_die(err.text);
	guest_start(g, features);
}

static inline void guest_close(struct guest *g)
{
	net_close(g->d.v);
	loop_fini(&g->loop);
	driver_free(&g->d);
	if (g->peer >= 0)
		close(g->peer);
}

/* What the device has taken of tx since the last time. */
static inline unsigned guest_tx_done(struct guest *g)
{
	unsigned n = 0;
	uint16_t head;
	uint32_t len;

	for (; driver_used(&g->d, TX, &head, &len); n++) {
		g->tx_taken[g->tx_slot[head]] = false;
		if (len)
			driver_die("the device wrote into a frame");
	}
	g->tx_done += n;
	return n;
}

/* Offers a frame in a chain of two pieces that part the header: false if there is no room for it. Nobody is kicked. */
static inline bool guest_add(struct guest *g, const header *h, const void *frame, size_t bytes)
{
	unsigned slot = 0;
	uint64_t gpa;
	uint8_t *at;
	int head;

	guest_tx_done(g);
	while (slot < TX_SLOTS && g->tx_taken[slot])
		slot++;
	if (slot == TX_SLOTS || bytes > TX_SLOT_BYTES - HEADER)
		return false;
	gpa = g->tx_gpa + slot * TX_SLOT_BYTES;
	at = driver_ptr(&g->d, gpa, TX_SLOT_BYTES);
	head = driver_add(&g->d, TX, (struct seg[]){ { gpa, 5 }, { gpa + 5, (uint32_t)bytes + HEADER - 5 } }, 2);
	if (head < 0)
		return false;
	memcpy(at, h, HEADER);
	memcpy(at + HEADER, frame, bytes);
	g->tx_taken[slot] = true;
	g->tx_slot[head] = slot;
	return true;
}

/* Sends a frame: false if the device left it in the queue. */
static inline bool guest_send(struct guest *g, const header *h, const void *frame, size_t bytes)
{
	unsigned before = g->tx_done;

	if (!guest_add(g, h, frame, bytes))
		driver_die("no room in the tx queue");
	driver_kick(&g->d, TX);
	loop_turns(&g->loop);
	guest_tx_done(g);
	return g->tx_done > before;
}

/* The next used buffer of rx, behind what is in g->frame: bytes, or -1. */
static inline int64_t guest_take_buffer(struct guest *g, size_t at, bool first)
{
	uint32_t len, skip = first ? HEADER : 0;
	const uint8_t *p;
	uint16_t head;

	if (!driver_used(&g->d, RX, &head, &len))
		return -1;
	p = driver_ptr(&g->d, g->rx_gpa[head], g->rx_bytes);
	if (len < skip || len > g->rx_bytes || at + len > MESSAGE_MAX)
		driver_die("a buffer with more or less than it can have");
	if (first)
		memcpy(&g->h, p, HEADER);
	memcpy(g->frame + at, p + skip, len - skip);
	if (g->refill && guest_add_rx(g, g->rx_gpa[head]) < 0)
		driver_die("no room for the buffer that was used");
	return len;
}

/* The next frame from the device into g->frame, its header into g->h: bytes, or -1 if none has come. */
static inline int64_t guest_recv(struct guest *g)
{
	int64_t len, bytes;
	unsigned n;

	loop_turns(&g->loop);
	bytes = len = guest_take_buffer(g, 0, true);
	if (bytes < 0)
		return -1;
	if (!g->h.num_buffers || (g->h.num_buffers > 1 && !(g->d.features & 1ULL << VIRTIO_NET_F_MRG_RXBUF)))
		driver_die("a number of buffers that cannot be");
	for (n = 1; n < g->h.num_buffers; n++, bytes += len) {
		if (len != g->rx_bytes)
			driver_die("a buffer of several that is not full");
		len = guest_take_buffer(g, (size_t)bytes - HEADER, false);
		if (len <= 0)
			driver_die("buffers of one frame that do not come together");
	}
	g->h.num_buffers = 0;
	if (g->refill)
		driver_kick(&g->d, RX);
	return bytes - HEADER;
}

static inline bool guest_is_broken(struct guest *g)
{
	return driver_has_status(&g->d, VIRTIO_CONFIG_S_NEEDS_RESET);
}

static inline bool guest_link_is_up(struct guest *g)
{
	return driver_config(&g->d, offsetof(struct virtio_net_config, status), 2) == VIRTIO_NET_S_LINK_UP;
}

/* --- the peer ------------------------------------------------------------------------------------ */

/* Without a turn of the loop: 0 or -errno. */
static inline int peer_put(struct guest *g, const void *p, size_t n, const void *q, size_t m)
{
	struct iovec v[2] = { { (void *)(uintptr_t)p, n }, { (void *)(uintptr_t)q, m } };
	struct msghdr msg = { .msg_iov = v, .msg_iovlen = 2 };

	return sendmsg(g->peer, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static inline int peer_send(struct guest *g, const header *h, const void *frame, size_t bytes)
{
	int r = peer_put(g, h, HEADER, frame, bytes);

	loop_turns(&g->loop);
	return r;
}

/* The next message's frame into g->frame, its header into g->h: bytes, -errno; 0 at the end. */
static inline int64_t peer_recv(struct guest *g)
{
	struct iovec v[2] = { { &g->h, HEADER }, { g->frame, sizeof(g->frame) } };
	struct msghdr msg = { .msg_iov = v, .msg_iovlen = 2 };
	ssize_t r = recvmsg(g->peer, &msg, MSG_DONTWAIT);

	if (r < 0)
		r = -errno;
	if (r > 0 && (r < HEADER || msg.msg_flags & MSG_TRUNC || g->h.num_buffers))
		driver_die("a message that is no frame");
	loop_turns(&g->loop);
	return r > 0 ? r - HEADER : r;
}

/* --- frames -------------------------------------------------------------------------------------- */

/* Byte i of frame `seq`: one that is lost, doubled or in the wrong place is seen. */
static inline uint8_t frame_byte(uint64_t seq, size_t i)
{
	return (uint8_t)(seq * 31 + (seq >> 5) + i * 7 + (i >> 8) * 13);
}

static inline void frame_fill(uint8_t *to, uint64_t seq, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		to[i] = frame_byte(seq, i);
}

static inline bool frame_is(const uint8_t *p, uint64_t seq, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != frame_byte(seq, i))
			return false;
	return true;
}

/* A header that is right for a frame of that size: one that need not be cut, or TCP over IPv4. */
static inline header header_for(size_t bytes)
{
	if (bytes <= PLAIN_MAX)
		return (header){ 0 };
	return (header){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1448,
		.csum_start = 34,
		.csum_offset = 16,
	};
}

static inline bool header_is(const header *a, const header *b)
{
	return memcmp(a, b, HEADER) == 0;
}

/* Frame `seq` of that size, with the header for it: sent, and whether it is what comes next. */
static inline bool guest_send_seq(struct guest *g, uint64_t seq, size_t bytes)
{
	header h = header_for(bytes);

	frame_fill(g->frame, seq, bytes);
	return guest_send(g, &h, g->frame, bytes);
}

static inline bool peer_has(struct guest *g, uint64_t seq, size_t bytes)
{
	header h = header_for(bytes);

	return peer_recv(g) == (int64_t)bytes && frame_is(g->frame, seq, bytes) && header_is(&g->h, &h);
}

static inline int peer_send_seq(struct guest *g, uint64_t seq, size_t bytes)
{
	header h = header_for(bytes);

	frame_fill(g->frame, seq, bytes);
	return peer_send(g, &h, g->frame, bytes);
}

static inline bool guest_has(struct guest *g, uint64_t seq, size_t bytes)
{
	header h = header_for(bytes);

	return guest_recv(g) == (int64_t)bytes && frame_is(g->frame, seq, bytes) && header_is(&g->h, &h);
}

#endif

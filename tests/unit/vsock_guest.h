/*
 * A guest of the vsock device for tests: the driver of vring.h with packets. It keeps both sides' counts as
 * 5.10.6.3 wants them and ends the test when the device breaks its side of it.
 *
 * The fd's other end is `shim`. Nothing waits: each function gives the device's loop a turn where it could
 * matter.
 */
#ifndef TESTS_UNIT_VSOCK_GUEST_H
#define TESTS_UNIT_VSOCK_GUEST_H

#include <errno.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/loop.h"
#include "base/sock.h"
#include "vmm/devices.h"
#include "vmm/vsock_packet.h"
#include "turns.h"
#include "vring.h"

enum { RX, TX, EVENT };

#define GUEST_PORT 1025
#define TX_AREA (300 * KIB) /* more than the device ever takes at once */

struct guest {
	struct driver d;
	struct loop loop;
	int shim;
	uint64_t tx_gpa; /* the one packet under way: TX_AREA bytes */
	uint64_t rx_gpa[VIRTQ_SIZE_MAX];
	uint32_t rx_bytes;
	bool refill; /* a buffer goes back as soon as it was read */

	uint32_t buf_alloc, fwd_cnt; /* ours: what we say */
	uint32_t tx_cnt, rx_cnt;
	uint32_t peer_buf_alloc, peer_fwd_cnt;
	uint8_t data[TX_AREA]; /* of the last packet that came */
};

/* Offers n buffers of that size, each a chain of two pieces that part the header. Buffers stay that size. */
static inline void guest_rx(struct guest *g, unsigned n, uint32_t bytes)
{
	g->rx_bytes = bytes;
	while (n--) {
		uint64_t gpa = driver_alloc(&g->d, bytes);
		struct seg s[2] = { { gpa, 10, true }, { gpa + 10, bytes - 10, true } };
		int head = driver_add(&g->d, RX, s, 2);

		if (head < 0)
			driver_die("no room for so many rx buffers");
		g->rx_gpa[head] = gpa;
	}
	driver_kick(&g->d, RX);
}

static inline void guest_start(struct guest *g, uint64_t features)
{
	driver_start(&g->d, g->d.v, features);
	g->tx_gpa = driver_alloc(&g->d, TX_AREA);
	g->refill = true;
	g->buf_alloc = 256 * KIB;
	g->fwd_cnt = g->tx_cnt = g->rx_cnt = g->peer_buf_alloc = g->peer_fwd_cnt = 0;
}

static inline void guest_open(struct guest *g, uint64_t features)
{
	int fds[2];

	*g = (struct guest){ .shim = -1 };
	driver_memory(&g->d, 8 * MIB);
	if (loop_init(&g->loop) < 0 || sock_pair(fds) < 0)
		driver_die("no loop, no sockets");
	g->shim = fds[1];
	g->d.v = vsock_open(fds[0], &g->loop, &g->d.mem, driver_irq, &g->d, NULL);
	if (!g->d.v)
		driver_die("no device");
	guest_start(g, features);
}

static inline void guest_close(struct guest *g)
{
	vsock_close(g->d.v);
	loop_fini(&g->loop);
	driver_free(&g->d);
	if (g->shim >= 0)
		close(g->shim);
}

static inline struct vsock_packet guest_packet(struct guest *g, uint16_t op, uint32_t len)
{
	return (struct vsock_packet){
		.src_cid = VSOCK_GUEST_CID,
		.dst_cid = VMADDR_CID_HOST,
		.src_port = GUEST_PORT,
		.dst_port = VSOCK_AGENT_PORT,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.len = len,
		.buf_alloc = g->buf_alloc,
		.fwd_cnt = g->fwd_cnt,
	};
}

/* Sends a packet as it stands with `bytes` of payload behind it. False if the device left it in the queue. */
static inline bool guest_send(struct guest *g, const struct vsock_packet *p, const void *data, size_t bytes)
{
	uint8_t *at = driver_ptr(&g->d, g->tx_gpa, TX_AREA);
	struct seg s[2] = { { g->tx_gpa, VSOCK_HEADER_BYTES + (uint32_t)bytes / 2, false } };

	s[1] = (struct seg){ g->tx_gpa + s[0].len, (uint32_t)(bytes - bytes / 2), false };
	vsock_packet_put(at, p);
	if (bytes)
		memcpy(at + VSOCK_HEADER_BYTES, data, bytes);
	if (driver_add(&g->d, TX, s, s[1].len ? 2 : 1) < 0)
		driver_die("no room in the tx queue");
	driver_kick(&g->d, TX);
	loop_turns(&g->loop);
	return driver_used(&g->d, TX, NULL, NULL);
}

static inline bool guest_op(struct guest *g, uint16_t op, uint32_t flags)
{
	struct vsock_packet p = guest_packet(g, op, 0);

	p.flags = flags;
	return guest_send(g, &p, NULL, 0);
}

static inline uint32_t guest_credit(const struct guest *g)
{
	return g->peer_buf_alloc - (g->tx_cnt - g->peer_fwd_cnt);
}

static inline bool guest_write(struct guest *g, const void *data, size_t bytes)
{
	struct vsock_packet p = guest_packet(g, VIRTIO_VSOCK_OP_RW, (uint32_t)bytes);

	g->tx_cnt += (uint32_t)bytes;
	return guest_send(g, &p, data, bytes);
}

/* What a packet of the connection must be, whatever else it is. */
static inline void guest_check(struct guest *g, const struct vsock_packet *p)
{
	if (p->op == VIRTIO_VSOCK_OP_RST)
		return;
	if (p->src_cid != VMADDR_CID_HOST || p->dst_cid != VSOCK_GUEST_CID ||
	    p->src_port != VSOCK_AGENT_PORT || p->type != VIRTIO_VSOCK_TYPE_STREAM)
		driver_die("a packet of another connection");
	if (p->fwd_cnt - g->peer_fwd_cnt > g->tx_cnt - g->peer_fwd_cnt)
		driver_die("the device is done with bytes that it did not get");
	g->peer_buf_alloc = p->buf_alloc;
	g->peer_fwd_cnt = p->fwd_cnt;
	if (p->op != VIRTIO_VSOCK_OP_RW)
		return;
	g->rx_cnt += p->len;
	if (!p->len || p->len > 64 * KIB || g->rx_cnt - g->fwd_cnt > g->buf_alloc)
		driver_die("the device sends more than it may");
}

/* The next packet of the device, its payload in g->data; false if none has come. */
static inline bool guest_recv(struct guest *g, struct vsock_packet *ret)
{
	const uint8_t *at;
	uint16_t head;
	uint32_t len;

	loop_turns(&g->loop);
	if (!driver_used(&g->d, RX, &head, &len))
		return false;
	at = driver_ptr(&g->d, g->rx_gpa[head], g->rx_bytes);
	*ret = vsock_packet_get(at);
	if (len < VSOCK_HEADER_BYTES || len > g->rx_bytes || ret->len != len - VSOCK_HEADER_BYTES)
		driver_die("a packet that is not as long as its buffer says");
	memcpy(g->data, at + VSOCK_HEADER_BYTES, ret->len);
	guest_check(g, ret);
	if (g->refill) {
		uint64_t gpa = g->rx_gpa[head];
		struct seg s[2] = { { gpa, 10, true }, { gpa + 10, g->rx_bytes - 10, true } };

		g->rx_gpa[driver_add(&g->d, RX, s, 2)] = gpa;
		driver_kick(&g->d, RX);
	}
	return true;
}

/* The operation of the next packet; 0: none. */
static inline int guest_next(struct guest *g)
{
	struct vsock_packet p;

	return guest_recv(g, &p) ? p.op : 0;
}

/* REQUEST to RESPONSE. */
static inline bool guest_connect(struct guest *g)
{
	return guest_op(g, VIRTIO_VSOCK_OP_REQUEST, 0) && guest_next(g) == VIRTIO_VSOCK_OP_RESPONSE;
}

/* Reads what has come for the shim, at most n bytes: the count, 0 at the end, -errno. */
static inline ssize_t shim_read(struct guest *g, void *to, size_t n)
{
	ssize_t got = recv(g->shim, to, n, MSG_DONTWAIT);

	if (got < 0)
		got = -errno;
	loop_turns(&g->loop);
	return got;
}

static inline ssize_t shim_write(struct guest *g, const void *from, size_t n)
{
	ssize_t put = send(g->shim, from, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (put < 0)
		put = -errno;
	loop_turns(&g->loop);
	return put;
}

#endif

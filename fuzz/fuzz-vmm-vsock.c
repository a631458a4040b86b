/*
 * A hostile guest of the vsock device: bytes are steps of the guest and of the shim. After each, when all is
 * at rest, the device's own state is looked at (so its source is included): no buffer is beyond its bound,
 * and nothing was left undone that could be done, for nobody would come back to it.
 */
#define vsock_open fuzzed_vsock_open
#define vsock_close fuzzed_vsock_close
#include "vmm/vsock.c"

#include "base/sock.h"
#include "vmm_guest.h"

#define STEPS_MAX 400
#define LOW_BYTES (192 * KIB)
#define AREA_BYTES (64 * KIB)
#define NO_QUEUE NQUEUES

struct machine {
	struct hostile h;
	struct loop loop;
	struct vsock *s;
	int shim;
	uint64_t area[2]; /* of rx and tx buffers: all at the same place */
};

static void start(struct machine *m, bool all)
{
	hostile_start(&m->h, &m->s->v, all ? DRIVER_ALL : 0, 64);
	m->area[QUEUE_RX] = driver_alloc(&m->h.d, AREA_BYTES);
	m->area[QUEUE_TX] = driver_alloc(&m->h.d, AREA_BYTES);
}

/* --- what must always hold --------------------------------------------------------------------- */

static void check(struct machine *m)
{
	struct vsock *s = m->s;

	must(buf_len(&s->out) <= WINDOW && s->out.cap <= WINDOW);
	must(s->nresets <= RESETS_MAX && s->first_reset < RESETS_MAX);
	must(s->tx_cnt - s->peer_fwd_cnt <= INT32_MAX);
	must(s->conn != CONN_NONE || (s->unspoilt && !s->fd_down && !buf_len(&s->out)));
	must(s->conn != CONN_OVER || s->fd_down & VIRTIO_VSOCK_SHUTDOWN_RCV);

	must(!buf_len(&s->out) || (!s->writable && !(s->host_down & VIRTIO_VSOCK_SHUTDOWN_RCV)));
	if (!virtio_running(&s->v) || m->h.rings)
		return;
	must(s->nresets == RESETS_MAX || !has_request(&s->v.queue[QUEUE_TX]));
	must((!owed(s) && !may_receive(s)) || !has_request(&s->v.queue[QUEUE_RX]));
}

static void rest(struct machine *m)
{
	unsigned i;

	/* An event or two of the fd, never an endless row of them. */
	for (i = 0; i < 4; i++)
		must(loop_once(&m->loop, 0) == 0);
	check(m);
}

/* --- the guest ----------------------------------------------------------------------------------- */

static void offer(struct machine *m, unsigned queue, uint32_t bytes)
{
	hostile_pair(&m->h, queue, (struct seg){ m->area[queue], 5 + bytes, queue == QUEUE_RX });
}

/* A packet that may well be one of the connection. */
static struct vsock_packet likely(struct machine *m, struct rd *r)
{
	static const uint32_t allocs[] = { 0, 1, 1000, 64 * KIB, 256 * KIB, INT32_MAX, 1u << 31, UINT32_MAX };
	uint8_t how = rd_u8(r);
	struct vsock_packet p = {
		.src_cid = VSOCK_GUEST_CID,
		.dst_cid = HOST_CID,
		.src_port = 1000 + (how >> 7),
		.dst_port = VSOCK_AGENT_PORT,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = rd_u8(r) % 9,
		.buf_alloc = allocs[how & 7],
		.fwd_cnt = m->s->tx_cnt,
	};

	if (how & 8)
		p.fwd_cnt = m->s->peer_fwd_cnt;
	if (how & 16)
		p.fwd_cnt += rd_u32(r);
	if (p.op == VIRTIO_VSOCK_OP_REQUEST)
		p.fwd_cnt = 0;
	if (p.op == VIRTIO_VSOCK_OP_SHUTDOWN)
		p.flags = rd_u8(r);
	if (p.op == VIRTIO_VSOCK_OP_RW)
		p.len = rd_u16(r);
	return p;
}

static void send_packet(struct machine *m, const struct vsock_packet *p, uint32_t bytes)
{
	vsock_packet_put(driver_ptr(&m->h.d, m->area[QUEUE_TX], VSOCK_HEADER_BYTES), p);
	offer(m, QUEUE_TX, VSOCK_HEADER_BYTES - 5 + bytes);
}

static void send_likely(struct machine *m, struct rd *r)
{
	struct vsock_packet p = likely(m, r);

	send_packet(m, &p, MIN(p.len, (uint32_t)AREA_BYTES - VSOCK_HEADER_BYTES));
}

static void send_any(struct machine *m, struct rd *r)
{
	const uint8_t *header = rd_bytes(r, VSOCK_HEADER_BYTES);
	struct vsock_packet p;

	if (!header)
		return;
	p = vsock_packet_get(header);
	send_packet(m, &p, p.len % 2000);
}

static void give_rx(struct machine *m, struct rd *r)
{
	unsigned n = 1 + rd_u8(r) % 8, bytes = 1 + rd_u16(r) % 60000;

	while (n--)
		offer(m, QUEUE_RX, bytes);
}

/* --- the shim ------------------------------------------------------------------------------------ */

static void shim_step(struct machine *m, unsigned what, struct rd *r)
{
	static uint8_t bytes[64 * KIB];

	if (m->shim < 0)
		return;
	switch (what) {
	case 11: case 12: send(m->shim, bytes, 1 + rd_u16(r), MSG_DONTWAIT | MSG_NOSIGNAL); break;
	case 13: recv(m->shim, bytes, 1 + rd_u16(r), MSG_DONTWAIT); break;
	case 14: shutdown(m->shim, rd_u8(r) % 3); break;
	case 15: close_fd(&m->shim); break;
	}
}

static void step(struct machine *m, struct rd *r)
{
	unsigned what = rd_u8(r) % 16, queue = NO_QUEUE, wild = NO_QUEUE;

	switch (what) {
	case 0: case 1: case 2: case 3: case 4: send_likely(m, r); queue = QUEUE_TX; break;
	case 5: send_any(m, r); queue = QUEUE_TX; break;
	case 6: case 7: give_rx(m, r); queue = QUEUE_RX; break;
	case 8: wild = hostile_lie(&m->h, r); break;
	case 9: wild = rd_u8(r); break;
	case 10: start(m, rd_u8(r) & 1); break;
	default: shim_step(m, what, r); break;
	}
	hostile_before(&m->h);
	if (queue != NO_QUEUE)
		driver_kick(&m->h.d, queue); /* where the device asks for it */
	if (wild != NO_QUEUE)
		driver_write(&m->h.d, VIRTIO_MMIO_QUEUE_NOTIFY, wild);
	rest(m);
	hostile_after(&m->h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_over(data, size);
	struct machine m = { .shim = -1 };
	int fds[2], small = 1, steps;
	struct virtio *v;

	hostile_open(&m.h, LOW_BYTES, false);
	must(loop_init(&m.loop) == 0 && sock_pair(fds) == 0);
	m.shim = fds[1];
	/* The window is soon full. */
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	v = vsock_open(fds[0], &m.loop, &m.h.d.mem, driver_irq, &m.h.d, NULL);
	must(v);
	m.s = of(v);
	start(&m, true);
	for (steps = 0; rd_left(&r) && steps < STEPS_MAX; steps++)
		step(&m, &r);
	vsock_close(v);
	loop_fini(&m.loop);
	hostile_close(&m.h);
	close_fd(&m.shim);
	return 0;
}

/*
 * A hostile guest of the console, and a reader that is slow or goes: what the guest says comes out or is counted as
 * lost (so the device's source is included), and no byte of the guest's changes.
 */
#define console_open fuzzed_console_open
#define console_close fuzzed_console_close
#include "vmm/console.c"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include "vmm_guest.h"

#define STEPS_MAX 100
#define LOW_BYTES (64 * KIB)

struct machine {
	struct hostile h;
	struct console *c;
	int reader;
};

/* Bytes that the reader has not read. */
static uint64_t unread(const struct machine *m)
{
	int n = 0;

	return m->reader >= 0 && ioctl(m->reader, FIONREAD, &n) == 0 ? (uint64_t)n : 0;
}

/* The bytes of the one request that waits; false if there are several or none. */
static bool one_request(const struct machine *m, uint64_t *ret_bytes)
{
	struct virtq q = m->c->v.queue[TRANSMITQ];
	struct virtq_chain c;

	if (!virtio_running(&m->c->v) || virtq_pop(&q, &c) != 1)
		return false;
	*ret_bytes = c.readable_bytes;
	return !has_request(&q);
}

/* A request of so many bytes came out behind a note of what was lost, or is lost with it. */
static void check_said(const struct machine *m, uint64_t bytes, uint64_t lost, uint64_t before)
{
	uint64_t more = unread(m) - before, note = 0;
	char text[48];

	if (lost)
		note = (uint64_t)snprintf(text, sizeof(text), "\n[%" PRIu64 " bytes lost]\n", lost);
	must(m->c->lost <= bytes + lost);
	if (more || !lost)
		must(more >= note && more - note + m->c->lost == bytes && more - note <= REQUEST_BYTES_MAX);
	else
		must(m->c->lost == lost + bytes);
}

/* The guest's buffers are for reading, whatever it says of them. */
static void turn(struct machine *m, struct rd *r)
{
	unsigned queue = hostile_step(&m->h, r), i;
	uint64_t bytes, lost = m->c->lost, before = unread(m);
	bool one = one_request(m, &bytes);

	hostile_before(&m->h);
	m->h.ngiven = 0;
	for (i = 0; i < m->c->v.ops->nqueues; i++)
		hostile_give(&m->h, m->h.d.q[i].ring_used, 6 + 8ULL * m->h.d.q[i].size);
	m->h.exact = true;
	driver_write(&m->h.d, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
	hostile_after(&m->h);
	if (queue != TRANSMITQ)
		return;
	hostile_check_done(&m->h, 1U << TRANSMITQ);
	if (one)
		check_said(m, bytes, lost, before);
}

static void step(struct machine *m, struct rd *r)
{
	static uint8_t bytes[64 * KIB];
	uint8_t what = rd_u8(r);

	if (what < 200)
		turn(m, r);
	else if (what < 250 && m->reader >= 0)
		must(recv(m->reader, bytes, rd_u16(r), MSG_DONTWAIT) <= (ssize_t)sizeof(bytes));
	else
		close_fd(&m->reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_over(data, size);
	int fds[2], small = 1, steps;
	struct machine m;
	struct virtio *v;

	signal(SIGPIPE, SIG_IGN);
	hostile_open(&m.h, LOW_BYTES, false);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	m.reader = fds[1];
	/* Soon full. */
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	v = console_open(fds[0], &m.h.d.mem, driver_irq, &m.h.d, NULL);
	must(v);
	m.c = console_of(v);
	hostile_start(&m.h, v, DRIVER_ALL, 64);
	for (steps = 0; rd_left(&r) && steps < STEPS_MAX; steps++)
		step(&m, &r);
	console_close(v);
	hostile_close(&m.h);
	close_fd(&m.reader);
	return 0;
}

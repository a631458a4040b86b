/* The vsock device between a guest in plain memory (vsock_guest.h) and a shim, its socket's other end. */
#include <fcntl.h>
#include <pthread.h>

#include "lib/tap.h"
#include "vsock_guest.h"

#define REQUEST VIRTIO_VSOCK_OP_REQUEST
#define RESPONSE VIRTIO_VSOCK_OP_RESPONSE
#define RST VIRTIO_VSOCK_OP_RST
#define SHUTDOWN VIRTIO_VSOCK_OP_SHUTDOWN
#define RW VIRTIO_VSOCK_OP_RW
#define CREDIT_UPDATE VIRTIO_VSOCK_OP_CREDIT_UPDATE
#define CREDIT_REQUEST VIRTIO_VSOCK_OP_CREDIT_REQUEST
#define RCV VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND VIRTIO_VSOCK_SHUTDOWN_SEND
#define WINDOW (256 * KIB)

static struct guest g;
static uint8_t scratch[1 * MIB];

/* Byte `at` of either stream: a byte that is lost, doubled or in the wrong place is seen. */
static uint8_t stream_byte(uint64_t at)
{
	return (uint8_t)(at ^ at >> 8 ^ at >> 16 ^ at * 7 >> 3);
}

static void fill(uint8_t *to, uint64_t at, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		to[i] = stream_byte(at + i);
}

static bool is_stream(const uint8_t *p, uint64_t at, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] != stream_byte(at + i))
			return false;
	return true;
}

/* A guest with rx buffers of that size, connected. */
static void open_connected(uint64_t features, unsigned buffers, uint32_t bytes)
{
	guest_open(&g, features);
	guest_rx(&g, buffers, bytes);
	if (!guest_connect(&g))
		driver_die("no connection");
}

static bool is_broken(void)
{
	return driver_has_status(&g.d, VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* --- the ordinary life of a connection --------------------------------------------------------- */

static void test_connect(uint64_t features)
{
	struct vsock_packet p = { 0 };
	uint64_t gpa;

	guest_open(&g, features);
	is_int(driver_config(&g.d, 0, 8), VSOCK_GUEST_CID, "the guest has its CID");
	is_int(driver_config(&g.d, 4, 4), 0, "whose upper half is 0");
	is_int(driver_config(&g.d, 8, 8), 0, "behind it is nothing");
	is_int(g.d.features & 0xffffff, 0, "no feature: streams only");

	gpa = driver_alloc(&g.d, 8);
	is_int(driver_do(&g.d, EVENT, (struct seg[]){ { gpa, 8, true } }, 1), -1, "an event buffer stays");
	guest_rx(&g, 8, 4096);
	shim_write(&g, "early", 5);
	is_int(guest_next(&g), 0, "what comes before the guest connects waits");
	ok(guest_op(&g, REQUEST, 0), "REQUEST is taken");
	ok(guest_recv(&g, &p) && p.op == RESPONSE, "RESPONSE");
	is_int(p.dst_port, GUEST_PORT, "for the guest's port");
	is_int(p.buf_alloc, WINDOW, "with the window");
	ok(guest_recv(&g, &p) && p.op == RW && p.len == 5 && !memcmp(g.data, "early", 5), "and comes then");

	driver_irqs(&g.d);
	driver_want_irqs(&g.d, RX, true);
	shim_write(&g, "x", 1);
	is_int(driver_irqs(&g.d), 1, "what comes later interrupts");
	is_int(guest_next(&g), RW, "and comes");

	ok(guest_write(&g, "hello", 5) && shim_read(&g, scratch, 100) == 5 && !memcmp(scratch, "hello", 5),
	   "the guest's bytes come to the shim");
	is_int(guest_next(&g), 0, "a few bytes are not acknowledged");
	guest_op(&g, CREDIT_REQUEST, 0);
	ok(guest_recv(&g, &p) && p.op == CREDIT_UPDATE && p.fwd_cnt == 5, "CREDIT_REQUEST: they are");
	guest_op(&g, RW, 0);
	is_int(guest_next(&g), 0, "RW without payload is nothing");
	guest_close(&g);
}

/* Both ways in pieces of many sizes, with rx buffers of that many bytes. */
static void test_sizes(uint64_t features, uint32_t rx_bytes)
{
	uint64_t to_shim = 0, to_guest = 0;
	struct vsock_packet p;
	bool same = true;
	size_t n;

	open_connected(features, 16, rx_bytes);
	for (n = 1; n < 3000; n += 1 + n / 3) {
		fill(scratch, to_shim, n);
		same &= guest_write(&g, scratch, n) && shim_read(&g, scratch, sizeof(scratch)) == (ssize_t)n;
		same &= is_stream(scratch, to_shim, n);
		to_shim += n;

		fill(scratch, to_guest, n);
		same &= shim_write(&g, scratch, n) == (ssize_t)n;
		to_guest += n;
		while (guest_recv(&g, &p)) {
			same &= p.op == RW && is_stream(g.data, g.fwd_cnt, p.len);
			g.fwd_cnt += p.len;
		}
		same &= g.fwd_cnt == (uint32_t)to_guest;
	}
	ok(same, "odd sizes with rx buffers of %u bytes", rx_bytes);
	guest_close(&g);
}

/* Packets of the largest sizes. */
static void test_large(uint64_t features)
{
	uint64_t got = 0, want = 150000;
	struct vsock_packet p;

	open_connected(features, 4, 200000);
	fill(scratch, 0, want);
	is_int(shim_write(&g, scratch, want), want, "the shim sends 150000 bytes at once");
	while (guest_recv(&g, &p) && is_stream(g.data, got, p.len))
		got += p.len;
	is_int(got, want, "the guest gets them in packets of 64 KiB at most");

	fill(scratch, 0, WINDOW + 1);
	guest_write(&g, scratch, WINDOW);
	for (got = 0; got < WINDOW; got += (uint64_t)want) {
		want = (uint64_t)shim_read(&g, scratch, 100000);
		if (want > 100000 || !is_stream(scratch, got, want))
			break;
	}
	is_int(got, WINDOW, "the guest may send as much as the window in one packet");
	guest_write(&g, scratch, WINDOW + 1);
	while (guest_recv(&g, &p) && p.op != RST)
		;
	ok(p.op == RST && shim_read(&g, scratch, 1) == 0, "one byte more is refused, and none of it comes");
	guest_close(&g);
}

/* --- credit ---------------------------------------------------------------------------------------- */

/* Sends until the guest's credit is spent, also when it asks for more: bytes sent. */
static uint64_t fill_up(uint32_t piece)
{
	uint64_t sent = 0;
	uint32_t n;

	while ((n = MIN(guest_credit(&g), piece))) {
		fill(scratch, sent, n);
		if (!guest_write(&g, scratch, n))
			driver_die("the device does not take what it gave credit for");
		sent += n;
		while (guest_next(&g))
			;
		if (guest_credit(&g))
			continue;
		guest_op(&g, CREDIT_REQUEST, 0);
		if (guest_next(&g) != CREDIT_UPDATE)
			driver_die("CREDIT_REQUEST was not answered");
	}
	return sent;
}

static void test_guest_credit(uint64_t features)
{
	uint64_t sent, got = 0;
	ssize_t n;

	open_connected(features, 8, 4096);
	g.peer_buf_alloc = WINDOW;
	sent = fill_up(5000);
	ok(sent > WINDOW, "a shim that reads nothing: the guest fills its socket and the window");
	while ((n = shim_read(&g, scratch, 3333)) > 0) {
		if (!is_stream(scratch, got, (size_t)n))
			break;
		got += (uint64_t)n;
	}
	is_int(got, sent, "the shim gets all that was sent");
	is_int(guest_next(&g), CREDIT_UPDATE, "and the guest gets credit again, unasked");
	while (guest_next(&g))
		;
	ok(guest_credit(&g) > WINDOW * 3 / 4, "nearly all of it");
	ok(guest_write(&g, "x", 1) && shim_read(&g, scratch, 9) == 1, "the stream goes on");

	fill_up(64 * KIB);
	guest_write(&g, "x", 1);
	is_int(guest_next(&g), RST, "a byte without credit ends the connection");
	for (got = 0; (n = shim_read(&g, scratch, sizeof(scratch))) > 0;)
		got += (uint64_t)n;
	ok(n == 0 && got >= WINDOW, "the shim gets what was in order, and the end");
	ok(!is_broken(), "and the device lives");
	guest_close(&g);
}

/* A window of the guest of 1000 bytes, then other ones. */
static void test_host_credit(uint64_t features)
{
	struct vsock_packet p;

	guest_open(&g, features);
	guest_rx(&g, 16, 4096);
	g.buf_alloc = 1000;
	ok(guest_connect(&g), "a guest with a window of 1000");
	fill(scratch, 0, 5000);
	shim_write(&g, scratch, 5000);
	ok(guest_recv(&g, &p) && p.len == 1000, "1000 bytes come");
	is_int(guest_next(&g), 0, "and no more");
	ok(loop_turns(&g.loop), "and the loop is at rest");
	g.fwd_cnt = 1;
	guest_op(&g, CREDIT_UPDATE, 0);
	ok(guest_recv(&g, &p) && p.op == RW && p.len == 1, "one byte of credit, one byte");
	g.fwd_cnt = 501;
	g.buf_alloc = 100;
	guest_op(&g, CREDIT_UPDATE, 0);
	is_int(guest_next(&g), 0, "a smaller window than is under way");
	g.fwd_cnt = 1001;
	guest_op(&g, CREDIT_UPDATE, 0);
	ok(guest_recv(&g, &p) && p.len == 100, "a smaller window, when it is free");
	g.buf_alloc = UINT32_MAX;
	guest_op(&g, CREDIT_UPDATE, 0);
	ok(guest_recv(&g, &p) && p.op == RW && is_stream(g.data, 1101, p.len), "a huge window");
	is_int(p.len, 3899, "gets the rest");

	p = guest_packet(&g, CREDIT_UPDATE, 0);
	p.fwd_cnt = 900;
	p.buf_alloc = 4000;
	guest_send(&g, &p, NULL, 0);
	shim_write(&g, scratch, 10);
	is_int(guest_next(&g), RW, "a header that is late changes nothing");
	g.fwd_cnt = 5011;
	guest_op(&g, CREDIT_UPDATE, 0);
	is_int(guest_next(&g), RST, "bytes taken that were never sent: RST");
	is_int(shim_read(&g, scratch, 1), 0, "and the shim sees the end");
	guest_close(&g);
}

/* --- 100 MB each way ------------------------------------------------------------------------------- */

#define BULK (100 * MIB)

struct bulk {
	uint64_t guest_put, shim_got, shim_put, guest_got;
	unsigned seed, guest_waits, shim_waits;
	bool same;
};

static unsigned dice(struct bulk *b, unsigned sides)
{
	b->seed = b->seed * 1103515245 + 12345;
	return (b->seed >> 8) % sides;
}

static void bulk_guest(struct bulk *b)
{
	unsigned n = 1 + dice(b, 60000), packets = dice(b, 32);
	struct vsock_packet p;

	n = (unsigned)MIN(MIN(guest_credit(&g), n), BULK - b->guest_put);
	if (n) {
		fill(scratch, b->guest_put, n);
		b->same &= guest_write(&g, scratch, n);
		b->guest_put += n;
	}
	while (packets-- && guest_recv(&g, &p)) {
		b->same &= p.op == CREDIT_UPDATE || (p.op == RW && is_stream(g.data, b->guest_got, p.len));
		b->guest_got += p.len;
	}
	/* It does not say at once what it has read. */
	if (g.rx_cnt - g.fwd_cnt >= g.buf_alloc / 2) {
		g.fwd_cnt = g.rx_cnt;
		b->same &= guest_op(&g, CREDIT_UPDATE, 0);
	}
}

static void bulk_shim(struct bulk *b)
{
	size_t n = 1 + dice(b, 200000);
	ssize_t r;

	n = MIN(n, BULK - b->shim_put);
	fill(scratch, b->shim_put, n);
	r = n ? shim_write(&g, scratch, n) : 0;
	b->shim_put += r > 0 ? (uint64_t)r : 0;
	b->shim_waits += r == -EAGAIN;
	if (dice(b, 2))
		return;
	r = shim_read(&g, scratch, 1 + dice(b, 80000));
	if (r > 0) {
		b->same &= is_stream(scratch, b->shim_got, (size_t)r);
		b->shim_got += (uint64_t)r;
	}
}

static void test_bulk(uint64_t features)
{
	struct bulk b = { .seed = 1, .same = true };
	unsigned idle = 0;

	open_connected(features, 32, 4096);
	while (b.same && (b.shim_got < BULK || b.guest_got < BULK) && idle < 1000) {
		uint64_t before = b.shim_got + b.guest_got;

		bulk_guest(&b);
		bulk_shim(&b);
		idle = b.shim_got + b.guest_got == before ? idle + 1 : 0;
		b.guest_waits += !guest_credit(&g);
	}
	ok(b.same, "100 MB each way, the same bytes");
	is_int(b.shim_got, BULK, "all to the shim");
	is_int(b.guest_got, BULK, "all to the guest");
	ok(b.guest_waits > 100 && b.shim_waits > 100, "and both had to wait");
	guest_close(&g);
}

/* A guest that kicks from a thread of its own while the loop runs, as a vCPU without an ioeventfd does. All
 * that it sends fits the window. Whoever of the two served it: after the kick it is used. */
static void *kicking_vcpu(void *unused)
{
	uint8_t *at = driver_ptr(&g.d, g.tx_gpa, TX_AREA);
	uint64_t sent;

	(void)unused;
	for (sent = 0; sent < 64 * KIB; sent += 64) {
		struct vsock_packet p = guest_packet(&g, RW, 64);
		struct seg s = { g.tx_gpa, VSOCK_HEADER_BYTES + 64, false };

		vsock_packet_put(at, &p);
		fill(at + VSOCK_HEADER_BYTES, sent, 64);
		driver_add(&g.d, TX, &s, 1);
		driver_write(&g.d, VIRTIO_MMIO_QUEUE_NOTIFY, TX);
		if (!driver_used(&g.d, TX, NULL, NULL))
			return &g;
	}
	return NULL;
}

static void test_threads(void)
{
	uint64_t got = 0;
	bool same = true;
	pthread_t t;
	void *failed;
	ssize_t n;

	open_connected(DRIVER_ALL, 8, 4096);
	if (pthread_create(&t, NULL, kicking_vcpu, NULL))
		driver_die("no thread");
	while (same && got < 64 * KIB) {
		n = recv(g.shim, scratch, 1000, MSG_DONTWAIT);
		if (n > 0) {
			same = is_stream(scratch, got, (size_t)n);
			got += (uint64_t)n;
		}
		send(g.shim, "y", 1, MSG_DONTWAIT);
		loop_once(&g.loop, 1);
	}
	pthread_join(t, &failed);
	ok(same && !failed, "a kick from another thread while the loop runs");
	guest_close(&g);
}

/* --- the end --------------------------------------------------------------------------------------- */

static void test_shim_closes_first(uint64_t features)
{
	struct vsock_packet p;

	open_connected(features, 8, 4096);
	shim_write(&g, "last", 4);
	shutdown(g.shim, SHUT_WR);
	ok(guest_recv(&g, &p) && p.op == RW && p.len == 4, "the shim's last bytes");
	ok(guest_recv(&g, &p) && p.op == SHUTDOWN && p.flags == SEND, "SHUTDOWN: it sends no more");
	is_int(guest_next(&g), 0, "once");
	ok(guest_write(&g, "more", 4) && shim_read(&g, scratch, 9) == 4, "the guest may still send");
	shutdown(g.shim, SHUT_RD);
	ok(guest_recv(&g, &p) && p.op == SHUTDOWN && p.flags == (RCV | SEND), "nor does it take any more");
	guest_write(&g, "late", 4);
	guest_op(&g, CREDIT_REQUEST, 0);
	ok(guest_recv(&g, &p) && p.op == CREDIT_UPDATE && p.fwd_cnt == 8, "late bytes are lost and credited");
	guest_op(&g, RST, 0);
	is_int(guest_next(&g), 0, "RST is not answered");
	ok(loop_turns(&g.loop), "an fd that has hung up does not keep the loop busy");
	guest_op(&g, REQUEST, 0);
	is_int(guest_next(&g), RST, "no second connection");
	guest_close(&g);

	open_connected(features, 8, 4096);
	shutdown(g.shim, SHUT_RD);
	guest_write(&g, "lost", 4);
	ok(guest_recv(&g, &p) && p.op == SHUTDOWN && p.flags == RCV, "a shim that only sends: SHUTDOWN");
	shim_write(&g, "x", 1);
	is_int(guest_next(&g), RW, "it does send");
	guest_close(&g);
}

static void test_guest_closes_first(uint64_t features)
{
	struct vsock_packet p;

	open_connected(features, 8, 4096);
	guest_write(&g, "last", 4);
	guest_op(&g, SHUTDOWN, SEND);
	is_int(shim_read(&g, scratch, 9), 4, "the guest's last bytes");
	is_int(shim_read(&g, scratch, 9), 0, "and the end");
	is_int(guest_next(&g), 0, "half a shutdown is not answered");
	shim_write(&g, "answer", 6);
	ok(guest_recv(&g, &p) && p.op == RW && p.len == 6, "the shim may still send");
	guest_op(&g, SHUTDOWN, RCV);
	ok(guest_recv(&g, &p) && p.op == RST && p.dst_port == GUEST_PORT, "both halves: RST");
	is_int(shim_write(&g, "x", 1), -EPIPE, "and the shim cannot send");
	guest_op(&g, REQUEST, 0);
	is_int(guest_next(&g), RST, "no second connection");
	guest_close(&g);

	open_connected(features, 8, 4096);
	guest_op(&g, SHUTDOWN, SEND);
	guest_write(&g, "x", 1);
	is_int(guest_next(&g), RST, "RW after the SHUTDOWN of sending: RST");
	guest_close(&g);

	guest_open(&g, features);
	guest_rx(&g, 8, 4096);
	g.buf_alloc = 1;
	ok(guest_connect(&g) && shim_write(&g, "xyz", 3) == 3, "a guest with room for one byte");
	is_int(guest_next(&g), RW, "gets one of three");
	guest_op(&g, SHUTDOWN, RCV);
	g.fwd_cnt = 1;
	guest_op(&g, CREDIT_UPDATE, 0);
	is_int(guest_next(&g), 0, "SHUTDOWN of receiving: not one more");
	is_int(shim_write(&g, "x", 1), -EPIPE, "nor can the shim send any");
	ok(guest_write(&g, "x", 1) && shim_read(&g, scratch, 9) == 1, "but not the guest");
	guest_close(&g);
}

/* The guest closes while the shim is slow: what it sent comes all the same. */
static void test_late_delivery(uint64_t features, uint16_t op)
{
	uint64_t sent, got = 0;
	ssize_t n;

	open_connected(features, 8, 4096);
	g.peer_buf_alloc = WINDOW;
	sent = fill_up(60000);
	guest_op(&g, op, op == SHUTDOWN ? RCV | SEND : 0);
	is_int(guest_next(&g), op == SHUTDOWN ? RST : 0, "the guest is let go at once");
	while ((n = shim_read(&g, scratch, 40000)) > 0) {
		if (!is_stream(scratch, got, (size_t)n))
			break;
		got += (uint64_t)n;
	}
	ok(n == 0 && got == sent, "the shim gets all, then the end");
	guest_close(&g);
}

static void test_shim_gone(uint64_t features)
{
	struct vsock_packet p;

	guest_open(&g, features);
	guest_rx(&g, 8, 4096);
	shim_write(&g, "will", 4);
	close_fd(&g.shim);
	ok(loop_turns(&g.loop), "the shim goes before the guest connects");
	ok(guest_connect(&g), "the guest may connect");
	ok(guest_recv(&g, &p) && p.op == SHUTDOWN && p.flags == RCV, "it hears that nobody listens");
	ok(guest_recv(&g, &p) && p.op == RW && p.len == 4, "it gets what was left for it");
	ok(guest_recv(&g, &p) && p.op == SHUTDOWN && p.flags == (RCV | SEND), "and the end");
	guest_op(&g, SHUTDOWN, RCV | SEND);
	is_int(guest_next(&g), RST, "its own is confirmed");
	guest_close(&g);

	open_connected(features, 8, 4096);
	g.peer_buf_alloc = WINDOW;
	fill_up(60000);
	close_fd(&g.shim);
	while (guest_recv(&g, &p) && p.op != SHUTDOWN)
		;
	ok(p.op == SHUTDOWN && p.flags & RCV, "the shim goes with the window full");
	guest_op(&g, CREDIT_REQUEST, 0);
	while (guest_next(&g))
		;
	is_int(guest_credit(&g), WINDOW, "the guest is not left without credit");
	guest_close(&g);
}

static void test_reset(uint64_t features)
{
	ssize_t n;

	open_connected(features, 8, 4096);
	guest_start(&g, features);
	guest_rx(&g, 8, 4096);
	is_int(guest_next(&g), 0, "after a reset nothing is left of a connection");
	ok(guest_connect(&g), "one that passed no byte may be made anew");
	ok(guest_write(&g, "x", 1) && shim_read(&g, scratch, 9) == 1, "and works");
	guest_start(&g, features);
	is_int(shim_read(&g, scratch, 9), 0, "a reset after a byte: the shim sees the end");
	guest_rx(&g, 8, 4096);
	guest_op(&g, REQUEST, 0);
	is_int(guest_next(&g), RST, "and there is no connection any more");
	guest_close(&g);

	open_connected(features, 8, 4096);
	g.peer_buf_alloc = WINDOW;
	fill_up(60000);
	driver_reset(&g.d);
	while ((n = shim_read(&g, scratch, sizeof(scratch))) > 0)
		;
	is_int(n, 0, "a reset with bytes under way: they come, and the end");
	guest_close(&g);

	open_connected(features, 8, 4096);
	guest_op(&g, RST, 0);
	is_int(shim_read(&g, scratch, 9), 0, "RST at once: the shim sees the end");
	guest_start(&g, features);
	guest_rx(&g, 8, 4096);
	guest_op(&g, REQUEST, 0);
	is_int(guest_next(&g), RST, "a reset does not undo that");
	guest_close(&g);
}

/* --- guests that are wrong -------------------------------------------------------------------------- */

/* A packet that is not of a connection: RST to where it says it comes from, and nothing else. */
static void refused(const struct vsock_packet *p, const char *what)
{
	struct vsock_packet r = { 0 };
	bool right;

	guest_send(&g, p, scratch, p->len);
	right = guest_recv(&g, &r) && r.op == RST && r.src_cid == p->dst_cid && r.dst_cid == p->src_cid &&
		r.src_port == p->dst_port && r.dst_port == p->src_port && r.type == p->type && !r.len;
	ok(right && !guest_next(&g), "%s", what);
}

static void test_strangers(uint64_t features, bool connected)
{
	struct vsock_packet p;

	guest_open(&g, features);
	guest_rx(&g, 8, 4096);
	ok(!connected || guest_connect(&g), "strange packets, %sconnected", connected ? "" : "not ");
	p = guest_packet(&g, REQUEST, 0);
	p.dst_port++;
	refused(&p, "another port");
	p = guest_packet(&g, REQUEST, 0);
	p.dst_cid = VSOCK_GUEST_CID;
	refused(&p, "another CID");
	p.dst_cid = VMADDR_CID_HOST | 1ULL << 32;
	refused(&p, "a CID of 64 bits");
	p = guest_packet(&g, REQUEST, 0);
	p.src_cid = 7;
	refused(&p, "another guest's CID");
	p = guest_packet(&g, REQUEST, 0);
	p.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	refused(&p, "seqpacket");
	p = guest_packet(&g, RW, 77);
	p.src_port++;
	refused(&p, "RW of no connection");
	p.op = 8;
	refused(&p, "an unknown operation of no connection");
	p.op = RESPONSE;
	refused(&p, "RESPONSE to nothing");
	p.op = RST;
	guest_send(&g, &p, scratch, p.len);
	is_int(guest_next(&g), 0, "RST is not answered");
	p = guest_packet(&g, REQUEST, 0);
	p.src_port++;
	p.fwd_cnt = connected ? 0 : 1;
	refused(&p, connected ? "a second connection" : "REQUEST that has received bytes");
	ok(!connected || (guest_write(&g, "x", 1) && shim_read(&g, scratch, 9) == 1), "the connection lives");
	ok(connected || guest_connect(&g), "a right one is accepted afterwards");
	guest_close(&g);
}

/* Operations that an open connection does not survive. */
static void test_wrong_operations(uint64_t features)
{
	static const uint16_t wrong[] = { 0, REQUEST, RESPONSE, 8, UINT16_MAX };
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		open_connected(features, 8, 4096);
		guest_op(&g, wrong[i], 0);
		ok(guest_next(&g) == RST && shim_read(&g, scratch, 1) == 0, "operation %u ends it", wrong[i]);
		guest_close(&g);
	}
}

/* Adds n packets that are to be refused: how many more were used. */
static unsigned send_strange(unsigned n)
{
	struct vsock_packet p = guest_packet(&g, RW, 0);
	struct seg s = { g.tx_gpa, VSOCK_HEADER_BYTES, false };
	unsigned used = 0;

	p.src_port = 9;
	vsock_packet_put(driver_ptr(&g.d, g.tx_gpa, TX_AREA), &p);
	while (n--) {
		if (driver_add(&g.d, TX, &s, 1) < 0)
			driver_die("no room in the tx queue");
		driver_kick(&g.d, TX);
	}
	while (driver_used(&g.d, TX, NULL, NULL))
		used++;
	return used;
}

/* No buffers to answer into: 64 answers are kept, then packets stay in the queue. */
static void test_no_rx_buffers(uint64_t features)
{
	struct vsock_packet r;
	unsigned answered = 0;

	guest_open(&g, features);
	ok(guest_op(&g, REQUEST, 0), "REQUEST without an rx buffer is taken");
	shim_write(&g, "x", 1);
	is_int(send_strange(100), 64, "64 answers wait, the rest of the queue does, too");
	ok(loop_turns(&g.loop), "and the loop is at rest");
	guest_rx(&g, 1, 100);
	while (guest_recv(&g, &r) && r.op == RST && r.dst_port == 9)
		answered++;
	is_int(answered, 100, "with one rx buffer all are answered");
	is_int(r.op, RESPONSE, "then the connection");
	is_int(guest_next(&g), RW, "and its byte");
	is_int(send_strange(0), 36, "all packets were used");
	guest_close(&g);

	guest_open(&g, features);
	is_int(send_strange(100), 64, "64 answers wait again");
	guest_rx(&g, 64, 100);
	is_int(send_strange(0), 36, "buffers for them bring the rest of the queue");
	guest_start(&g, features);
	guest_rx(&g, 64, 100);
	is_int(guest_next(&g), 0, "answers do not outlive a reset");
	guest_close(&g);
}

/* Is broken and works again after a reset. The connection has passed a byte: the shim sees its end. */
static void broken(const char *what)
{
	ok(is_broken(), "%s: needs reset", what);
	ok(loop_turns(&g.loop) && shim_read(&g, scratch, 9) == 0, "the shim sees the end");
	driver_kick(&g.d, RX);
	guest_start(&g, DRIVER_ALL);
	guest_rx(&g, 2, 4096);
	guest_op(&g, REQUEST, 0);
	is_int(guest_next(&g), RST, "a reset heals the device");
	guest_close(&g);
}

static void open_used(uint64_t features)
{
	open_connected(features, 4, 4096);
	if (!guest_write(&g, "x", 1) || shim_read(&g, scratch, 9) != 1)
		driver_die("no byte");
}

static void test_broken(uint64_t features)
{
	struct vsock_packet p;
	struct seg s;

	open_used(features);
	s = (struct seg){ g.tx_gpa, VSOCK_HEADER_BYTES - 1, false };
	driver_do(&g.d, TX, &s, 1);
	broken("a short header");

	open_used(features);
	s = (struct seg){ driver_alloc(&g.d, 4096), 4096, true };
	driver_do(&g.d, TX, &s, 1);
	broken("a packet that is not readable");

	open_used(features);
	p = guest_packet(&g, RW, 11);
	guest_send(&g, &p, "0123456789", 10);
	broken("a payload beyond its chain");

	open_used(features);
	p.len = UINT32_MAX;
	guest_send(&g, &p, "0123456789", 10);
	broken("a payload far beyond its chain");

	open_used(features);
	driver_desc(&g.d, TX, 100, 1ULL << 40, 100, 0, 0);
	driver_offer(&g.d, TX, 100);
	driver_kick(&g.d, TX);
	broken("a packet that is not in memory");

	open_used(features);
	driver_offer(&g.d, RX, 60000);
	driver_kick(&g.d, RX);
	fill(scratch, 0, 64 * KIB);
	g.refill = false;
	shim_write(&g, scratch, 64 * KIB);
	broken("an rx buffer that is none");

	guest_open(&g, features);
	guest_rx(&g, 1, VSOCK_HEADER_BYTES);
	guest_op(&g, REQUEST, 0);
	ok(is_broken(), "an rx buffer with room for a header only: needs reset");
	guest_start(&g, features);
	guest_rx(&g, 2, VSOCK_HEADER_BYTES + 1);
	ok(guest_connect(&g), "a connection that passed no byte may be made after it");
	guest_close(&g);
}

static void test_open(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct error err = { 0 };
	struct loop l;

	if (fd < 0 || loop_init(&l) < 0)
		driver_die("no fd, no loop");
	ok(!vsock_open(fd, &l, &g.d.mem, driver_irq, &g.d, &err), "an fd that cannot be watched is refused");
	is_str(err.text, "cannot watch the agent's socket: Operation not permitted", "and it says why");
	is_int(fcntl(fd, F_GETFD), -1, "and closed all the same");
	loop_fini(&l);
	vsock_close(NULL);
}

static void test_all(uint64_t features)
{
	test_connect(features);
	test_sizes(features, 45);
	test_sizes(features, 47);
	test_sizes(features, 1111);
	test_sizes(features, 70000);
	test_large(features);
	test_guest_credit(features);
	test_host_credit(features);
	test_shim_closes_first(features);
	test_guest_closes_first(features);
	test_late_delivery(features, SHUTDOWN);
	test_late_delivery(features, RST);
	test_shim_gone(features);
	test_reset(features);
	test_strangers(features, false);
	test_strangers(features, true);
	test_wrong_operations(features);
	test_no_rx_buffers(features);
	test_broken(features);
	test_bulk(features);
}

int main(void)
{
	test_open();
	test_all(DRIVER_ALL);
	test_all(0);
	test_threads();
	return tap_done();
}

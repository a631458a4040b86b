/* The network device between a guest in plain memory (net_guest.h) and a peer, its socket's other end: frames of all
 * sizes, offloads, who waits for whom, and the end. What is wrong is in t-vmm-net-hostile.c; threads, interrupts and
 * shares of a turn are in t-vmm-net-turns.c. */
#include <fcntl.h>

#include "base/log.h"
#include "lib/tap.h"
#include "net_guest.h"

#define F(bit) (1ULL << (bit))
#define MERGEABLE DRIVER_ALL
#define NOT_MERGEABLE (DRIVER_ALL & ~F(VIRTIO_NET_F_MRG_RXBUF))
#define BIG (MESSAGE_MAX + 3) /* an rx buffer for any frame */

static struct guest g;
static uint8_t scratch[MESSAGE_MAX];

/* Features with buffers that are usual for them. */
static void open_filled(uint64_t features)
{
	guest_open(&g, features);
	if (features & F(VIRTIO_NET_F_MRG_RXBUF))
		guest_rx(&g, 128, 1536);
	else
		guest_rx(&g, 32, BIG);
}

/* --- the device ---------------------------------------------------------------------------------- */

static void refused(int fd, const char *why)
{
	struct error err = { 0 };

	ok(!net_open(fd, guest_mac, &g.loop, &g.d.mem, driver_irq, &g.d, &err), "no network: %s", err.text);
	is_str(err.text, why, "it says why");
	is_int(fcntl(fd, F_GETFD), -1, "and the fd is closed");
}

static void test_open(void)
{
	struct watch w = WATCH_NONE;
	int fds[2], small = 60000;

	if (loop_init(&g.loop) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		driver_die("no loop, no sockets");
	refused(fds[0], "the network's socket is not of type seqpacket");
	close(fds[1]);
	if (pipe2(fds, O_CLOEXEC) < 0)
		driver_die("no pipe");
	refused(fds[0], "cannot use the network's socket: Socket operation on non-socket");
	close(fds[1]);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) < 0 ||
	    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) < 0)
		driver_die("no sockets");
	refused(fds[0], "the network's socket holds 60000 bytes, too few for a frame");
	close(fds[1]);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) < 0 || loop_add(&g.loop, &w, fds[0], EPOLLIN, NULL) < 0)
		driver_die("no sockets");
	refused(fds[0], "cannot watch the network's socket: File exists");
	close(fds[1]);
	loop_fini(&g.loop);
	net_close(NULL);
}

static void test_config(void)
{
	const uint64_t offered = F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_GUEST_CSUM) | F(VIRTIO_NET_F_MTU) |
				 F(VIRTIO_NET_F_MAC) | F(VIRTIO_NET_F_GUEST_TSO4) | F(VIRTIO_NET_F_GUEST_TSO6) |
				 F(VIRTIO_NET_F_HOST_TSO4) | F(VIRTIO_NET_F_HOST_TSO6) |
				 F(VIRTIO_NET_F_MRG_RXBUF);
	uint8_t mac[6];
	unsigned i;

	guest_open(&g, DRIVER_ALL);
	is_int(driver_read(&g.d, VIRTIO_MMIO_DEVICE_ID), 1, "a network card");
	is_int(driver_offered(&g.d) & 0xffffff, offered, "offers these of the low features");
	is_int(driver_offered(&g.d) >> 33, 0, "and no high one but VERSION_1");
	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)driver_config(&g.d, i, 1);
	ok(!memcmp(mac, guest_mac, 6), "has its address");
	ok(guest_link_is_up(&g), "the link is up");
	is_int(driver_config(&g.d, offsetof(struct virtio_net_config, max_virtqueue_pairs), 2), 0, "no queue pairs");
	is_int(driver_config(&g.d, offsetof(struct virtio_net_config, mtu), 2), 65520, "the MTU");
	is_int(driver_config(&g.d, offsetof(struct virtio_net_config, speed), 8), 0, "nothing behind");
	is_int(driver_config(&g.d, offsetof(struct virtio_net_config, mtu), 4), 65520, "nor across the end");
	driver_write(&g.d, VIRTIO_MMIO_QUEUE_SEL, 2);
	is_int(driver_read(&g.d, VIRTIO_MMIO_QUEUE_NUM_MAX), 0, "two queues");
	guest_close(&g);
}

/* --- frames -------------------------------------------------------------------------------------- */

/* Both ways, with rx buffers of that size. */
static void test_sizes(uint64_t features, unsigned buffers, uint32_t rx_bytes)
{
	static const size_t sizes[] = { 14, 60, 61, 1513, 1514, 1515, 1523, 1524, 1525, 1536, 3060, 4096,
					9000, 16384, 32767, 65519, 65534, 65535, 65536, 65549, 65550 };
	bool out = true, in = true;
	uint64_t i;

	guest_open(&g, features);
	guest_rx(&g, buffers, rx_bytes);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		out &= guest_send_seq(&g, i, sizes[i]) && peer_has(&g, i, sizes[i]);
		in &= peer_send_seq(&g, i, sizes[i]) == 0 && guest_has(&g, i, sizes[i]);
	}
	ok(out, "frames of 14 to 65550 bytes to the peer");
	ok(in, "and to the guest, into buffers of %u bytes", rx_bytes);
	ok(guest_recv(&g) == -1 && peer_recv(&g) == -EAGAIN && !guest_is_broken(&g), "and nothing else");
	guest_close(&g);
}

/* A message in n pieces as the test says, with VIRTIO_RING_F_INDIRECT_DESC or without. */
static bool in_pieces(unsigned n, bool indirect)
{
	size_t bytes = 9000, total = bytes + HEADER, at = 0;
	uint64_t gpa = g.tx_gpa;
	uint8_t *p = driver_ptr(&g.d, gpa, total);
	struct seg s[256];
	unsigned i;

	memset(p, 0, HEADER);
	frame_fill(p + HEADER, n, bytes);
	for (i = 0; i < n; i++) {
		size_t len = i + 1 < n ? total / n : total - at;

		s[i] = (struct seg){ gpa + at, (uint32_t)len, false };
		at += len;
	}
	if ((indirect ? driver_add_indirect(&g.d, TX, s, n) : driver_add(&g.d, TX, s, n)) < 0)
		driver_die("no room in the tx queue");
	driver_kick(&g.d, TX);
	return driver_used(&g.d, TX, NULL, NULL) && peer_has(&g, n, bytes);
}

static void test_pieces(void)
{
	unsigned n;
	bool same = true;

	guest_open(&g, DRIVER_ALL);
	for (n = 1; n <= 256; n += n < 8 ? 1 : 62)
		same &= in_pieces(n, false) && in_pieces(n, true);
	ok(same && in_pieces(256, true), "a frame in 1 to 256 pieces");
	guest_close(&g);
}

/* The two ends' headers say that much and come as they are. */
static void passes(const header *h, size_t bytes, const char *what)
{
	bool both;

	frame_fill(scratch, 1, bytes);
	both = guest_send(&g, h, scratch, bytes) && peer_recv(&g) == (int64_t)bytes && header_is(&g.h, h);
	ok(both && peer_send(&g, h, scratch, bytes) == 0 && guest_recv(&g) == (int64_t)bytes && header_is(&g.h, h),
	   "%s", what);
}

static void test_offloads(uint64_t features)
{
	const header csum = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6 };
	const header edge = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 14, .csum_offset = 84 };
	header tso = header_for(FRAME_MAX), h;

	open_filled(features);
	passes(&csum, 100, "a checksum to fill in passes");
	passes(&edge, 100, "from the frame's first byte to its last");
	passes(&tso, 30000, "as do TCP segments over IPv4");
	passes(&tso, 54, "even if there is nothing to cut");
	tso.gso_size = MTU - 40;
	tso.hdr_len = 30000;
	passes(&tso, 30000, "of the largest size, with a strange hint");
	tso.gso_size = 1;
	tso.hdr_len = 0;
	passes(&tso, 30000, "of the smallest, with none");
	tso.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	tso.csum_start = 54;
	tso.gso_size = MTU - 60;
	passes(&tso, 74, "and over IPv6");

	h = csum;
	h.flags |= VIRTIO_NET_HDR_F_DATA_VALID | VIRTIO_NET_HDR_F_RSC_INFO | 0xf8;
	h.num_buffers = 7;
	frame_fill(scratch, 1, 100);
	ok(guest_send(&g, &h, scratch, 100) && peer_recv(&g) == 100 && header_is(&g.h, &csum),
	   "other flags of the guest are ignored, and a number of buffers");
	ok(peer_send(&g, &h, scratch, 100) == 0 && guest_recv(&g) == 100 &&
		   g.h.flags == (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID),
	   "of the peer's, only that the checksum is right");
	h = (header){ .hdr_len = 1, .gso_size = 2, .csum_start = 3, .csum_offset = 4 };
	ok(guest_send(&g, &h, scratch, 100) && peer_recv(&g) == 100 && header_is(&g.h, &(header){ 0 }),
	   "what means nothing does not pass");
	ok(peer_send(&g, &h, scratch, 100) == 0 && guest_recv(&g) == 100 && header_is(&g.h, &(header){ 0 }),
	   "either way");
	guest_close(&g);
}

/* A driver that takes no offload. */
static void test_no_offloads(void)
{
	const header valid = { .flags = VIRTIO_NET_HDR_F_DATA_VALID };

	guest_open(&g, F(VIRTIO_NET_F_MAC));
	guest_rx(&g, 4, 1526);
	ok(guest_send_seq(&g, 1, 1514) && peer_has(&g, 1, 1514), "without offloads, frames go");
	ok(peer_send_seq(&g, 2, 1514) == 0 && guest_has(&g, 2, 1514), "and come");
	ok(peer_send(&g, &valid, scratch, 60) == 0 && guest_recv(&g) == 60 && !g.h.flags, "without flags");
	guest_close(&g);
}

/* --- who waits for whom -------------------------------------------------------------------------- */

/* A peer that does not read: tx stands still, nobody is busy; it reads: all come, in their order. */
static void test_peer_waits(uint64_t features, size_t bytes)
{
	uint64_t sent = 0, got = 0;
	unsigned taken;
	header h = header_for(bytes);

	open_filled(features);
	do
		frame_fill(scratch, sent, bytes);
	while (guest_add(&g, &h, scratch, bytes) && (sent++, driver_kick(&g.d, TX), sent < 5000));
	taken = g.tx_done + guest_tx_done(&g);
	ok(taken > 0 && taken < sent, "%u of %u frames are in the socket, the others wait", taken, (unsigned)sent);
	ok(loop_turns(&g.loop) && !guest_tx_done(&g), "and the loop is at rest");
	ok(peer_send_seq(&g, 1, 60) == 0 && guest_has(&g, 1, 60), "the other way is open");
	while (peer_has(&g, got, bytes))
		got++;
	is_int(got, sent, "the peer reads: all come, in their order");
	guest_tx_done(&g);
	is_int(g.tx_done, sent, "and the guest has its buffers back");
	ok(guest_send_seq(&g, 9, bytes) && peer_has(&g, 9, bytes), "it goes on");
	guest_close(&g);
}

/* Whether the peer takes a frame without waking the device. */
static bool takes_quietly(void)
{
	struct pollfd p = { .fd = g.loop.epfd, .events = POLLIN };

	return guest_send_seq(&g, 1, 60) && recv(g.peer, scratch, sizeof(scratch), MSG_DONTWAIT) == HEADER + 60 &&
	       poll(&p, 1, 0) == 0;
}

static void test_quiet(uint64_t features)
{
	open_filled(features);
	ok(takes_quietly(), "a peer that takes a frame does not wake the device");
	while (guest_add(&g, &(header){ 0 }, scratch, 60000))
		;
	driver_kick(&g.d, TX);
	while (peer_recv(&g) >= 0)
		;
	ok(takes_quietly(), "nor after one that frames had waited for");
	guest_close(&g);
}

/* A guest without buffers: frames stay in the socket until the peer has to wait. */
static void test_guest_waits(uint64_t features, size_t bytes)
{
	bool merge = features & F(VIRTIO_NET_F_MRG_RXBUF);
	uint64_t sent = 0, got = 0;
	int r;

	guest_open(&g, features);
	while ((r = peer_send_seq(&g, sent, bytes)) == 0)
		sent++;
	ok(r == -EAGAIN && sent > 1, "no buffers: %u frames, and the peer waits", (unsigned)sent);
	ok(loop_turns(&g.loop), "and the loop is at rest");
	ok(guest_send_seq(&g, 1, 60) && peer_has(&g, 1, 60), "the other way is open");
	g.refill = false;
	ok(guest_rx(&g, 1, merge ? (uint32_t)bytes + HEADER : BIG), "a buffer, for which a kick is wanted");
	ok(guest_has(&g, 0, bytes) && guest_recv(&g) == -1, "brings the first frame and no other");
	g.refill = true;
	guest_rx(&g, 8, g.rx_bytes);
	for (got = 1; got < 500 && guest_has(&g, got, bytes); got++)
		sent += peer_send_seq(&g, sent, bytes) == 0;
	while (got < sent && guest_has(&g, got, bytes))
		got++;
	ok(got == sent && got >= 500, "more of them bring all, in their order, while others come");
	guest_close(&g);
}

/* A frame of ten buffers, of which there are fewer at first. */
static void test_guest_has_too_few(uint64_t features)
{
	unsigned i;
	bool quiet = true;

	guest_open(&g, features);
	peer_send_seq(&g, 1, 9988);
	peer_send_seq(&g, 2, 60);
	for (i = 0; i < 9; i++) {
		ok(guest_rx(&g, 1, 1000), "buffer %u of 10: a kick is wanted", i + 1);
		quiet &= !driver_used(&g.d, RX, NULL, NULL);
	}
	ok(quiet && loop_turns(&g.loop), "nothing comes in parts");
	ok(guest_rx(&g, 1, 1000), "the last one");
	is_int(g.d.q[RX].ring_used->idx, 10, "fills all ten, which waits for the next");
	ok(guest_recv(&g) == 9988 && frame_is(g.frame, 1, 9988), "the frame");
	ok(guest_has(&g, 2, 60), "and the one behind it");
	guest_close(&g);
}

/* As much of each way as fits, at random times. */
struct bulk {
	uint64_t out, out_got, in, in_got;
	unsigned seed, peer_full, tx_full, no_frame;
	bool same;
};

#define BULK 20000

static unsigned dice(struct bulk *b, unsigned sides)
{
	b->seed = b->seed * 1103515245 + 12345;
	return (b->seed >> 8) % sides;
}

/* Mostly small ones, as frames are. */
static size_t size_of(uint64_t seq)
{
	return seq % 7 ? 60 + seq * 37 % 1455 : 60 + seq * 7919 % (FRAME_MAX - 59);
}

static void bulk_guest(struct bulk *b)
{
	unsigned n;

	for (n = dice(b, 60); n && b->out < BULK; n--, b->out++) {
		size_t bytes = size_of(b->out);
		header h = header_for(bytes);

		frame_fill(scratch, b->out, bytes);
		if (!guest_add(&g, &h, scratch, bytes)) {
			b->tx_full++;
			break;
		}
	}
	driver_kick(&g.d, TX);
	for (n = dice(b, 20); n && b->in_got < b->in; n--, b->in_got++)
		b->same &= guest_has(&g, b->in_got, size_of(b->in_got));
}

static void bulk_peer(struct bulk *b)
{
	unsigned n;
	int64_t r;

	for (n = dice(b, 20); n && b->in < BULK; n--, b->in++)
		if (peer_send_seq(&g, b->in, size_of(b->in)) < 0) {
			b->peer_full++;
			break;
		}
	for (n = dice(b, 40); n && (r = peer_recv(&g)) > 0; n--, b->out_got++)
		b->same &= r == (int64_t)size_of(b->out_got) && frame_is(g.frame, b->out_got, (size_t)r);
}

static void test_bulk(uint64_t features)
{
	struct bulk b = { .seed = 1, .same = true };
	unsigned idle = 0;

	open_filled(features);
	while (b.same && (b.out_got < BULK || b.in_got < BULK) && idle < 1000) {
		uint64_t before = b.out_got + b.in_got;

		bulk_guest(&b);
		bulk_peer(&b);
		idle = b.out_got + b.in_got == before ? idle + 1 : 0;
	}
	ok(b.same, "%u frames each way, the same and in their order", BULK);
	ok(b.out_got == BULK && b.in_got == BULK, "all of them");
	ok(b.peer_full > 50 && b.tx_full > 50, "and both ends had to wait");
	ok(guest_recv(&g) == -1 && peer_recv(&g) == -EAGAIN, "and nothing else came");
	guest_close(&g);
}

/* --- the end, and a new beginning ---------------------------------------------------------------- */

static void test_peer_goes(uint64_t features)
{
	uint32_t generation;

	open_filled(features);
	generation = driver_read(&g.d, VIRTIO_MMIO_CONFIG_GENERATION);
	peer_send_seq(&g, 1, 60);
	peer_send_seq(&g, 2, 60000);
	driver_ack(&g.d);
	close_fd(&g.peer);
	ok(loop_turns(&g.loop), "the peer goes: the loop is at rest");
	ok(guest_has(&g, 1, 60) && guest_has(&g, 2, 60000), "its last frames come");
	ok(!guest_link_is_up(&g), "the link is down");
	ok(driver_ack(&g.d) & VIRTIO_MMIO_INT_CONFIG, "and the guest hears of it");
	ok(driver_read(&g.d, VIRTIO_MMIO_CONFIG_GENERATION) != generation, "in a new configuration");
	ok(guest_send_seq(&g, 1, 60) && guest_send_seq(&g, 2, 65550), "frames are taken all the same");
	ok(!guest_is_broken(&g) && loop_turns(&g.loop), "and that is all");
	guest_start(&g, features);
	ok(!guest_link_is_up(&g) && guest_send_seq(&g, 1, 60), "so it is after a reset");
	guest_close(&g);
}

/* What has not come yet to a guest without buffers is not lost, unless the guest sends meanwhile. */
static void test_peer_goes_early(uint64_t features)
{
	guest_open(&g, features);
	peer_send_seq(&g, 1, 60);
	close_fd(&g.peer);
	ok(loop_turns(&g.loop) && guest_link_is_up(&g), "a peer that has gone with a frame on its way: not at its end yet");
	guest_rx(&g, 4, BIG);
	ok(guest_has(&g, 1, 60) && !guest_link_is_up(&g), "the frame, then the end");
	guest_close(&g);

	guest_open(&g, features);
	peer_send_seq(&g, 1, 60);
	close_fd(&g.peer);
	ok(loop_turns(&g.loop) && guest_send_seq(&g, 1, 60) && !guest_link_is_up(&g), "one that sends finds the end first");
	guest_rx(&g, 4, BIG);
	is_int(guest_recv(&g), -1, "and the frame is lost");
	guest_close(&g);

	guest_open(&g, features);
	driver_reset(&g.d);
	close_fd(&g.peer);
	ok(loop_turns(&g.loop) && !guest_link_is_up(&g), "a peer that goes while no driver is there");
	guest_start(&g, features);
	ok(!guest_link_is_up(&g) && guest_send_seq(&g, 1, 60), "is gone when one comes");
	guest_close(&g);
}

/* One that has read all, sent a frame and gone, while frames waited for it. */
static void test_peer_goes_behind(uint64_t features)
{
	header h = header_for(60000);
	unsigned sent = 0;

	open_filled(features);
	while (sent < 10 && guest_add(&g, &h, scratch, 60000))
		sent++;
	driver_kick(&g.d, TX);
	while (recv(g.peer, scratch, sizeof(scratch), MSG_DONTWAIT) > 0)
		;
	frame_fill(scratch, 1, 60);
	h = (header){ 0 };
	peer_put(&g, &h, HEADER, scratch, 60);
	close_fd(&g.peer);
	guest_tx_done(&g);
	ok(g.tx_done < sent && loop_turns(&g.loop), "frames wait for a peer that has read all and gone");
	ok(guest_has(&g, 1, 60) && !guest_link_is_up(&g), "its last one comes");
	guest_close(&g);
}

static void test_peer_goes_unread(uint64_t features)
{
	header h = header_for(60000);
	unsigned sent = 0;

	open_filled(features);
	while (sent < 40 && guest_add(&g, &h, scratch, 60000))
		sent++;
	driver_kick(&g.d, TX);
	guest_tx_done(&g);
	ok(g.tx_done < sent, "a peer that has not read all");
	close_fd(&g.peer);
	ok(loop_turns(&g.loop) && !guest_link_is_up(&g), "goes: the link is down");
	guest_tx_done(&g);
	is_int(g.tx_done, sent, "what waited is dropped");
	guest_close(&g);
}

static void test_peer_shuts(uint64_t features)
{
	unsigned waits = 0;

	open_filled(features);
	shutdown(g.peer, SHUT_WR);
	ok(loop_turns(&g.loop) && !guest_link_is_up(&g), "a peer that sends no more has gone");
	is_int(peer_recv(&g), 0, "and sees the end itself");
	guest_close(&g);

	open_filled(features);
	while (guest_add(&g, &(header){ 0 }, scratch, 60000))
		waits++;
	driver_kick(&g.d, TX);
	shutdown(g.peer, SHUT_WR);
	ok(loop_turns(&g.loop) && !guest_link_is_up(&g), "one that sends no more while frames wait for it, too");
	guest_tx_done(&g);
	is_int(g.tx_done, waits, "they are dropped");
	guest_close(&g);

	open_filled(features);
	shutdown(g.peer, SHUT_RD);
	ok(loop_turns(&g.loop) && guest_link_is_up(&g) && guest_send_seq(&g, 1, 60), "one that takes no more");
	ok(!guest_link_is_up(&g) && loop_turns(&g.loop), "is missed when the guest sends");
	is_int(peer_send_seq(&g, 1, 60), -EPIPE, "and sees the end itself");
	guest_close(&g);
}

static void test_reset(uint64_t features)
{
	header h = header_for(60000);
	uint64_t sent = 0, got = 0;
	unsigned taken;

	guest_open(&g, features);
	peer_send_seq(&g, 7, 60);
	for (; sent < 40; sent++) {
		frame_fill(scratch, sent, 60000);
		guest_add(&g, &h, scratch, 60000);
	}
	driver_kick(&g.d, TX);
	taken = g.tx_done + guest_tx_done(&g);
	ok(taken && taken < sent, "a reset while frames wait");
	driver_reset(&g.d);
	ok(loop_turns(&g.loop), "the loop is at rest");
	while (peer_recv(&g) == 60000 && frame_is(g.frame, got, 60000))
		got++;
	is_int(got, taken, "those that were taken come to the peer, no other");
	guest_start(&g, features);
	guest_rx(&g, 4, BIG);
	ok(guest_has(&g, 7, 60), "one for the guest comes to its next driver");
	ok(guest_send_seq(&g, 1, 65550) && peer_has(&g, 1, 65550), "which may send");
	guest_close(&g);

	guest_open(&g, F(VIRTIO_NET_F_MAC));
	driver_reset(&g.d);
	ok(peer_send_seq(&g, 7, FRAME_MAX) == 0 && loop_turns(&g.loop), "offloads that the last driver did not take");
	guest_start(&g, features);
	guest_rx(&g, 2, BIG);
	ok(guest_has(&g, 7, FRAME_MAX), "come to the next one, which does");
	guest_close(&g);

	guest_open(&g, features);
	guest_rx(&g, 2, 1000);
	driver_reset(&g.d);
	ok(peer_send_seq(&g, 1, 60) == 0 && loop_turns(&g.loop), "buffers do not outlive a reset");
	ok(!driver_read(&g.d, VIRTIO_MMIO_STATUS), "and nobody misses them");
	guest_close(&g);
}

static void test_all(uint64_t features)
{
	bool merge = features & F(VIRTIO_NET_F_MRG_RXBUF);

	test_sizes(features, 2, BIG);
	if (merge) {
		test_sizes(features, 128, 1536);
		test_sizes(features, 100, 4096);
		test_sizes(features, 128, 700);
		test_guest_has_too_few(features);
	}
	test_offloads(features);
	test_peer_waits(features, 60);
	test_peer_waits(features, 1514);
	test_peer_waits(features, 65550);
	test_quiet(features);
	test_guest_waits(features, 60);
	test_guest_waits(features, 1514);
	test_guest_waits(features, 65550);
	test_peer_goes(features);
	test_peer_goes_early(features);
	test_peer_goes_behind(features);
	test_peer_goes_unread(features);
	test_peer_shuts(features);
	test_reset(features);
	test_bulk(features);
}

int main(void)
{
	log_init("t-vmm-net", LOG_ERROR);
	test_open();
	test_config();
	test_all(MERGEABLE);
	test_all(NOT_MERGEABLE);
	test_all(MERGEABLE & ~DRIVER_EVENT_IDX);
	test_all(NOT_MERGEABLE & ~DRIVER_EVENT_IDX);
	test_pieces();
	test_no_offloads();
	return tap_done();
}

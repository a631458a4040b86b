/* The network device with ends that are wrong: headers that ask for what cannot be, messages that are none, buffers
 * that are too small, chains that break the device. */
#include <fcntl.h>
#include <sys/mman.h>

#include "base/log.h"
#include "lib/tap.h"
#include "net_guest.h"

#define F(bit) (1ULL << (bit))
#define CSUM VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCPV4 VIRTIO_NET_HDR_GSO_TCPV4
#define TCPV6 VIRTIO_NET_HDR_GSO_TCPV6
#define BIG (MESSAGE_MAX + 3) /* an rx buffer for any frame */

static struct guest g;
static uint8_t scratch[100000];
static int said = -1; /* what the device logs */

/* What was logged since the last time, its last line from behind the program's name. */
static const char *last_line(void)
{
	static char text[4096];
	ssize_t n = pread(said, text, sizeof(text) - 1, 0);
	char *line;

	if (n < 0 || ftruncate(said, 0) < 0 || lseek(said, 0, SEEK_SET) < 0)
		driver_die("no log");
	text[n] = 0;
	if (n)
		text[n - 1] = 0;
	line = strrchr(text, '\n');
	line = strstr(line ? line : text, "warning: ");
	return line ? line + strlen("warning: ") : "";
}

static bool guest_works(void)
{
	header h = { 0 };

	frame_fill(scratch, 5, 60);
	return guest_send(&g, &h, scratch, 60) && peer_recv(&g) == 60 && frame_is(g.frame, 5, 60);
}

static bool peer_works(void)
{
	header h = { 0 };

	frame_fill(scratch, 6, 60);
	return peer_send(&g, &h, scratch, 60) == 0 && guest_recv(&g) == 60 && frame_is(g.frame, 6, 60);
}

/* --- headers ------------------------------------------------------------------------------------- */

enum { NOTHING, NO_CSUM, NO_TSO4, NO_TSO6, NO_TSO };

/* Features that the driver does not take, of each direction. */
static const uint64_t without_tx[] = { 0, F(VIRTIO_NET_F_CSUM), F(VIRTIO_NET_F_HOST_TSO4), F(VIRTIO_NET_F_HOST_TSO6),
				       F(VIRTIO_NET_F_HOST_TSO4) | F(VIRTIO_NET_F_HOST_TSO6) };
static const uint64_t without_rx[] = { 0, F(VIRTIO_NET_F_GUEST_CSUM), F(VIRTIO_NET_F_GUEST_TSO4),
				       F(VIRTIO_NET_F_GUEST_TSO6),
				       F(VIRTIO_NET_F_GUEST_TSO4) | F(VIRTIO_NET_F_GUEST_TSO6) };

#define SHORT "a frame without a whole Ethernet header"
#define LONG "a frame that is too long"
#define NO_SUM "a checksum left out, which was not negotiated"
#define OUTSIDE "a checksum outside of the frame"
#define NO_SEGMENTS "a segmentation that was not negotiated"
#define NOT_TCP "a segmentation of what is no TCP"
#define IMPOSSIBLE "segments of an impossible size"

/* flags, gso_type, hdr_len, gso_size, csum_start, csum_offset */
static const struct {
	const char *name, *why;
	size_t bytes;
	int without;
	header h;
} bad[] = {
	{ "no frame", SHORT, 0, NOTHING, { 0 } },
	{ "13 bytes", SHORT, 13, NOTHING, { 0 } },
	{ "13 bytes to be cut", SHORT, 13, NOTHING, { CSUM, TCPV4, 0, 1, { { 34, 16 } } } },
	{ "65535 bytes in one", LONG, 65535, NOTHING, { 0 } },
	{ "65551 bytes", LONG, 65551, NOTHING, { CSUM, TCPV4, 54, 1448, { { 34, 16 } } } },
	{ "a checksum left out", NO_SUM, 100, NO_CSUM, { CSUM, 0, 0, 0, { { 34, 16 } } } },
	{ "a checksum of the Ethernet header", OUTSIDE, 100, NOTHING, { CSUM, 0, 0, 0, { { 13, 16 } } } },
	{ "a checksum beyond the end", OUTSIDE, 100, NOTHING, { CSUM, 0, 0, 0, { { 34, 65 } } } },
	{ "a checksum far beyond it", OUTSIDE, 65534, NOTHING, { CSUM, 0, 0, 0, { { 65535, 65535 } } } },
	{ "a checksum of nothing", OUTSIDE, 100, NOTHING, { CSUM, 0, 0, 0, { { 100, 0 } } } },
	{ "a TCP checksum beyond the end", OUTSIDE, 51, NOTHING, { CSUM, TCPV4, 51, 1448, { { 34, 16 } } } },
	{ "TCP over IPv4", NO_SEGMENTS, 100, NO_TSO4, { CSUM, TCPV4, 54, 1448, { { 34, 16 } } } },
	{ "TCP over IPv6", NO_SEGMENTS, 100, NO_TSO6, { CSUM, TCPV6, 74, 1448, { { 54, 16 } } } },
	{ "TCP with no segmentation at all", NO_SEGMENTS, 100, NO_TSO, { CSUM, TCPV4, 54, 1448, { { 34, 16 } } } },
	{ "TCP without checksums at all", NO_SUM, 100, NO_CSUM, { CSUM, TCPV4, 54, 1448, { { 34, 16 } } } },
	{ "TCP with ECN", NO_SEGMENTS, 100, NOTHING, { CSUM, TCPV4 | 0x80, 54, 1448, { { 34, 16 } } } },
	{ "TCP over IPv6 with ECN", NO_SEGMENTS, 100, NOTHING, { CSUM, TCPV6 | 0x80, 74, 1448, { { 54, 16 } } } },
	{ "ECN of nothing", NO_SEGMENTS, 100, NOTHING, { 0, 0x80, 0, 0, { { 0, 0 } } } },
	{ "fragments of UDP", NO_SEGMENTS, 100, NOTHING, { CSUM, 3, 42, 1448, { { 34, 6 } } } },
	{ "segments of UDP", NO_SEGMENTS, 100, NOTHING, { CSUM, 5, 42, 1448, { { 34, 6 } } } },
	{ "segments of what nobody knows", NO_SEGMENTS, 100, NOTHING, { CSUM, 2, 54, 1448, { { 34, 16 } } } },
	{ "segments without checksums", "a segmentation without checksums", 100, NOTHING,
	  { 0, TCPV4, 54, 1448, { { 34, 16 } } } },
	{ "segments with UDP's checksum", NOT_TCP, 100, NOTHING, { CSUM, TCPV4, 54, 1448, { { 34, 6 } } } },
	{ "segments without a whole IPv4 header", NOT_TCP, 100, NOTHING, { CSUM, TCPV4, 54, 1448, { { 33, 16 } } } },
	{ "segments without a whole IPv6 header", NOT_TCP, 100, NOTHING, { CSUM, TCPV6, 74, 1448, { { 53, 16 } } } },
	{ "segments without a whole TCP header", NOT_TCP, 53, NOTHING, { CSUM, TCPV4, 53, 1448, { { 34, 16 } } } },
	{ "or over IPv6", NOT_TCP, 73, NOTHING, { CSUM, TCPV6, 73, 1448, { { 54, 16 } } } },
	{ "segments of nothing", IMPOSSIBLE, 100, NOTHING, { CSUM, TCPV4, 54, 0, { { 34, 16 } } } },
	{ "segments that are too large", IMPOSSIBLE, 100, NOTHING, { CSUM, TCPV4, 54, MTU - 39, { { 34, 16 } } } },
	{ "or over IPv6", IMPOSSIBLE, 100, NOTHING, { CSUM, TCPV6, 74, MTU - 59, { { 54, 16 } } } },
	{ "segments of 65535 bytes", IMPOSSIBLE, 100, NOTHING, { CSUM, TCPV4, 54, 65535, { { 34, 16 } } } },
	{ "headers beyond the frame", "headers longer than the frame", 100, NOTHING,
	  { CSUM, TCPV4, 101, 1448, { { 34, 16 } } } },
};

static void test_bad_headers(unsigned i)
{
	char want[200];

	guest_open(&g, DRIVER_ALL & ~without_tx[bad[i].without]);
	guest_rx(&g, 2, BIG);
	last_line();
	ok(guest_send(&g, &bad[i].h, scratch, bad[i].bytes), "%s: the guest has its buffers back", bad[i].name);
	ok(peer_recv(&g) == -EAGAIN && guest_works() && guest_tx_done(&g) == 0, "the frame is dropped, no other");
	snprintf(want, sizeof(want), "network: 1 frames of the guest were dropped, the last one: %s", bad[i].why);
	is_str(last_line(), want, "and it says why");
	guest_close(&g);

	guest_open(&g, DRIVER_ALL & ~without_rx[bad[i].without]);
	guest_rx(&g, 2, BIG);
	is_int(peer_send(&g, &bad[i].h, scratch, bad[i].bytes), 0, "the same of the peer");
	ok(guest_recv(&g) == -1 && peer_works(), "is dropped, no other");
	snprintf(want, sizeof(want), "network: 1 frames for the guest were dropped, the last one: %s", bad[i].why);
	is_str(last_line(), want, "and it says why");
	ok(!guest_is_broken(&g) && loop_turns(&g.loop), "the device lives, at rest");
	guest_close(&g);
}

/* What one direction may not do the other may. */
static void test_directions(void)
{
	const header h = { CSUM, TCPV4, 54, 1448, { { 34, 16 } } };

	guest_open(&g, DRIVER_ALL & ~(F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_HOST_TSO4)));
	guest_rx(&g, 2, BIG);
	ok(peer_send(&g, &h, scratch, 9000) == 0 && guest_recv(&g) == 9000, "offloads to the guest alone");
	guest_close(&g);
	guest_open(&g, DRIVER_ALL & ~(F(VIRTIO_NET_F_GUEST_CSUM) | F(VIRTIO_NET_F_GUEST_TSO4)));
	ok(guest_send(&g, &h, scratch, 9000) && peer_recv(&g) == 9000, "offloads to the peer alone");
	guest_close(&g);
}

static void test_log(void)
{
	header h = { 0 };
	unsigned i;

	guest_open(&g, DRIVER_ALL);
	last_line();
	for (i = 1; i <= 5; i++) {
		bool told = (guest_send(&g, &h, scratch, i), *last_line());

		ok(told == (i != 3 && i != 5), "bad frame %u is%s logged", i, told ? "" : " not");
	}
	for (i = 6; i < 8; i++)
		guest_send(&g, &h, scratch, 1);
	last_line();
	guest_send(&g, &h, scratch, 1);
	is_str(last_line(), "network: 8 frames of the guest were dropped, the last one: " SHORT, "all are counted");
	close_fd(&g.peer);
	loop_turns(&g.loop);
	is_str(last_line(), "network: the other end has gone, the guest's link is down", "the end is logged");
	guest_send(&g, &h, scratch, 60);
	is_str(last_line(), "", "but no frame after it");
	guest_close(&g);
}

/* --- messages of the peer ------------------------------------------------------------------------ */

/* A message that is no frame, of which some bytes are as said. */
static void no_frame(size_t bytes, const char *why)
{
	char want[200];

	guest_open(&g, DRIVER_ALL);
	guest_rx(&g, 2, BIG);
	memset(scratch, 0, bytes);
	last_line();
	ok(peer_put(&g, scratch, bytes, NULL, 0) == 0 && guest_recv(&g) == -1, "a message of %zu bytes is dropped", bytes);
	snprintf(want, sizeof(want), "network: 1 frames for the guest were dropped, the last one: %s", why);
	is_str(last_line(), want, "and it says why");
	ok(peer_works() && guest_link_is_up(&g) && loop_turns(&g.loop), "the next one comes");
	guest_close(&g);
}

/* An empty message is not the end, which looks like it. */
static void test_no_frames(void)
{
	no_frame(0, "a message without a whole header");
	no_frame(1, "a message without a whole header");
	no_frame(HEADER - 1, "a message without a whole header");
	no_frame(HEADER, SHORT);
	no_frame(PLAIN_MAX + HEADER + 1, LONG);
	no_frame(MESSAGE_MAX + 1, LONG);
	no_frame(100000, LONG);

	guest_open(&g, DRIVER_ALL);
	guest_rx(&g, 2, BIG);
	peer_put(&g, NULL, 0, NULL, 0);
	close_fd(&g.peer);
	ok(loop_turns(&g.loop) && !guest_link_is_up(&g), "an empty message, then the end");
	guest_close(&g);
}

/* Those with no chance are dropped while the guest has no buffers, too. */
static void test_no_buffers(void)
{
	unsigned i;

	guest_open(&g, DRIVER_ALL);
	for (i = 0; i < 1000 && peer_put(&g, scratch, 5, NULL, 0) == 0; i++)
		loop_turns(&g.loop);
	is_int(i, 1000, "bad messages do not pile up");
	guest_rx(&g, 2, BIG);
	ok(peer_works(), "a good one comes");
	guest_close(&g);
}

/* Files that the peer sends along are not kept. */
static void test_files(void)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { scratch, HEADER + 60 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int lowest, after;

	guest_open(&g, DRIVER_ALL);
	guest_rx(&g, 2, BIG);
	memset(scratch, 0, HEADER);
	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(c), &g.peer, sizeof(int));
	lowest = dup(0);
	close(lowest);
	ok(sendmsg(g.peer, &m, MSG_DONTWAIT) == HEADER + 60 && guest_recv(&g) == 60, "a frame with a file");
	after = dup(0);
	close(after);
	is_int(after, lowest, "comes without it");
	guest_close(&g);
}

/* A socket that takes less than it did: what does not fit is lost, and that is all. */
static void test_small_socket(void)
{
	int small = 20000;
	header h = { 0 };

	guest_open(&g, DRIVER_ALL);
	guest_rx(&g, 2, BIG);
	setsockopt(g.cable, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	last_line();
	ok(guest_send(&g, &h, scratch, 60000) && peer_recv(&g) == -EAGAIN, "a frame that the socket cannot take is dropped");
	is_str(last_line(), "network: 1 frames of the guest were dropped, the last one: Message too long", "it says why");
	ok(guest_works() && guest_link_is_up(&g), "the next one goes");
	guest_close(&g);
}

/* --- buffers ------------------------------------------------------------------------------------- */

static const char *const too_small = "network: 1 frames for the guest were dropped, the last one: a frame that the guest's "
				     "buffers cannot hold";

static void test_small_buffers(void)
{
	header h = { 0 };

	guest_open(&g, DRIVER_ALL & ~F(VIRTIO_NET_F_MRG_RXBUF));
	guest_rx(&g, 4, 1526);
	last_line();
	ok(peer_send(&g, &h, scratch, 1515) == 0 && guest_recv(&g) == -1, "a frame longer than a buffer is dropped");
	is_str(last_line(), too_small, "and it says why");
	ok(peer_works() && !guest_is_broken(&g) && loop_turns(&g.loop), "the next one comes");
	ok(peer_send(&g, &h, scratch, 1514) == 0 && guest_recv(&g) == 1514, "as one does that fits to the last byte");
	guest_close(&g);
}

/* All buffers that a ring can hold together are not enough: one that waited for more would wait for ever. */
static void test_small_ring(void)
{
	header h = { 0 };

	guest_open(&g, 0);
	guest_start_sized(&g, DRIVER_ALL, 8);
	guest_rx(&g, 3, 1000);
	last_line();
	ok(peer_send(&g, &h, scratch, 3989) == 0 && guest_recv(&g) == -1, "a frame of more than four buffers, three are there");
	ok(peer_send(&g, &h, scratch, 60) == 0 && guest_recv(&g) == -1 && !*last_line(), "waits, and all behind it");
	guest_rx(&g, 1, 1000);
	is_str(last_line(), too_small, "with four, which are all descriptors of the ring, it is dropped");
	ok(guest_recv(&g) == 60 && loop_turns(&g.loop), "and what is behind it comes");
	ok(peer_send(&g, &h, scratch, 3988) == 0 && guest_recv(&g) == 3988, "as one does that fits to the last byte");
	guest_close(&g);

	guest_open(&g, DRIVER_ALL);
	guest_rx(&g, 128, HEADER);
	ok(peer_send(&g, &h, scratch, 127 * HEADER) == 0 && guest_recv(&g) == 127 * HEADER, "128 of the smallest buffers");
	last_line();
	ok(peer_send(&g, &h, scratch, 127 * HEADER + 1) == 0 && guest_recv(&g) == -1, "do not hold a byte more");
	is_str(last_line(), too_small, "and it says so");
	guest_close(&g);
}

/* Buffers of 256 pieces of 12 bytes, of which a message of the host may have 1024. */
static void test_many_pieces(void)
{
	uint64_t gpa;
	struct seg s[256];
	header h = { 0 };
	unsigned i;

	guest_open(&g, DRIVER_ALL);
	g.refill = false;
	g.rx_bytes = 256 * HEADER;
	for (i = 0; i < 40; i++) {
		unsigned k;

		gpa = driver_alloc(&g.d, g.rx_bytes);
		for (k = 0; k < 256; k++)
			s[k] = (struct seg){ gpa + k * HEADER, HEADER, true };
		g.rx_gpa[driver_add_indirect(&g.d, RX, s, 256)] = gpa;
	}
	driver_kick(&g.d, RX);
	last_line();
	ok(peer_send(&g, &h, scratch, 9000) == 0 && guest_recv(&g) == 9000, "a frame in 751 pieces comes");
	ok(peer_send(&g, &h, scratch, 13000) == 0 && guest_recv(&g) == -1, "one in more than 1024 is dropped");
	is_str(last_line(), too_small, "and it says so");
	ok(peer_works() && loop_turns(&g.loop), "the next one comes");
	guest_close(&g);
}

/* --- what breaks the device ---------------------------------------------------------------------- */

static void open_used(uint64_t features)
{
	guest_open(&g, features);
	guest_rx(&g, 2, BIG);
	if (!peer_works() || !guest_works())
		driver_die("no frames");
}

/* Is broken and at rest, and works again after a reset. */
static void broken(const char *what, const char *why)
{
	char want[200];

	snprintf(want, sizeof(want), "virtio device 1 rests until its driver resets it: %s", why);
	is_str(last_line(), want, "it says why");
	ok(guest_is_broken(&g) && loop_turns(&g.loop), "%s: needs reset", what);
	guest_tx_done(&g);
	ok(!guest_send(&g, &(header){ 0 }, scratch, 60) && loop_turns(&g.loop), "and does nothing any more");
	/* Room in its socket, and a message. */
	while (peer_recv(&g) >= 0)
		;
	peer_send(&g, &(header){ 0 }, scratch, 60);
	ok(!guest_tx_done(&g) && guest_recv(&g) == -1, "whatever happens");
	guest_start(&g, DRIVER_ALL);
	guest_rx(&g, 2, BIG);
	while (guest_recv(&g) >= 0)
		;
	ok(guest_works() && peer_works(), "a reset heals it");
	guest_close(&g);
}

static void test_broken_tx(uint64_t features)
{
	uint64_t gpa;

	last_line();
	open_used(features);
	driver_do(&g.d, TX, &(struct seg){ g.tx_gpa, HEADER - 1, false }, 1);
	broken("a frame of 11 bytes, with header", "a frame without room for its header");

	open_used(features);
	gpa = g.tx_gpa;
	driver_do(&g.d, TX, (struct seg[]){ { gpa, 1 }, { gpa, 10 }, { gpa + 100, 100, true } }, 3);
	broken("a frame that is not readable", "a frame without room for its header");

	open_used(features);
	driver_desc(&g.d, TX, 100, 1ULL << 40, 100, 0, 0);
	driver_offer(&g.d, TX, 100);
	driver_kick(&g.d, TX);
	broken("a frame that is not in memory", "a network queue that makes no sense: a buffer that is not in memory");

	open_used(features);
	close_fd(&g.peer);
	loop_turns(&g.loop);
	driver_do(&g.d, TX, &(struct seg){ g.tx_gpa, HEADER - 1, false }, 1);
	ok(guest_is_broken(&g), "a frame without header when nobody is there: needs reset, too");
	last_line();
	guest_close(&g);
}

static void test_broken_rx(uint64_t features)
{
	header h = { 0 };

	guest_open(&g, features);
	guest_rx(&g, 1, HEADER - 1);
	ok(!guest_is_broken(&g) && peer_send(&g, &h, scratch, 60) == 0, "a buffer of 11 bytes is seen when it is needed");
	broken("then", "an rx buffer without room for a header");

	guest_open(&g, features);
	driver_add(&g.d, RX, &(struct seg){ driver_alloc(&g.d, 4096), 4096, false }, 1);
	driver_kick(&g.d, RX);
	peer_send(&g, &h, scratch, 60);
	broken("a buffer that is not writable", "an rx buffer without room for a header");

	guest_open(&g, features);
	driver_offer(&g.d, RX, 60000);
	driver_kick(&g.d, RX);
	peer_send(&g, &h, scratch, 60);
	broken("a buffer that is none",
	       "a network queue that makes no sense: a descriptor beyond the end of its table");
}

/* Frames that waited when the device broke are not sent when there is room. */
static void test_broken_waiting(void)
{
	header h = { 0 };
	unsigned taken, came = 0;

	guest_open(&g, DRIVER_ALL);
	guest_rx(&g, 1, HEADER - 1);
	while (guest_add(&g, &h, scratch, 60000))
		;
	driver_kick(&g.d, TX);
	guest_tx_done(&g);
	taken = g.tx_done;
	peer_send(&g, &h, scratch, 60);
	ok(guest_is_broken(&g) && taken, "a device that breaks while frames wait");
	for (; peer_recv(&g) == 60000; came++)
		;
	ok(came == taken && !guest_tx_done(&g) && loop_turns(&g.loop), "leaves them where they are");
	guest_close(&g);
}

/* The second buffer of a frame is as wrong as the first one can be. */
static void test_broken_second(void)
{
	header h = { 0 };

	guest_open(&g, DRIVER_ALL);
	guest_rx(&g, 1, 100);
	guest_rx(&g, 1, HEADER - 1);
	guest_rx(&g, 1, 1000);
	peer_send(&g, &h, scratch, 200);
	broken("a second buffer of 11 bytes", "an rx buffer without room for a header");

	guest_open(&g, DRIVER_ALL);
	guest_rx(&g, 1, 100);
	driver_offer(&g.d, RX, 60000);
	driver_kick(&g.d, RX);
	peer_send(&g, &h, scratch, 200);
	broken("a second buffer that is none",
	       "a network queue that makes no sense: a descriptor beyond the end of its table");
}

int main(void)
{
	unsigned i;

	said = memfd_create("said", MFD_CLOEXEC);
	if (said < 0 || dup2(said, STDERR_FILENO) < 0)
		return 1;
	log_init("t-vmm-net-hostile", LOG_WARN);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		test_bad_headers(i);
	test_directions();
	test_log();
	test_no_frames();
	test_no_buffers();
	test_files();
	test_small_socket();
	test_small_buffers();
	test_small_ring();
	test_many_pieces();
	test_broken_tx(DRIVER_ALL);
	test_broken_tx(0);
	test_broken_rx(DRIVER_ALL);
	test_broken_rx(0);
	test_broken_second();
	test_broken_waiting();
	return tap_done();
}

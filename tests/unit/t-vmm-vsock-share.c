/* The vsock device with a guest that is never done: one that adds as fast as it is served gets a share of each turn.
 * And how often it is interrupted. */
#include "lib/tap.h"
#include "vsock_guest.h"

#define RW VIRTIO_VSOCK_OP_RW
#define CREDIT_UPDATE VIRTIO_VSOCK_OP_CREDIT_UPDATE

static struct guest g;
static uint8_t scratch[1000];

/* A guest with rx buffers of that size, connected; the device interrupts it each time. */
static void open_connected(unsigned buffers, uint32_t bytes)
{
	guest_open(&g, 0);
	guest_rx(&g, buffers, bytes);
	if (!guest_connect(&g))
		driver_die("no connection");
}

static unsigned again_calls[3];
static unsigned handled;

#define ENOUGH 100000 /* of a device that does not stop by itself */

static void again(void *ud, unsigned queue)
{
	(void)ud;
	again_calls[queue]++;
}

/* An interrupt handler that offers another packet for each that was taken. */
static void refill_tx(void *ud)
{
	struct seg s = { g.tx_gpa, VSOCK_HEADER_BYTES, false };

	(void)ud;
	while (driver_used(&g.d, TX, NULL, NULL))
		handled++;
	while (handled < ENOUGH && driver_add(&g.d, TX, &s, 1) >= 0)
		;
}

/* And one that offers each buffer again that was filled. */
static void refill_rx(void *ud)
{
	uint16_t head;

	(void)ud;
	for (; handled < ENOUGH && driver_used(&g.d, RX, &head, NULL); handled++) {
		uint64_t gpa = g.rx_gpa[head];

		g.rx_gpa[driver_add(&g.d, RX, &(struct seg){ gpa, g.rx_bytes, true }, 1)] = gpa;
	}
}

static void test_share_tx(void)
{
	struct vsock_packet p;

	open_connected(8, 4096);
	p = guest_packet(&g, CREDIT_UPDATE, 0);
	vsock_packet_put(driver_ptr(&g.d, g.tx_gpa, TX_AREA), &p);
	g.d.v->kick_again = again;
	g.d.v->interrupt = refill_tx;
	handled = again_calls[TX] = 0;
	refill_tx(NULL);
	driver_kick(&g.d, TX);
	is_int(again_calls[TX], 1, "a guest that sends as fast as it is served does not keep the thread");
	ok(handled > 128 && handled <= 256, "256 packets a turn at most");
	ok(!driver_kick(&g.d, TX), "it need not kick for the rest");
	g.d.v->interrupt = driver_irq;
	virtio_kick(g.d.v, TX);
	refill_tx(NULL);
	ok(again_calls[TX] == 1 && handled > 256, "the next turn brings it");
	guest_close(&g);
}

static void test_share_rx(void)
{
	unsigned turns;

	open_connected(64, VSOCK_HEADER_BYTES + 1);
	g.d.v->kick_again = again;
	g.d.v->interrupt = refill_rx;
	handled = again_calls[RX] = 0;
	shim_write(&g, scratch, 1000);
	is_int(again_calls[RX], 1, "nor does one that takes a byte at a time");
	ok(handled > 128 && handled <= 256, "256 packets a turn at most");
	for (turns = 1; again_calls[RX] == turns; turns++)
		virtio_kick(g.d.v, RX);
	ok(handled == 1000 && turns == 4, "1000 in four turns");
	guest_close(&g);
}

/* Strangers' packets and buffers for the answers, without end. */
static void refill_both(void *ud)
{
	refill_tx(ud);
	refill_rx(ud);
}

static void test_share_both(void)
{
	struct vsock_packet p;

	guest_open(&g, 0);
	guest_rx(&g, 64, VSOCK_HEADER_BYTES + 1);
	p = guest_packet(&g, RW, 0);
	p.src_port = 9;
	vsock_packet_put(driver_ptr(&g.d, g.tx_gpa, TX_AREA), &p);
	g.d.v->kick_again = again;
	g.d.v->interrupt = refill_both;
	handled = again_calls[RX] = again_calls[TX] = 0;
	refill_tx(NULL);
	driver_kick(&g.d, TX);
	is_int(again_calls[TX], 1, "nor does one that sends to nobody and takes the answers");
	ok(again_calls[RX] <= 1 && handled <= 2 * 256, "256 packets a turn and direction at most");
	guest_close(&g);
}

/* That a packet was taken interrupts late: with one that comes, after some of them, or after a while. */
static void test_late(void)
{
	unsigned n;

	open_connected(16, 4096);
	driver_want_irqs(&g.d, TX, true);
	driver_want_irqs(&g.d, RX, true);
	shim_write(&g, "x", 1);
	driver_irqs(&g.d); /* nothing is owed from now on */
	is_int(guest_next(&g), RW, "a byte comes");
	driver_want_irqs(&g.d, TX, true);
	driver_want_irqs(&g.d, RX, true);
	ok(guest_write(&g, "y", 1), "one goes");
	is_int(driver_irqs(&g.d), 0, "which is no interrupt");
	shim_write(&g, "x", 1);
	is_int(driver_irqs(&g.d), 1, "the next one that comes is one, for both");
	is_int(guest_next(&g), RW, "and comes");

	driver_want_irqs(&g.d, TX, true);
	ok(guest_write(&g, "y", 1), "one more goes");
	is_int(driver_irqs(&g.d), 0, "again no interrupt");
	is_int(loop_once(&g.loop, 10000), 0, "something happens if nothing else does");
	is_int(driver_irqs(&g.d), 1, "an interrupt");

	for (n = 0; n < 100 && driver_irqs(&g.d) == 0; n++) {
		driver_want_irqs(&g.d, TX, true);
		if (!guest_write(&g, "y", 1))
			break;
	}
	ok(n >= 1 && n <= 16, "many that go are one, too: %u", n);
	guest_close(&g);
}

int main(void)
{
	test_late();
	test_share_tx();
	test_share_rx();
	test_share_both();
	return tap_done();
}

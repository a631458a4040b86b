/* The network device's turns: when it interrupts, that a turn ends though guest or peer have no end, and that others
 * may look, kick and read meanwhile. */
#include <fcntl.h>
#include <pthread.h>

#include "base/log.h"
#include "lib/tap.h"
#include "net_guest.h"

static struct guest g;
static uint8_t scratch[MESSAGE_MAX];

/* --- interrupts and shares ----------------------------------------------------------------------- */

static void test_interrupts(void)
{
	header h = { 0 };
	unsigned i;

	guest_open(&g, 0);
	for (i = 0; i < 40; i++)
		guest_add(&g, &h, scratch, 60);
	driver_irqs(&g.d);
	driver_kick(&g.d, TX);
	is_int(driver_irqs(&g.d), 3, "40 frames: three interrupts");
	driver_want_irqs(&g.d, TX, false);
	ok(guest_send_seq(&g, 1, 60) && !driver_irqs(&g.d), "none when none is wanted");
	for (i = 0; i < 40; i++)
		peer_put(&g, &h, HEADER, scratch, 60);
	is_int(driver_irqs(&g.d), 0, "frames without buffers do not interrupt");
	guest_rx(&g, 64, 1526);
	loop_turns(&g.loop);
	is_int(driver_irqs(&g.d), 3, "40 frames to the guest: three as well");
	driver_want_irqs(&g.d, RX, false);
	guest_rx(&g, 1, 1526);
	ok(peer_send_seq(&g, 1, 60) == 0 && !driver_irqs(&g.d), "none when none is wanted");
	guest_close(&g);
}

static unsigned again_calls[2], handled;

#define ENOUGH 100000 /* of a device that does not stop by itself */

static void again(void *ud, unsigned queue)
{
	(void)ud;
	again_calls[queue]++;
}

/* Interrupt handlers of a guest that is never done. */
static void refill_tx(void *ud)
{
	header h = { 0 };

	(void)ud;
	guest_tx_done(&g);
	while (g.tx_done < ENOUGH && guest_add(&g, &h, scratch, g.tx_done % 2 ? 60 : 3))
		;
}

static void refill_rx(void *ud)
{
	uint16_t head;

	(void)ud;
	for (; handled < ENOUGH && driver_used(&g.d, RX, &head, NULL); handled++)
		guest_add_rx(&g, g.rx_gpa[head]);
}

static void test_share_tx(void)
{
	guest_open(&g, 0);
	close_fd(&g.peer);
	guest_rx(&g, 1, 1526);
	loop_turns(&g.loop);
	g.d.v->kick_again = again;
	g.d.v->interrupt = refill_tx;
	again_calls[TX] = 0;
	refill_tx(NULL);
	driver_kick(&g.d, TX);
	is_int(again_calls[TX], 1, "a guest that sends as fast as it is served does not keep the thread");
	ok(g.tx_done > 128 && g.tx_done <= 256, "256 frames a turn at most");
	ok(!driver_kick(&g.d, TX), "it need not kick for the rest");
	g.d.v->interrupt = driver_irq;
	virtio_kick(g.d.v, TX);
	guest_tx_done(&g);
	ok(again_calls[TX] == 1 && g.tx_done > 256, "the next turn brings it");
	guest_close(&g);
}

static void test_share_rx(bool good)
{
	unsigned sent = 0, turns;
	int more = 400000;
	header h = { 0 };

	guest_open(&g, 0);
	setsockopt(g.peer, SOL_SOCKET, SO_SNDBUF, &more, sizeof(more));
	while (peer_put(&g, &h, HEADER, scratch, good ? 60 : 1) == 0)
		sent++;
	ok(sent > 256, "%u %s messages wait", sent, good ? "good" : "bad");
	g.d.v->kick_again = again;
	g.d.v->interrupt = refill_rx;
	again_calls[RX] = handled = 0;
	guest_rx(&g, 100, 1526);
	is_int(again_calls[RX], 1, "a peer that sends for ever does not keep the thread");
	ok(good ? handled > 128 && handled <= 256 : !handled, "256 messages a turn at most");
	for (turns = 1; again_calls[RX] == turns && turns < 100; turns++)
		virtio_kick(g.d.v, RX);
	ok(turns == 1 + sent / 256 && handled == (good ? sent : 0), "all of them in %u turns", turns);
	guest_close(&g);
}

/* --- threads ------------------------------------------------------------------------------------- */

/* A guest that kicks from a thread of its own while the loop runs, as a vCPU without an ioeventfd does. */
static void *kicking_vcpu(void *unused)
{
	uint8_t frame[60];
	uint64_t seq = 0;
	header h = { 0 };

	(void)unused;
	while (seq < 2000) {
		frame_fill(frame, seq, sizeof(frame));
		seq += guest_add(&g, &h, frame, sizeof(frame));
		driver_write(&g.d, VIRTIO_MMIO_QUEUE_NOTIFY, TX);
		driver_write(&g.d, VIRTIO_MMIO_QUEUE_NOTIFY, RX);
	}
	return NULL;
}

static void test_threads(void)
{
	uint8_t got[HEADER + 60];
	uint64_t seq = 0;
	bool same = true;
	pthread_t t;

	guest_open(&g, DRIVER_ALL);
	guest_rx(&g, 64, 1536);
	if (pthread_create(&t, NULL, kicking_vcpu, NULL))
		driver_die("no thread");
	while (same && seq < 2000) {
		if (recv(g.peer, got, sizeof(got), MSG_DONTWAIT) == sizeof(got))
			same = frame_is(got + HEADER, seq++, 60);
		send(g.peer, got, sizeof(got), MSG_DONTWAIT);
		loop_once(&g.loop, 1);
	}
	pthread_join(t, NULL);
	ok(same, "kicks from another thread while the loop runs");
	guest_close(&g);
}

/* All buffers of a frame are used at once, as a guest sees that looks all the time. */
static atomic_bool stop;

static void *looking_vcpu(void *unused)
{
	uint64_t parts = 0;

	(void)unused;
	while (!stop)
		parts += __atomic_load_n(&g.d.q[RX].ring_used->idx, __ATOMIC_ACQUIRE) % 64 != 0;
	return (void *)(uintptr_t)parts;
}

static void test_all_at_once(void)
{
	header h = { 0 };
	pthread_t t;
	unsigned i;
	void *parts;

	guest_open(&g, DRIVER_ALL);
	guest_rx(&g, 128, 100);
	stop = false;
	if (pthread_create(&t, NULL, looking_vcpu, NULL))
		driver_die("no thread");
	for (i = 0; i < 2000 && peer_send(&g, &h, scratch, 6388) == 0 && guest_recv(&g) == 6388; i++)
		;
	stop = true;
	pthread_join(t, &parts);
	ok(i == 2000 && !parts, "64 buffers of one frame are used at once, always");
	guest_close(&g);
}

/* Somebody else who reads from the socket takes frames between the device's look and its hand. */
static void *thief(void *fd)
{
	uint8_t byte;

	while (!stop)
		recv(*(int *)fd, &byte, 1, MSG_DONTWAIT);
	return NULL;
}

static void test_thief(void)
{
	int fd, sent = 0;
	bool same = true;
	pthread_t t;
	int64_t r;

	guest_open(&g, DRIVER_ALL);
	guest_rx(&g, 64, 1536);
	fd = fcntl(g.cable, F_DUPFD_CLOEXEC, 0);
	stop = false;
	if (pthread_create(&t, NULL, thief, &fd))
		driver_die("no thread");
	for (; same && sent < 200000 && guest_link_is_up(&g); sent++) {
		peer_send_seq(&g, (uint64_t)sent, 60 + (unsigned)sent % 1400);
		while ((r = guest_recv(&g)) >= 0)
			same &= frame_is(g.frame, (uint64_t)sent, (size_t)r) && r == 60 + sent % 1400;
	}
	stop = true;
	pthread_join(t, NULL);
	close(fd);
	ok(same, "what a second reader takes is not made up");
	guest_close(&g);
}

int main(void)
{
	log_init("t-vmm-net-turns", LOG_ERROR);
	test_interrupts();
	test_share_tx();
	test_share_rx(true);
	test_share_rx(false);
	test_threads();
	test_all_at_once();
	test_thief();
	return tap_done();
}

/*
 * The disk's queues, each driven by a thread: one waits for the host while others go on, a reset waits for all, and no
 * flush succeeds that another queue's failure was for.
 *
 * The host's disk is slow, or fails, where a test says so: preadv() and fdatasync() of this program are the ones below.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/log.h"
#include "lib/tap.h"
#include "unit/gate.h"
#include "vmm/devices.h"

#define QUEUES 3
#define SECTORS 256
#define SLOW 7 /* a read that begins at this sector passes the gate of reads */
#define BUF_BYTES 4096
#define ROUNDS 400

/* What a queue's requests are made of. */
struct place {
	uint64_t header, data, status;
};

static struct driver d;
static struct virtio *v;
static struct place place[BLK_QUEUES_MAX];
static struct gate reads = GATE_OPEN, syncs = GATE_OPEN;
static atomic_bool sync_fails; /* the next one, which takes the error with it */
static atomic_uint nsyncs;

/* --- the host ------------------------------------------------------------------------------------ */

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t at)
{
	if (at == SLOW * 512)
		gate_pass(&reads);
	return syscall(SYS_preadv, fd, iov, (long)n, (long)at, 0L);
}

/* As Linux does it: a write that is lost is told of once, to the first who asks after it. */
int fdatasync(int fd)
{
	bool fails = atomic_exchange(&sync_fails, false);

	(void)fd;
	atomic_fetch_add(&nsyncs, 1);
	gate_pass(&syncs);
	if (fails)
		errno = EIO;
	return fails ? -1 : 0;
}

/* --- the driver ---------------------------------------------------------------------------------- */

static uint8_t *at(uint64_t gpa)
{
	return driver_ptr(&d, gpa, 1);
}

static void start(uint64_t wanted)
{
	unsigned q;

	driver_start(&d, v, wanted);
	for (q = 0; q < v->nqueues; q++) {
		place[q].header = driver_alloc(&d, sizeof(struct virtio_blk_outhdr));
		place[q].data = driver_alloc(&d, BUF_BYTES);
		place[q].status = driver_alloc(&d, 1);
	}
	driver_irqs(&d);
	nsyncs = 0;
}

static void open_disk(unsigned queues)
{
	struct error err = { 0 };
	int fd = memfd_create("disk", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SECTORS * 512) < 0)
		abort();
	driver_memory(&d, 8 * MIB);
	v = blk_open(fd, false, queues, &d.mem, driver_irq, &d, &err);
	if (!v)
		driver_die(err.text);
	start(DRIVER_ALL);
}

static void close_disk(void)
{
	driver_reset(&d);
	blk_close(v);
	driver_free(&d);
}

static void add(unsigned q, uint32_t type, uint64_t sector, uint32_t bytes)
{
	struct virtio_blk_outhdr h = { .type = type, .sector = sector };
	struct seg s[] = {
		{ place[q].header, sizeof(h), false },
		{ place[q].data, bytes, type == VIRTIO_BLK_T_IN },
		{ place[q].status, 1, true },
	};

	memcpy(at(place[q].header), &h, sizeof(h));
	*at(place[q].status) = 0xff;
	if (!bytes)
		s[1] = s[2];
	if (driver_add(&d, q, s, bytes ? 3 : 2) < 0)
		driver_die("no room");
}

/* The status of what was added to a queue; -1: it is under way. */
static int answer(unsigned q)
{
	return driver_used(&d, q, NULL, NULL) ? *at(place[q].status) : -1;
}

static int request(unsigned q, uint32_t type, uint64_t sector, uint32_t bytes)
{
	add(q, type, sector, bytes);
	driver_kick(&d, q);
	return answer(q);
}

static int put(unsigned q, uint64_t sector, uint8_t value)
{
	memset(at(place[q].data), value, 512);
	return request(q, VIRTIO_BLK_T_OUT, sector, 512);
}

static bool has(unsigned q, uint64_t sector, uint8_t value)
{
	memset(at(place[q].data), 0xee, 512);
	return request(q, VIRTIO_BLK_T_IN, sector, 512) == 0 && *at(place[q].data) == value &&
	       !memcmp(at(place[q].data), at(place[q].data + 1), 511);
}

static int flush(unsigned q)
{
	return request(q, VIRTIO_BLK_T_FLUSH, 0, 0);
}

/* A request of queue q, until it waits for the host. */
static void begin_slow(struct kicker *k, unsigned q, struct gate *g, uint32_t type)
{
	gate_set(g, true);
	add(q, type, SLOW, type == VIRTIO_BLK_T_FLUSH ? 0 : 512);
	start_kick(k, v, q);
	gate_await(g);
}

/* --- side by side -------------------------------------------------------------------------------- */

static void test_read_waits(void)
{
	struct kicker k;

	open_disk(QUEUES);
	put(1, SLOW, 's');
	begin_slow(&k, 0, &reads, VIRTIO_BLK_T_IN);
	ok(put(1, 20, 'a') == 0 && has(2, 20, 'a') && flush(2) == 0, "a read waits for the host, other queues do not");
	is_int(driver_config(&d, offsetof(struct virtio_blk_config, num_queues), 2), QUEUES, "nor do registers");
	is_int(driver_read(&d, VIRTIO_MMIO_STATUS), 15, "of any kind");
	is_int(answer(0), -1, "it waits still");
	gate_set(&reads, false);
	pthread_join(k.thread, NULL);
	ok(answer(0) == 0 && *at(place[0].data) == 's', "until it is there");
	close_disk();
}

/* A driver that resets the device has its memory for itself. */
static void test_reset_meanwhile(void)
{
	struct kicker k;
	pthread_t resetter;

	open_disk(QUEUES);
	put(1, SLOW, 's');
	begin_slow(&k, 0, &reads, VIRTIO_BLK_T_IN);
	resetter = start_thread(gate_reset, &d);
	await_locked(&v->lock);
	*at(place[0].data) = 'x';
	gate_set(&reads, false);
	pthread_join(resetter, NULL);
	is_int(*at(place[0].data), 's', "what was under way is there before a reset is over");
	*at(place[0].data) = 'x';
	pthread_join(k.thread, NULL);
	is_int(*at(place[0].data), 'x', "nothing comes after it");
	start(DRIVER_ALL);
	ok(has(0, SLOW, 's') && has(2, SLOW, 's'), "the next driver is served");
	close_disk();
}

static void test_broken_meanwhile(void)
{
	struct kicker k;

	open_disk(QUEUES);
	begin_slow(&k, 2, &reads, VIRTIO_BLK_T_IN);
	driver_offer(&d, 0, 0xffff);
	driver_kick(&d, 0);
	ok(driver_has_status(&d, VIRTIO_CONFIG_S_NEEDS_RESET) && driver_irqs(&d) == 1, "a queue breaks the device");
	gate_set(&reads, false);
	pthread_join(k.thread, NULL);
	ok(answer(2) == -1 && flush(1) == -1 && !driver_irqs(&d), "the others rest with it");
	start(DRIVER_ALL);
	is_int(flush(1), 0, "until a reset");
	close_disk();
}

/* --- flushes ------------------------------------------------------------------------------------- */

static void test_flush_fails(void)
{
	struct kicker failing, other;

	open_disk(QUEUES);
	sync_fails = true;
	begin_slow(&failing, 0, &syncs, VIRTIO_BLK_T_FLUSH);
	is_int(put(1, 20, 'a'), 0, "a write goes on while another queue's flush waits");
	add(1, VIRTIO_BLK_T_FLUSH, 0, 0);
	start_kick(&other, v, 1);
	await_locked(&v->queue_lock[1]);
	gate_set(&syncs, false);
	pthread_join(failing.thread, NULL);
	pthread_join(other.thread, NULL);
	is_int(answer(0), VIRTIO_BLK_S_IOERR, "a flush fails");
	is_int(answer(1), VIRTIO_BLK_S_IOERR, "and the one that came meanwhile");
	is_int(flush(2), VIRTIO_BLK_S_IOERR, "no later one succeeds, on any queue");
	is_int(nsyncs, 1, "the host was not asked again");
	start(0);
	is_int(put(2, 20, 'a'), VIRTIO_BLK_S_IOERR, "nor a write that is to be safe at once, after a reset");
	close_disk();
}

/* Two flushes come while a third is under way, which began before what they are for was written. */
static void test_flush_shared(void)
{
	struct kicker k[QUEUES];
	unsigned q;

	open_disk(QUEUES);
	begin_slow(&k[0], 0, &syncs, VIRTIO_BLK_T_FLUSH);
	for (q = 1; q < QUEUES; q++) {
		put(q, 20 + q, 'a');
		add(q, VIRTIO_BLK_T_FLUSH, 0, 0);
		start_kick(&k[q], v, q);
		await_locked(&v->queue_lock[q]);
	}
	gate_set(&syncs, false);
	for (q = 0; q < QUEUES; q++)
		pthread_join(k[q].thread, NULL);
	ok(answer(0) == 0 && answer(1) == 0 && answer(2) == 0, "three flushes");
	ok(nsyncs >= 2, "a flush that began before a write is none for it");
	ok(nsyncs <= 3, "one that began after it may be for several");
	q = nsyncs;
	ok(flush(1) == 0 && nsyncs == q + 1, "one that is alone is done");
	close_disk();
}

/* --- shares -------------------------------------------------------------------------------------- */

static unsigned agains[BLK_QUEUES_MAX];

static void again(void *ud, unsigned queue)
{
	(void)ud;
	agains[queue]++;
}

/* More requests than a share has, of the largest ring: each is one descriptor of a table. */
static void fill_ring(unsigned q)
{
	struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_GET_ID };
	struct seg s[] = { { place[q].header, sizeof(h), false }, { place[q].status, 1, true } };

	memcpy(at(place[q].header), &h, sizeof(h));
	while (driver_add_indirect(&d, q, s, 2) >= 0)
		;
}

static void test_share(void)
{
	unsigned n = 0;

	open_disk(QUEUES);
	v->kick_again = again;
	fill_ring(1);
	virtio_kick(v, 1);
	ok(agains[1] >= 1 && !agains[0] && !agains[2], "who has had its share asks for another of the same queue");
	ok(flush(0) == 0 && flush(2) == 0, "those in between are of others");
	while (agains[1]) {
		agains[1]--;
		virtio_kick(v, 1);
	}
	while (driver_used(&d, 1, NULL, NULL))
		n++;
	is_int(n, 256, "and all is done");
	close_disk();
}

/* --- all at once --------------------------------------------------------------------------------- */

struct worker {
	unsigned queue, good;
};

/* Every sector has a queue that writes it; others may flush meanwhile. */
static void *work(void *ud)
{
	struct worker *w = ud;
	unsigned i;

	for (i = 0; i < ROUNDS; i++) {
		uint64_t sector = 8 + i % 50 * BLK_QUEUES_MAX + w->queue;
		uint8_t value = (uint8_t)(i + w->queue);

		w->good += put(w->queue, sector, value) == 0 && has(w->queue, sector, value) &&
			   (i % 8 || flush(w->queue) == 0) &&
			   (i % 9 || request(w->queue, VIRTIO_BLK_T_IN, SECTORS, 512) == VIRTIO_BLK_S_IOERR);
	}
	return NULL;
}

static void test_together(uint64_t wanted, const char *what)
{
	struct worker w[BLK_QUEUES_MAX] = { 0 };
	pthread_t thread[BLK_QUEUES_MAX];
	unsigned q, good = 0;

	open_disk(BLK_QUEUES_MAX);
	start(wanted);
	for (q = 0; q < BLK_QUEUES_MAX; q++) {
		w[q].queue = q;
		thread[q] = start_thread(work, &w[q]);
	}
	for (q = 0; q < BLK_QUEUES_MAX; q++) {
		pthread_join(thread[q], NULL);
		good += w[q].good;
	}
	is_int(good, BLK_QUEUES_MAX * ROUNDS, what);
	close_disk();
}

int main(void)
{
	log_init("t-vmm-blk-queues", LOG_ERROR);
	test_read_waits();
	test_reset_meanwhile();
	test_broken_meanwhile();
	test_flush_fails();
	test_flush_shared();
	test_share();
	test_together(DRIVER_ALL, "four queues at once");
	test_together(0, "and with a cache that writes through");
	return tap_done();
}

/* Random bytes: where they are due, all of them, and no others. */
#include <time.h>

#include "base/log.h"
#include "lib/tap.h"
#include "unit/vring.h"
#include "vmm/devices.h"
#include "vmm/serve.h"

static struct driver d;
static struct virtio *v;

static bool is_broken(void)
{
	return driver_has_status(&d, VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* How many of n bytes are 0: of random ones, few. */
static unsigned zeros(uint64_t gpa, unsigned n)
{
	const uint8_t *p = driver_ptr(&d, gpa, n);
	unsigned i, count = 0;

	for (i = 0; i < n; i++)
		count += p[i] == 0;
	return count;
}

static void test_bytes(void)
{
	uint64_t gpa = driver_alloc(&d, 8192);
	struct seg pieces[] = { { gpa + 100, 1, true }, { gpa + 200, 1000, true }, { gpa + 5000, 3, true } };

	is_int(driver_offered(&d) & 0xffffff, 0, "no feature of its own");
	is_int(driver_do(&d, 0, (struct seg[]){ { gpa, 64, true } }, 1), 64, "64 bytes");
	ok(zeros(gpa, 64) < 16, "are random");
	is_int(zeros(gpa + 64, 4096), 4096, "and no byte behind them");
	is_int(driver_do(&d, 0, pieces, 3), 1004, "in pieces");
	ok(zeros(gpa + 200, 1000) < 100, "all are filled");
	is_int(zeros(gpa + 1200, 3800), 3800, "and nothing between");
	is_int(zeros(gpa + 5003, 1000), 1000, "or behind");
	driver_add_indirect(&d, 0, (struct seg[]){ { gpa + 6000, 500, true }, { gpa + 7000, 500, true } }, 2);
	driver_kick(&d, 0);
	ok(driver_used(&d, 0, NULL, NULL) && zeros(gpa + 7000, 500) < 50, "indirect");
}

static void test_ceiling(void)
{
	uint64_t gpa = driver_alloc(&d, MIB);

	is_int(driver_do(&d, 0, (struct seg[]){ { gpa, MIB, true } }, 1), 65536, "of a big request 64 KiB are answered");
	ok(zeros(gpa, 65536) < 1000, "they are random");
	is_int(zeros(gpa + 65536, MIB - 65536), MIB - 65536, "the rest is not touched");
}

static void test_interrupts(void)
{
	uint64_t gpa = driver_alloc(&d, 64);
	struct seg s = { gpa, 64, true };
	unsigned i, n = 0;

	driver_irqs(&d);
	driver_want_irqs(&d, 0, false);
	driver_do(&d, 0, &s, 1);
	is_int(driver_irqs(&d), 0, "no interrupt when none is wanted");
	driver_want_irqs(&d, 0, true);
	driver_do(&d, 0, &s, 1);
	is_int(driver_irqs(&d), 1, "one when it is");
	while (driver_add(&d, 0, &s, 1) >= 0)
		n++;
	driver_kick(&d, 0);
	for (i = 0; driver_used(&d, 0, NULL, NULL); i++)
		;
	is_int(i, n, "a full ring is answered by one kick");
}

static void test_broken(void)
{
	uint64_t gpa = driver_alloc(&d, 64);

	is_int(driver_do(&d, 0, (struct seg[]){ { gpa, 64 } }, 1), -1, "a request without room");
	ok(is_broken(), "breaks the device");
	driver_start(&d, v, DRIVER_ALL);
	is_int(driver_do(&d, 0, (struct seg[]){ { gpa, 8 }, { gpa + 8, 8, true } }, 2), 8, "one with bytes to read does not");
	is_int(driver_do(&d, 0, (struct seg[]){ { LOW_MEMORY_END, 64, true } }, 1), -1, "a buffer that is no memory");
	ok(is_broken(), "does");
	driver_start(&d, v, DRIVER_ALL);
	ok(!is_broken(), "a reset mends it");
}

static unsigned again_calls;

static void again(void *ud, unsigned queue)
{
	(void)ud;
	again_calls += queue == 0;
}

/* An interrupt handler that takes what was done and offers the next request: a driver that is never idle. */
static void refill(void *ud)
{
	(void)ud;
	while (driver_used(&d, 0, NULL, NULL))
		;
	driver_add(&d, 0, (struct seg[]){ { DRIVER_FIRST_GPA + 16 * 4096, 8, true } }, 1);
}

static void test_share(void)
{
	uint16_t before;

	v->interrupt = refill;
	v->kick_again = again;
	driver_start(&d, v, 0);
	before = d.q[0].avail_idx;
	refill(NULL);
	driver_kick(&d, 0);
	is_int(again_calls, 1, "a driver that never ends does not keep the device's thread");
	ok((uint16_t)(d.q[0].avail_idx - before) <= VIRTQ_SIZE_MAX + 1, "at most 256 requests a kick");
	ok(!driver_kick(&d, 0), "the driver need not kick for what is left");
	v->interrupt = driver_irq;
	virtio_kick(v, 0);
	ok(again_calls == 1 && driver_used(&d, 0, NULL, NULL), "the next kick does it");
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* As refill(), and as if each request took longer than a turn may. */
static void refill_slowly(void *ud)
{
	uint64_t end = now_ms() + SERVE_MS + 1;

	while (now_ms() < end)
		;
	refill(ud);
}

static void test_share_of_time(void)
{
	uint16_t before = d.q[0].avail_idx;

	v->interrupt = refill_slowly;
	again_calls = 0;
	refill(NULL);
	virtio_kick(v, 0);
	is_int(again_calls, 1, "a turn is short");
	is_int((uint16_t)(d.q[0].avail_idx - before), 2, "one slow request is enough for it");
	v->interrupt = driver_irq;
	virtio_kick(v, 0);
}

static unsigned more;

static void refill_some(void *ud)
{
	if (more && more--)
		refill(ud);
}

/* Nobody who could kick again: all is done at once. */
static void test_no_share(void)
{
	uint16_t before = d.q[0].avail_idx;

	v->interrupt = refill_some;
	v->kick_again = NULL;
	more = 1000;
	refill(NULL);
	virtio_kick(v, 0);
	is_int((uint16_t)(d.q[0].avail_idx - before), 1001, "without another kick a turn goes on to the end");
	v->interrupt = driver_irq;
}

int main(void)
{
	log_init("t-vmm-rng", LOG_ERROR);
	driver_memory(&d, 4 * MIB);
	v = rng_open(&d.mem, driver_irq, &d, NULL);
	if (!v)
		abort();
	driver_start(&d, v, DRIVER_ALL);
	test_bytes();
	test_ceiling();
	test_interrupts();
	test_broken();
	test_share();
	test_share_of_time();
	test_no_share();
	rng_close(v);
	rng_close(NULL);
	driver_free(&d);
	return tap_done();
}

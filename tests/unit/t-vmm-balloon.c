/* The balloon: whole pages go back to the host, no byte beside them; in the machine's memory and in plain
 * memory. */
#include <linux/virtio_balloon.h>
#include <sys/mman.h>

#include "base/log.h"
#include "lib/tap.h"
#include "unit/vring.h"
#include "vmm/devices.h"

#define PAGE 4096
#define PAGES 64 /* of the area that the tests work on */

enum { INFLATEQ, DEFLATEQ, REPORTINGQ };

static struct driver d;
static struct virtio *v;
static uint64_t area;

static void fill(void)
{
	memset(driver_ptr(&d, area, PAGES * PAGE), 'x', PAGES * PAGE);
}

/* Bytes [from, from + n) of the area are zero and the others as fill() left them. */
static bool hole(unsigned from, unsigned n)
{
	const uint8_t *p = driver_ptr(&d, area, PAGES * PAGE);
	unsigned i;

	for (i = 0; i < PAGES * PAGE; i++)
		if (p[i] != (i >= from && i - from < n ? 0 : 'x'))
			return false;
	return true;
}

/* How many of the 17 pages from there the host has given; low and high memory are neighbours in the mapping. */
static int64_t held_pages(uint64_t gpa)
{
	unsigned char in[17];
	int64_t n = 0;
	unsigned i;

	if (mincore(driver_ptr(&d, gpa, PAGE), sizeof(in) * PAGE, in) < 0)
		return -1;
	for (i = 0; i < sizeof(in); i++)
		n += in[i] & 1;
	return n;
}

static bool is_broken(void)
{
	return driver_has_status(&d, VIRTIO_CONFIG_S_NEEDS_RESET);
}

static int64_t send_pages(unsigned queue, const uint32_t *pfn, unsigned bytes)
{
	return driver_do(&d, queue, &(struct seg){ driver_put(&d, pfn, bytes), bytes, false }, 1);
}

static void start(uint64_t wanted)
{
	driver_start(&d, v, wanted);
	area = driver_alloc(&d, PAGES * PAGE);
	fill();
}

static void test_config(void)
{
	uint32_t actual = 7;
	uint8_t byte = 1;

	is_int(driver_offered(&d) & 0xffffff,
	       1 << VIRTIO_BALLOON_F_DEFLATE_ON_OOM | 1 << VIRTIO_BALLOON_F_REPORTING, "features: no poison, no stats");
	is_int(driver_config(&d, offsetof(struct virtio_balloon_config, num_pages), 4), 0, "no page is asked for");
	virtio_mmio_write(v, VIRTIO_MMIO_CONFIG + offsetof(struct virtio_balloon_config, actual), &actual, 4);
	is_int(driver_config(&d, offsetof(struct virtio_balloon_config, actual), 4), 7, "the driver keeps its count");
	virtio_mmio_write(v, VIRTIO_MMIO_CONFIG, &actual, 4);
	virtio_mmio_write(v, VIRTIO_MMIO_CONFIG + offsetof(struct virtio_balloon_config, actual), &byte, 1);
	virtio_mmio_write(v, VIRTIO_MMIO_CONFIG + sizeof(struct virtio_balloon_config), &actual, 4);
	is_int(driver_config(&d, 0, 8), 7ULL << 32, "and nothing else");
	start(DRIVER_ALL);
	is_int(driver_config(&d, offsetof(struct virtio_balloon_config, actual), 4), 0, "until a reset");
	driver_write(&d, VIRTIO_MMIO_QUEUE_SEL, REPORTINGQ);
	ok(driver_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX) >= 32, "room for what Linux reports at once");
	driver_write(&d, VIRTIO_MMIO_QUEUE_SEL, REPORTINGQ + 1);
	is_int(driver_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), 0, "three queues");
}

static void test_inflate(void)
{
	uint32_t first = (uint32_t)(area / PAGE), pfn[] = { first + 3, first + 4, first + 5 };
	uint32_t mixed[] = { first + 9, first + 7, first + 8 };

	is_int(send_pages(INFLATEQ, pfn, sizeof(pfn)), 0, "three neighbours are inflated");
	ok(hole(3 * PAGE, 3 * PAGE), "and gone, no other page");
	is_int(send_pages(DEFLATEQ, pfn, sizeof(pfn)), 0, "deflated");
	ok(hole(3 * PAGE, 3 * PAGE), "nothing comes of that");
	fill();
	is_int(send_pages(INFLATEQ, mixed, sizeof(mixed)), 0, "in any order");
	ok(hole(7 * PAGE, 3 * PAGE), "as well");
	fill();
	is_int(send_pages(INFLATEQ, pfn, 7), 0, "a page and a part of a number");
	ok(hole(3 * PAGE, PAGE), "are a page");
	fill();
	is_int(send_pages(INFLATEQ, pfn, 3), 0, "less than a number");
	ok(hole(0, 0), "is nothing");
	is_int(driver_do(&d, INFLATEQ, (struct seg[]){ { driver_alloc(&d, 4), 4, true } }, 1), 0,
	       "nor is a buffer without any");
}

/* 5000 numbers of pages, the 4096th and the 4097th are interesting ones. */
static void test_inflate_ceiling(void)
{
	static uint32_t pfn[5000];
	uint32_t first = (uint32_t)(area / PAGE);
	unsigned i;

	for (i = 0; i < 5000; i++)
		pfn[i] = first;
	pfn[4095] = first + 1;
	pfn[4096] = first + 2;
	is_int(send_pages(INFLATEQ, pfn, sizeof(pfn)), 0, "5000 pages in one request");
	ok(hole(0, 2 * PAGE), "the 4096 first ones count");
	fill();
}

static void test_report(void)
{
	struct seg whole[] = { { area + 2 * PAGE, 4 * PAGE, true } };
	struct seg part[] = { { area + PAGE + 1, 3 * PAGE, true } };
	struct seg small[] = { { area + 100, PAGE, true }, { area + 3 * PAGE + 1, PAGE - 1, true } };
	struct seg two[] = { { area + 10 * PAGE, PAGE, true }, { area + 11 * PAGE - 5, PAGE + 6, true } };
	struct seg readable[] = { { area, PAGE } };

	is_int(driver_do(&d, REPORTINGQ, whole, 1), 0, "four pages are reported");
	ok(hole(2 * PAGE, 4 * PAGE), "and gone");
	fill();
	is_int(driver_do(&d, REPORTINGQ, part, 1), 0, "three pages from within one");
	ok(hole(2 * PAGE, 2 * PAGE), "are two whole ones");
	fill();
	is_int(driver_do(&d, REPORTINGQ, small, 2), 0, "a page's length, but no page");
	ok(hole(0, 0), "is none");
	is_int(driver_do(&d, REPORTINGQ, two, 2), 0, "two ranges");
	ok(hole(10 * PAGE, 2 * PAGE), "are two holes");
	fill();
	is_int(driver_do(&d, REPORTINGQ, readable, 1), 0, "what the device may not write");
	ok(hole(0, 0), "it keeps");
	driver_add_indirect(&d, REPORTINGQ, whole, 1);
	driver_kick(&d, REPORTINGQ);
	ok(driver_used(&d, REPORTINGQ, NULL, NULL) && hole(2 * PAGE, 4 * PAGE), "indirect");
	fill();
	start(0);
	is_int(driver_do(&d, REPORTINGQ, whole, 1), -1, "not negotiated: no reports");
	ok(hole(0, 0), "and no holes");
	start(DRIVER_ALL);
}

static void test_broken(void)
{
	uint32_t pfn[] = { UINT32_MAX }, hole_pfn[] = { LOW_MEMORY_END / PAGE };

	is_int(send_pages(INFLATEQ, pfn, sizeof(pfn)), -1, "a page that is no memory");
	ok(is_broken(), "breaks the device");
	start(DRIVER_ALL);
	is_int(send_pages(INFLATEQ, hole_pfn, sizeof(hole_pfn)), -1, "nor is the space of the devices");
	ok(is_broken(), "which breaks it, too");
	start(DRIVER_ALL);
	is_int(driver_do(&d, REPORTINGQ, (struct seg[]){ { LOW_MEMORY_END, PAGE, true } }, 1), -1, "nor to be reported");
	ok(is_broken(), "either");
	start(DRIVER_ALL);
	ok(!is_broken() && hole(0, 0), "a reset mends it");
}

static void test_interrupts(void)
{
	uint32_t pfn[] = { (uint32_t)(area / PAGE) };

	driver_irqs(&d);
	driver_want_irqs(&d, DEFLATEQ, false);
	send_pages(DEFLATEQ, pfn, sizeof(pfn));
	is_int(driver_irqs(&d), 0, "no interrupt when none is wanted");
	driver_want_irqs(&d, DEFLATEQ, true);
	send_pages(DEFLATEQ, pfn, sizeof(pfn));
	is_int(driver_irqs(&d), 1, "one when it is");
}

/* Memory on both sides of the devices' space: the second region follows the first in the file. */
static void test_high(void)
{
	uint64_t last = LOW_MEMORY_END - PAGE;
	uint32_t high = HIGH_MEMORY / PAGE, pfn[] = { (uint32_t)(last / PAGE), high, high + 1 };
	int64_t before;

	driver_mapped(&d, LOW_MEMORY_END + 16 * PAGE);
	v = balloon_open(&d.mem, driver_irq, &d, NULL);
	start(DRIVER_ALL);
	driver_put(&d, pfn, sizeof(pfn)); /* its page is there before they are counted */
	memset(driver_ptr(&d, last, PAGE), 'l', PAGE);
	memset(driver_ptr(&d, HIGH_MEMORY, 3 * PAGE), 'h', 3 * PAGE);
	before = held_pages(last);
	is_int(driver_do(&d, INFLATEQ, &(struct seg){ d.next_gpa - PAGE, sizeof(pfn), false }, 1), 0,
	       "the last low page and two high ones");
	is_int(held_pages(last), before - 3, "the host has three pages back");
	ok(!*(char *)driver_ptr(&d, last, 1) && !*(char *)driver_ptr(&d, HIGH_MEMORY + PAGE, 1), "they are zero");
	is_int(*(char *)driver_ptr(&d, HIGH_MEMORY + 2 * PAGE, 1), 'h', "the one behind them is not");
	is_int(driver_do(&d, REPORTINGQ, (struct seg[]){ { HIGH_MEMORY + 2 * PAGE, PAGE, true } }, 1), 0, "reported");
	is_int(*(char *)driver_ptr(&d, HIGH_MEMORY + 2 * PAGE, 1), 0, "it is, too");
	ok(hole(0, 0), "and the others are as they were");
	pfn[0] = (uint32_t)(LOW_MEMORY_END / PAGE) - 1;
	pfn[1] = pfn[0] + 1;
	is_int(send_pages(INFLATEQ, pfn, 8), -1, "from the last low page into what is no memory");
	ok(is_broken(), "breaks the device");
	balloon_close(v);
	driver_free(&d);
}

static void test_all(const char *what)
{
	ok(true, "# %s", what);
	v = balloon_open(&d.mem, driver_irq, &d, NULL);
	if (!v)
		abort();
	start(DRIVER_ALL);
	test_config();
	test_inflate();
	test_inflate_ceiling();
	test_report();
	test_broken();
	test_interrupts();
	balloon_close(v);
}

int main(void)
{
	uint64_t bytes = 4 * MIB;

	log_init("t-vmm-balloon", LOG_ERROR);
	driver_mapped(&d, bytes);
	test_all("a machine's memory");
	driver_free(&d);

	d = (struct driver){ .mem = { .n = 1 }, .next_gpa = DRIVER_FIRST_GPA };
	d.mem.region[0].size = bytes;
	d.mem.region[0].host = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (d.mem.region[0].host == MAP_FAILED)
		abort();
	test_all("anonymous memory");
	munmap(d.mem.region[0].host, bytes);

	test_high();
	balloon_close(NULL);
	return tap_done();
}

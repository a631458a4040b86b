/* The disk: every request, in every framing, to its bounds; what the host refuses; drivers that lie. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/log.h"
#include "lib/tap.h"
#include "unit/vring.h"
#include "vmm/devices.h"

#define SECTORS 64
#define DISK_BYTES (SECTORS * 512)
#define F(bit) (1ULL << (bit))

static struct driver d;
static struct virtio *v;
static int file = -1; /* ours of the disk's file */
static unsigned queues = 1;

static uint8_t *at(uint64_t gpa)
{
	return driver_ptr(&d, gpa, 1);
}

/* Byte i of the disk at the beginning of each test. */
static uint8_t pattern(unsigned i)
{
	return (uint8_t)(i / 512 * 7 + i);
}

static bool is_pattern(const uint8_t *p, unsigned from, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (p[i] != pattern(from + i))
			return false;
	return true;
}

static bool all(const uint8_t *p, uint8_t value, size_t n)
{
	while (n && *p == value) {
		p++;
		n--;
	}
	return n == 0;
}

/* The file has the pattern but for `n` bytes at `from`, which are `value`. */
static bool file_is(unsigned from, unsigned n, uint8_t value)
{
	static uint8_t now[DISK_BYTES + 1];

	return pread(file, now, sizeof(now), 0) == DISK_BYTES && is_pattern(now, 0, from) &&
	       all(now + from, value, n) && is_pattern(now + from + n, from + n, DISK_BYTES - from - n);
}

static int make_file(void)
{
	static uint8_t content[DISK_BYTES];
	char name[] = "/tmp/t-vmm-blk.XXXXXX";
	unsigned i;
	int fd = mkostemp(name, O_CLOEXEC);

	for (i = 0; i < DISK_BYTES; i++)
		content[i] = pattern(i);
	if (fd < 0 || unlink(name) < 0 || write(fd, content, sizeof(content)) != sizeof(content))
		abort();
	return fd;
}

/* A disk over `fd`, which stays open for the test. */
static void open_fd(int fd, bool readonly, uint64_t wanted)
{
	struct error err = { 0 };

	file = fd;
	driver_memory(&d, 8 * MIB);
	v = blk_open(fcntl(fd, F_DUPFD_CLOEXEC, 0), readonly, queues, &d.mem, driver_irq, &d, &err);
	if (!v)
		driver_die(err.text);
	driver_start(&d, v, wanted);
}

static void open_disk(bool readonly, uint64_t wanted)
{
	open_fd(make_file(), readonly, wanted);
}

static void close_disk(void)
{
	driver_reset(&d);
	blk_close(v);
	driver_free(&d);
	close_fd(&file);
}

/* A request of a header, up to one buffer and a status: the status, or -1 when there is no answer. *ret_len
 * may be NULL. */
static int request_len(uint32_t type, uint64_t sector, struct seg data, int64_t *ret_len)
{
	struct virtio_blk_outhdr h = { .type = type, .sector = sector };
	uint64_t header = driver_put(&d, &h, sizeof(h)), status = driver_put(&d, "\xff", 1);
	struct seg s[] = { { header, sizeof(h) }, data, { status, 1, true } };
	int64_t len;

	if (!data.len)
		s[1] = s[2];
	len = driver_do(&d, 0, s, data.len ? 3 : 2);
	if (ret_len)
		*ret_len = len;
	return len < 0 ? -1 : *at(status);
}

static int request(uint32_t type, uint64_t sector, uint64_t gpa, uint32_t len, bool writable)
{
	return request_len(type, sector, (struct seg){ gpa, len, writable }, NULL);
}

static int flush(void)
{
	return request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, false);
}

static int ranges(uint32_t type, const struct virtio_blk_discard_write_zeroes *s, unsigned bytes)
{
	return request(type, 0, driver_put(&d, s, bytes), bytes, false);
}

static int range(uint32_t type, uint64_t sector, uint32_t n, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes s = { sector, n, flags };

	return ranges(type, &s, sizeof(s));
}

static bool is_broken(void)
{
	return driver_has_status(&d, VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_open(void)
{
	struct error err = { 0 };
	auto_fd int odd = memfd_create("odd", MFD_CLOEXEC);
	int p[2], lowest = dup(0);

	if (odd < 0 || ftruncate(odd, 1000) < 0 || pipe2(p, O_CLOEXEC) < 0)
		abort();
	driver_memory(&d, MIB);
	ok(!blk_open(dup(odd), false, 1, &d.mem, driver_irq, &d, &err), "a file of 1000 bytes is no disk");
	is_str(err.text, "the disk is not a file of whole sectors of 512 bytes", "and it is said why");
	ok(!blk_open(p[0], false, 1, &d.mem, driver_irq, &d, &err), "nor is a pipe");
	is_int(fcntl(p[0], F_GETFD), -1, "an fd is gone also when opening fails");
	ok(!blk_open(-1, false, 1, &d.mem, driver_irq, &d, &err), "nor is nothing");
	is_str(err.text, "cannot examine the disk: Bad file descriptor", "and it is said why");
	close(p[1]);
	close(lowest);
	driver_free(&d);
	blk_close(NULL);
}

static void test_features(void)
{
	uint64_t base = F(VIRTIO_BLK_F_SEG_MAX) | F(VIRTIO_BLK_F_SIZE_MAX) | F(VIRTIO_BLK_F_BLK_SIZE) |
			F(VIRTIO_BLK_F_TOPOLOGY) | F(VIRTIO_BLK_F_FLUSH);
	uint64_t more = F(VIRTIO_BLK_F_DISCARD) | F(VIRTIO_BLK_F_WRITE_ZEROES);
	uint64_t device = 0xffffff;

	open_disk(false, DRIVER_ALL);
	is_int(driver_offered(&d) & device, base | more, "features of a disk");
	is_int(driver_config(&d, offsetof(struct virtio_blk_config, capacity), 8), SECTORS, "capacity");
	is_int(driver_config(&d, offsetof(struct virtio_blk_config, seg_max), 4), 254, "seg_max");
	is_int(driver_config(&d, offsetof(struct virtio_blk_config, blk_size), 4), 512, "blk_size");
	is_int(driver_config(&d, offsetof(struct virtio_blk_config, max_discard_seg), 4), 16, "max_discard_seg");
	is_int(driver_config(&d, offsetof(struct virtio_blk_config, max_write_zeroes_seg), 4), 1,
	       "max_write_zeroes_seg");
	is_int(driver_config(&d, offsetof(struct virtio_blk_config, write_zeroes_may_unmap), 1), 1, "may unmap");
	is_int(driver_config(&d, sizeof(struct virtio_blk_config), 8), 0, "nothing behind");
	is_int(driver_config(&d, sizeof(struct virtio_blk_config) - 4, 8), 0, "nor across the end");
	is_int(driver_config(&d, 1, 1), SECTORS >> 8, "single bytes can be read");
	close_disk();
	open_disk(true, DRIVER_ALL);
	is_int(driver_offered(&d) & device, base | F(VIRTIO_BLK_F_RO), "features of a read-only disk");
	is_int(driver_config(&d, offsetof(struct virtio_blk_config, max_discard_sectors), 4), 0, "no discard");
	close_disk();
}

static void test_queues(void)
{
	open_disk(false, DRIVER_ALL);
	ok(!(driver_offered(&d) & F(VIRTIO_BLK_F_MQ)), "a disk of one queue does not speak of queues");
	driver_write(&d, VIRTIO_MMIO_QUEUE_SEL, 1);
	is_int(driver_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), 0, "and has no other");
	close_disk();
	queues = 3;
	open_disk(true, DRIVER_ALL);
	ok(driver_offered(&d) & F(VIRTIO_BLK_F_MQ), "one of three does");
	is_int(driver_config(&d, offsetof(struct virtio_blk_config, num_queues), 2), 3, "num_queues");
	driver_write(&d, VIRTIO_MMIO_QUEUE_SEL, 2);
	is_int(driver_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), 256, "it has the third");
	driver_write(&d, VIRTIO_MMIO_QUEUE_SEL, 3);
	is_int(driver_read(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), 0, "and no fourth");
	driver_write(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 3);
	ok(!is_broken() && flush() == 0, "a kick of which is nothing");
	close_disk();
	queues = 1;
}

static void test_transfer(void)
{
	uint64_t buf;
	int64_t len;

	open_disk(false, DRIVER_ALL);
	buf = driver_alloc(&d, DISK_BYTES);
	is_int(request_len(VIRTIO_BLK_T_IN, 0, (struct seg){ buf, DISK_BYTES, true }, &len), 0, "the whole disk is read");
	ok(is_pattern(at(buf), 0, DISK_BYTES), "as it is");
	is_int(len, DISK_BYTES + 1, "all of the writable part is used");
	is_int(request(VIRTIO_BLK_T_IN, SECTORS - 1, buf, 512, true), 0, "the last sector is read");
	ok(is_pattern(at(buf), DISK_BYTES - 512, 512), "as it is");
	memset(at(buf), 'x', 1024);
	is_int(request_len(VIRTIO_BLK_T_OUT, 5, (struct seg){ buf, 1024 }, &len), 0, "two sectors are written");
	is_int(len, 1, "of the writable part there is a status");
	ok(file_is(5 * 512, 1024, 'x'), "they are in the file and nothing else");
	is_int(flush(), 0, "flush");
	is_int(request_len(VIRTIO_BLK_T_GET_ID, 0, (struct seg){ buf, 20, true }, &len), 0, "an id");
	is_str((char *)at(buf), "boxlite", "is told");
	is_int(len, 21, "padded");
	is_int(request(VIRTIO_BLK_T_GET_ID, 0, buf, 19, true), VIRTIO_BLK_S_IOERR, "19 bytes are no room for an id");
	is_int(request(VIRTIO_BLK_T_IN, 0, 0, 0, true), 0, "nothing is read");
	is_int(request(VIRTIO_BLK_T_OUT, SECTORS, 0, 0, false), 0, "nothing is written at the end");
	is_int(request(VIRTIO_BLK_T_SECURE_ERASE, 0, 0, 0, false), VIRTIO_BLK_S_UNSUPP, "no secure erase");
	is_int(request(0x80000001, 0, buf, 512, false), VIRTIO_BLK_S_UNSUPP, "no barrier");
	is_int(request_len(77, 0, (struct seg){ buf, 512, true }, &len), VIRTIO_BLK_S_UNSUPP, "no type 77");
	is_int(len, 0, "a status behind data that were not written is not counted");
	ok(file_is(5 * 512, 1024, 'x') && !is_broken(), "and nothing came of it");
	close_disk();
}

static void test_bounds(void)
{
	static const struct {
		uint64_t sector;
		uint32_t bytes;
		const char *what;
	} bad[] = {
		{ SECTORS, 512, "a sector behind the end" },
		{ SECTORS - 1, 1024, "across the end" },
		{ SECTORS + 1, 512, "further behind" },
		{ UINT64_MAX, 512, "sector 2^64 - 1" },
		{ UINT64_MAX / 512, 512, "a sector whose byte overflows" },
		{ UINT64_MAX / 512 + 1, 512, "sector 2^55, byte 0 modulo 2^64" },
		{ 1ULL << 63, 1024, "sector 2^63" },
		{ 0, 511, "less than a sector" },
		{ 0, 513, "more than a sector" },
		{ 0, DISK_BYTES + 512, "more than the disk" },
	};
	uint64_t buf;
	unsigned i;

	open_disk(false, DRIVER_ALL);
	buf = driver_alloc(&d, DISK_BYTES + 512);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		is_int(request(VIRTIO_BLK_T_IN, bad[i].sector, buf, bad[i].bytes, true), VIRTIO_BLK_S_IOERR,
		       bad[i].what);
		is_int(request(VIRTIO_BLK_T_OUT, bad[i].sector, buf, bad[i].bytes, false), VIRTIO_BLK_S_IOERR,
		       bad[i].what);
	}
	ok(file_is(0, 0, 0) && all(at(buf), 0, DISK_BYTES), "no byte went either way");
	close_disk();
}

/* The bytes of one request and where its readable part ends, cut into pieces of `cut` bytes. */
static int framed(uint64_t gpa, uint32_t readable, uint32_t writable, uint32_t cut, bool indirect)
{
	struct seg s[VIRTQ_CHAIN_MAX];
	uint32_t i, n = 0, total = readable + writable;

	for (i = 0; i < total; i += s[n++].len)
		s[n] = i < readable ? (struct seg){ gpa + i, MIN(cut, readable - i), false } :
				      (struct seg){ gpa + i, MIN(cut, total - i), true };
	if (!indirect)
		return driver_do(&d, 0, s, n) >= 0 ? *at(gpa + total - 1) : -1;
	driver_add_indirect(&d, 0, s, n);
	driver_kick(&d, 0);
	return driver_used(&d, 0, NULL, NULL) ? *at(gpa + total - 1) : -1;
}

static void test_framing(void)
{
	static const uint32_t cuts[] = { 100000, 512, 16, 13, 9, 7 };
	struct virtio_blk_outhdr in = { .type = VIRTIO_BLK_T_IN, .sector = 20 }, out = { .type = VIRTIO_BLK_T_OUT };
	uint64_t gpa;
	unsigned i, indirect, good = 0;

	open_disk(false, DRIVER_ALL);
	for (i = 0; i < ARRAY_SIZE(cuts); i++)
		for (indirect = 0; indirect < 2; indirect++) {
			gpa = driver_put(&d, &in, sizeof(in));
			good += framed(gpa, 16, 1025, cuts[i], indirect) == 0 &&
				is_pattern(at(gpa + 16), 20 * 512, 1024);
			out.sector = i;
			gpa = driver_put(&d, &out, sizeof(out));
			memset(at(gpa + 16), '0' + (int)cuts[i] % 10, 1024);
			good += framed(gpa, 1040, 1, cuts[i], indirect) == 0;
		}
	is_int(good, 4 * ARRAY_SIZE(cuts), "header, data and status in pieces of any size, in any table");
	is_int(pread(file, at(gpa), 3584, 0), 3584, "the file");
	ok(all(at(gpa), '0', 512) && all(at(gpa + 512), '2', 512) && all(at(gpa + 1024), '6', 512) &&
		   all(at(gpa + 5 * 512), '7', 1024),
	   "has what was written last");
	close_disk();
}

static void test_short(void)
{
	struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_FLUSH };
	uint64_t gpa, status;

	open_disk(false, DRIVER_ALL);
	gpa = driver_put(&d, &h, sizeof(h));
	status = driver_alloc(&d, 1);
	driver_irqs(&d);
	is_int(driver_do(&d, 0, (struct seg[]){ { gpa, 15 }, { status, 1, true } }, 2), -1, "15 bytes are no header");
	ok(is_broken() && driver_irqs(&d) == 1, "the device wants a reset");
	ok(driver_ack(&d) & VIRTIO_MMIO_INT_CONFIG, "and says so");
	is_int(driver_do(&d, 0, (struct seg[]){ { gpa, 16 }, { status, 1, true } }, 2), -1, "until then it rests");
	driver_start(&d, v, DRIVER_ALL);
	gpa = driver_put(&d, &h, sizeof(h));
	is_int(flush(), 0, "after a reset it works");
	is_int(driver_do(&d, 0, (struct seg[]){ { gpa, 16 } }, 1), -1, "no room for a status");
	ok(is_broken(), "breaks it, too");
	driver_start(&d, v, DRIVER_ALL);
	gpa = driver_alloc(&d, 1024);
	is_int(driver_do(&d, 0, (struct seg[]){ { gpa, 512, true }, { gpa + 512, 1, true } }, 2), -1, "and no header");
	ok(is_broken(), "as well");
	driver_start(&d, v, DRIVER_ALL);
	driver_desc(&d, 0, 0, 0xffffffff0000, 16, 0, 0);
	driver_offer(&d, 0, 0);
	driver_kick(&d, 0);
	ok(is_broken(), "and a buffer that is no memory");
	driver_start(&d, v, DRIVER_ALL);
	driver_desc(&d, 0, 0, DRIVER_FIRST_GPA, 16, VRING_DESC_F_NEXT, 0);
	driver_offer(&d, 0, 0);
	driver_kick(&d, 0);
	ok(is_broken(), "and a loop");
	close_disk();
}

static void test_readonly(void)
{
	uint64_t buf;

	/* The driver takes no feature: RO holds whatever it knows of it. */
	open_disk(true, 0);
	buf = driver_alloc(&d, 512);
	is_int(request(VIRTIO_BLK_T_OUT, 0, buf, 512, false), VIRTIO_BLK_S_IOERR, "read-only: no write");
	is_int(request(VIRTIO_BLK_T_OUT, 0, 0, 0, false), VIRTIO_BLK_S_IOERR, "not even of nothing");
	is_int(range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_IOERR, "no discard");
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_IOERR, "no zeroes");
	is_int(request(VIRTIO_BLK_T_IN, 1, buf, 512, true), 0, "but a read");
	ok(is_pattern(at(buf), 512, 512), "of what is there");
	is_int(flush(), 0, "and a flush");
	ok(file_is(0, 0, 0), "the file is as it was");
	close_disk();
}

static void test_discard(void)
{
	struct virtio_blk_discard_write_zeroes s[17] = { { 8, 8, 0 }, { 24, 8, 0 }, { 0, 0, 0 } };
	struct stat before, after;

	open_disk(false, DRIVER_ALL);
	fsync(file);
	fstat(file, &before);
	is_int(ranges(VIRTIO_BLK_T_DISCARD, s, 3 * sizeof(s[0])), 0, "discard of two blocks and of none");
	fstat(file, &after);
	ok(after.st_blocks == before.st_blocks - 16 && after.st_size == DISK_BYTES, "the host has them back");
	is_int(ranges(VIRTIO_BLK_T_DISCARD, s, 16 * sizeof(s[0])), 0, "16 ranges");
	is_int(ranges(VIRTIO_BLK_T_DISCARD, s, 17 * sizeof(s[0])), VIRTIO_BLK_S_IOERR, "17 are too many");
	is_int(ranges(VIRTIO_BLK_T_DISCARD, s, 15), VIRTIO_BLK_S_IOERR, "less than a range");
	is_int(ranges(VIRTIO_BLK_T_DISCARD, s, 17), VIRTIO_BLK_S_IOERR, "a range and a byte");
	is_int(request(VIRTIO_BLK_T_DISCARD, 0, 0, 0, false), VIRTIO_BLK_S_IOERR, "no range");
	is_int(range(VIRTIO_BLK_T_DISCARD, SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR, "across the end");
	is_int(range(VIRTIO_BLK_T_DISCARD, UINT64_MAX, 1, 0), VIRTIO_BLK_S_IOERR, "sector 2^64 - 1");
	is_int(range(VIRTIO_BLK_T_DISCARD, 1ULL << 55, 8, 0), VIRTIO_BLK_S_IOERR, "byte 2^64");
	is_int(range(VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR, "2^32 - 1 sectors");
	is_int(range(VIRTIO_BLK_T_DISCARD, 0, 8, 1), VIRTIO_BLK_S_UNSUPP, "unmap is not for discard");
	is_int(range(VIRTIO_BLK_T_DISCARD, 0, 8, 2), VIRTIO_BLK_S_UNSUPP, "nor is an unknown flag");
	s[0] = (struct virtio_blk_discard_write_zeroes){ 32, 8, 0 };
	s[1] = (struct virtio_blk_discard_write_zeroes){ SECTORS, 8, 0 };
	fstat(file, &before);
	is_int(ranges(VIRTIO_BLK_T_DISCARD, s, 2 * sizeof(s[0])), VIRTIO_BLK_S_IOERR, "a good and a bad range");
	s[2] = s[0];
	is_int(ranges(VIRTIO_BLK_T_DISCARD, s + 1, 2 * sizeof(s[0])), VIRTIO_BLK_S_IOERR, "a bad and a good one");
	fstat(file, &after);
	is_int(after.st_blocks, before.st_blocks, "none is done");
	close_disk();
}

static void zeroes(const char *what)
{
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 3, 9, 0), 0, what);
	ok(file_is(3 * 512, 9 * 512, 0), "exactly those are zero");
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 2, 10, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP), 0, "with unmap");
	ok(file_is(2 * 512, 10 * 512, 0), "those, too");
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 7, 0, 0), 0, "none");
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR, "across the end");
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2), VIRTIO_BLK_S_UNSUPP, "an unknown flag");
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, SECTORS, 8, 3), VIRTIO_BLK_S_UNSUPP, "which counts more than the end");
	ok(file_is(2 * 512, 10 * 512, 0), "and nothing else changed");
}

static void test_zeroes(void)
{
	struct virtio_blk_discard_write_zeroes s[2] = { { 0, 1, 0 }, { 1, 1, 0 } };
	struct stat st;
	static uint8_t content[DISK_BYTES];
	auto_fd int other = -1, mfd = memfd_create("disk", MFD_CLOEXEC);

	open_disk(false, DRIVER_ALL);
	zeroes("zeroes are written");
	is_int(ranges(VIRTIO_BLK_T_WRITE_ZEROES, s, sizeof(s)), VIRTIO_BLK_S_IOERR, "two ranges are too many");
	if (pread(file, content, sizeof(content), 0) != DISK_BYTES)
		abort();
	close_disk();

	/* A file system without FALLOC_FL_ZERO_RANGE. */
	other = make_file();
	if (pread(other, content, sizeof(content), 0) != DISK_BYTES ||
	    write(mfd, content, sizeof(content)) != DISK_BYTES)
		abort();
	open_fd(take_fd(&mfd), false, DRIVER_ALL);
	ok(fallocate(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 512) < 0 && errno == EOPNOTSUPP,
	   "# here they must be written out");
	zeroes("zeroes are written out");
	close_disk();

	/* 32 MiB, in more than one piece. */
	mfd = memfd_create("disk", MFD_CLOEXEC);
	if (mfd < 0 || ftruncate(mfd, 64 * MIB) < 0)
		abort();
	open_fd(take_fd(&mfd), false, DRIVER_ALL);
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 8, 65536, 0), 0, "32 MiB of zeroes");
	ok(fstat(file, &st) == 0 && st.st_blocks == 65536 && st.st_size == 64 * (off_t)MIB, "all of them, no more");
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 8, 65537, 0), VIRTIO_BLK_S_IOERR, "a sector more is too much");
	close_disk();
}

static void test_host_errors(void)
{
	struct rlimit was, now;
	uint64_t buf;
	char path[64];
	int fd = make_file();

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	open_fd(open(path, O_RDONLY | O_CLOEXEC), false, DRIVER_ALL);
	buf = driver_alloc(&d, 4096);
	is_int(request(VIRTIO_BLK_T_OUT, 0, buf, 512, false), VIRTIO_BLK_S_IOERR, "an fd that cannot write");
	is_int(range(VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_IOERR, "nor discard");
	is_int(request(VIRTIO_BLK_T_IN, 0, buf, 512, true), 0, "but reads");
	if (ftruncate(fd, DISK_BYTES / 2) < 0)
		abort();
	is_int(request(VIRTIO_BLK_T_IN, SECTORS - 1, buf, 512, true), VIRTIO_BLK_S_IOERR, "a file that was cut");
	close_disk();
	close_fd(&fd);

	fd = make_file();
	getrlimit(RLIMIT_FSIZE, &was);
	now = was;
	now.rlim_cur = 4096;
	open_fd(fd, false, DRIVER_ALL);
	buf = driver_alloc(&d, 4096);
	memset(at(buf), 'y', 4096);
	setrlimit(RLIMIT_FSIZE, &now);
	is_int(request(VIRTIO_BLK_T_OUT, 0, buf, 4096, false), 0, "below RLIMIT_FSIZE");
	is_int(request(VIRTIO_BLK_T_OUT, 7, buf, 1024, false), VIRTIO_BLK_S_IOERR, "across it: EFBIG after a short write");
	is_int(request(VIRTIO_BLK_T_OUT, 8, buf, 512, false), VIRTIO_BLK_S_IOERR, "behind it");
	setrlimit(RLIMIT_FSIZE, &was);
	ok(file_is(0, 4096, 'y') && !is_broken(), "the driver is told, no more");
	is_int(request(VIRTIO_BLK_T_OUT, 8, buf, 512, false), 0, "and may try again");
	close_disk();
}

/* fdatasync(2) of a pipe fails: puts one in the place of the device's fd. */
static int put_pipe(int device_fd)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0 || dup3(p[1], device_fd, O_CLOEXEC) < 0)
		abort();
	close(p[0]);
	close(p[1]);
	return device_fd;
}

static void test_flush(void)
{
	int fd = make_file(), device = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	uint64_t buf;

	/* The device's own dup() of the file takes the lowest free number. */
	close(device);
	open_fd(fd, false, F(VIRTIO_BLK_F_FLUSH));
	buf = driver_alloc(&d, 512);
	put_pipe(device);
	is_int(flush(), VIRTIO_BLK_S_IOERR, "a flush that fails is not said to be done");
	if (dup3(fd, device, O_CLOEXEC) < 0)
		abort();
	is_int(request(VIRTIO_BLK_T_OUT, 0, buf, 512, false), 0, "writes go on");
	is_int(flush(), VIRTIO_BLK_S_IOERR, "but what the first flush lost, no other flush finds");
	close_disk();

	fd = make_file();
	open_fd(fd, false, 0);
	buf = driver_alloc(&d, 512);
	is_int(request(VIRTIO_BLK_T_OUT, 0, buf, 512, false), 0, "without FLUSH: a write");
	put_pipe(device);
	is_int(flush(), VIRTIO_BLK_S_IOERR, "# syncing fails from now on");
	if (dup3(fd, device, O_CLOEXEC) < 0)
		abort();
	is_int(request(VIRTIO_BLK_T_OUT, 0, buf, 512, false), VIRTIO_BLK_S_IOERR, "each write is synced, and would fail");
	is_int(range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_IOERR, "zeroes, too");
	close_disk();
}

/* The most requests of two descriptors that a ring holds. */
static unsigned fill_ring(uint64_t header, uint64_t status)
{
	struct seg s[] = { { header, 16 }, { status, 1, true } };
	unsigned n = 0;

	while (driver_add(&d, 0, s, 2) >= 0)
		n++;
	return n;
}

static unsigned drain_ring(void)
{
	unsigned n = 0;

	while (driver_used(&d, 0, NULL, NULL))
		n++;
	return n;
}

static void test_many(uint64_t wanted, const char *what)
{
	struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_GET_ID };
	uint64_t header, status;
	unsigned round, done = 0, added = 0;

	open_disk(false, wanted);
	header = driver_put(&d, &h, sizeof(h));
	status = driver_alloc(&d, 1);
	for (round = 0; round < 700; round++) {
		added += fill_ring(header, status);
		driver_kick(&d, 0);
		done += drain_ring();
	}
	is_int(added, 700 * 128, what);
	is_int(done, added, "each is answered, around the ring and around 2^16");
	driver_irqs(&d);
	driver_want_irqs(&d, 0, false);
	flush();
	is_int(driver_irqs(&d), 0, "no interrupt when none is wanted");
	driver_want_irqs(&d, 0, true);
	flush();
	is_int(driver_irqs(&d), 1, "one when it is");
	is_int(driver_ack(&d), VIRTIO_MMIO_INT_VRING, "for the queue");
	close_disk();
}

static unsigned again_calls;
static bool hostile;

static void again(void *ud, unsigned queue)
{
	(void)ud;
	(void)queue;
	again_calls++;
}

/* An interrupt handler that takes what was done and offers the next request: a driver that is never idle. */
static void refill(void *ud)
{
	struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_GET_ID };
	static uint64_t header, status;

	(void)ud;
	if (!hostile)
		return;
	if (!header) {
		header = driver_put(&d, &h, sizeof(h));
		status = driver_alloc(&d, 1);
	}
	drain_ring();
	driver_add(&d, 0, (struct seg[]){ { header, 16 }, { status, 1, true } }, 2);
}

static void test_share(void)
{
	unsigned i;

	file = make_file();
	driver_memory(&d, 8 * MIB);
	v = blk_open(fcntl(file, F_DUPFD_CLOEXEC, 0), false, 1, &d.mem, refill, &d, NULL);
	v->kick_again = again;
	driver_start(&d, v, 0);
	hostile = true;
	refill(NULL);
	for (i = 1; i <= 5; i++) {
		virtio_kick(v, 0);
		if (again_calls != i)
			break;
	}
	is_int(i, 6, "a driver that never ends does not keep the device's thread");
	ok(d.q[0].avail_idx <= 5 * 256 + 1, "at most 256 requests a kick");
	hostile = false;
	virtio_kick(v, 0);
	is_int(again_calls, 5, "when it ends, there is nothing left to ask for");
	is_int(drain_ring(), 1, "and all was done");
	is_int(flush(), 0, "a kick is wanted for the next");
	close_disk();
}

int main(void)
{
	log_init("t-vmm-blk", LOG_ERROR);
	signal(SIGXFSZ, SIG_IGN);
	test_open();
	test_features();
	test_queues();
	test_transfer();
	test_bounds();
	test_framing();
	test_short();
	test_readonly();
	test_discard();
	test_zeroes();
	test_host_errors();
	test_flush();
	test_many(0, "plain ring");
	test_many(DRIVER_ALL, "ring with event indices");
	test_share();
	return tap_done();
}

/*
 * A disk that is written in all the ways that there are. What each sector must hold is known without the disk: its
 * generation, which every write of it changes, gives its bytes; generation 0 is zeroes. All steps and places come from
 * one seed, so the host knows it, too (verify_disk()), and compares its file.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK "/dev/vda"
#define SECTOR 512
#define BLOCK_SECTORS 8 /* of 4 KiB */
#define CHUNK_SECTORS 2048
#define PIECE_SECTORS 64 /* the largest of the small writes */
#define WRITERS 4
#define WRITES 150 /* of each of them */
#define DEEP 64 /* requests at once */
#define QUEUES_MAX 4 /* of a disk */
#define SEED 0x626f786c697465ULL

struct disk {
	bool live;
	int direct, cached; /* the device, around the page cache and through it; -1 unless live */
	uint64_t sectors, seed;
	uint32_t generation; /* the last one that was given out */
	uint32_t *of;        /* sector -> generation */
	uint8_t *buf;        /* CHUNK_SECTORS, aligned as the device needs it */
};

static uint64_t key_of(uint64_t sector, uint32_t generation)
{
	return (uint64_t)generation << 40 | sector << 6;
}

static bool is_right(const struct disk *d, uint64_t sector, const uint8_t *bytes)
{
	static const uint8_t zeroes[SECTOR];

	if (d->of[sector] == 0)
		return memcmp(bytes, zeroes, SECTOR) == 0;
	return is_pattern(bytes, SECTOR, key_of(sector, d->of[sector]));
}

/* Gives n sectors a new generation; their bytes are in `to` if it is live. */
static void renew(struct disk *d, uint64_t sector, uint64_t n, uint8_t *to)
{
	d->generation++;
	for (uint64_t i = 0; i < n; i++) {
		d->of[sector + i] = d->generation;
		if (d->live)
			fill_pattern(to + i * SECTOR, SECTOR, key_of(sector + i, d->generation));
	}
}

static void put(struct disk *d, int fd, uint64_t sector, uint64_t n)
{
	renew(d, sector, n, d->buf);
	if (d->live && pwrite(fd, d->buf, n * SECTOR, (off_t)(sector * SECTOR)) != (ssize_t)(n * SECTOR))
		give_up("%llu sectors are written at %llu", (unsigned long long)n, (unsigned long long)sector);
}

/* Reads n sectors and says whether they are as they must be. */
static bool are_right(const struct disk *d, int fd, uint64_t sector, uint64_t n)
{
	if (pread(fd, d->buf, n * SECTOR, (off_t)(sector * SECTOR)) != (ssize_t)(n * SECTOR))
		return false;
	for (uint64_t i = 0; i < n; i++)
		if (!is_right(d, sector + i, d->buf + i * SECTOR)) {
			say("sector %llu is not of generation %u", (unsigned long long)(sector + i),
			    d->of[sector + i]);
			return false;
		}
	return true;
}

static void check_all(struct disk *d, int fd, const char *what)
{
	bool right = true;

	errno = 0;
	for (uint64_t at = 0; d->live && right && at < d->sectors; at += CHUNK_SECTORS)
		right = are_right(d, fd, at, MIN(CHUNK_SECTORS, d->sectors - at));
	if (d->live)
		check(right, "%s", what);
}

/* Where n sectors fit, a multiple of `align`. */
static uint64_t some_place(struct disk *d, uint64_t n, uint64_t align)
{
	return next_random(&d->seed) % (d->sectors - n) / align * align;
}

static void sync_or_die(const struct disk *d, int fd)
{
	if (d->live && fsync(fd) < 0)
		give_up("fsync");
}

/* --- steps ------------------------------------------------------------------------------------ */

static void write_in_order(struct disk *d, const char *what)
{
	for (uint64_t at = 0; at < d->sectors; at += CHUNK_SECTORS)
		put(d, d->direct, at, MIN(CHUNK_SECTORS, d->sectors - at));
	sync_or_die(d, d->direct);
	check_all(d, d->direct, what);
}

static void write_blocks(struct disk *d)
{
	for (int i = 0; i < 500; i++)
		put(d, d->direct, some_place(d, BLOCK_SECTORS, BLOCK_SECTORS), BLOCK_SECTORS);
	check_all(d, d->direct, "blocks of 4 KiB anywhere");
}

/* Neither whole blocks nor at their boundaries, from memory that is no better. */
static void write_sectors(struct disk *d)
{
	uint8_t *aligned = d->buf;

	for (int i = 0; i < 500; i++) {
		uint64_t n = 1 + next_random(&d->seed) % PIECE_SECTORS;

		d->buf = aligned + next_random(&d->seed) % BLOCK_SECTORS * SECTOR;
		put(d, d->direct, some_place(d, n, 1), n);
	}
	d->buf = aligned;
	check_all(d, d->direct, "sectors of 512 bytes anywhere");
}

/* One write of many pieces of memory: one sector each, with gaps between them. */
static void write_pieces(struct disk *d)
{
	struct iovec iov[PIECE_SECTORS];
	bool all = true;

	for (int round = 0; round < 50; round++) {
		uint64_t at = some_place(d, PIECE_SECTORS, 1);

		for (unsigned i = 0; i < PIECE_SECTORS; i++) {
			iov[i] = (struct iovec){ d->buf + i * 3 * SECTOR, SECTOR };
			renew(d, at + i, 1, iov[i].iov_base);
		}
		all = all && (!d->live || pwritev(d->direct, iov, PIECE_SECTORS, (off_t)(at * SECTOR)) ==
						  PIECE_SECTORS * SECTOR);
	}
	if (!all)
		give_up("a write of many pieces");
	check_all(d, d->direct, "writes of many pieces of memory");
}

static void write_cached(struct disk *d)
{
	for (int i = 0; i < 500; i++) {
		uint64_t n = 1 + next_random(&d->seed) % PIECE_SECTORS;

		put(d, d->cached, some_place(d, n, 1), n);
	}
	check_all(d, d->cached, "the page cache gives what it has taken");
	sync_or_die(d, d->cached);
	if (d->live && ioctl(d->cached, BLKFLSBUF, 0) < 0)
		give_up("BLKFLSBUF");
	check_all(d, d->direct, "fsync brings it to the disk");
	check_all(d, d->cached, "from where it is read again");
}

enum way { DISCARD, ZERO_OUT, PUNCH };

static int empty(int fd, enum way way, uint64_t at, uint64_t bytes)
{
	uint64_t range[2] = { at, bytes };

	if (way == PUNCH)
		return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)bytes);
	return ioctl(fd, way == DISCARD ? BLKDISCARD : BLKZEROOUT, range);
}

static void empty_range(struct disk *d, enum way way, uint64_t sector, uint64_t n)
{
	memset(d->of + sector, 0, n * sizeof(*d->of));
	if (d->live && empty(d->cached, way, sector * SECTOR, n * SECTOR) < 0)
		give_up("%s of %llu sectors at %llu", way == DISCARD ? "BLKDISCARD" : "zeroing",
			(unsigned long long)n, (unsigned long long)sector);
}

/* Small ranges anywhere, and one that is more than a request may be. */
static void empty_ranges(struct disk *d, enum way way, const char *what)
{
	for (int i = 0; i < 40; i++) {
		uint64_t n = 1 + next_random(&d->seed) % (2 * PIECE_SECTORS);

		empty_range(d, way, some_place(d, n, 1), n);
	}
	empty_range(d, way, some_place(d, d->sectors * 3 / 4, BLOCK_SECTORS), d->sectors * 3 / 4);
	check_all(d, d->direct, what);
	write_in_order(d, "and can be written again");
}

/* --- many at once ----------------------------------------------------------------------------- */

static long submit(aio_context_t context, struct iocb *requests, unsigned n)
{
	struct iocb *list[DEEP];
	struct io_event done[DEEP];
	long good = 0;

	for (unsigned i = 0; i < n; i++)
		list[i] = &requests[i];
	if (syscall(SYS_io_submit, context, n, list) != n ||
	    syscall(SYS_io_getevents, context, n, n, done, NULL) != n)
		return -1;
	for (unsigned i = 0; i < n; i++)
		good += (uint64_t)done[i].res == requests[done[i].data].aio_nbytes;
	return good;
}

/* Sixty-four requests at a time, each of 16 KiB and for a place of its own. */
static void write_deep(struct disk *d)
{
	const uint64_t each = CHUNK_SECTORS / DEEP, part = d->sectors / DEEP;
	aio_context_t context = 0;
	struct iocb requests[DEEP];

	if (d->live && syscall(SYS_io_setup, DEEP, &context) < 0)
		give_up("asynchronous I/O");
	for (int round = 0; round < 16; round++) {
		for (unsigned i = 0; i < DEEP; i++) {
			uint64_t at = i * part + next_random(&d->seed) % (part - each);
			uint8_t *bytes = d->buf + i * each * SECTOR;

			requests[i] = (struct iocb){
				.aio_data = i,
				.aio_lio_opcode = IOCB_CMD_PWRITE,
				.aio_fildes = (uint32_t)d->direct,
				.aio_buf = (uintptr_t)bytes,
				.aio_nbytes = each * SECTOR,
				.aio_offset = (int64_t)(at * SECTOR),
			};
			renew(d, at, each, bytes);
		}
		if (d->live && submit(context, requests, DEEP) != DEEP)
			give_up("%d requests at once", DEEP);
	}
	if (d->live)
		syscall(SYS_io_destroy, context);
	check_all(d, d->direct, "many requests at once");
}

/* From now on this process runs on one CPU: its requests go by the queue that is for it. */
static void stay_on_cpu(int i)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((unsigned)(i % sysconf(_SC_NPROCESSORS_ONLN)), &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		give_up("a CPU is chosen");
}

/* The work of one of the writers, in its own part of the disk. */
static bool write_part(struct disk *d, uint64_t from, uint64_t n)
{
	bool right = true;

	for (int i = 0; right && i < WRITES; i++) {
		uint64_t len = 1 + next_random(&d->seed) % PIECE_SECTORS;
		uint64_t at = from + next_random(&d->seed) % (n - len);

		put(d, d->direct, at, len);
		right = !d->live || (are_right(d, d->direct, at, len) && (i % 16 || fsync(d->direct) == 0));
	}
	return right;
}

/* The parts' work is done by children; what they leave, this process must work out for itself. */
static void write_together(struct disk *d)
{
	const uint64_t part = d->sectors / WRITERS;
	const bool live = d->live;
	int good = 0;

	for (int i = 0; i < WRITERS; i++) {
		pid_t pid = live ? fork() : -1;

		if (pid == 0) {
			stay_on_cpu(i);
			d->seed ^= (uint64_t)i << 32;
			_exit(write_part(d, (uint64_t)i * part, part) ? 0 : 1);
		}
	}
	for (int i = 0; live && i < WRITERS; i++) {
		int status = -1;

		good += wait(&status) > 0 && status == 0;
	}
	d->live = false;
	for (int i = 0; i < WRITERS; i++) {
		struct disk model = *d;

		model.seed ^= (uint64_t)i << 32;
		write_part(&model, (uint64_t)i * part, part);
	}
	d->generation += WRITES;
	d->live = live;
	if (live)
		check(good == WRITERS, "several writers read what they wrote");
	check_all(d, d->direct, "and nobody else wrote there");
}

/* --- the ends --------------------------------------------------------------------------------- */

static void check_end(struct disk *d)
{
	const off_t end = (off_t)(d->sectors * SECTOR);
	uint64_t beyond[2] = { (uint64_t)end, SECTOR };

	put(d, d->direct, d->sectors - 3, 3);
	put(d, d->direct, d->sectors - 1, 1);
	if (!d->live)
		return;
	check(are_right(d, d->direct, d->sectors - 4, 4), "the last sectors, which are no whole block");
	check(pread(d->direct, d->buf, 2 * SECTOR, end - SECTOR) == SECTOR, "a read is cut at the disk's end");
	check(pread(d->direct, d->buf, SECTOR, end) == 0, "nothing is read beyond it");
	check(pwrite(d->direct, d->buf, SECTOR, end) < 0 && errno == ENOSPC, "nothing is written there");
	check(pwrite(d->cached, d->buf, SECTOR, end + SECTOR) < 0 && errno == ENOSPC, "nor through the page cache");
	check(ioctl(d->cached, BLKDISCARD, beyond) < 0, "nothing is discarded there");
	check(ioctl(d->cached, BLKZEROOUT, beyond) < 0, "nothing is zeroed there");
}

/* What is left has to be less on the host, too. */
static void empty_second_half(struct disk *d)
{
	uint64_t from = d->sectors / 2 / BLOCK_SECTORS * BLOCK_SECTORS;

	empty_range(d, DISCARD, from, d->sectors - from);
	check_all(d, d->direct, "the second half is discarded");
	check_all(d, d->cached, "also for the page cache");
}

static void check_queue(const char *name, const char *want)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/block/vda/%s", name);
	errno = 0;
	check(strcmp(read_text(path), want) == 0, "%s is %s", name, want);
}

static long count_queues(char disk)
{
	char path[64];
	long n = -1;

	do
		snprintf(path, sizeof(path), "/sys/block/vd%c/mq/%ld", disk, ++n);
	while (access(path, F_OK) == 0);
	return n;
}

static void check_properties(void)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	check(count_queues('a') == MIN(cpus, QUEUES_MAX), "%ld CPUs have %ld queues", cpus, count_queues('a'));
	check_queue("serial", "boxlite");
	check_queue("ro", "0");
	check_queue("queue/logical_block_size", "512");
	check_queue("queue/physical_block_size", "4096");
	check_queue("queue/discard_granularity", "4096");
	check_queue("queue/discard_max_bytes", "1073741824");
	check_queue("queue/write_zeroes_max_bytes", "33554432");
	check_queue("queue/write_cache", "write back");
}

static void all_steps(struct disk *d)
{
	write_in_order(d, "a disk that was written from end to end");
	write_blocks(d);
	write_sectors(d);
	write_pieces(d);
	write_cached(d);
	empty_ranges(d, DISCARD, "BLKDISCARD leaves zeroes");
	empty_ranges(d, ZERO_OUT, "BLKZEROOUT leaves zeroes");
	empty_ranges(d, PUNCH, "fallocate(PUNCH_HOLE) leaves zeroes");
	write_deep(d);
	write_together(d);
	check_end(d);
	empty_second_half(d);
	sync_or_die(d, d->cached);
}

static void open_disk(struct disk *d, uint64_t bytes)
{
	void *buf = NULL;

	d->sectors = bytes / SECTOR;
	d->seed = SEED;
	d->of = calloc(d->sectors, sizeof(*d->of));
	/* Room for a shift within a block. */
	if (!d->of || posix_memalign(&buf, 4096, (CHUNK_SECTORS + BLOCK_SECTORS) * SECTOR) != 0)
		give_up("memory for a model of the disk");
	d->buf = buf;
}

void test_disk(void)
{
	struct disk d = { .live = true };
	uint64_t bytes = 0;

	d.direct = open(DISK, O_RDWR | O_DIRECT | O_CLOEXEC);
	d.cached = open(DISK, O_RDWR | O_CLOEXEC);
	if (d.direct < 0 || d.cached < 0 || ioctl(d.direct, BLKGETSIZE64, &bytes) < 0)
		give_up(DISK);
	say("bytes %llu", (unsigned long long)bytes);
	check_properties();
	open_disk(&d, bytes);
	check_all(&d, d.direct, "a new disk is empty");
	all_steps(&d);
}

int verify_disk(const char *path)
{
	struct disk d = { .direct = -1, .cached = open(path, O_RDONLY | O_CLOEXEC) };
	struct stat st;
	bool right = true;

	if (d.cached < 0 || fstat(d.cached, &st) < 0)
		give_up("%s", path);
	open_disk(&d, (uint64_t)st.st_size);
	all_steps(&d);
	for (uint64_t at = 0; right && at < d.sectors; at += CHUNK_SECTORS)
		right = are_right(&d, d.cached, at, MIN(CHUNK_SECTORS, d.sectors - at));
	return right ? 0 : 1;
}

/* --- a disk that may not be written ----------------------------------------------------------- */

#define PATTERN_BYTES 4096

int print_pattern(void)
{
	uint8_t bytes[PATTERN_BYTES];

	fill_pattern(bytes, sizeof(bytes), 1);
	return write(STDOUT_FILENO, bytes, sizeof(bytes)) == sizeof(bytes) ? 0 : 1;
}

static bool is_refusal(int error)
{
	return error == EPERM || error == EROFS || error == EACCES || error == EIO || error == EBADF;
}

/* Whether a change of any kind is refused; `when` ends the names of the results. */
static void try_to_change(int fd, int direct, void *buf, const char *when)
{
	uint64_t range[2] = { 0, 64 * KIB };

	check(pwrite(direct, buf, 4096, 4096) < 0 && is_refusal(errno), "a write is refused%s", when);
	check(pwrite(fd, buf, 100, 100) < 0 && is_refusal(errno), "one through the page cache, too%s", when);
	check(ioctl(fd, BLKDISCARD, range) < 0 && (is_refusal(errno) || errno == EOPNOTSUPP),
	      "a discard is refused%s", when);
	check(ioctl(fd, BLKZEROOUT, range) < 0 && is_refusal(errno), "and so are zeroes%s", when);
}

static bool reads_pattern(int direct, void *buf)
{
	return pread(direct, buf, PATTERN_BYTES, 0) == PATTERN_BYTES && is_pattern(buf, PATTERN_BYTES, 1);
}

void test_readonly(void)
{
	int fd = open(DISK, O_RDWR | O_CLOEXEC), direct = open(DISK, O_RDWR | O_DIRECT | O_CLOEXEC);
	int yes = 0, no = 0;
	void *buf = NULL;

	if (fd < 0 || direct < 0 || posix_memalign(&buf, 4096, PATTERN_BYTES) != 0)
		give_up(DISK);
	check(ioctl(fd, BLKROGET, &yes) == 0 && yes == 1, "the guest knows that it may not write");
	check(reads_pattern(direct, buf), "it reads what is there");
	try_to_change(fd, direct, buf, "");
	if (ioctl(fd, BLKROSET, &no) == 0)
		try_to_change(fd, direct, buf, ", also when the guest says that it may write");
	check(fsync(fd) == 0, "a flush is no change");
	check(reads_pattern(direct, buf), "and what is there stays");
}

/* Name, sectors, queues. */
void list_disks(void)
{
	char path[64];

	for (char c = 'a'; c <= 'z'; c++) {
		snprintf(path, sizeof(path), "/sys/block/vd%c/size", c);
		if (access(path, F_OK) == 0)
			say("vd%c %s %ld", c, read_text(path), count_queues(c));
	}
}

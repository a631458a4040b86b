/*
 * disk-io FILE MIB: what a disk does, by a file on it: four lines of nanoseconds. Sequential writes of 1 MiB with an
 * fsync at the end; sequential reads; OPS random reads of 4 KiB; OPS random writes of 4 KiB with an fsync at the
 * end. Past the page cache where the file system can (O_DIRECT).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define OPS 2000
#define BLOCK 4096
#define CHUNK (1 << 20)

static char *buffer;
static int fd;
static unsigned nchunks;

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static off_t random_block(void)
{
	static uint64_t x = 88172645463325252ULL; /* xorshift64: the same blocks each time */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (off_t)(x % ((uint64_t)nchunks * (CHUNK / BLOCK))) * BLOCK;
}

static void write_all(void)
{
	for (unsigned i = 0; i < nchunks; i++)
		check(pwrite(fd, buffer, CHUNK, (off_t)i * CHUNK) == CHUNK, "write");
	check(fsync(fd) == 0, "fsync");
}

static void read_all(void)
{
	for (unsigned i = 0; i < nchunks; i++)
		check(pread(fd, buffer, CHUNK, (off_t)i * CHUNK) == CHUNK, "read");
}

static void read_random(void)
{
	for (unsigned i = 0; i < OPS; i++)
		check(pread(fd, buffer, BLOCK, random_block()) == BLOCK, "read");
}

static void write_random(void)
{
	for (unsigned i = 0; i < OPS; i++)
		check(pwrite(fd, buffer, BLOCK, random_block()) == BLOCK, "write");
	check(fsync(fd) == 0, "fsync");
}

static void timed(void (*work)(void))
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	work();
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%lld\n", (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec);
}

int main(int argc, char **argv)
{
	check(argc == 3, "usage");
	nchunks = (unsigned)atoi(argv[2]);
	fd = open(argv[1], O_RDWR | O_CREAT | O_DIRECT, 0600);
	if (fd < 0)
		fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	check(fd >= 0, argv[1]);
	check(posix_memalign((void **)&buffer, BLOCK, CHUNK) == 0, "memory");
	for (unsigned i = 0; i < CHUNK; i++)
		buffer[i] = (char)i;
	timed(write_all);
	timed(read_all);
	timed(read_random);
	timed(write_random);
	return unlink(argv[1]) < 0;
}

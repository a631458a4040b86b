/* An ext4 on /dev/vda: much work on it, and a guest that is killed in the middle of it. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK "/dev/vda"
#define LIST "/dev/vdb"
#define FILES 500
#define DIRS 20
#define FILE_MAX (40 * KIB)
#define LARGE (24 * MIB)
#define WRITERS 2
#define WRITTEN_MAX (64 * KIB)

static uint8_t bytes[WRITTEN_MAX];

static void mount_disk(void)
{
	if (mount(DISK, "/mnt", "ext4", 0, NULL) < 0)
		give_up("mount");
}

static void unmount_disk(void)
{
	if (umount("/mnt") < 0)
		give_up("unmount");
}

/* A new file of the pattern of that key. */
static bool put_file(const char *path, size_t n, uint64_t key, bool sync)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool good = fd >= 0;

	fill_pattern(bytes, n, key);
	/* In two writes, of which the first ends anywhere. */
	good = good && write(fd, bytes, n / 3) == (ssize_t)(n / 3) &&
	       write(fd, bytes + n / 3, n - n / 3) == (ssize_t)(n - n / 3) && (!sync || fsync(fd) == 0);
	if (fd >= 0)
		close(fd);
	return good;
}

static bool is_file(const char *path, size_t n, uint64_t key)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool good = fd >= 0 && fstat(fd, &st) == 0 && (size_t)st.st_size == n &&
		    read(fd, bytes, sizeof(bytes)) == (ssize_t)n && is_pattern(bytes, n, key);

	if (fd >= 0)
		close(fd);
	return good;
}

/* --- much work -------------------------------------------------------------------------------- */

static size_t size_of(unsigned i)
{
	uint64_t state = i + 1;

	return next_random(&state) % FILE_MAX;
}

static const char *path_of(unsigned dir, char kind, unsigned i)
{
	static char path[2][64];
	static unsigned next;
	char *p = path[next++ % 2];

	snprintf(p, sizeof(path[0]), "/mnt/d%02u/%c%04u", dir % DIRS, kind, i);
	return p;
}

static void make_files(void)
{
	unsigned good = 0;
	char dir[32];

	for (unsigned i = 0; i < DIRS; i++) {
		snprintf(dir, sizeof(dir), "/mnt/d%02u", i);
		good += mkdir(dir, 0755) == 0;
	}
	check(good == DIRS, "folders are made");
	good = 0;
	for (unsigned i = 0; i < FILES; i++)
		good += put_file(path_of(i, 'f', i), size_of(i), i, i % 50 == 0);
	check(good == FILES, "files are written");
}

/* One third gets other names in other folders, one goes, one stays and gets second names. */
static void change_files(void)
{
	unsigned good = 0;

	for (unsigned i = 0; i < FILES; i++)
		if (i % 3 == 0)
			good += rename(path_of(i, 'f', i), path_of(i + 7, 'r', i)) == 0;
		else if (i % 3 == 1)
			good += unlink(path_of(i, 'f', i)) == 0;
		else
			good += link(path_of(i, 'f', i), path_of(i + 3, 'l', i)) == 0;
	check(good == FILES, "they are renamed, linked and deleted");
}

static void check_files(void)
{
	unsigned good = 0;

	for (unsigned i = 0; i < FILES; i++)
		if (i % 3 == 0)
			good += is_file(path_of(i + 7, 'r', i), size_of(i), i) &&
				access(path_of(i, 'f', i), F_OK) < 0;
		else if (i % 3 == 1)
			good += access(path_of(i, 'f', i), F_OK) < 0 && errno == ENOENT;
		else
			good += is_file(path_of(i, 'f', i), size_of(i), i) &&
				is_file(path_of(i + 3, 'l', i), size_of(i), i);
	check(good == FILES, "all is as it was after another mount");
}

/* A large file through memory, every fourth page of it: the rest are holes. */
static void write_large(void)
{
	int fd = open("/mnt/large", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	uint8_t *p = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, (off_t)LARGE) == 0)
		p = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		give_up("a file can be mapped");
	for (size_t at = 0; at < LARGE; at += 4 * 4096)
		fill_pattern(p + at, 4096, at);
	check(msync(p, LARGE, MS_SYNC) == 0, "a mapped file is written");
	munmap(p, LARGE);
	close(fd);
}

static void check_large(void)
{
	int fd = open("/mnt/large", O_RDONLY | O_CLOEXEC);
	bool good = fd >= 0;

	for (size_t at = 0; good && at < LARGE; at += 4096)
		good = pread(fd, bytes, 4096, (off_t)at) == 4096 &&
		       (at % (4 * 4096) ? bytes[0] == 0 && memcmp(bytes, bytes + 1, 4095) == 0 :
					  is_pattern(bytes, 4096, at));
	check(good, "and it is there, with its holes");
	if (fd >= 0)
		close(fd);
}

static void trim(const char *name)
{
	struct fstrim_range range = { .len = UINT64_MAX };
	int fd = open("/mnt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	check(fd >= 0 && ioctl(fd, FITRIM, &range) == 0 && range.len > 0, "%s", name);
	say("trimmed %llu", (unsigned long long)range.len);
	close(fd);
}

void test_files(void)
{
	mount_disk();
	make_files();
	write_large();
	change_files();
	trim("fstrim of a file system in use");
	unmount_disk();
	mount_disk();
	check_files();
	check_large();
	if (unlink("/mnt/large") < 0)
		give_up("unlink");
	trim("fstrim after a large file has gone");
	unmount_disk();
}

/* --- killed in the middle --------------------------------------------------------------------- */

static void sync_folder(void)
{
	int fd = open("/mnt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		give_up("fsync of the folder");
	close(fd);
}

/* What has its name and its bytes for good is told to the host. Each file has a neighbour that does not stay. */
static void write_files(unsigned writer)
{
	uint64_t state = writer + 1;
	char path[64], temporary[64];

	for (unsigned i = 0;; i++) {
		size_t n = 1 + next_random(&state) % (WRITTEN_MAX - 1);

		snprintf(temporary, sizeof(temporary), "/mnt/t%u-%u", writer, i);
		snprintf(path, sizeof(path), "/mnt/f%u-%u", writer, i);
		if (!put_file(temporary, n, n, true) || rename(temporary, path) < 0 ||
		    !put_file(temporary, n / 2, i, false))
			give_up("a file is written");
		sync_folder();
		say("file f%u-%u %zu", writer, i, n);
		if (unlink(temporary) < 0)
			give_up("a file is deleted");
	}
}

void write_until_killed(void)
{
	mount_disk();
	for (unsigned i = 0; i < WRITERS; i++)
		if (fork() == 0)
			write_files(i);
	while (wait(NULL) > 0)
		;
}

/* The second disk has the lines of the guest that was killed, and zeroes after them. */
void check_written(void)
{
	unsigned good = 0, all = 0;
	FILE *list = fopen(LIST, "re");
	char name[32], path[64];
	size_t n;

	if (!list)
		give_up(LIST);
	mount_disk();
	while (fscanf(list, "file %31s %zu\n", name, &n) == 2) {
		snprintf(path, sizeof(path), "/mnt/%s", name);
		all++;
		if (is_file(path, n, n))
			good++;
		else
			say("%s is not the %zu bytes that it was", name, n);
	}
	say("found %u", good);
	check(good == all, "all files are there");
	unmount_disk();
}

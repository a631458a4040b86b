#include "box/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/cursor.h"
#include "base/io.h"
#include "base/newfile.h"
#include "base/spawn.h"

/* Raise it when the mkfs options change: old templates are then left alone and not used. */
#define TEMPLATE_VERSION 3

#define EXT4_NEW_INODES 11 /* in use once mke2fs is done: the reserved ones and lost+found */

/* The fd of the file system in a tool of e2fsprogs, and its name there. */
#define TOOL_FD 3
#define TOOL_FILE "/proc/self/fd/3"

int disk_find_tool(const char *name, char path[64])
{
	static const char *const places[] = { "/sbin", "/usr/sbin", "/usr/bin" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, 64, "%s/%s", places[i], name);
		if (access(path, X_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

/* Runs a program of e2fsprogs on the open file. */
static int run_tool(const char *const *argv, int fd, struct error *err)
{
	const char *const envp[] = { "MKE2FS_CONFIG=/dev/null", "PATH=/usr/sbin:/sbin:/usr/bin:/bin", NULL };
	auto_fd int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct spawn_fd fds[] = { { fd, TOOL_FD }, { null, STDERR_FILENO } };
	struct spawn s = { .argv = argv, .envp = envp, .fds = fds, .nfds = 2, .new_session = true,
			   .die_with_parent = true };
	struct child c = CHILD_NONE;
	char path[64];
	int status = 0, r;

	if (null < 0)
		return error_sys(err, "cannot open /dev/null");
	if (disk_find_tool(argv[0], path) < 0)
		return error_set(err, -ENOENT, "%s is not installed: apt install e2fsprogs", argv[0]);
	s.path = path;
	r = spawn_start(&s, &c, err);
	if (r == 0) {
		r = spawn_wait(&c, &status);
		if (r == -ECHILD)
			r = 0; /* the caller ignores SIGCHLD, or its own wait took the status: check_format() tells */
		else if (r < 0)
			error_code(err, r, "cannot wait for %s", argv[0]);
	}
	if (r == 0 && status != 0)
		r = error_set(err, -EIO, "%s failed with status %d: is the disk full?", argv[0], status);
	return r;
}

/* That the tools have done what was asked, whatever they said: an ext4 with two folders more than a new one has. */
static int check_format(int fd, struct error *err)
{
	uint8_t sb[1024];
	int r = io_pread_full(fd, sb, sizeof(sb), 1024);
	struct rd inodes = rd_over(sb, 4), unused = rd_over(sb + 16, 4), magic = rd_over(sb + 56, 2);

	if (r < 0)
		return error_code(err, r, "cannot read a disk that was just made");
	if (rd_u16(&magic) != 0xef53 || rd_u32(&inodes) - rd_u32(&unused) != EXT4_NEW_INODES + 2)
		return error_set(err, -EIO, "mke2fs and debugfs did not make a disk: is the host's disk full?");
	return 0;
}

/*
 * What is left out makes the guest's mount quick: no metadata checksums, no
 * spare descriptors; groups that are not in use have no bitmaps to be read
 * (uninit_bg). The file is new and sparse, so tables and journal are zero
 * without being written. Inodes of 256 bytes, not mke2fs's own 128: those know
 * only whole seconds, up to 2038. The two folders of the overlay are made here, where
 * it costs nothing, and not in the guest.
 */
static int format(int fd, bool journal, struct error *err)
{
	const char *const mkfs[] = {
		"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0",
		"-O", journal ? "^metadata_csum,^resize_inode,^64bit,sparse_super2,uninit_bg"
			      : "^metadata_csum,^resize_inode,^64bit,sparse_super2,uninit_bg,^has_journal",
		"-E", "lazy_itable_init=0,lazy_journal_init=1,assume_storage_prezeroed=1,nodiscard,root_owner=0:0",
		"-U", "00000000-0000-4000-8000-626f786c6974", TOOL_FILE, NULL,
	};
	const char *const upper[] = { "debugfs", "-w", "-R", "mkdir upper", TOOL_FILE, NULL };
	const char *const work[] = { "debugfs", "-w", "-R", "mkdir work", TOOL_FILE, NULL };
	int r = run_tool(mkfs, fd, err);

	if (r == 0)
		r = run_tool(upper, fd, err);
	if (r == 0)
		r = run_tool(work, fd, err);
	return r < 0 ? r : check_format(fd, err);
}

static int make_template(struct home *h, const char *name, uint64_t bytes, bool journal, struct error *err)
{
	struct newfile f;
	int r = newfile_open(&f, h->templates_fd, name);

	if (r < 0)
		return error_code(err, r, "cannot make a disk template in %s", h->path);
	if (ftruncate(f.fd, (off_t)bytes) < 0)
		r = error_sys(err, "cannot make a disk of %llu bytes", (unsigned long long)bytes);
	else
		r = format(f.fd, journal, err);
	if (r == 0 && fdatasync(f.fd) < 0)
		r = error_sys(err, "cannot write a disk template");
	if (r == 0) {
		r = newfile_publish(&f, name);
		if (r < 0)
			error_code(err, r, "cannot publish a disk template");
	}
	newfile_close(&f);
	return r;
}

/* Where the kernel does not copy between the two (they are on different file systems). */
static int copy_by_hand(int from, int to, off_t at, off_t end)
{
	static const size_t chunk = 64 * KIB;
	auto_free char *p = malloc(chunk);
	int r = p ? 0 : -ENOMEM;

	while (r == 0 && at < end) {
		size_t n = MIN(chunk, (size_t)(end - at));

		r = io_pread_full(from, p, n, (uint64_t)at);
		if (r == 0)
			r = io_pwrite_full(to, p, n, (uint64_t)at);
		at += (off_t)n;
	}
	return r;
}

static int copy_extent(int from, int to, off_t at, off_t end)
{
	while (at < end) {
		off_t in = at, out = at;
		ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(end - at), 0);

		if (n < 0 && (errno == EXDEV || errno == EOPNOTSUPP || errno == ENOSYS))
			return copy_by_hand(from, to, at, end);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
	}
	return 0;
}

/* Reflink if the file system can; else only what is data. */
static int clone_file(int from, int to, uint64_t bytes)
{
	off_t at = 0, end;
	int r;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (ftruncate(to, (off_t)bytes) < 0)
		return -errno;
	for (;;) {
		at = lseek(from, at, SEEK_DATA);
		if (at < 0)
			return errno == ENXIO ? 0 : -errno;
		end = lseek(from, at, SEEK_HOLE);
		if (end < 0)
			return -errno;
		r = copy_extent(from, to, at, end);
		if (r < 0)
			return r;
		at = end;
	}
}

int disk_create(struct home *h, int dirfd, const char *name, uint64_t bytes, bool journal, struct error *err)
{
	char template[64];
	auto_fd int from = -1, to = -1;
	int r;

	snprintf(template, sizeof(template), "ext4-v%d-%llu%s.img", TEMPLATE_VERSION, (unsigned long long)bytes,
		 journal ? "" : "-nojournal");
	from = openat(h->templates_fd, template, O_RDONLY | O_CLOEXEC);
	if (from < 0) {
		r = make_template(h, template, bytes, journal, err);
		if (r < 0)
			return r;
		from = openat(h->templates_fd, template, O_RDONLY | O_CLOEXEC);
	}
	if (from < 0)
		return error_sys(err, "cannot open the disk template %s", template);
	to = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return error_sys(err, "cannot make the box's disk");
	r = clone_file(from, to, bytes);
	if (r < 0) {
		unlinkat(dirfd, name, 0);
		return error_code(err, r, "cannot copy the disk template");
	}
	return 0;
}

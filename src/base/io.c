#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"

int io_read_full(int fd, void *p, size_t n)
{
	uint8_t *at = p;

	while (n) {
		ssize_t got = read(fd, at, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ENODATA;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

int io_pread_full(int fd, void *p, size_t n, uint64_t offset)
{
	uint8_t *at = p;

	while (n) {
		ssize_t got = pread(fd, at, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ENODATA;
		at += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int io_write_full(int fd, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n) {
		ssize_t put = write(fd, at, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && errno == EAGAIN) {
			struct pollfd pfd = { .fd = fd, .events = POLLOUT };

			poll(&pfd, 1, -1);
			continue;
		}
		if (put < 0)
			return -errno;
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

int io_pwrite_full(int fd, const void *p, size_t n, uint64_t offset)
{
	const uint8_t *at = p;

	while (n) {
		ssize_t put = pwrite(fd, at, n, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		at += put;
		offset += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

int io_read_rest(int fd, struct buf *b)
{
	for (;;) {
		ssize_t got = buf_read_fd(b, fd, 64 * KIB);

		if (got == -ENOBUFS) {
			/* Full: an error only if there is more to come. */
			char one;

			got = read(fd, &one, 1);
			return got == 0 ? 0 : got < 0 ? -errno : -ENOBUFS;
		}
		if (got <= 0)
			return (int)got;
	}
}

int io_read_file_at(int dirfd, const char *name, struct buf *b)
{
	auto_fd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : io_read_rest(fd, b);
}

int io_mkdirs_at(int dirfd, const char *path, mode_t mode)
{
	char part[4096];
	size_t i, n = strlen(path);

	if (n == 0 || n >= sizeof(part))
		return n ? -ENAMETOOLONG : -ENOENT;
	for (i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i] != 0)
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (mkdirat(dirfd, part, mode) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

int io_open_dir_at(int dirfd, const char *path, mode_t mode)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	r = io_mkdirs_at(dirfd, path, mode);
	if (r < 0)
		return r;
	fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int remove_entries(int fd)
{
	auto_dir DIR *d = NULL;
	struct dirent *e;
	int first = 0;
	int again = dup(fd);

	if (again < 0)
		return -errno;
	d = fdopendir(again);
	if (!d) {
		close(again);
		return -errno;
	}
	while ((e = readdir(d))) {
		int r;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		r = io_remove_tree_at(fd, e->d_name);
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

int io_remove_tree_at(int dirfd, const char *name)
{
	auto_fd int fd = -1;
	int r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = remove_entries(fd);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT && r == 0)
		r = -errno;
	return r;
}

int io_lock(int fd, int how)
{
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int io_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

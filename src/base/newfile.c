#include "base/newfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/str.h"

#define SALT_LEN 16 /* hex digits */

static int make_named(struct newfile *f, const char *name)
{
	uint64_t random;
	int n;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	n = snprintf(f->tmp, sizeof(f->tmp), ".%s.%016llx", name, (unsigned long long)random);
	if (n >= (int)sizeof(f->tmp)) {
		*f->tmp = 0;
		return -ENAMETOOLONG;
	}
	f->fd = openat(f->dirfd, f->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (f->fd >= 0)
		return 0;
	*f->tmp = 0;
	return -errno;
}

/* Between the file and its lock a sweep may have taken it for one that was left: then it has no name any more. Without
 * locks (an error here) nothing is swept either. */
static int open_named(struct newfile *f, const char *name)
{
	struct stat st;
	int r;

	for (;;) {
		r = make_named(f, name);
		if (r < 0 || io_lock(f->fd, LOCK_EX) < 0 || fstat(f->fd, &st) < 0 || st.st_nlink)
			return r;
		close_fd(&f->fd);
	}
}

int newfile_open(struct newfile *f, int dirfd, const char *name)
{
	*f = (struct newfile){ .dirfd = dirfd };
	f->fd = openat(dirfd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (f->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		return -errno;
	return open_named(f, name);
}

int newfile_publish(struct newfile *f, const char *name)
{
	char self[32];

	/* Also one that has a name already: a rename would replace what is there. */
	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	return linkat(AT_FDCWD, self, f->dirfd, name, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST ? -errno : 0;
}

void newfile_close(struct newfile *f)
{
	if (*f->tmp)
		unlinkat(f->dirfd, f->tmp, 0);
	*f->tmp = 0;
	close_fd(&f->fd);
}

int newfile_write(int dirfd, const char *name, const void *p, size_t n)
{
	struct newfile f = { .dirfd = dirfd };
	int r = open_named(&f, name);

	if (r < 0)
		return r;
	r = io_write_full(f.fd, p, n);
	if (r == 0 && fdatasync(f.fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, f.tmp, dirfd, name) < 0)
		r = -errno;
	if (r == 0)
		*f.tmp = 0;
	newfile_close(&f);
	return r;
}

static bool is_unfinished(const char *name)
{
	size_t n = strlen(name);

	return name[0] == '.' && n > SALT_LEN + 2 && name[n - SALT_LEN - 1] == '.' &&
	       str_is_hex(name + n - SALT_LEN, SALT_LEN);
}

/* With its lock, the name is nobody's but ours, unless it was renamed before we had that. */
static void remove_unfinished(int dirfd, const char *name)
{
	auto_fd int fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && io_lock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(dirfd, name, 0);
}

void newfile_sweep(int dirfd)
{
	int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d)
		close_fd(&copy);
	while (d && (e = readdir(d)))
		if (is_unfinished(e->d_name))
			remove_unfinished(dirfd, e->d_name);
}

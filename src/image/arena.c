#include "image/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"

#define GROW_STEP MIB

int scratch_open(int dirfd)
{
	auto_fd int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
	char name[32];
	uint64_t salt;

	if (fd >= 0)
		return take_fd(&fd);
	/* Not every file system has O_TMPFILE. */
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
		return -errno;
	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
		return -EIO;
	snprintf(name, sizeof(name), ".scratch-%016llx", (unsigned long long)salt);
	fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	/* A sweep of the folder may have been faster. */
	if (fd < 0 || (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT))
		return -errno;
	return take_fd(&fd);
}

int arena_open(struct arena *a, int scratch_dirfd, struct error *err)
{
	void *base;

	*a = ARENA_NONE;
	a->fd = scratch_open(scratch_dirfd);
	if (a->fd < 0)
		return error_code(err, a->fd, "cannot make a scratch file");
	a->touched = calloc(ARENA_MAX / ARENA_PAGE / 64, sizeof(*a->touched));
	if (!a->touched) {
		arena_close(a);
		return error_nomem(err);
	}
	base = mmap(NULL, ARENA_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, a->fd, 0);
	if (base == MAP_FAILED) {
		int r = error_sys(err, "cannot map the scratch file");

		arena_close(a);
		return r;
	}
	a->base = base;
	a->used = ARENA_PIECE; /* so that no object has aref 0 */
	arena_set_window(a, ARENA_WINDOW);
	return 0;
}

void arena_close(struct arena *a)
{
	if (a->base)
		munmap(a->base, ARENA_MAX);
	free(a->touched);
	close_fd(&a->fd);
	*a = ARENA_NONE;
}

/* Disk space for everything below `upto`. Without fallocate(2), zeros are written. */
static int back(struct arena *a, uint64_t upto)
{
	static const uint8_t zeros[64 * KIB];

	while (a->backed < upto) {
		uint64_t end = a->backed + GROW_STEP;
		int r;

		do
			r = fallocate(a->fd, 0, (off_t)a->backed, GROW_STEP) < 0 ? -errno : 0;
		while (r == -EINTR);
		if (r == -EOPNOTSUPP || r == -ENOSYS) {
			uint64_t at = a->backed;

			for (r = 0; r == 0 && at < end; at += sizeof(zeros))
				r = io_pwrite_full(a->fd, zeros, sizeof(zeros), at);
		}
		if (r < 0)
			return r;
		a->backed = end;
	}
	return 0;
}

int arena_alloc(struct arena *a, enum arena_pool pool, size_t n, aref *ret, struct error *err)
{
	__typeof__(a->pools[pool]) *p = &a->pools[pool];

	if (n > ARENA_MAX - ARENA_PIECE)
		return error_set(err, -E2BIG, "an object of %zu bytes", n);
	n = ALIGN_UP(n, (size_t)ARENA_UNIT);
	if (n <= ARENA_PAGE && p->at % ARENA_PAGE + n > ARENA_PAGE)
		p->at = ALIGN_UP(p->at, ARENA_PAGE);
	if (n > p->end - p->at) {
		uint64_t size = ALIGN_UP(n, ARENA_PIECE);
		int r;

		if (size > ARENA_MAX - a->used)
			return error_set(err, -E2BIG,
					 "the image has too many files: its index is over %llu GiB",
					 ARENA_MAX / GIB);
		r = back(a, a->used + size);
		if (r < 0)
			return error_code(err, r, "cannot grow the scratch file");
		p->at = a->used;
		p->end = a->used += size;
	}
	*ret = (aref)(p->at / ARENA_UNIT);
	p->at += n;
	return 0;
}

void arena_set_window(struct arena *a, uint64_t bytes)
{
	a->window = (unsigned)MAX(bytes / ARENA_PAGE, 256ULL);
}

void arena_trim(struct arena *a)
{
	size_t words = ALIGN_UP(a->backed, ARENA_PAGE * 64) / ARENA_PAGE / 64;

	/* Of a shared mapping this drops only this process's view. */
	madvise(a->base, a->backed, MADV_DONTNEED);
	memset(a->touched, 0, words * sizeof(*a->touched));
	a->ntouched = 0;
}

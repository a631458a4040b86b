#include "box/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "base/clean.h"

/*
 * The last byte that a file can have is the lock. Its holder has all bytes from one of its own to that one, in one
 * step:
 *
 *	byte    0 ...      n1            n2                LOCK_BYTE
 *	run 1              [------------------------------------]
 *	run 2                            [----------------------]   once run 1 is over
 *
 * Who waits for the end of run 1 waits for byte n1, which run 2 does not have: it hears of that end whatever begins
 * after it, and holds up nobody. For that n only grows: it is the time since the host's start.
 */
#define LOCK_BYTE INT64_MAX

static int lock_bytes(int fd, int how, short type, off_t from, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = len };

	while (fcntl(fd, how, &l) < 0)
		if (errno != EINTR)
			return errno == EACCES ? -EWOULDBLOCK : -errno;
	return 0;
}

static int open_lock(int box_fd, const char *name, int flags)
{
	int fd = openat(box_fd, name, O_RDWR | flags | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static off_t next_run(void)
{
	struct timespec t = { 0 };

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (off_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* -EWOULDBLOCK: another has it. Where the clock is coarse, somebody who has waited for a run of the same time may still
 * have its byte: ours is the one behind it. */
static int take(int fd)
{
	off_t from = next_run();

	for (;;) {
		int r = lock_bytes(fd, F_OFD_SETLK, F_WRLCK, from, 0 /* to the last */);
		struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from };

		if (r != -EWOULDBLOCK)
			return r;
		if (fcntl(fd, F_OFD_GETLK, &l) < 0)
			return -errno;
		if (l.l_type == F_WRLCK)
			return r;
		if (l.l_type == F_RDLCK)
			from = l.l_start + l.l_len;
	}
}

int box_lock_take(int box_fd, const char *name, unsigned flags)
{
	auto_fd int fd = open_lock(box_fd, name, flags & BOX_LOCK_CREATE ? O_CREAT : 0);
	int r = fd < 0 ? fd : take(fd);

	return r < 0 ? r : take_fd(&fd);
}

/* The first byte of the run that there is: 1, 0 there is none, -errno. */
static int find_run(int fd, off_t *ret)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_BYTE, .l_len = 1 };

	if (fcntl(fd, F_OFD_GETLK, &l) < 0)
		return -errno;
	*ret = l.l_start;
	return l.l_type != F_UNLCK;
}

int box_lock_watch(int box_fd, const char *name, struct box_run *ret)
{
	auto_fd int fd = open_lock(box_fd, name, 0);
	off_t run;
	int r = fd < 0 ? fd : find_run(fd, &run);

	if (r == 1)
		*ret = (struct box_run){ take_fd(&fd), run };
	return r;
}

int box_run_await(const struct box_run *run)
{
	return lock_bytes(run->fd, F_OFD_SETLKW, F_RDLCK, run->at, 1);
}

int box_lock_held(int box_fd, const char *name)
{
	auto_fd int fd = openat(box_fd, name, O_RDONLY | O_CLOEXEC); /* also on a file system that is read-only */
	off_t run;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return find_run(fd, &run);
}

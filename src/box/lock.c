#include "box/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clean.h"

/* Byte 0 is the lock. Byte 1 is held with it, by its holder alone or by any number of those who wait for it to go: so
 * they need not take the lock, in which time it would seem to be held. */
enum { LOCK_BYTE, GATE_BYTE };

static int lock_byte(int fd, int how, short type, off_t byte)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

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

int box_lock_take(int box_fd, const char *name, unsigned flags)
{
	auto_fd int fd = open_lock(box_fd, name, flags & BOX_LOCK_CREATE ? O_CREAT : 0);
	int r = fd < 0 ? fd : lock_byte(fd, flags & BOX_LOCK_WAIT ? F_OFD_SETLKW : F_OFD_SETLK, F_WRLCK, LOCK_BYTE);

	/* Those who hold the gate are about to let go of it. */
	if (r == 0)
		r = lock_byte(fd, F_OFD_SETLKW, F_WRLCK, GATE_BYTE);
	return r < 0 ? r : take_fd(&fd);
}

int box_lock_await(int box_fd, const char *name)
{
	auto_fd int fd = open_lock(box_fd, name, 0);

	return fd < 0 ? fd : lock_byte(fd, F_OFD_SETLKW, F_RDLCK, GATE_BYTE);
}

int box_lock_held(int box_fd, const char *name)
{
	auto_fd int fd = openat(box_fd, name, O_RDONLY | O_CLOEXEC); /* also on a file system that is read-only */
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_BYTE, .l_len = 1 };

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return fcntl(fd, F_OFD_GETLK, &l) < 0 ? -errno : l.l_type != F_UNLCK;
}

#include "box/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clean.h"

int box_lock_take(int box_fd, const char *name, unsigned flags)
{
	auto_fd int fd = openat(box_fd, name, O_RDWR | (flags & BOX_LOCK_CREATE ? O_CREAT : 0) | O_CLOEXEC, 0600);
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fd < 0)
		return -errno;
	while (fcntl(fd, flags & BOX_LOCK_WAIT ? F_OFD_SETLKW : F_OFD_SETLK, &whole) < 0)
		if (errno != EINTR)
			return errno == EACCES ? -EWOULDBLOCK : -errno;
	return take_fd(&fd);
}

int box_lock_held(int box_fd, const char *name)
{
	auto_fd int fd = openat(box_fd, name, O_RDWR | O_CLOEXEC);
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return fcntl(fd, F_OFD_GETLK, &whole) < 0 ? -errno : whole.l_type != F_UNLCK;
}

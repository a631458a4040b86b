#include "base/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clean.h"

int newfile_open(struct newfile *f, int dirfd, const char *name)
{
	uint64_t random;

	*f = (struct newfile){ .dirfd = dirfd };
	f->fd = openat(dirfd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (f->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
		return -errno;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -errno;
	snprintf(f->tmp, sizeof(f->tmp), ".%s.%016llx", name, (unsigned long long)random);
	f->fd = openat(dirfd, f->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return f->fd < 0 ? -errno : 0;
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
	close_fd(&f->fd);
	if (*f->tmp)
		unlinkat(f->dirfd, f->tmp, 0);
	*f->tmp = 0;
}

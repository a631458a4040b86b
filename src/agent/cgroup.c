#include "agent/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"

static unsigned last;     /* number of the newest exec's group */
static unsigned *left;    /* groups that were not empty when their process ended */
static size_t nleft, cap;

static const char *group_path(unsigned n, const char *file, char out[64])
{
	if (n == CGROUP_BOX)
		snprintf(out, 64, "/cgroup/box%s", file);
	else
		snprintf(out, 64, "/cgroup/box/exec-%u%s", n, file);
	return out;
}

static int write_file(const char *path, const char *text, size_t n)
{
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : io_write_full(fd, text, n);
}

/* "cpu memory" -> "+cpu +memory": what the kernel has is what the box may use. */
static int enable_controllers(void)
{
	auto_buf struct buf have = BUF_INIT(1024), want = BUF_INIT(2048);
	char *name, *rest;
	int r = io_read_file_at(AT_FDCWD, "/cgroup/cgroup.controllers", &have);

	if (r < 0 || !(rest = buf_str(&have)))
		return r < 0 ? r : -ENOMEM;
	while (r == 0 && (name = strsep(&rest, " \n")))
		if (*name)
			r = buf_printf(&want, "+%s ", name);
	if (r < 0 || buf_len(&want) == 0)
		return r;
	return write_file("/cgroup/cgroup.subtree_control", (char *)buf_data(&want), buf_len(&want));
}

int cgroup_init(struct error *err)
{
	int r;

	if (mount("cgroup", "/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate") < 0)
		return error_sys(err, "cannot mount cgroup2");
	r = enable_controllers();
	if (r < 0)
		return error_code(err, r, "cannot enable the cgroup controllers");
	if (mkdir("/cgroup/box", 0755) < 0)
		return error_sys(err, "cannot make the box's cgroup");
	return 0;
}

/* Removes what is empty by now. */
static void sweep(void)
{
	char path[64];
	size_t i = 0;

	while (i < nleft)
		if (rmdir(group_path(left[i], "", path)) == 0 || errno == ENOENT)
			left[i] = left[--nleft];
		else
			i++;
}

int cgroup_new(unsigned *ret, struct error *err)
{
	char path[64];

	sweep();
	if (mkdir(group_path(++last, "", path), 0755) < 0)
		return error_sys(err, "cannot make the cgroup of a process");
	*ret = last;
	return 0;
}

int cgroup_open(unsigned n)
{
	char path[64];
	int fd = open(group_path(n, "", path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int cgroup_kill(unsigned n)
{
	char path[64];

	return write_file(group_path(n, "/cgroup.kill", path), "1", 1);
}

void cgroup_release(unsigned n)
{
	char path[64];
	unsigned *more;

	if (n == CGROUP_BOX || rmdir(group_path(n, "", path)) == 0)
		return;
	if (nleft == cap) {
		more = realloc(left, (cap ? cap * 2 : 16) * sizeof(*left));
		if (!more)
			return; /* an empty folder stays until the box ends */
		left = more;
		cap = cap ? cap * 2 : 16;
	}
	left[nleft++] = n;
}

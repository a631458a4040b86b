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

/*
 * Groups are used again: making and removing one is a tenth of what an exec costs, and a group that is removed stays in
 * the kernel while a page of memory is counted for it. One whose process has ended may still have its children; it is
 * looked at when the next exec needs a group. Nothing that a box could have done to a group stays with it: its own view
 * of them is read-only.
 */
struct group {
	int dir, events; /* owned; the folder, its cgroup.events; -1: not made */
	bool used;       /* by a process, or by what that has left behind */
	bool ended;      /* its process has: free as soon as nothing is left in it */
};

static struct group *groups; /* that of number n is [n - 1] */
static unsigned ngroups;
static int box = -1; /* the folder of the box's */

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

/* Whether the last process of a group is gone. */
static bool is_empty(const struct group *g)
{
	char text[128];
	ssize_t n = pread(g->events, text, sizeof(text) - 1, 0);

	text[MAX(n, 0)] = 0;
	return strstr(text, "populated 0\n");
}

static int make(unsigned n, struct group *g, struct error *err)
{
	char path[64];

	if (mkdir(group_path(n, "", path), 0755) < 0 && errno != EEXIST)
		return error_sys(err, "cannot make the cgroup of a process");
	g->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->dir >= 0)
		g->events = openat(g->dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (g->events < 0) {
		error_sys(err, "cannot open the cgroup of a process");
		close_fd(&g->dir);
		return err ? err->code : -EIO;
	}
	return 0;
}

/* Place for one more. */
static int more_groups(struct error *err)
{
	struct group *more = realloc(groups, (ngroups + 16) * sizeof(*more));
	unsigned i;

	if (!more)
		return error_nomem(err);
	groups = more;
	for (i = 0; i < 16; i++)
		groups[ngroups++] = (struct group){ .dir = -1, .events = -1 };
	return 0;
}

int cgroup_new(unsigned *ret, struct error *err)
{
	struct group *g;
	unsigned n;
	int r = 0;

	for (n = 1; n <= ngroups; n++) {
		g = &groups[n - 1];
		if (g->used && g->ended && is_empty(g))
			g->used = g->ended = false;
		if (!g->used)
			break;
	}
	if (n > ngroups)
		r = more_groups(err);
	g = &groups[n - 1];
	if (r == 0 && g->dir < 0)
		r = make(n, g, err);
	if (r < 0)
		return r;
	g->used = true;
	*ret = n;
	return 0;
}

int cgroup_fd(unsigned n)
{
	char path[64];

	if (n != CGROUP_BOX)
		return groups[n - 1].dir;
	if (box < 0)
		box = open(group_path(n, "", path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return box < 0 ? -errno : box;
}

int cgroup_kill(unsigned n)
{
	char path[64];

	return write_file(group_path(n, "/cgroup.kill", path), "1", 1);
}

void cgroup_release(unsigned n)
{
	if (n != CGROUP_BOX)
		groups[n - 1].ended = true;
}

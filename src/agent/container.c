/*
 * Theory of operation.
 *
 * The image is hostile: /proc may be a symbolic link, /etc a file. So nothing
 * is mounted below the future root while the agent's files can still be
 * reached: pivot_root comes first, and every path after it ends inside the box,
 * whatever links are on the way. A strange image damages itself or fails to
 * start with a clear line.
 *
 * Three files of /etc and the devices come from the agent's root as detached
 * mounts that are opened before and attached after the change of root. The
 * devices are mounts because no file system of the box lets a device node be
 * opened (nodev): root in it may make nodes.
 *
 * Propagation: the kernel's first mounts are private and nobody has changed
 * that, so nothing done here reaches the agent's namespace.
 */
#include "agent/container.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/root.h"
#include "agent/trust.h"
#include "base/clean.h"
#include "base/io.h"
#include "base/log.h"

#define LOCKED (MS_NOSUID | MS_NODEV | MS_NOEXEC)

struct mount_entry {
	const char *what, *where, *type;
	unsigned long flags;
	const char *data;
};

static const struct mount_entry mounts[] = {
	{ "proc", "/proc", "proc", LOCKED, NULL },
	{ "tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NODEV | MS_STRICTATIME, "mode=755,size=65536k" },
	{ "devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5" },
	{ "mqueue", "/dev/mqueue", "mqueue", LOCKED, NULL },
	{ "shm", "/dev/shm", "tmpfs", LOCKED, "mode=1777,size=65536k" },
	{ "sysfs", "/sys", "sysfs", LOCKED | MS_RDONLY, NULL },
	{ "cgroup", "/sys/fs/cgroup", "cgroup2", LOCKED | MS_RDONLY, NULL },
};

static const struct {
	const char *target, *path;
} links[] = {
	{ "/proc/self/fd", "/dev/fd" },       { "/proc/self/fd/0", "/dev/stdin" },
	{ "/proc/self/fd/1", "/dev/stdout" }, { "/proc/self/fd/2", "/dev/stderr" },
	{ "/proc/kcore", "/dev/core" },       { "pts/ptmx", "/dev/ptmx" },
};

/* Nothing in these is the box's business. What this kernel does not have is skipped. */
static const char *const masked[] = {
	"/proc/acpi",       "/proc/kcore",       "/proc/keys",        "/proc/latency_stats",
	"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
	"/sys/firmware",    "/sys/devices/virtual/powercap",
};

static const char *const readonly[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

/* What a box gets of the agent's, under the same name. */
static const char *const provided[] = {
	"/dev/null",   "/dev/zero", "/dev/full",     "/dev/random",  "/dev/urandom",
	"/dev/tty", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf",
};

int container_make_dirs(const char *path, mode_t mode)
{
	return io_mkdirs_at(AT_FDCWD, path, mode);
}

static int mount_one(const struct mount_entry *m, struct error *err)
{
	if (mount(m->what, m->where, m->type, m->flags, m->data) == 0)
		return 0;
	if (errno == ENOENT && container_make_dirs(m->where, 0755) == 0 &&
	    mount(m->what, m->where, m->type, m->flags, m->data) == 0)
		return 0;
	return error_sys(err, "cannot mount %s on %s of the box", m->type, m->where);
}

static int make_links(struct error *err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(links); i++)
		if (symlink(links[i].target, links[i].path) < 0)
			return error_sys(err, "cannot make %s", links[i].path);
	return 0;
}

static int mask_path(const char *path, struct error *err)
{
	if (mount("/dev/null", path, NULL, MS_BIND, NULL) == 0 || errno == ENOENT)
		return 0;
	/* A folder. */
	if (errno == ENOTDIR && mount("tmpfs", path, "tmpfs", LOCKED | MS_RDONLY, NULL) == 0)
		return 0;
	return error_sys(err, "cannot hide %s", path);
}

static int protect_path(const char *path, struct error *err)
{
	if (mount(path, path, NULL, MS_BIND, NULL) < 0)
		return errno == ENOENT ? 0 : error_sys(err, "cannot protect %s", path);
	if (mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | LOCKED, NULL) < 0)
		return error_sys(err, "cannot protect %s", path);
	return 0;
}

/* An empty file where there is none. A link that leads nowhere is replaced. */
static int make_file(const char *path)
{
	int fd, tries;

	for (tries = 0; tries < 3; tries++) {
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
		if (fd >= 0)
			return close(fd);
		if (errno != ENOENT)
			return -errno;
		if (mkdir("/etc", 0755) < 0 && errno == EEXIST)
			unlink(path);
	}
	return -ENOENT;
}

/* Attaches a detached mount over a file of the box. */
static int attach_file(int tree, const char *path, struct error *err)
{
	const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;

	if (move_mount(tree, "", AT_FDCWD, path, flags) == 0)
		return 0;
	if (errno == ENOENT && make_file(path) == 0 && move_mount(tree, "", AT_FDCWD, path, flags) == 0)
		return 0;
	return error_sys(err, "cannot provide %s of the box", path);
}

/* The old root is stacked on the new one ("." twice) and dropped from there: no folder is needed for it. */
int container_enter(struct error *err)
{
	auto_fd int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (old < 0 || chdir(ROOT_BOX) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || fchdir(old) < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_sys(err, "cannot change to the box's root");
	return 0;
}

static int build(const int *trees, struct error *err)
{
	size_t i;
	int r = container_enter(err);

	for (i = 0; r == 0 && i < ARRAY_SIZE(mounts); i++)
		r = mount_one(&mounts[i], err);
	if (r == 0)
		r = make_links(err);
	for (i = 0; r == 0 && i < ARRAY_SIZE(provided); i++)
		r = attach_file(trees[i], provided[i], err);
	for (i = 0; r == 0 && i < ARRAY_SIZE(masked); i++)
		r = mask_path(masked[i], err);
	for (i = 0; r == 0 && i < ARRAY_SIZE(readonly); i++)
		r = protect_path(readonly[i], err);
	return r;
}

/* A file of the agent, to be attached once this is in the box's root: fd or -1 with the reason. */
static int clone_file(const char *name, struct error *err)
{
	int fd = open_tree(AT_FDCWD, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		error_sys(err, "cannot open %s for the box", name);
	return fd;
}

/* The i-th file of certificates, or -1: see there. */
static int clone_trusted(unsigned i, struct error *err)
{
	const char *file, *path;

	return trust_file(i, &file, &path) ? clone_file(file, err) : -1;
}

/* One that what is mounted by now has hidden needs none. */
static void attach_trusted(int tree, unsigned i)
{
	char folder[PATH_MAX];
	struct error err = { 0 };
	const char *file, *path;

	if (tree < 0 || !trust_file(i, &file, &path))
		return;
	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	if (access(folder, F_OK) < 0)
		(void)!container_make_dirs(folder, 0755);
	if (attach_file(tree, path, &err) < 0)
		log_warn("%s", err.text);
}

int container_build(struct error *err)
{
	int trees[ARRAY_SIZE(provided)], trusted[TRUST_FILES], r = 0;
	unsigned i;
	size_t n;

	for (i = 0; i < TRUST_FILES; i++)
		trusted[i] = clone_trusted(i, err);
	for (n = 0; n < ARRAY_SIZE(trees); n++) {
		trees[n] = clone_file(provided[n], err);
		if (trees[n] < 0) {
			r = err->code;
			break;
		}
	}
	if (r == 0)
		r = build(trees, err);
	for (i = 0; r == 0 && i < TRUST_FILES; i++)
		attach_trusted(trusted[i], i);
	while (n-- > 0)
		close(trees[n]);
	for (i = 0; i < TRUST_FILES; i++)
		close_fd(&trusted[i]);
	return r;
}

int container_bind_console(int slave, struct error *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", slave);
	if (mknod("/dev/console", S_IFREG | 0600, 0) < 0 ||
	    mount(path, "/dev/console", NULL, MS_BIND, NULL) < 0)
		return error_sys(err, "cannot make /dev/console");
	return 0;
}

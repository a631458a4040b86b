/*
 * The home folder for the doctor. If there is none yet, its parent (or whatever of the path exists) is
 * looked at, which is where it would be made. What is tried out is tried on files without a name.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/newfile.h"
#include "base/str.h"
#include "box/doctor_checks.h"

/* A small image with a box on it; and what one can work with. */
#define ROOM_LEAST (64 * MIB)
#define ROOM_GOOD (2 * GIB)

#define OTHER_HOME "set BOXLITE_HOME to a folder of yours on a local disk"

/* Opens the folder, or the nearest one above it that exists; `path` is cut to it. */
static int open_nearest(char *path)
{
	for (;;) {
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		char *slash = strrchr(path, '/');

		if (fd >= 0)
			return fd;
		if (errno != ENOENT || !slash || !path[1])
			return -errno;
		slash[slash == path] = 0; /* "/" itself stays */
	}
}

static const char *type_name(int dir)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} types[] = {
		{ EXT4_SUPER_MAGIC, "ext4" },
		{ XFS_SUPER_MAGIC, "xfs" },
		{ BTRFS_SUPER_MAGIC, "btrfs" },
		{ TMPFS_MAGIC, "tmpfs" },
		{ OVERLAYFS_SUPER_MAGIC, "overlayfs" },
		{ NFS_SUPER_MAGIC, "nfs" },
		{ F2FS_SUPER_MAGIC, "f2fs" },
		{ 0x2fc12fc1, "zfs" },
		{ 0xca451a4e, "bcachefs" },
	};
	struct statfs s;
	size_t i;

	for (i = 0; fstatfs(dir, &s) == 0 && i < ARRAY_SIZE(types); i++)
		if ((unsigned long)s.f_type == types[i].magic)
			return types[i].name;
	return "this file system";
}

/* The lock that says whether a box runs (docs/decisions/007): 0 or -errno. */
static int try_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static bool check_folder(struct doctor *d, int dir, const char *nearest)
{
	static const char id[] = "home";
	const char *home = d->h->path;
	bool exists = str_eq(home, nearest);
	struct newfile f;
	int r;

	if (faccessat(dir, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		doctor_say(d, FINDING_FAIL, id, OTHER_HOME,
			   exists ? "%s is not ours to write to: %s" : "%s cannot be made: %s", home,
			   strerror(errno));
		return false;
	}
	r = newfile_open(&f, dir, "doctor");
	if (r < 0) {
		doctor_say(d, FINDING_FAIL, id, OTHER_HOME, "cannot make a file in %s: %s", nearest,
			   strerror(-r));
		return false;
	}
	r = try_lock(f.fd);
	newfile_close(&f);
	if (r < 0)
		doctor_say(d, FINDING_FAIL, id, OTHER_HOME,
			   "%s on %s has no file locks (%s), which tell whether a box runs", nearest,
			   type_name(dir), strerror(-r));
	else
		doctor_say(d, FINDING_OK, id, NULL, exists ? "%s, on %s" : "%s, not made yet, on %s", home,
			   type_name(dir));
	return r == 0;
}

static void check_room(struct doctor *d, int dir)
{
	static const char id[] = "disk-space";
	static const char remedy[] = "boxlite prune, or set BOXLITE_HOME to a larger disk";
	struct statvfs s;
	uint64_t room;
	char size[24];

	if (fstatvfs(dir, &s) < 0) {
		doctor_say(d, FINDING_WARN, id, OTHER_HOME, "cannot tell how much room the home has: %s",
			   strerror(errno));
		return;
	}
	room = (uint64_t)s.f_bavail * s.f_frsize;
	str_format_size(room, size);
	if (room < ROOM_LEAST)
		doctor_say(d, FINDING_FAIL, id, remedy,
			   "%s are free for images and boxes, too little for any", size);
	else if (room < ROOM_GOOD)
		doctor_say(d, FINDING_WARN, id, remedy,
			   "%s are free for images and boxes: enough for small ones", size);
	else
		doctor_say(d, FINDING_OK, id, NULL, "%s are free for images and boxes", size);
}

/* A block of one file shared with another: 0, -EOPNOTSUPP or what the file system calls it. */
static int try_clone(int dir)
{
	static const char block[4096] = { 1 };
	struct newfile from, to;
	int r = newfile_open(&from, dir, "doctor");

	if (r < 0)
		return r;
	r = newfile_open(&to, dir, "doctor");
	if (r == 0) {
		r = io_write_full(from.fd, block, sizeof(block));
		if (r == 0 && ioctl(to.fd, FICLONE, from.fd) < 0)
			r = -errno;
		newfile_close(&to);
	}
	newfile_close(&from);
	return r;
}

/* Not having them is no defect: an empty disk is a sparse file of less than a megabyte (decisions/006). */
static void check_reflink(struct doctor *d, int dir)
{
	int r = try_clone(dir);

	if (r == 0)
		doctor_say(d, FINDING_OK, "reflink", NULL,
			   "%s clones files: the disk of a new box costs nothing", type_name(dir));
	else
		doctor_say(d, FINDING_OK, "reflink", NULL,
			   "%s does not clone files (%s): the disk of a new box is copied, less than 1 MB",
			   type_name(dir), strerror(-r));
}

void doctor_check_home(struct doctor *d)
{
	auto_free char *nearest = strdup(d->h->path);
	auto_fd int dir = nearest ? open_nearest(nearest) : -ENOMEM;

	if (dir < 0) {
		doctor_say(d, FINDING_FAIL, "home", OTHER_HOME, "cannot open %s: %s",
			   nearest ? nearest : d->h->path, strerror(-dir));
		return;
	}
	if (!check_folder(d, dir, nearest))
		return;
	check_room(d, dir);
	check_reflink(d, dir);
}

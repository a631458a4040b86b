#include "agent/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clean.h"
#include "base/io.h"
#include "wire/netspec.h"

#define IMAGE "/image"
#define DISK "/disk"

/*
 * The kernel starts init in rootfs, which can neither be unmounted nor be the
 * old root of a pivot_root: a box could never leave it. So a tmpfs is mounted
 * on the one folder that the initramfs has and then moved over "/".
 */
static int move_to_tmpfs(struct error *err)
{
	static const char *const folders[] = { "dev", "proc", "cgroup", "image", "disk", "box", "etc" };
	size_t i;

	/* The files in it are a few hundred bytes, and what the box trusts (trust.c); a box may write to them. */
	if (mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=2m") < 0 || chdir("/dev") < 0)
		return error_sys(err, "cannot mount a tmpfs");
	for (i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdir(folders[i], 0755) < 0)
			return error_sys(err, "cannot make /%s", folders[i]);
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return error_sys(err, "cannot move the root to a tmpfs");
	return 0;
}

int root_init(struct error *err)
{
	int r = move_to_tmpfs(err);

	if (r < 0)
		return r;
	if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL) < 0)
		return error_sys(err, "cannot mount /dev");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return error_sys(err, "cannot mount /proc");
	return 0;
}

/*
 * The box's root folder has the owner and mode of upper/, not of the image's
 * root: they are copied before the first start of a box. That it is the first
 * shows in work/, where overlayfs makes a folder of its own at its first mount:
 * a crash in between only means that they are copied again. The host formats
 * the disk with both folders; most images' root is as upper/ is then.
 */
static int make_upper(struct error *err)
{
	struct stat upper, image;

	if (access(DISK "/work/work", F_OK) == 0)
		return 0;
	if ((mkdir(DISK "/work", 0755) < 0 && errno != EEXIST) ||
	    (mkdir(DISK "/upper", 0755) < 0 && errno != EEXIST) || stat(DISK "/upper", &upper) < 0)
		return error_sys(err, "cannot make a folder on the box's disk");
	if (stat(IMAGE, &image) < 0)
		return error_sys(err, "cannot look at the image's root folder");
	if (upper.st_uid == image.st_uid && upper.st_gid == image.st_gid && upper.st_mode == image.st_mode)
		return 0;
	if (chown(DISK "/upper", image.st_uid, image.st_gid) < 0 ||
	    chmod(DISK "/upper", image.st_mode & 07777) < 0)
		return error_sys(err, "cannot give the root folder its owner and mode");
	return 0;
}

int root_mount_box(struct error *err)
{
	int r;

	if (mount("/dev/vda", IMAGE, "erofs", MS_RDONLY, NULL) < 0)
		return error_sys(err, "cannot mount the image (/dev/vda, erofs)");
	/*
	 * noatime: reading files must not write to the disk. noinit_itable: the host has formatted
	 * it, nothing is to be done in the background. A journal is replayed here, by itself.
	 */
	if (mount("/dev/vdb", DISK, "ext4", MS_NOATIME, "noinit_itable") < 0)
		return error_sys(err, "cannot mount the box's disk (/dev/vdb, ext4)");
	r = make_upper(err);
	if (r < 0)
		return r;
	/*
	 * Nothing that would tie upper/ to one state of this file system: it can be copied and moved.
	 * nodev: root in the box may make device nodes, as docker lets it, but not open them: its
	 * raw disks and the agent's channel are devices of this guest.
	 */
	if (mount("overlay", ROOT_BOX, "overlay", MS_NOATIME | MS_NODEV,
		  "lowerdir=" IMAGE ",upperdir=" DISK "/upper,workdir=" DISK "/work,"
		  "index=off,metacopy=off,redirect_dir=nofollow") < 0)
		return error_sys(err, "cannot mount the box's root (overlay)");
	return 0;
}

static int write_etc(const char *name, struct buf *text, struct error *err)
{
	auto_fd int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : io_write_full(fd, buf_data(text), buf_len(text));

	buf_consume(text, buf_len(text));
	return r < 0 ? error_code(err, r, "cannot write %s of the box", name) : 0;
}

int root_write_etc(const char *hostname, bool network, struct error *err)
{
	auto_buf struct buf b = BUF_INIT(4096);
	int r = buf_printf(&b, "%s\n", hostname);

	if (r == 0)
		r = write_etc("/etc/hostname", &b, err);
	if (r == 0)
		r = buf_printf(&b, "127.0.0.1\tlocalhost\n"
				   "::1\tlocalhost ip6-localhost ip6-loopback\n"
				   "fe00::\tip6-localnet\n"
				   "ff00::\tip6-mcastprefix\n"
				   "ff02::1\tip6-allnodes\n"
				   "ff02::2\tip6-allrouters\n"
				   "127.0.0.1\t%s\n", hostname);
	if (r == 0)
		r = write_etc("/etc/hosts", &b, err);
	if (r == 0 && network)
		r = buf_printf(&b, "nameserver " NET_V4_GATEWAY "\n");
	if (r == 0)
		r = write_etc("/etc/resolv.conf", &b, err); /* empty without a network */
	return r;
}

int root_close_disk(struct error *err)
{
	/* EINVAL: not mounted. The session may end before its BOOT, or because a mount failed. */
	if (mount(NULL, DISK, NULL, MS_REMOUNT | MS_RDONLY | MS_NOATIME, NULL) < 0 && errno != EINVAL)
		return error_sys(err, "cannot bring the box's disk to rest");
	return 0;
}

#include "agent/park.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/log.h"
#include "wire/frame.h"

#define DISKS_MAX 8
#define DRIVER "bus/virtio/drivers/virtio_blk"

/* What is bound to the driver: the N of each "virtioN", ascending. The kernel numbers devices as it finds them, so
 * taking them up again in this order gives every disk the name it had. */
struct disks {
	unsigned number[DISKS_MAX];
	size_t n;
};

/* sysfs without a place in the tree: nothing else here needs it, and no box must see this one. */
static int open_sysfs(void)
{
	auto_fd int fs = fsopen("sysfs", FSOPEN_CLOEXEC);

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(fs, FSMOUNT_CLOEXEC, 0);
}

static int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

static int list_disks(int driver, struct disks *ret)
{
	int fd = openat(driver, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint64_t number;
	int r = 0;

	if (!dir) {
		close_fd(&fd);
		return -errno;
	}
	ret->n = 0;
	while (r == 0 && (e = readdir(dir))) {
		if (!str_starts(e->d_name, "virtio") || str_parse_u64(e->d_name + 6, UINT32_MAX, &number) < 0)
			continue;
		if (ret->n == DISKS_MAX)
			r = -E2BIG; /* one that stays bound would be saved with the size it has now */
		else
			ret->number[ret->n++] = (unsigned)number;
	}
	closedir(dir);
	qsort(ret->number, ret->n, sizeof(ret->number[0]), by_number);
	return r;
}

/* The driver's files "bind" and "unbind" take a device's name. */
static int tell_driver(int driver, const char *file, const struct disks *disks)
{
	auto_fd int fd = openat(driver, file, O_WRONLY | O_CLOEXEC);
	char name[32];
	size_t i;
	int r = fd < 0 ? -errno : 0;

	for (i = 0; r == 0 && i < disks->n; i++) {
		snprintf(name, sizeof(name), "virtio%u", disks->number[i]);
		r = io_write_full(fd, name, strlen(name));
	}
	return r;
}

/* The port is not to be waited for by poll yet (channel.c), so this write blocks. */
static int say_parked(struct channel *c)
{
	int r = frame_put(&c->out, FRAME_PARKED, 0, 0, NULL, 0);

	if (r == 0)
		r = io_set_nonblock(c->fd, false);
	if (r == 0)
		r = channel_write_all(c);
	return r < 0 ? r : io_set_nonblock(c->fd, true);
}

int park(struct channel *c, struct error *err)
{
	auto_fd int sysfs = open_sysfs(), driver = -1;
	struct disks disks = { .n = 0 };
	struct pollfd box = { .fd = c->fd, .events = POLLIN };
	int r;

	driver = sysfs < 0 ? -1 : openat(sysfs, DRIVER, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = driver < 0 ? -errno : list_disks(driver, &disks);
	if (r == 0)
		r = tell_driver(driver, "unbind", &disks);
	if (r < 0)
		return error_code(err, r, "cannot give up the disks");
	r = say_parked(c);
	if (r < 0)
		return error_code(err, r, "cannot write to the channel");
	while (poll(&box, 1, -1) < 0)
		if (errno != EINTR)
			return error_sys(err, "cannot wait for a box");
	r = tell_driver(driver, "bind", &disks);
	return r < 0 ? error_code(err, r, "cannot take up the disks") : 0;
}

int park_reseed(const uint8_t seed[BOOT_SEED], struct error *err)
{
	auto_fd int fd = open("/dev/random", O_WRONLY | O_CLOEXEC);
	struct {
		struct rand_pool_info info; /* a flexible array follows */
		uint8_t bytes[BOOT_SEED];
	} add = { .info = { .entropy_count = 8 * BOOT_SEED, .buf_size = BOOT_SEED } };

	memcpy(add.bytes, seed, sizeof(add.bytes));
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &add) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
		return error_sys(err, "cannot renew the random numbers");
	return 0;
}

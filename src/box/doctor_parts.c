/* What a box is put together from, for the doctor: our own programs, the guest, QEMU, e2fsprogs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/spawn.h"
#include "box/disk.h"
#include "box/doctor_checks.h"
#include "box/kvm.h"
#include "box/qemu.h"

/* The oldest QEMU that the tests run on: Debian 12's. */
#define QEMU_MAJOR 7
#define QEMU_MINOR 2
#define QEMU_LIMIT_MS 5000

#define QEMU_INSTALL "apt install qemu-system-x86"

void doctor_check_programs(struct doctor *d)
{
	static const char *const programs[] = { "boxlite-shim", "boxlite-image", "boxlite-vmm", "boxlite-copy", "boxlite-net" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(programs); i++) {
		auto_free char *path = NULL;

		if (asprintf(&path, "%s/%s", d->h->programs, programs[i]) < 0) {
			path = NULL;
			return;
		}
		if (access(path, X_OK) == 0)
			doctor_say(d, FINDING_OK, programs[i], NULL, "%s", path);
		else
			doctor_say(d, FINDING_FAIL, programs[i],
				   "install boxlite again, or set BOXLITE_LIBEXEC to where its programs are",
				   "cannot run %s: %s", path, strerror(errno));
	}
}

void doctor_check_guest(struct doctor *d)
{
	static const struct {
		const char *id, *file;
	} files[] = { { "kernel", "vmlinux" }, { "initramfs", "initramfs" } };
	static const char remedy[] = "build it with 'make guest', or set BOXLITE_GUEST to its folder";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		struct error err = { 0 };
		struct stat st = { 0 };
		auto_fd int fd = home_open_guest_file(d->h, files[i].file, &err);

		if (fd < 0)
			doctor_say(d, FINDING_FAIL, files[i].id, remedy, "cannot open %s/%s: %s",
				   d->h->guest, files[i].file, strerror(-err.code));
		else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
			doctor_say(d, FINDING_FAIL, files[i].id, remedy,
				   "%s/%s is not a file with something in it", d->h->guest, files[i].file);
		else
			doctor_say(d, FINDING_OK, files[i].id, NULL, "%s/%s", d->h->guest, files[i].file);
	}
}

/* "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)": 0, or -errno with the reason. */
static int qemu_version(const char *path, unsigned *ret_major, unsigned *ret_minor, struct error *err)
{
	const char *const argv[] = { "qemu-system-x86_64", "--version", NULL };
	const struct spawn s = { .path = path, .argv = argv, .new_session = true, .die_with_parent = true };
	auto_buf struct buf out = BUF_INIT(4 * KIB);
	int status = 0, r = spawn_capture(&s, QEMU_LIMIT_MS, &out, &status, err);
	const char *at;

	if (r < 0)
		return r;
	if (status != 0)
		return error_set(err, -EIO, "%s --version: status %d", path, status);
	at = buf_str(&out) ? strstr(buf_str(&out), "version ") : NULL;
	if (!at || sscanf(at, "version %5u.%5u", ret_major, ret_minor) != 2)
		return error_set(err, -EBADMSG, "%s --version says no version", path);
	return 0;
}

void doctor_check_qemu(struct doctor *d)
{
	static const char id[] = "qemu";
	enum finding_level without = d->kvm_works ? FINDING_WARN : FINDING_FAIL;
	unsigned major = 0, minor = 0;
	auto_free char *path = NULL;
	struct error err = { 0 };
	const char *remedy = d->h->qemu ? "unset or correct BOXLITE_QEMU (" QEMU_INSTALL ")" : QEMU_INSTALL;

	if (qemu_find(d->h, &path, &err) < 0)
		doctor_say(d, without, id, remedy, d->h->qemu ? "%s" : "qemu-system-x86_64 is not installed",
			   err.text);
	else if (qemu_version(path, &major, &minor, &err) < 0)
		doctor_say(d, without, id, remedy, "QEMU does not run: %s", err.text);
	else if (major < QEMU_MAJOR || (major == QEMU_MAJOR && minor < QEMU_MINOR))
		doctor_say(d, FINDING_WARN, id,
			   QEMU_INSTALL " of a newer release, or set BOXLITE_QEMU to a newer one",
			   "QEMU %u.%u (%s) is older than %u.%u, the oldest that boxlite is tested with",
			   major, minor, path, QEMU_MAJOR, QEMU_MINOR);
	else
		doctor_say(d, FINDING_OK, id, NULL, "QEMU %u.%u (%s)", major, minor, path);
}

void doctor_check_e2fsprogs(struct doctor *d)
{
	static const char *const tools[] = { "mke2fs", "debugfs" };
	char path[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tools); i++)
		if (disk_find_tool(tools[i], path) < 0) {
			doctor_say(d, FINDING_FAIL, "e2fsprogs", "apt install e2fsprogs",
				   "%s, which formats the disks of boxes, is not installed", tools[i]);
			return;
		}
	doctor_say(d, FINDING_OK, "e2fsprogs", NULL, "mke2fs and debugfs are installed");
}

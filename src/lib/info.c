#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "box/engine.h"
#include "box/look.h"
#include "box/qemu.h"
#include "lib/lib.h"

#define RELEASE_MAX 64

static int count_box(const struct db_box *row, void *ud)
{
	struct boxlite_info *i = ((void **)ud)[0];
	struct home *h = ((void **)ud)[1];
	struct box_state s = { 0 };
	int r;

	i->boxes++;
	r = box_look(h, row->id, &s);
	if (r < 0)
		return r == -ENOENT ? 0 : error_code(((void **)ud)[2], r, "cannot look at box %s", row->id);
	i->boxes_running += s.running;
	i->boxes_failed += s.ended && s.last.exit.kind == PROC_LOST;
	return 0;
}

static int count_image(const struct db_image *row, void *ud)
{
	struct boxlite_info *i = ud;

	(void)row;
	i->images++;
	return 0;
}

static int count(struct home *h, struct boxlite_info *i, struct error *err)
{
	void *all[] = { i, h, err };
	int r = db_box_each(h->db, count_box, all, err);

	if (r == 0)
		r = db_image_each(h->db, count_image, i, err);
	if (r < 0)
		return r;
	r = disk_usage(h->fd, "images", &i->images_bytes);
	if (r == 0)
		r = disk_usage(h->fd, "boxes", &i->boxes_bytes);
	if (r == 0)
		r = disk_usage(h->fd, "templates", &i->templates_bytes);
	return r < 0 ? error_code(err, r, "cannot look through %s", h->path) : 0;
}

/* "Linux version 6.1.0 (...": the kernel's own name for itself, in its read-only data. */
static const char *guest_release(struct home *h, char out[RELEASE_MAX])
{
	static const char mark[] = "Linux version ";
	auto_fd int fd = home_open_guest_file(h, "vmlinux", NULL);
	const char *text, *at;
	struct stat st;
	size_t n = 0, size;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0)
		return NULL;
	size = (size_t)st.st_size;
	text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return NULL;
	at = memmem(text, size, mark, sizeof(mark) - 1);
	for (at = at ? at + sizeof(mark) - 1 : NULL; at && at + n < text + size && n < RELEASE_MAX - 1; n++) {
		if (at[n] <= ' ' || at[n] > '~')
			break;
		out[n] = at[n];
	}
	out[n] = 0;
	munmap((void *)text, size);
	return n ? out : NULL;
}

/* "MemAvailable:  123 kB" of /proc/meminfo; 0 if it does not say. */
static uint64_t available_memory(void)
{
	auto_buf struct buf text = BUF_INIT(16 * KIB);
	const char *at;

	if (io_read_file_at(AT_FDCWD, "/proc/meminfo", &text) < 0 || !buf_str(&text))
		return 0;
	at = strstr(buf_str(&text), "MemAvailable:");
	return at ? strtoull(at + strlen("MemAvailable:"), NULL, 10) * KIB : 0;
}

static void look_at_host(const struct home *h, struct boxlite_info *i)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	struct statvfs fs;

	i->cpus = cpus > 0 ? (unsigned)cpus : 0;
	i->memory_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
	i->memory_available_bytes = available_memory();
	if (fstatvfs(h->fd, &fs) < 0)
		return;
	i->disk_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
	i->disk_free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
}

PUBLIC int boxlite_info(struct boxlite *b, boxlite_info_fn *fn, void *ud, struct boxlite_error *err)
{
	char why[ERROR_TEXT_MAX], release[RELEASE_MAX];
	auto_free char *qemu = NULL;
	struct home *h = b ? b->home : NULL;
	struct utsname host = { 0 };
	struct error e = { 0 };
	struct boxlite_info i = {
		.version = BOXLITE_VERSION,
		.kernel = host.release,
		.arch = host.machine,
	};
	int r = h && fn ? count(h, &i, &e) : lib_missing(&e);

	if (r < 0)
		return lib_fail(err, &e, r);
	i.home = h->path;
	i.programs = h->programs;
	i.guest = h->guest;
	uname(&host);
	look_at_host(h, &i);
	i.engine = engine_auto(h, why);
	i.engine_reason = why;
	i.guest_kernel = guest_release(h, release);
	if (qemu_find(h, &qemu, NULL) == 0)
		i.qemu = qemu;
	return fn(&i, ud);
}

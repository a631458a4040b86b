/*
 * The first box of a shape (CPUs, memory, a network card or none) on this host leaves a template behind, all later ones
 * start from it. The key has everything that a saved machine depends on; a template with another key is not looked at
 * again, and goes when there are too many.
 *
 * The host's boot is part of the key. So a template need not be synced: what a crash may have torn is never used.
 */
#include "box/template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "box/boot.h"
#include "wire/template.h"

#define FORMAT_VERSION 1 /* of what the saved machine does beyond the files below; raise it when that changes */
#define TEMPLATES_MAX 8  /* of 50 MB and more each */

/* What makes a file this file and no other version of it. */
static int add_identity(struct buf *key, const char *name, const struct stat *st)
{
	return buf_printf(key, "%s=%llx:%llx:%llx:%lld.%09ld\n", name, (unsigned long long)st->st_dev,
			  (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
			  (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

static int add_files(struct buf *key, const struct home *h, const struct box_spec *spec, int kernel_fd, int initrd_fd)
{
	auto_free char *shim = NULL;
	struct stat st;
	int r;

	if (asprintf(&shim, "%s/boxlite-shim", h->programs) < 0)
		return -ENOMEM;
	r = stat(spec->engine_program, &st) < 0 ? -errno : add_identity(key, spec->engine_program, &st);
	if (r == 0)
		r = stat(shim, &st) < 0 ? -errno : add_identity(key, "shim", &st);
	if (r == 0)
		r = fstat(kernel_fd, &st) < 0 ? -errno : add_identity(key, "kernel", &st);
	if (r == 0)
		r = fstat(initrd_fd, &st) < 0 ? -errno : add_identity(key, "initramfs", &st);
	return r;
}

/* The key; NULL without one. */
static char *make_key(const struct home *h, const struct box_spec *spec, int kernel_fd, int initrd_fd)
{
	auto_buf struct buf key = BUF_INIT(TEMPLATE_KEY_MAX - 1);
	char boot[BOOT_ID_LEN + 1], *text;

	if (boot_id(boot) < 0 ||
	    buf_printf(&key, "version=%d\nboot=%s\ntsc_khz=%u\ncpus=%u\nmemory=%llu\nnetwork=%d\n", FORMAT_VERSION, boot,
		       spec->tsc_khz, spec->cpus, (unsigned long long)spec->memory_bytes, !spec->net.none) < 0)
		return NULL;
	if (add_files(&key, h, spec, kernel_fd, initrd_fd) < 0)
		return NULL;
	text = buf_str(&key);
	return text ? strdup(text) : NULL;
}

/* An open template and its head: fd, -ENOENT, -EBADMSG when it is none, -errno. */
static int open_template(const struct home *h, const char *name, struct template_head *ret)
{
	/* O_NONBLOCK: whatever has that name, nothing waits for it. */
	auto_fd int fd = openat(h->templates_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	uint8_t page[TEMPLATE_PAGE];
	int r;

	if (fd < 0)
		return -errno;
	r = io_pread_full(fd, page, sizeof(page), 0);
	if (r == 0)
		r = template_get_head(page, ret);
	return r < 0 ? -EBADMSG : take_fd(&fd);
}

/* The template of that key: fd, -ENOENT, -errno of what is in its place and cannot be taken away. */
static int find_template(const struct home *h, const char *key)
{
	char name[TEMPLATE_NAME_MAX];
	struct template_head head;
	int fd;

	template_name(key, name);
	fd = open_template(h, name, &head);
	if (fd >= 0 && str_eq(head.key, key))
		return fd;
	if (fd == -ENOENT)
		return fd;
	close_fd(&fd);
	return unlinkat(h->templates_fd, name, 0) < 0 ? -errno : -ENOENT;
}

/* Whether a file of the folder is a template that may be used in this boot of the host. */
static bool is_current(const struct home *h, const char *name, const char *key)
{
	struct template_head head;
	auto_fd int fd = open_template(h, name, &head);
	size_t n = strcspn(key, "\n");

	n += 1 + strcspn(key + n + 1, "\n"); /* the first two lines: version and boot */
	return fd >= 0 && strncmp(head.key, key, n) == 0;
}

struct oldest {
	char name[TEMPLATE_NAME_MAX];
	struct timespec when;
	unsigned of; /* how many there are */
};

static void consider(const struct home *h, const char *name, struct oldest *o)
{
	struct stat st;

	if (fstatat(h->templates_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (o->of++ == 0 || st.st_mtim.tv_sec < o->when.tv_sec ||
	    (st.st_mtim.tv_sec == o->when.tv_sec && st.st_mtim.tv_nsec < o->when.tv_nsec)) {
		o->when = st.st_mtim;
		snprintf(o->name, sizeof(o->name), "%s", name);
	}
}

/* Takes away what is of no more use, and then the oldest while there are too many. Who starts from one has it open. */
static void trim(const struct home *h, const char *key)
{
	struct oldest o;

	do {
		int copy = openat(h->templates_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		auto_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
		struct dirent *e;

		if (!dir)
			close_fd(&copy);
		o = (struct oldest){ .of = 0 };
		while (dir && (e = readdir(dir))) {
			if (!str_starts(e->d_name, "machine-") || strlen(e->d_name) >= sizeof(o.name))
				continue;
			if (is_current(h, e->d_name, key) || unlinkat(h->templates_fd, e->d_name, 0) < 0)
				consider(h, e->d_name, &o);
		}
	} while (o.of >= TEMPLATES_MAX && unlinkat(h->templates_fd, o.name, 0) == 0);
}

int template_choose(const struct home *h, struct box_spec *spec, int kernel_fd, int initrd_fd, int *ret_fd,
		    struct error *err)
{
	auto_free char *key = NULL;
	int fd;

	/* KVM's clocks do not stop with the machine, and its boot is short. Who debugs wants to see the boot. */
	if (h->no_templates || !str_eq(spec->engine, "qemu") || !str_eq(spec->accel, "tcg") || !spec->tsc_khz ||
	    spec->debug || spec->trace_kernel || spec->memory_bytes > TEMPLATE_MEMORY_MAX)
		return 0;
	key = make_key(h, spec, kernel_fd, initrd_fd);
	if (!key)
		return 0;
	fd = find_template(h, key);
	if (fd < 0 && fd != -ENOENT)
		return 0;
	if (fd >= 0) {
		spec->from_template = true;
		*ret_fd = fd;
		return 0;
	}
	fd = openat(h->templates_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, "cannot open the templates of %s", h->path);
	trim(h, key);
	spec->template_key = take_ptr(&key);
	*ret_fd = fd;
	return 0;
}

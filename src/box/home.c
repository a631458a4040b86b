#include "box/home.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "box/db.h"

static int default_path(char **ret, struct error *err)
{
	const char *env = getenv("BOXLITE_HOME"), *user = getenv("HOME");
	struct passwd *pw;

	if (env && *env) {
		*ret = strdup(env);
		return *ret ? 0 : error_nomem(err);
	}
	if (!user || !*user) {
		pw = getpwuid(geteuid());
		user = pw ? pw->pw_dir : NULL;
	}
	if (!user)
		return error_set(err, -ENOENT, "no home folder is known: set BOXLITE_HOME");
	return asprintf(ret, "%s/.boxlite", user) < 0 ? error_nomem(err) : 0;
}

/* The folder of the library (or of the program that it is linked into). */
static int own_folder(char out[PATH_MAX])
{
	char *slash;
	Dl_info info;

	if (!dladdr((void *)(uintptr_t)home_open, &info) || !info.dli_fname ||
	    !realpath(info.dli_fname, out))
		return -ENOENT;
	slash = strrchr(out, '/');
	if (slash)
		*slash = 0;
	return 0;
}

/* The first of the candidate folders (relative to ours) that holds the file; the last one if none does,
 * so that the error names a place that makes sense. */
static int find_folder(const char *env, const char *file, const char *const *candidates, char **ret)
{
	const char *fixed = getenv(env);
	char own[PATH_MAX], path[2 * PATH_MAX];
	struct stat st;
	size_t i;

	if (fixed && *fixed) {
		*ret = strdup(fixed);
		return *ret ? 0 : -ENOMEM;
	}
	if (own_folder(own) < 0)
		return -ENOENT;
	for (i = 0; candidates[i]; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", own, candidates[i], file);
		if (stat(path, &st) == 0 || !candidates[i + 1])
			break;
	}
	return asprintf(ret, "%s/%s", own, candidates[i]) < 0 ? -ENOMEM : 0;
}

static int find_parts(struct home *h, struct error *err)
{
	/* In the build tree: out/lib, out/bin, out/guest. Installed: lib, libexec/boxlite, share/boxlite/guest. */
	static const char *const programs[] = { "../libexec/boxlite", "../../libexec/boxlite", "../bin", NULL };
	static const char *const guest[] = { "../share/boxlite/guest", "../../share/boxlite/guest", "../guest",
					     NULL };
	const char *qemu = getenv("BOXLITE_QEMU"), *accel = getenv("BOXLITE_QEMU_ACCEL");
	const char *no_templates = getenv("BOXLITE_NO_TEMPLATES"),
		   *engine = getenv("BOXLITE_ENGINE");

	if (find_folder("BOXLITE_LIBEXEC", "boxlite-shim", programs, &h->programs) < 0 ||
	    find_folder("BOXLITE_GUEST", "vmlinux", guest, &h->guest) < 0)
		return error_set(err, -ENOENT, "cannot find boxlite's own programs: set BOXLITE_LIBEXEC");
	if (accel && *accel && !str_eq(accel, "tcg") && !str_eq(accel, "kvm"))
		return error_set(err, -EINVAL, "BOXLITE_QEMU_ACCEL is '%s'; it may be tcg or kvm", accel);
	if (engine && *engine && !str_eq(engine, "auto") && !str_eq(engine, "kvm") && !str_eq(engine, "qemu"))
		return error_set(err, -EINVAL, "BOXLITE_ENGINE is '%s'; it may be auto, kvm or qemu", engine);
	if (engine && *engine && !(h->engine = strdup(engine)))
		return error_nomem(err);
	h->no_templates = no_templates && *no_templates;
	h->accel = strdup(accel && *accel ? accel : "tcg");
	if (qemu && *qemu)
		h->qemu = strdup(qemu);
	return !h->accel || (qemu && *qemu && !h->qemu) ? error_nomem(err) : 0;
}

static int open_folders(struct home *h, struct error *err)
{
	h->fd = io_open_dir_at(AT_FDCWD, h->path, 0700);
	if (h->fd < 0)
		return error_code(err, h->fd, "cannot open the home folder %s", h->path);
	h->images_fd = io_open_dir_at(h->fd, "images", 0700);
	h->boxes_fd = io_open_dir_at(h->fd, "boxes", 0700);
	h->templates_fd = io_open_dir_at(h->fd, "templates", 0700);
	if (h->images_fd < 0 || h->boxes_fd < 0 || h->templates_fd < 0)
		return error_code(err, MIN(h->images_fd, MIN(h->boxes_fd, h->templates_fd)),
				  "cannot make the folders of %s", h->path);
	return 0;
}

int home_find(const char *path, struct home **ret, struct error *err)
{
	struct home *h = calloc(1, sizeof(*h));
	char *given = NULL;
	int r;

	if (!h)
		return error_nomem(err);
	h->fd = h->images_fd = h->boxes_fd = h->templates_fd = -1;
	if (path) {
		given = strdup(path);
		r = given ? 0 : error_nomem(err);
	} else {
		r = default_path(&given, err);
	}
	/* Absolute, because the embedding program may change its working folder later. */
	if (r == 0 && given[0] != '/') {
		char cwd[PATH_MAX];

		if (!getcwd(cwd, sizeof(cwd)) || asprintf(&h->path, "%s/%s", cwd, given) < 0)
			r = error_sys(err, "cannot find the working folder");
		free(given);
	} else {
		h->path = given;
	}
	if (r == 0)
		r = find_parts(h, err);
	if (r < 0) {
		home_close(h);
		return r;
	}
	*ret = h;
	return 0;
}

int home_open(const char *path, struct home **ret, struct error *err)
{
	struct home *h;
	int r = home_find(path, &h, err);

	if (r < 0)
		return r;
	r = open_folders(h, err);
	if (r == 0)
		r = db_open(h->path, &h->db, err);
	if (r < 0) {
		home_close(h);
		return r;
	}
	*ret = h;
	return 0;
}

void home_close(struct home *h)
{
	if (!h)
		return;
	home_reap(h);
	while (h->nleft)
		close_fd(&h->left[--h->nleft].pidfd);
	if (h->left != h->few)
		free(h->left);
	db_close(h->db);
	close_fd(&h->templates_fd);
	close_fd(&h->boxes_fd);
	close_fd(&h->images_fd);
	close_fd(&h->fd);
	free(h->path);
	free(h->programs);
	free(h->guest);
	free(h->qemu);
	free(h->accel);
	free(h->engine);
	free(h);
}

void home_reap(struct home *h)
{
	size_t i, kept = 0;

	for (i = 0; i < h->nleft; i++)
		if (!spawn_try_reap(&h->left[i]))
			h->left[kept++] = h->left[i];
	h->nleft = kept;
}

static bool more_room(struct home *h)
{
	size_t cap = h->left_cap ? h->left_cap * 2 : ARRAY_SIZE(h->few);
	struct child *more = h->left_cap ? malloc(cap * sizeof(*more)) : h->few;

	if (!more)
		return false;
	if (h->nleft)
		memcpy(more, h->left, h->nleft * sizeof(*more));
	if (h->left != h->few)
		free(h->left);
	h->left = more;
	h->left_cap = cap;
	return true;
}

void home_leave(struct home *h, struct child *shim)
{
	home_reap(h);
	if (spawn_try_reap(shim))
		return;
	if (h->nleft == h->left_cap && !more_room(h)) {
		close_fd(&shim->pidfd); /* a zombie, in the end, is what is left of it */
		return;
	}
	h->left[h->nleft++] = *shim;
	*shim = CHILD_NONE;
}

int home_lock_images(struct home *h, bool exclusive, struct error *err)
{
	auto_fd int fd = openat(h->images_fd, "gc.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return error_sys(err, "cannot open images/gc.lock in %s", h->path);
	r = io_lock(fd, exclusive ? LOCK_EX : LOCK_SH);
	return r < 0 ? error_code(err, r, "cannot lock the images of %s", h->path) : take_fd(&fd);
}

int home_try_lock_images(struct home *h)
{
	auto_fd int fd = openat(h->images_fd, "gc.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : io_lock(fd, LOCK_EX | LOCK_NB);

	return r < 0 ? r : take_fd(&fd);
}

int home_open_guest_file(struct home *h, const char *name, struct error *err)
{
	auto_free char *path = NULL;
	int fd;

	if (asprintf(&path, "%s/%s", h->guest, name) < 0)
		return error_nomem(err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return error_set(err, -ENOENT, "the guest's %s is missing: %s; build it with 'make', or set BOXLITE_GUEST",
				 name, path);
	return fd < 0 ? error_sys(err, "cannot open %s", path) : fd;
}

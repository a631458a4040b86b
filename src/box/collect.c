/*
 * Removing images: rows first, then files that no row and no box names. Files
 * go under the exclusive gc.lock, so no pull or create is between "it is
 * there" and "my row says so". A crash in between leaves files that the next
 * collection finds.
 */
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
#include "box/events.h"
#include "box/image.h"

#define NAMES_MAX 1000000

struct needed {
	struct strv names; /* file names below images/rootfs and images/blobs/sha256 */
};

static int need_image(const struct db_image *i, void *ud)
{
	struct needed *n = ud;
	size_t k;
	int r = strv_add(&n->names, i->rootfs);

	for (k = 0; r == 0 && k < i->blobs.n; k++)
		r = strv_add(&n->names, i->blobs.v[k] + strlen("sha256:"));
	return r;
}

static int need_box(const struct db_box *b, void *ud)
{
	struct needed *n = ud;

	return strv_add(&n->names, b->rootfs);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_needed(const struct needed *n, const char *name)
{
	return n->names.n && bsearch(&name, n->names.v, n->names.n, sizeof(char *), by_text);
}

/* Removes what is not needed in one folder (NULL n: everything). Adds the bytes freed. */
static int sweep(int dirfd, const char *path, const struct needed *n, uint64_t *freed)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int first = 0, r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	while ((e = readdir(d))) {
		struct stat st;

		if (e->d_name[0] == '.' || (n && is_needed(n, e->d_name)))
			continue;
		r = fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : io_remove_tree_at(fd, e->d_name);
		if (r == 0)
			*freed += (uint64_t)st.st_blocks * 512;
		else if (r != -ENOENT && first == 0)
			first = r;
	}
	return first;
}

/* The caller holds gc.lock exclusively. `leftovers`: also what broken downloads left. */
static int collect(struct home *h, bool leftovers, uint64_t *freed, struct error *err)
{
	struct needed n = { .names = STRV_INIT(NAMES_MAX) };
	int r = db_image_each(h->db, need_image, &n, err);

	if (r == 0)
		r = db_box_each(h->db, need_box, &n, err);
	if (r == 0 && n.names.n)
		qsort(n.names.v, n.names.n, sizeof(char *), by_text);
	if (r == 0) {
		r = sweep(h->images_fd, "rootfs", &n, freed);
		if (r == 0)
			r = sweep(h->images_fd, "blobs/sha256", &n, freed);
		if (r == 0 && leftovers)
			r = sweep(h->images_fd, "tmp", NULL, freed);
		if (r < 0)
			error_code(err, r, "cannot remove image files of %s", h->path);
	}
	strv_fini(&n.names);
	return r;
}

struct user_of {
	const char *image;
	char id[64];
};

static int find_user(const struct db_box *b, void *ud)
{
	struct user_of *u = ud;

	if (!u->id[0] && str_eq(b->image, u->image))
		snprintf(u->id, sizeof(u->id), "%s", b->name ? b->name : b->id);
	return 0;
}

static int forget_image(struct home *h, const char *reference, struct error *err)
{
	int r = db_image_delete(h->db, reference, err);

	if (r == 0)
		events_say(h, &(struct event){ .type = "image", .action = "remove", .id = reference,
					       .status = EVENT_NO_STATUS });
	return r;
}

int image_remove(struct home *h, const char *reference, struct error *err)
{
	struct db_image i = DB_IMAGE_INIT;
	struct user_of u = { 0 };
	uint64_t freed = 0;
	auto_fd int lock = home_lock_images(h, true, err);
	int r = lock < 0 ? lock : image_find(h, reference, &i, err);

	if (r < 0)
		return r;
	u.image = i.reference;
	r = db_box_each(h->db, find_user, &u, err);
	if (r == 0 && u.id[0])
		r = error_set(err, -EBUSY, "box %s was made from %s: remove it first: boxlite rm %s", u.id,
			      i.reference, u.id);
	if (r == 0)
		r = forget_image(h, i.reference, err);
	if (r == 0)
		r = collect(h, false, &freed, err);
	db_image_fini(&i);
	return r;
}

struct doomed {
	struct home *h;
	struct strv references;
	struct error *err;
};

static int doom_if_unused(const struct db_image *i, void *ud)
{
	struct doomed *d = ud;
	struct user_of u = { .image = i->reference };
	int r = db_box_each(d->h->db, find_user, &u, d->err);

	return r < 0 || u.id[0] ? r : strv_add(&d->references, i->reference);
}

int image_prune(struct home *h, uint64_t *ret_freed, struct error *err)
{
	struct doomed d = { .h = h, .references = STRV_INIT(NAMES_MAX), .err = err };
	auto_fd int lock = home_lock_images(h, true, err);
	uint64_t freed = 0;
	size_t i;
	int r;

	if (lock < 0)
		return lock;
	r = db_image_each(h->db, doom_if_unused, &d, err);
	for (i = 0; r == 0 && i < d.references.n; i++)
		r = forget_image(h, d.references.v[i], err);
	if (r == 0)
		r = collect(h, true, &freed, err);
	strv_fini(&d.references);
	if (r == 0)
		*ret_freed = freed;
	return r;
}

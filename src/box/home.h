/*
 * A home: the folder that holds all state ($BOXLITE_HOME), and where the
 * helper programs and guest files are.
 *
 *   boxlite.db               SQLite
 *   tsc, kvm                 what was found out about the host in this boot (box/clock.h, box/kvm.h)
 *   images/                  boxlite-image's store; gc.lock: shared while an image is added or a box
 *                            created, exclusive while files are removed
 *   templates/               formatted, empty disks, one per size; machines that have booted (box/template.h)
 *   events.log               what happened (wire/event.h)
 *   boxes/<id>/              disk.img, run/, log/, exit.json, lock
 */
#ifndef BOX_HOME_H
#define BOX_HOME_H

#include "base/error.h"
#include "base/spawn.h"

struct db;

struct home {
	char *path;       /* owned; absolute */
	char *programs;   /* owned; folder of boxlite-shim and boxlite-image */
	char *guest;      /* owned; folder of vmlinux and initramfs */
	char *qemu;       /* owned; BOXLITE_QEMU or NULL */
	char *accel;      /* owned; of engine qemu */
	char *engine;     /* owned; BOXLITE_ENGINE: what auto means here, or NULL */
	bool no_templates; /* BOXLITE_NO_TEMPLATES: every box boots */
	int fd, images_fd, boxes_fd, templates_fd; /* -1 until it is open */
	struct db *db;
	/* Shims whose process handles are closed; see home_leave(). In `few` while that is enough, so that it needs no
	 * memory to take leave of a box; then in an array of its own. */
	struct child *left, few[8];
	size_t nleft, left_cap;
};

/* Opens (and makes) the home at path. NULL means $BOXLITE_HOME, else ~/.boxlite. */
int home_open(const char *path, struct home **ret, struct error *err) MUST_CHECK;
void home_close(struct home *h); /* NULL is fine */

/* The same without touching a disk: where everything is or would be. No fds, no database. */
int home_find(const char *path, struct home **ret, struct error *err) MUST_CHECK;

/* Takes over the handle of a shim that goes on without us, so that it does not stay a zombie of this process when it
 * ends: home_reap(), which is called now and then, takes note of that. */
void home_leave(struct home *h, struct child *shim);
void home_reap(struct home *h);

/* Takes images/gc.lock; the fd holds it until closed. fd or -errno. */
int home_lock_images(struct home *h, bool exclusive, struct error *err) MUST_CHECK;
int home_try_lock_images(struct home *h); /* exclusively, without waiting: an fd or -EWOULDBLOCK */

/* Opens a file of the guest ("vmlinux"): fd, or -errno with the remedy. */
int home_open_guest_file(struct home *h, const char *name, struct error *err) MUST_CHECK;

#endif

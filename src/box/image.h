/*
 * Images as the library sees them: boxlite-image does the work in a process of
 * its own; what it reports is checked and becomes a row of the database.
 */
#ifndef BOX_IMAGE_H
#define BOX_IMAGE_H

#include "box/db.h"
#include "box/home.h"
#include "wire/image.h"

struct image_job {
	/* Called for each report; other than 0 cancels. May be NULL. */
	int (*progress)(const struct image_progress *p, void *ud);
	/* Called for each image that was added. May be NULL. */
	void (*added)(const struct db_image *i, void *ud);
	void *ud;
	int source_fd; /* IMAGE_LOAD: the source, the caller's */
	int cancel_fd; /* readable = cancel; -1: none */
};

/* Runs one request to its end. -ECANCELED and the errors of boxlite-image (-EIO with its text). */
int image_run(struct home *h, const struct image_request *req, const struct image_job *job,
	      struct error *err) MUST_CHECK;

/* Finds the image a person means: 0, -ENOENT, -EINVAL. */
int image_find(struct home *h, const char *reference, struct db_image *ret, struct error *err) MUST_CHECK;

/* Removes one reference (-EBUSY while a box uses it) and collects. */
int image_remove(struct home *h, const char *reference, struct error *err) MUST_CHECK;

/* Removes all that no box uses and all leftovers; *ret_freed gets the bytes. */
int image_prune(struct home *h, uint64_t *ret_freed, struct error *err) MUST_CHECK;

#endif

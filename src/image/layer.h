/*
 * Applies one layer, a tar archive, to the image being written: what docker
 * and containerd do when they unpack it, whiteouts included, without a file
 * system in between. libarchive only reads; it never sees a path of the host.
 */
#ifndef IMAGE_LAYER_H
#define IMAGE_LAYER_H

#include "image/erofs.h"
#include "image/unpack.h"

/* Called now and then with the bytes of the blob used so far; an error of it ends the work. */
typedef int layer_progress_fn(void *ctx, uint64_t consumed, struct error *err);

struct layer {
	int fd;                   /* borrowed; the blob, compressed or not */
	const uint8_t *diff_id;   /* SHA-256 of the uncompressed archive; NULL = not checked (fuzzing) */
	uint64_t *budget;         /* uncompressed bytes that may still come, over all layers */
	layer_progress_fn *progress; /* may be NULL */
	void *ctx;
};

#define LAYER_PROGRESS_STEP (2 * MIB) /* of the blob, between two calls */

int layer_apply(struct erofs *e, const struct layer *l, struct error *err) MUST_CHECK;

#endif

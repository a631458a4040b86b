/*
 * What images a source holds: an OCI layout (index.json) or what `docker save`
 * writes (manifest.json). Brings the blobs of those for the wanted platform
 * into the store and describes them.
 */
#ifndef IMAGE_LAYOUT_H
#define IMAGE_LAYOUT_H

#include "image/manifest.h"
#include "image/source.h"
#include "wire/image.h"

/* One image whose blobs are all in the store. */
struct layout_image {
	char *reference;  /* owned; normalised, or the manifest's digest */
	char manifest_hex[DIGEST_HEX + 1];
	struct manifest manifest;   /* owned */
	struct image_config config; /* owned */
	struct strv blobs;          /* owned; the manifest and the indexes above it */
	uint64_t blob_bytes;        /* of these */
};

struct layout {
	struct layout_image *images; /* owned */
	size_t n;
};

/* `name` (normalised, or NULL) is for the only image there is. */
int layout_read(struct layout *l, struct source *s, const char *arch, const char *name,
		struct error *err) MUST_CHECK;
void layout_fini(struct layout *l);

/* docker_save.c: the images of manifest.json. */
int docker_save_read(struct layout *l, struct source *s, const char *arch, struct error *err) MUST_CHECK;

/* For both: adds an empty image to fill, or NULL with err. */
struct layout_image *layout_add(struct layout *l, struct error *err);
/* Fills all of `i` from its manifest, which is blob `hex` of the store and in `text`. The blobs are taken from
 * blobs/sha256/ in the source unless they are in the store. */
int layout_use_manifest(struct layout_image *i, struct source *s, const char *arch, const char *hex,
			const struct buf *text, struct error *err) MUST_CHECK;

#endif

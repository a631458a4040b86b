/*
 * Turns an image whose blobs are arriving into one that is complete: converts
 * its layers into the root file system, bottom first, each as soon as it and
 * all below are there, and adds the image to the result.
 *
 * The root file system is named after what determines it, the writer's format
 * and the layers' uncompressed contents in order, so images that share all
 * layers share the file, and it is built once even if two processes want it.
 */
#ifndef IMAGE_ASSEMBLY_H
#define IMAGE_ASSEMBLY_H

#include "image/convert.h"
#include "image/fetch.h"
#include "image/manifest.h"
#include "image/work.h"

#define ROOTFS_FILE_MAX (DIGEST_HEX + 8) /* "<hex>.erofs" */

struct assembly {
	/* Set by the owner before assembly_start(), which takes over all that is owned. */
	struct fetch *fetch;
	char *reference;                    /* owned; normalised, or the manifest's digest */
	char manifest_hex[DIGEST_HEX + 1];
	struct manifest manifest;           /* owned */
	struct image_config config;         /* owned; as many diff_ids as the manifest has layers */
	struct strv blobs;                  /* owned; indexes and manifest; config and layers are added */
	uint64_t blob_bytes;                /* of these */
	/* Last. err NULL = the image is in fetch->result. */
	void (*on_done)(struct assembly *a, const struct error *err);

	/* Private. */
	bool present[IMAGE_LAYERS_MAX]; /* the layer's blob is in the store */
	size_t n_present;
	size_t fed;                     /* layers given to the converter */
	bool converting, built;         /* the converter runs; the root file system is published */
	char file[ROOTFS_FILE_MAX];
	struct claim claim;
	struct work work;
	bool in_thread;                 /* the work's thread owns `claim` */
	struct convert convert;
	struct watch watch;
	uint64_t told_ms;
	uint32_t told_layer;
};

#define ASSEMBLY_INIT                                                                   \
	((struct assembly){ .blobs = STRV_INIT(IMAGE_BLOBS_MAX), .claim = CLAIM_NONE, \
			    .watch = WATCH_NONE })

/* Begins: 0 (on_done follows, never from in here) or -errno. */
int assembly_start(struct assembly *a, struct error *err) MUST_CHECK;

/* Layer i's blob, verified, is in the store. on_done may be called from in here. */
void assembly_layer(struct assembly *a, size_t i);

/* Just before _exit(2): stops the converter and removes its file. */
void assembly_abandon(struct assembly *a);

void assembly_fini(struct assembly *a); /* of one that is not running */

#endif

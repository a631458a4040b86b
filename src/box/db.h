/*
 * The database: which images and boxes there are. Several processes use it at
 * once (WAL). Whether a box runs is not in it: that is the box's lock.
 */
#ifndef BOX_DB_H
#define BOX_DB_H

#include "base/error.h"
#include "base/str.h"

struct db;

/* Opens home/boxlite.db, making or upgrading it; a newer generation is refused. */
int db_open(const char *home, struct db **ret, struct error *err) MUST_CHECK;
void db_close(struct db *db);

#define DB_BLOBS_MAX 1024 /* of one image: manifest, config, layers */

struct db_image {
	char *reference;   /* normalised, the key */
	char *manifest;    /* "sha256:..." */
	char *config;      /* "sha256:..." */
	char *rootfs;      /* file name under images/rootfs */
	uint64_t rootfs_bytes, blob_bytes;
	struct strv blobs; /* every digest under images/blobs that this image needs */
	char *config_json; /* what to run: the image's own settings */
	int64_t created_at, pulled_at; /* seconds; 0 = unknown */
};

#define DB_IMAGE_INIT ((struct db_image){ .blobs = STRV_INIT(DB_BLOBS_MAX) })
void db_image_fini(struct db_image *i);

struct db_box {
	char *id;
	char *name;   /* NULL if it has none */
	char *image;  /* reference as it was when the box was made */
	char *rootfs; /* file name under images/rootfs */
	char *spec;   /* JSON of struct box_spec */
	int64_t created_at;
	bool auto_remove; /* goes when it has ended */
};

void db_box_fini(struct db_box *b);

/* Called for each row; a return other than 0 stops and is returned. The row is borrowed. */
typedef int db_image_fn(const struct db_image *i, void *ud);
typedef int db_box_fn(const struct db_box *b, void *ud);

int db_image_put(struct db *db, const struct db_image *i, struct error *err) MUST_CHECK; /* replaces */
/* -ENOENT */
int db_image_get(struct db *db, const char *reference, struct db_image *ret, struct error *err) MUST_CHECK;
int db_image_delete(struct db *db, const char *reference, struct error *err) MUST_CHECK;
int db_image_each(struct db *db, db_image_fn *fn, void *ud, struct error *err);

/* -EEXIST: the name is taken */
int db_box_add(struct db *db, const struct db_box *b, struct error *err) MUST_CHECK;
/* By whole id, name, or unique prefix of an id: -ENOENT, -ENOTUNIQ. */
int db_box_get(struct db *db, const char *id_or_name, struct db_box *ret, struct error *err) MUST_CHECK;
int db_box_delete(struct db *db, const char *id, struct error *err) MUST_CHECK;
/* -EEXIST: the name is taken. Without such an id nothing happens. */
int db_box_rename(struct db *db, const char *id, const char *name, struct error *err) MUST_CHECK;
/* Its spec, if that is still `before`: 1; 0: it is another, or there is no such box (any more). */
int db_box_set_spec(struct db *db, const char *id, const char *before, const char *spec, struct error *err) MUST_CHECK;
int db_box_each(struct db *db, db_box_fn *fn, void *ud, struct error *err);
/* The same in no order and of each row only the id and auto_remove: quicker. */
int db_box_each_id(struct db *db, db_box_fn *fn, void *ud, struct error *err);

#endif

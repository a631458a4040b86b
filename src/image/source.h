/*
 * What is loaded, a folder or an archive, as files by path.
 *
 * A folder is read in place: below it only, and never through a symlink. An
 * archive may come through a pipe and have its entries in any order, so it is
 * unpacked first into a folder of its own in tmp/, under numbers, never under
 * names of its choice; each file is hashed on the way, and those that turn out
 * to be blobs of an image are renamed into the store.
 */
#ifndef IMAGE_SOURCE_H
#define IMAGE_SOURCE_H

#include "image/fetch.h"
#include "image/manifest.h"

#define LOAD_HEAP_MAX (96 * MIB) /* bytes; `xz -9` needs 65, what zstd makes without --long or --ultra less */
#define SOURCE_FILES_MAX 65536
#define SOURCE_PATH_MAX 1024

struct source_file {
	char *path;               /* owned; relative, without "." and ".." */
	char *link;               /* owned; leads to this path instead; NULL = a file */
	uint64_t size;
	char hex[DIGEST_HEX + 1]; /* of its content */
	bool moved;               /* it is now a blob in the store */
};

struct source {
	struct fetch *fetch;
	int dir;                   /* owned: the folder, or the one in tmp/ (then locked) */
	char spool[32];            /* name of the latter in tmp/; "" = a folder in place */
	struct source_file *files; /* owned; of an archive, file i is named i */
	size_t n;
};

#define SOURCE_NONE ((struct source){ .dir = -1 })

/* Opens what fd is; an archive is read to its end. fd stays the caller's. */
int source_open(struct source *s, struct fetch *f, int fd, struct error *err) MUST_CHECK;
void source_close(struct source *s); /* removes what was unpacked */

bool source_has(const struct source *s, const char *path);

/* A small file appended to b. */
int source_read(const struct source *s, const char *path, struct buf *b, struct error *err) MUST_CHECK;

/* Brings a file into the store as a blob. `want` is what it must be, NULL = anything up to `max` bytes. */
int source_blob(struct source *s, const char *path, const struct descriptor *want, uint64_t max,
		struct descriptor *ret, struct error *err) MUST_CHECK;

/* archive.c: unpacks the tar in fd, compressed or not, into s. */
int archive_unpack(struct source *s, int fd, struct error *err) MUST_CHECK;

#endif

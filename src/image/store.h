/*
 * The image store, a folder that any number of processes use at once:
 *
 *     blobs/sha256/<hex>     content whose SHA-256 is its name, complete and verified
 *     rootfs/<key>.erofs     root file systems, complete
 *     tmp/                   everything unfinished
 *
 * Names in blobs/ and rootfs/ appear by rename after the content was verified
 * and synced, so whoever finds one may trust it, also after a power cut, and
 * nobody hashes it again.
 *
 * A temporary file is its own lock: who works on it holds flock(2) on it. Two
 * processes that want the same blob or root file system meet at the same
 * temporary name; the second sleeps in flock() until the first has published
 * it or died. No lock file is ever left over, because there is none. A
 * temporary file that nobody holds is litter of a process that was killed;
 * store_sweep() removes it, except partial downloads, which wait a week for
 * somebody to resume them.
 */
#ifndef IMAGE_STORE_H
#define IMAGE_STORE_H

#include "base/buf.h"
#include "base/error.h"
#include "image/digest.h"

struct store {
	int dir;    /* borrowed: the store's folder */
	int blobs;  /* owned: blobs/sha256 */
	int rootfs; /* owned: rootfs */
	int tmp;    /* owned: tmp */
};

#define STORE_NONE ((struct store){ .dir = -1, .blobs = -1, .rootfs = -1, .tmp = -1 })

/* Opens the store in the folder `dir`, making what is missing. */
int store_open(struct store *s, int dir, struct error *err) MUST_CHECK;
void store_close(struct store *s);

/* Removes what killed processes left in tmp/. Best effort. */
void store_sweep(const struct store *s);

/* Size of a published blob: 0, or -ENOENT. */
int store_blob_size(const struct store *s, const char *hex, uint64_t *ret);
int store_blob_open(const struct store *s, const char *hex, struct error *err) MUST_CHECK; /* fd */

/* A small published blob appended to b: -ENOBUFS past b's ceiling. */
int store_blob_read(const struct store *s, const char *hex, struct buf *b, struct error *err) MUST_CHECK;

/* Publishes n bytes under their digest, which the caller has computed over just these bytes. */
int store_blob_write(const struct store *s, const char *hex, const void *p, size_t n,
		     struct error *err) MUST_CHECK;

/* Makes every name published so far survive a power cut. */
int store_sync_names(const struct store *s, struct error *err) MUST_CHECK;

/* The reason for a failed write (negative errno) as people need it: which file system is full. Returns code. */
int store_write_error(const struct store *s, int code, struct error *err);

/* --- claims: the right to make one thing ------------------------------------------------------ */

#define CLAIM_NAME_MAX 96

struct claim {
	const struct store *store; /* borrowed */
	int fd;                    /* owned, locked, read-write; -1 = not held */
	char name[CLAIM_NAME_MAX]; /* in tmp/ */
	int final_dir;             /* where it will be published */
	char final[CLAIM_NAME_MAX];
};

#define CLAIM_NONE ((struct claim){ .fd = -1, .final_dir = -1 })

enum claim_state {
	CLAIM_HELD,    /* ours: c->fd is the file, perhaps with content of an earlier attempt */
	CLAIM_PRESENT, /* it is already published: nothing to do */
	CLAIM_BUSY,    /* another process is making it; only from claim_try() */
};

void claim_blob(struct claim *c, const struct store *s, const char *hex);
void claim_rootfs(struct claim *c, const struct store *s, const char *file);
int claim_scratch(struct claim *c, const struct store *s) MUST_CHECK; /* a name of no one else's; see claim_try() */

/* enum claim_state or -errno. claim_wait() sleeps while another process has it: call it from a thread. */
int claim_try(struct claim *c) MUST_CHECK;
int claim_wait(struct claim *c) MUST_CHECK;

/* Syncs the file, gives it its final name and lets go: 0 or -errno (then it is still held). */
int claim_publish(struct claim *c) MUST_CHECK;

/* Lets go without publishing; `keep` leaves the file for whoever resumes it. A no-op when not held. */
void claim_drop(struct claim *c, bool keep);

#endif

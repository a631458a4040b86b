/*
 * Archives in the pax format of tar: a reader and a writer. They know bytes
 * and nothing of files; the bytes come from and go to functions of the caller.
 *
 * The writer makes ustar headers, with a pax header before an entry that does
 * not fit into one (long names, large numbers, parts of seconds, attributes),
 * and holes as GNU's sparse format 1.0. GNU tar, bsdtar and Go read all of it.
 *
 * The reader also takes what GNU tar makes without being asked (long names in
 * entries of their own, its old sparse format, numbers in base 256) and tars
 * from before POSIX. What it reads is hostile: every length has a ceiling, and
 * names are given as they are. Who makes files of them decides where they lead.
 */
#ifndef TAR_TAR_H
#define TAR_TAR_H

#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/error.h"

#define TAR_BLOCK 512
#define TAR_NAME_MAX (16 * KIB)  /* of a name, of where a link leads to */
#define TAR_PAX_MAX (1 * MIB)    /* of what precedes one entry: all its attributes */
#define TAR_XATTRS_MAX 128       /* of one entry */
#define TAR_EXTENTS_MAX 65536    /* pieces of a file with holes */
#define TAR_BUFFER (64 * KIB)
#define TAR_SIZE_MAX (1ULL << 62)

enum tar_type { TAR_FILE, TAR_DIR, TAR_SYMLINK, TAR_HARDLINK, TAR_CHAR, TAR_BLOCK_DEVICE, TAR_FIFO };

struct tar_xattr {
	const char *name;
	const void *value;
	size_t len;
};

struct tar_extent {
	uint64_t offset, len;
};

/* All pointers are borrowed: of the writer's caller, or until the reader's next entry. */
struct tar_entry {
	enum tar_type type;
	const char *name;  /* read: without '/' at its end, unless it is nothing else */
	const char *link;  /* of links: where it leads; else NULL */
	uint32_t mode;     /* permissions: 07777 at most */
	uint32_t uid, gid;
	uint32_t major, minor;
	int64_t mtime;     /* seconds since 1970 */
	uint32_t mtime_ns;
	uint64_t size;     /* of TAR_FILE, holes included */
	bool sparse;       /* only `extents` have data, in this order, disjoint and within size */
	const struct tar_extent *extents;
	size_t nextents;
	const struct tar_xattr *xattrs;
	size_t nxattrs;
};

/* --- reading --------------------------------------------------------------------------------- */

/* As read(2): up to n bytes, 0 at the end, -errno. */
typedef ssize_t tar_fill_fn(void *ud, void *p, size_t n);

struct tar_reader;

/* NULL: no memory. */
struct tar_reader *tar_reader_new(tar_fill_fn *fill, void *ud);
void tar_reader_free(struct tar_reader *r); /* NULL is fine */

/*
 * The next entry; data of the last one that was not asked for is passed over. 1, 0 at the end,
 * -EBADMSG not a tar, -ENODATA it ends before its end was said, -EOPNOTSUPP, -ENOMEM, -errno of fill.
 */
int tar_next(struct tar_reader *r, struct tar_entry *ret, struct error *err) MUST_CHECK;

/* A piece of the entry's data (borrowed until the next call) and where in the file it belongs: its
 * length, 0 when there is no more, or as tar_next(). */
ssize_t tar_data(struct tar_reader *r, const void **ret, uint64_t *ret_offset, struct error *err) MUST_CHECK;

/* Reads and drops what follows the archive, so that whoever writes it is not cut off in its padding. */
void tar_drain(struct tar_reader *r);

/* --- writing --------------------------------------------------------------------------------- */

/* Takes all n bytes: 0 or -errno. */
typedef int tar_put_fn(void *ud, const void *p, size_t n);

struct tar_writer;

struct tar_writer *tar_writer_new(tar_put_fn *put, void *ud);
void tar_writer_free(struct tar_writer *w);

/* Begins an entry. Exactly its data must follow: `size` bytes of a file, or those of its extents.
 * 0, -ENAMETOOLONG, -E2BIG (its attributes), -EINVAL, -ENOMEM, -errno of put. */
int tar_put_entry(struct tar_writer *w, const struct tar_entry *e) MUST_CHECK;
int tar_put_data(struct tar_writer *w, const void *p, size_t n) MUST_CHECK;

/* The end of the archive. Without it a reader knows that something is missing. */
int tar_put_end(struct tar_writer *w) MUST_CHECK;

#endif

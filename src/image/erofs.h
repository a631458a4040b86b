/*
 * Writes one EROFS image while the layers are read.
 *
 *   block 0     superblock, written last
 *   content     of files, each from a block boundary, in the order of the
 *               archives; what a later layer replaced is punched out at the end
 *   metadata    inodes with their xattrs, symlink targets, small folders and
 *               the last part block of each file; breadth first, so that a
 *               folder's files are neighbours
 *   folders     the whole blocks of large folders
 *
 * Content goes to the image as it comes. The last part block of a file (all of
 * it, for most) waits in a spool file until the metadata is laid out.
 *
 * The image depends on the layers only: same layers, same bytes.
 */
#ifndef IMAGE_EROFS_H
#define IMAGE_EROFS_H

#include "image/outfile.h"
#include "image/tree.h"

#define EROFS_IMAGE_MAX (8ULL << 40)            /* bytes: half of what block numbers could express */
#define EROFS_FILE_MAX (0xffffffffULL * 4096)   /* bytes: Linux counts a file's blocks in 32 bits */
#define EROFS_CHUNKS_MAX 16384                  /* of one sparse file: its map is at most 64 KiB */
#define EROFS_XATTRS_MAX (64 * 1024)            /* bytes of all xattrs of an inode */

struct erofs {
	struct tree tree;
	struct outfile out;   /* the image */
	struct outfile spool; /* last part blocks of files */
	int spool_fd;         /* owned */
};

struct erofs_stats {
	uint64_t bytes;  /* size of the image; some of it may be holes */
	uint64_t inodes;
};

/* out_fd: an empty regular file, open for reading and writing; borrowed until erofs_close(). */
int erofs_open(struct erofs *e, int out_fd, int scratch_dirfd, struct error *err) MUST_CHECK;
void erofs_close(struct erofs *e);

/* Lays out and writes the metadata, after the last layer. Does not sync. */
int erofs_finish(struct erofs *e, const uint8_t uuid[16], struct erofs_stats *ret,
		 struct error *err) MUST_CHECK;

/* rdev of a device as it stands on disk: 0, or -EINVAL past 12 bits of major, 20 of minor. */
int erofs_rdev(uint64_t major, uint64_t minor, uint32_t *ret) MUST_CHECK;

/* --- erofs_content.c: the content of one file after the other ------------------------------- */

struct content {
	struct erofs *e;
	struct inode *inode;
	uint64_t size;     /* promised */
	uint64_t done;     /* bytes come so far, holes included */
	uint64_t whole;    /* of a file that is not sparse: the bytes before those that are spooled */
	uint64_t chunk_at; /* sparse: where in the image the current chunk begins */
	uint64_t chunk;    /* its number; CONTENT_NO_CHUNK before the first */
};

#define CONTENT_NO_CHUNK UINT64_MAX

/* `inode` is an empty regular file. A sparse one may leave gaps. */
int content_begin(struct content *c, struct erofs *e, struct inode *inode, uint64_t size, bool sparse,
		  struct error *err) MUST_CHECK;

/* n bytes at offset, which never goes back; without `sparse` it never leaves a gap either. */
int content_write(struct content *c, uint64_t offset, const void *p, size_t n, struct error *err) MUST_CHECK;

/* -EBADMSG if a file that is not sparse is shorter than promised. */
int content_end(struct content *c, struct error *err) MUST_CHECK;

/* The target of an empty symlink: 1 to TREE_TARGET_MAX bytes. */
int content_symlink(struct erofs *e, struct inode *inode, const char *target, size_t n,
		    struct error *err) MUST_CHECK;

/* Bytes of an inode on disk without what is inline behind it. */
static inline uint32_t erofs_head_bytes(const struct inode *i)
{
	return 64 + (i->xattr_bytes ? 12 + i->xattr_bytes : 0);
}

/* May n bytes stand inline behind this inode? All of it then lies within one block. */
static inline bool erofs_fits_inline(const struct inode *i, uint64_t n)
{
	return erofs_head_bytes(i) + n <= 4096;
}

/* --- erofs_dir.c: folders as blocks of entries ---------------------------------------------- */

struct dir_iter {
	struct tree *tree;
	const struct inode *dir;
	aref next;      /* dentry */
	unsigned dots;  /* how many of "." and ".." are behind us */
};

struct dir_iter dir_iter_over(struct tree *t, const struct inode *dir);

/* Takes the entries that the next block holds and, unless block is NULL, writes them to its 4096
 * bytes, the rest zero. Returns the bytes used, 0 after the last. */
size_t dir_iter_block(struct dir_iter *it, uint8_t *block);

/* --- erofs_layout.c ------------------------------------------------------------------------- */

/* Where everything goes. nids, sizes of folders and their blocks are in the inodes then. */
struct layout {
	uint64_t meta_bytes;  /* of the metadata, from its first block */
	uint64_t dir_blocks;  /* of the folders behind it */
	uint64_t inodes;
};

/* Gives every reachable inode its nid. A folder's `block` counts from the first of dir_blocks. */
int layout_assign(struct tree *t, struct layout *ret, struct error *err) MUST_CHECK;

/* Calls fn for each inode in the order of nids. */
int layout_visit(struct tree *t, int (*fn)(void *ctx, struct inode *i), void *ctx) MUST_CHECK;

#endif

/*
 * The merged file tree of an image while its layers are applied, bottom first.
 *
 * Two kinds of object, both in the arena and never freed: an inode (what a
 * file is) and a dentry (its name in a folder). Several dentries share an inode
 * when there are hard links; a folder has exactly one, the root none.
 *
 * The dentries of a folder are a treap ordered by name, bytewise, and threaded
 * in that order: the order that EROFS wants, so nothing is ever sorted. Its
 * priorities are random, so no archive can choose an order of names that makes
 * the treap deep; the resulting image does not depend on them.
 *
 * A layer hides what *lower* layers put there (whiteouts), never what it brings
 * itself, in whatever order the two come. So each dentry carries the number of
 * the layer that last gave an entry for it.
 *
 * File content is not here: erofs.h writes it to the image as it comes and
 * notes in the inode where. What becomes unreachable is remembered as `dead`.
 */
#ifndef IMAGE_TREE_H
#define IMAGE_TREE_H

#include <sys/stat.h>

#include "image/arena.h"

#define TREE_ENTRIES_MAX (16U << 20) /* names ever made, those replaced later included */
#define TREE_PATH_MAX 4096           /* bytes of a path in an archive, as PATH_MAX */
#define TREE_NAME_MAX 255
#define TREE_DEPTH_MAX 2048          /* nested folders: also the depth of recursion */
#define TREE_SYMLINKS_MAX 40         /* followed for one path, as the kernel does */
#define TREE_TARGET_MAX 4095         /* bytes of a symlink's target */

enum inode_content {
	CONTENT_NONE,   /* empty, or a device and the like */
	CONTENT_BLOCKS, /* whole blocks of the image from `block` on */
	CONTENT_TAIL,   /* the same, but the last part block goes into the metadata */
	CONTENT_CHUNKS, /* runs of chunks, holes between them */
};

struct inode {
	uint64_t size;     /* bytes of content; of a folder: of its entries, once laid out */
	uint64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t mode;     /* type and permissions, as in stat(2) */
	uint32_t uid, gid;
	uint32_t nlink;    /* 0: no name left */
	uint32_t rdev;     /* as on disk: see erofs_rdev() */
	aref xattrs;       /* their on-disk form, see xattr.h */
	uint32_t xattr_bytes;
	uint32_t block;    /* first block of content */
	uint32_t nid;      /* place among the metadata, 0 = not laid out */
	aref next;         /* the next folder to lay out */
	uint8_t content;   /* enum inode_content */
	uint8_t chunk_bits; /* CONTENT_CHUNKS: log2 of blocks per chunk */
	uint16_t depth;    /* folder: number of folders above it */
	union {
		struct {
			aref first;  /* dentry, in order of names */
			aref top;    /* dentry, root of the treap */
			aref self;   /* dentry of this folder; 0 for the root */
			uint32_t hidden; /* the layer for which lower layers were last hidden below here */
		} dir;
		uint64_t tail;       /* CONTENT_TAIL of a file: where in the spool */
		aref target;         /* symlink: the target, `size` bytes */
		struct {
			aref first, last; /* CONTENT_CHUNKS: struct run */
		} runs;
	};
};

struct dentry {
	aref left, right; /* treap */
	aref prev, next;  /* neighbours in order of names */
	aref dir;         /* inode of the folder it is in */
	aref inode;
	uint32_t priority;
	uint16_t layer;
	uint8_t len;
	uint8_t name[]; /* len bytes, neither NUL nor '/' among them */
};

/* Consecutive chunks of a sparse file that are consecutive in the image. */
struct run {
	aref next;
	uint32_t chunk, count;
	uint32_t block; /* of the first chunk */
};

/* Blocks of the image that nothing refers to any more. */
struct dead {
	aref next;
	uint32_t block, count;
};

struct tree {
	struct arena arena;
	aref root;         /* inode */
	aref dead;         /* struct dead, newest first */
	uint32_t entries;  /* names ever made */
	uint16_t layer;    /* number of the layer being applied, from 1 */
	uint64_t random;   /* state of the priorities */
};

/* What an archive says about an entry, besides its name and content. */
struct meta {
	uint32_t mode, uid, gid, rdev;
	uint64_t mtime_s;
	uint32_t mtime_ns;
	aref xattrs;
	uint32_t xattr_bytes;
};

/* A path from an archive, made canonical by tree_path(). */
struct path {
	size_t len;              /* 0: the root */
	size_t base;             /* where the last component begins */
	char text[TREE_PATH_MAX + 1];
};

int tree_open(struct tree *t, int scratch_dirfd, struct error *err) MUST_CHECK;
void tree_close(struct tree *t);
void tree_next_layer(struct tree *t);

/* "./a//b/../c/" becomes "a/c". An absolute path means one below the root. -EINVAL for one that
 * leads out, -ENAMETOOLONG. */
int tree_path(struct path *ret, const char *text, struct error *err) MUST_CHECK;

/*
 * Makes the entry at a path, with missing folders above it (0755, root, time 0); symlinks on the
 * way are followed inside the root. A folder on a folder keeps its entries and takes the metadata;
 * anything else replaces what was there. *ret is the inode, whose content is the caller's to give.
 * -ENOTDIR below a file, -ELOOP, -ENAMETOOLONG, -E2BIG.
 */
int tree_place(struct tree *t, const struct path *p, const struct meta *m, struct inode **ret,
	       struct error *err) MUST_CHECK;

/* One more name for the file at `target`; m becomes its metadata but for type and xattrs. -ENOENT,
 * -EPERM for a folder, and the errors of tree_place(). */
int tree_link(struct tree *t, const struct path *p, const struct path *target, const struct meta *m,
	      struct inode **ret, struct error *err) MUST_CHECK;

/* Removes the entry at a path, whichever layer it is from; nothing there is fine. */
int tree_remove(struct tree *t, const struct path *p, struct error *err) MUST_CHECK;

/* Hides what lower layers have under the name [name, name + len) in the folder of p; nothing there
 * is fine. */
int tree_hide(struct tree *t, const struct path *p, const char *name, size_t len,
	      struct error *err) MUST_CHECK;

/* Hides all that lower layers have in the folder of p. */
int tree_hide_all(struct tree *t, const struct path *p, struct error *err) MUST_CHECK;

/* Takes an inode's content away; its blocks are dead. */
int tree_drop_content(struct tree *t, struct inode *i, struct error *err) MUST_CHECK;

/* The entry at a canonical path, last symlink not followed, or NULL. For tests. */
struct dentry *tree_find(struct tree *t, const char *text);

static inline struct inode *tree_inode(struct tree *t, aref r)
{
	return arena_at(&t->arena, r);
}

static inline struct dentry *tree_dentry(struct tree *t, aref r)
{
	return arena_at(&t->arena, r);
}

/* --- dir.c: the entries of one folder ------------------------------------------------------- */

/* 0 if there is none. */
aref dir_find(struct tree *t, const struct inode *dir, const char *name, size_t len);

/* Adds a dentry whose name is not there yet; priority and links are set here. */
void dir_insert(struct tree *t, struct inode *dir, aref entry);
void dir_remove(struct tree *t, struct inode *dir, aref entry);

/* memcmp order, a prefix first. */
int dir_compare(const void *a, size_t an, const void *b, size_t bn);

#endif

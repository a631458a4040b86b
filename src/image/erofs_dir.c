/*
 * Folders as EROFS wants them: blocks of 4 KiB, each with an array of 12-byte
 * entries and then their names, all in bytewise order with "." and ".." among
 * them, so that a lookup is two binary searches.
 */
#include <string.h>

#include "base/cursor.h"
#include "image/erofs.h"
#include "image/erofs_disk.h"

struct entry {
	const void *name;
	size_t len;
	const struct inode *inode;
};

struct dir_iter dir_iter_over(struct tree *t, const struct inode *dir)
{
	return (struct dir_iter){ .tree = t, .dir = dir, .next = dir->dir.first };
}

static const struct inode *parent_of(struct tree *t, const struct inode *dir)
{
	return dir->dir.self ? tree_inode(t, tree_dentry(t, dir->dir.self)->dir) : dir;
}

/* The entry that comes next, without taking it. */
static bool peek(const struct dir_iter *it, struct entry *ret)
{
	const struct dentry *d = it->next ? tree_dentry(it->tree, it->next) : NULL;

	if (it->dots < 2 && (!d || dir_compare(d->name, d->len, "..", it->dots + 1) > 0)) {
		*ret = (struct entry){ .name = "..", .len = it->dots + 1, .inode = it->dir };
		if (it->dots == 1)
			ret->inode = parent_of(it->tree, it->dir);
		return true;
	}
	if (d)
		*ret = (struct entry){ d->name, d->len, tree_inode(it->tree, d->inode) };
	return d;
}

static void take(struct dir_iter *it, const struct entry *e)
{
	if (it->next && e->name == tree_dentry(it->tree, it->next)->name)
		it->next = tree_dentry(it->tree, it->next)->next;
	else
		it->dots++;
}

static uint8_t file_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return 1;
	case S_IFDIR: return 2;
	case S_IFCHR: return 3;
	case S_IFBLK: return 4;
	case S_IFIFO: return 5;
	case S_IFSOCK: return 6;
	case S_IFLNK: return 7;
	default: return 0;
	}
}

/* Takes the entries that fit into one block: their number, and the bytes used. */
static size_t take_block(struct dir_iter *it, size_t *ret_used)
{
	size_t used = 0, n = 0;
	struct entry e;

	while (peek(it, &e) && used + EROFS_DIRENT_BYTES + e.len <= EROFS_BLOCK) {
		used += EROFS_DIRENT_BYTES + e.len;
		take(it, &e);
		n++;
	}
	*ret_used = used;
	return n;
}

size_t dir_iter_block(struct dir_iter *it, uint8_t *block)
{
	struct dir_iter again = *it;
	size_t used, n = take_block(it, &used), at = n * EROFS_DIRENT_BYTES;
	struct wr w;

	if (!block)
		return used;
	memset(block, 0, EROFS_BLOCK);
	w = wr_over(block, at);
	for (; n; n--) {
		struct entry e;

		if (!peek(&again, &e))
			break;
		wr_u64(&w, e.inode->nid);
		wr_u16(&w, (uint16_t)at);
		wr_u8(&w, file_type(e.inode->mode));
		wr_u8(&w, 0);
		memcpy(block + at, e.name, e.len);
		at += e.len;
		take(&again, &e);
	}
	return used;
}

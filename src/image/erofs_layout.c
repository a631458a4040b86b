/*
 * Where each inode goes. Folders are visited breadth first, and each gives
 * places to its entries in order of names, skipping those that another hard
 * link has placed already. So what one `ls -l` or one program start reads is
 * close together. Folders wait in a list through inode.next.
 */
#include <errno.h>

#include "image/erofs.h"
#include "image/erofs_disk.h"

/* The first 64 bytes stay empty: nid 0 would become inode number 0, which programs take for "deleted". */
#define FIRST_INODE EROFS_INODE_BYTES

struct placing {
	struct tree *tree;
	uint64_t at; /* bytes from the start of the metadata */
	uint64_t dir_blocks, inodes;
	struct inode *last; /* end of the list of folders */
};

static void size_folder(struct placing *p, struct inode *dir)
{
	struct dir_iter it = dir_iter_over(p->tree, dir);
	uint64_t blocks = 0;
	size_t used, last = 0;

	while ((used = dir_iter_block(&it, NULL)) > 0) {
		blocks++;
		last = used;
	}
	dir->size = (blocks - 1) * EROFS_BLOCK + last;
	dir->content = erofs_fits_inline(dir, last) ? CONTENT_TAIL : CONTENT_BLOCKS;
	dir->block = (uint32_t)p->dir_blocks;
	p->dir_blocks += blocks - (dir->content == CONTENT_TAIL);
}

/* Bytes of an inode and what stands behind it. */
static uint64_t record_bytes(const struct inode *i)
{
	uint64_t head = erofs_head_bytes(i), chunk;

	switch ((enum inode_content)i->content) {
	case CONTENT_TAIL:
		return head + (i->size - 1) % EROFS_BLOCK + 1;
	case CONTENT_CHUNKS:
		chunk = (uint64_t)EROFS_BLOCK << i->chunk_bits;
		return head + (i->size + chunk - 1) / chunk * 4;
	case CONTENT_NONE:
	case CONTENT_BLOCKS:
		break;
	}
	return head;
}

static int place(struct placing *p, aref at, struct error *err)
{
	struct inode *i = tree_inode(p->tree, at);
	uint64_t record, together;

	if (S_ISDIR(i->mode)) {
		size_folder(p, i);
		if (p->last)
			p->last->next = at;
		p->last = i;
	}
	/* With content inline all of it must be in one block; else it is enough, and saves reading
	 * two blocks, that the inode itself is. */
	record = record_bytes(i);
	together = i->content == CONTENT_TAIL ? record : EROFS_INODE_BYTES;
	if (p->at % EROFS_BLOCK + together > EROFS_BLOCK)
		p->at = ALIGN_UP(p->at, (uint64_t)EROFS_BLOCK);
	if (p->at / EROFS_SLOT > UINT32_MAX)
		return error_set(err, -EFBIG, "the image has too much metadata");
	i->nid = (uint32_t)(p->at / EROFS_SLOT);
	p->at += ALIGN_UP(record, (uint64_t)EROFS_SLOT);
	p->inodes++;
	return 0;
}

int layout_assign(struct tree *t, struct layout *ret, struct error *err)
{
	struct placing p = { .tree = t, .at = FIRST_INODE };
	aref dir, at;
	int r = place(&p, t->root, err);

	for (dir = t->root; dir && r == 0; dir = tree_inode(t, dir)->next) {
		for (at = tree_inode(t, dir)->dir.first; at && r == 0;) {
			const struct dentry *d = tree_dentry(t, at);

			if (!tree_inode(t, d->inode)->nid)
				r = place(&p, d->inode, err);
			at = d->next;
		}
	}
	if (r == 0)
		*ret = (struct layout){ .meta_bytes = p.at, .dir_blocks = p.dir_blocks, .inodes = p.inodes };
	return r;
}

int layout_visit(struct tree *t, int (*fn)(void *ctx, struct inode *i), void *ctx)
{
	uint32_t done = tree_inode(t, t->root)->nid;
	aref dir, at;
	int r = fn(ctx, tree_inode(t, t->root));

	for (dir = t->root; dir && r == 0; dir = tree_inode(t, dir)->next) {
		for (at = tree_inode(t, dir)->dir.first; at && r == 0;) {
			const struct dentry *d = tree_dentry(t, at);
			struct inode *i = tree_inode(t, d->inode);

			/* nids were given in this order: a lower one is a file seen under another name. */
			if (i->nid > done) {
				done = i->nid;
				r = fn(ctx, i);
			}
			at = d->next;
		}
	}
	return r;
}

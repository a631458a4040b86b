/* The entries of one folder: a treap (a binary search tree by name, a heap by random priority),
 * threaded in order of names. Nothing here recurses. */
#include <string.h>

#include "image/tree.h"

int dir_compare(const void *a, size_t an, const void *b, size_t bn)
{
	int c = memcmp(a, b, MIN(an, bn));

	return c ? c : (an > bn) - (an < bn);
}

static int compare(const struct dentry *a, const struct dentry *b)
{
	return dir_compare(a->name, a->len, b->name, b->len);
}

aref dir_find(struct tree *t, const struct inode *dir, const char *name, size_t len)
{
	aref at = dir->dir.top;

	while (at) {
		const struct dentry *d = tree_dentry(t, at);
		int c = dir_compare(name, len, d->name, d->len);

		if (c == 0)
			break;
		at = c < 0 ? d->left : d->right;
	}
	return at;
}

/* splitmix64 */
static uint32_t random_priority(struct tree *t)
{
	uint64_t z = t->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (uint32_t)(z >> 32);
}

void dir_insert(struct tree *t, struct inode *dir, aref entry)
{
	struct dentry *e = tree_dentry(t, entry), *d;
	aref prev = 0, next = 0, *link = &dir->dir.top, *less, *more, at;

	e->priority = random_priority(t);
	/* Down to the first entry that must be below the new one ... */
	while ((at = *link)) {
		d = tree_dentry(t, at);
		if (d->priority < e->priority)
			break;
		if (compare(e, d) < 0) {
			next = at;
			link = &d->left;
		} else {
			prev = at;
			link = &d->right;
		}
	}
	*link = entry;
	/* ... and what hangs there is split by name into the two sides of the new one. */
	less = &e->left;
	more = &e->right;
	while (at) {
		d = tree_dentry(t, at);
		if (compare(e, d) < 0) {
			*more = next = at;
			more = &d->left;
			at = d->left;
		} else {
			*less = prev = at;
			less = &d->right;
			at = d->right;
		}
	}
	*less = *more = 0;

	e->prev = prev;
	e->next = next;
	*(prev ? &tree_dentry(t, prev)->next : &dir->dir.first) = entry;
	if (next)
		tree_dentry(t, next)->prev = entry;
}

void dir_remove(struct tree *t, struct inode *dir, aref entry)
{
	struct dentry *e = tree_dentry(t, entry);
	aref *link = &dir->dir.top, less = e->left, more = e->right;

	while (*link != entry) {
		struct dentry *d = tree_dentry(t, *link);

		link = compare(e, d) < 0 ? &d->left : &d->right;
	}
	/* Merges the two sides; every name in `less` is before every one in `more`. */
	while (less && more) {
		struct dentry *l = tree_dentry(t, less), *m = tree_dentry(t, more);

		if (l->priority > m->priority) {
			*link = less;
			link = &l->right;
			less = l->right;
		} else {
			*link = more;
			link = &m->left;
			more = m->left;
		}
	}
	*link = less ? less : more;

	*(e->prev ? &tree_dentry(t, e->prev)->next : &dir->dir.first) = e->next;
	if (e->next)
		tree_dentry(t, e->next)->prev = e->prev;
}

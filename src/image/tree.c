#include "image/tree.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static const struct meta implied_folder = { .mode = S_IFDIR | 0755 };

static void set_meta(struct inode *i, const struct meta *m)
{
	i->mode = m->mode;
	i->uid = m->uid;
	i->gid = m->gid;
	i->rdev = m->rdev;
	i->mtime_s = m->mtime_s;
	i->mtime_ns = m->mtime_ns;
	i->xattrs = m->xattrs;
	i->xattr_bytes = m->xattr_bytes;
}

static int new_inode(struct tree *t, const struct meta *m, aref *ret, struct error *err)
{
	struct inode *i;
	int r = arena_alloc(&t->arena, ARENA_REST, sizeof(*i), ret, err);

	if (r < 0)
		return r;
	i = tree_inode(t, *ret);
	set_meta(i, m);
	i->nlink = S_ISDIR(m->mode) ? 2 : 0;
	return 0;
}

int tree_open(struct tree *t, int scratch_dirfd, struct error *err)
{
	int r;

	*t = (struct tree){ .arena = ARENA_NONE };
	if (getrandom(&t->random, sizeof(t->random), 0) != sizeof(t->random))
		return error_sys(err, "no random numbers");
	r = arena_open(&t->arena, scratch_dirfd, err);
	return r < 0 ? r : new_inode(t, &implied_folder, &t->root, err);
}

void tree_close(struct tree *t)
{
	arena_close(&t->arena);
}

void tree_next_layer(struct tree *t)
{
	t->layer++;
}

/* --- removing ------------------------------------------------------------------------------- */

static int add_dead(struct tree *t, uint32_t block, uint32_t count, struct error *err)
{
	struct dead *d;
	aref at;
	int r;

	if (count == 0)
		return 0;
	r = arena_alloc(&t->arena, ARENA_REST, sizeof(*d), &at, err);
	if (r < 0)
		return r;
	d = arena_at(&t->arena, at);
	*d = (struct dead){ .next = t->dead, .block = block, .count = count };
	t->dead = at;
	return 0;
}

/* Blocks of one run; the file's last chunk may be shorter than a chunk. */
static uint32_t run_blocks(const struct inode *i, const struct run *run)
{
	uint64_t begin = (uint64_t)run->chunk << i->chunk_bits;
	uint64_t end = (uint64_t)(run->chunk + run->count) << i->chunk_bits;

	return (uint32_t)(MIN(end, (i->size + 4095) / 4096) - begin);
}

int tree_drop_content(struct tree *t, struct inode *i, struct error *err)
{
	aref at;
	int r = 0;

	switch ((enum inode_content)i->content) {
	case CONTENT_NONE:
		break;
	case CONTENT_BLOCKS:
		r = add_dead(t, i->block, (uint32_t)((i->size + 4095) / 4096), err);
		break;
	case CONTENT_TAIL:
		r = add_dead(t, i->block, (uint32_t)(i->size / 4096), err);
		break;
	case CONTENT_CHUNKS:
		for (at = i->runs.first; at && r == 0;) {
			const struct run *run = arena_at(&t->arena, at);

			r = add_dead(t, run->block, run_blocks(i, run), err);
			at = run->next;
		}
		break;
	}
	i->content = CONTENT_NONE;
	i->size = 0;
	return r;
}

/* What is left to do once a dentry is out of its folder; depth is bounded by TREE_DEPTH_MAX. */
static int drop(struct tree *t, const struct dentry *d, struct error *err)
{
	struct inode *i = tree_inode(t, d->inode);
	aref at;
	int r;

	if (!S_ISDIR(i->mode))
		return --i->nlink ? 0 : tree_drop_content(t, i, err);
	tree_inode(t, d->dir)->nlink--;
	for (at = i->dir.first; at;) {
		const struct dentry *child = tree_dentry(t, at);

		r = drop(t, child, err);
		if (r < 0)
			return r;
		at = child->next;
	}
	return 0;
}

static int remove_entry(struct tree *t, aref entry, struct error *err)
{
	struct dentry *d = tree_dentry(t, entry);

	dir_remove(t, tree_inode(t, d->dir), entry);
	return drop(t, d, err);
}

static int hide_below(struct tree *t, struct inode *dir, struct error *err);

/* Hides the lower layers' part of one entry. A folder that only holds what this layer brought
 * stays, as if this layer had made it. */
static int hide_entry(struct tree *t, aref entry, struct error *err)
{
	struct dentry *d = tree_dentry(t, entry);
	struct inode *i = tree_inode(t, d->inode);
	int r;

	if (S_ISDIR(i->mode)) {
		r = hide_below(t, i, err);
		if (r < 0)
			return r;
	}
	if (d->layer == t->layer)
		return 0;
	if (!S_ISDIR(i->mode) || !i->dir.first)
		return remove_entry(t, entry, err);
	set_meta(i, &implied_folder);
	d->layer = t->layer;
	return 0;
}

/* Once per folder and layer, else a hostile layer could make it take for ever: what comes later
 * in this layer belongs to this layer. */
static int hide_below(struct tree *t, struct inode *dir, struct error *err)
{
	aref at, next;
	int r;

	if (dir->dir.hidden == t->layer)
		return 0;
	dir->dir.hidden = t->layer;
	for (at = dir->dir.first; at; at = next) {
		next = tree_dentry(t, at)->next;
		r = hide_entry(t, at, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- adding --------------------------------------------------------------------------------- */

/* A name for an inode in a folder that has no such name. */
static int add_entry(struct tree *t, aref dir, const char *name, size_t len, aref inode,
		     struct error *err)
{
	struct inode *parent = tree_inode(t, dir), *i = tree_inode(t, inode);
	struct dentry *d;
	aref at;
	int r;

	if (t->entries >= TREE_ENTRIES_MAX)
		return error_set(err, -E2BIG, "the image has more than %u files", TREE_ENTRIES_MAX);
	if (S_ISDIR(i->mode) && parent->depth >= TREE_DEPTH_MAX)
		return error_set(err, -ENAMETOOLONG, "more than %d nested folders", TREE_DEPTH_MAX);
	r = arena_alloc(&t->arena, ARENA_NAMES, sizeof(*d) + len, &at, err);
	if (r < 0)
		return r;
	d = tree_dentry(t, at);
	d->dir = dir;
	d->inode = inode;
	d->layer = t->layer;
	d->len = (uint8_t)len;
	memcpy(d->name, name, len);
	dir_insert(t, parent, at);
	t->entries++;
	if (!S_ISDIR(i->mode)) {
		i->nlink++;
		return 0;
	}
	i->depth = (uint16_t)(parent->depth + 1);
	i->dir.self = at;
	parent->nlink++;
	return 0;
}

static int add_new(struct tree *t, aref dir, const char *name, size_t len, const struct meta *m,
		   aref *ret, struct error *err)
{
	aref inode;
	int r = new_inode(t, m, &inode, err);

	if (r == 0)
		r = add_entry(t, dir, name, len, inode, err);
	if (r == 0)
		*ret = inode;
	return r;
}

/* --- walking -------------------------------------------------------------------------------- */

struct walk {
	aref dir;        /* inode of the folder reached */
	size_t at, len;  /* of text */
	unsigned links;  /* symlinks followed */
	char text[3 * TREE_PATH_MAX]; /* [at, len) is still to go */
};

/* Puts the target of a symlink before the rest of the way. */
static int follow(struct tree *t, struct walk *w, const struct inode *link, struct error *err)
{
	size_t rest = w->len - w->at;
	const char *target = arena_at(&t->arena, link->target);

	if (++w->links > TREE_SYMLINKS_MAX)
		return error_set(err, -ELOOP, "more than %d symlinks on the way, or a loop of them",
				 TREE_SYMLINKS_MAX);
	if (rest + link->size > sizeof(w->text))
		return error_set(err, -ENAMETOOLONG, "the path is too long with its symlinks followed");
	memmove(w->text + link->size, w->text + w->at, rest);
	memcpy(w->text, target, link->size);
	w->at = 0;
	w->len = link->size + rest;
	if (target[0] == '/')
		w->dir = t->root;
	return 0;
}

/* One component further, n > 0 bytes. A ".." can only stem from a symlink; at the root it stays
 * there, as in a chroot. -ENOENT and -ENOTDIR without text. */
static int step(struct tree *t, struct walk *w, const char *name, size_t n, bool create,
		struct error *err)
{
	struct inode *i;
	aref entry, made;
	int r;

	if (n == 1 && name[0] == '.')
		return 0;
	if (n == 2 && name[0] == '.' && name[1] == '.') {
		i = tree_inode(t, w->dir);
		if (i->dir.self)
			w->dir = tree_dentry(t, i->dir.self)->dir;
		return 0;
	}
	if (n > TREE_NAME_MAX)
		return error_set(err, -ENAMETOOLONG, "a name is longer than %d bytes", TREE_NAME_MAX);
	entry = dir_find(t, tree_inode(t, w->dir), name, n);
	if (!entry) {
		if (!create)
			return -ENOENT;
		r = add_new(t, w->dir, name, n, &implied_folder, &made, err);
		if (r == 0)
			w->dir = made;
		return r;
	}
	i = tree_inode(t, tree_dentry(t, entry)->inode);
	if (S_ISLNK(i->mode))
		return follow(t, w, i, err);
	if (!S_ISDIR(i->mode))
		return -ENOTDIR;
	w->dir = tree_dentry(t, entry)->inode;
	return 0;
}

/* The folder that p's last component is in. */
static int walk_parent(struct tree *t, const struct path *p, bool create, aref *ret, struct error *err)
{
	struct walk w = { .dir = t->root, .len = p->base };
	int r = 0;

	memcpy(w.text, p->text, p->base);
	while (w.at < w.len && r == 0) {
		char name[TREE_NAME_MAX + 1];
		const char *from = w.text + w.at;
		const char *slash = memchr(from, '/', w.len - w.at);
		size_t n = slash ? (size_t)(slash - from) : w.len - w.at;

		/* A copy, because following a symlink overwrites the text; too long a name is
		 * still too long when cut to 256 bytes. */
		memcpy(name, from, MIN(n, sizeof(name)));
		w.at += n ? n : 1; /* the slash stays: it will follow a symlink's target */
		if (n)
			r = step(t, &w, name, MIN(n, sizeof(name)), create, err);
	}
	if (r == 0)
		*ret = w.dir;
	return r;
}

static int walk_to_make(struct tree *t, const struct path *p, aref *ret, struct error *err)
{
	int r;

	if (p->len - p->base > TREE_NAME_MAX)
		return error_set(err, -ENAMETOOLONG, "a name is longer than %d bytes", TREE_NAME_MAX);
	r = walk_parent(t, p, true, ret, err);
	if (r == -ENOTDIR)
		return error_set(err, r, "a folder on the way is a file");
	return r;
}

int tree_path(struct path *ret, const char *text, struct error *err)
{
	size_t len = 0;

	while (*text) {
		const char *slash = strchrnul(text, '/');
		size_t n = (size_t)(slash - text);

		if (n == 2 && text[0] == '.' && text[1] == '.') {
			const char *cut = memrchr(ret->text, '/', len);

			if (len == 0)
				return error_set(err, -EINVAL, "the path leads out of the image");
			len = cut ? (size_t)(cut - ret->text) : 0;
		} else if (n > 0 && !(n == 1 && text[0] == '.')) {
			if (len + n + 1 > TREE_PATH_MAX)
				return error_set(err, -ENAMETOOLONG, "the path is longer than %d bytes",
						 TREE_PATH_MAX);
			if (len)
				ret->text[len++] = '/';
			memcpy(ret->text + len, text, n);
			len += n;
		}
		text = *slash ? slash + 1 : slash;
	}
	ret->text[len] = 0;
	ret->len = len;
	const char *cut = memrchr(ret->text, '/', len);
	ret->base = cut ? (size_t)(cut - ret->text) + 1 : 0;
	return 0;
}

/* --- the operations ------------------------------------------------------------------------- */

int tree_place(struct tree *t, const struct path *p, const struct meta *m, struct inode **ret,
	       struct error *err)
{
	aref dir, entry, inode;
	int r;

	if (p->len == 0) {
		if (!S_ISDIR(m->mode))
			return error_set(err, -EINVAL, "the root can only be a folder");
		*ret = tree_inode(t, t->root);
		set_meta(*ret, m);
		return 0;
	}
	r = walk_to_make(t, p, &dir, err);
	if (r < 0)
		return r;
	entry = dir_find(t, tree_inode(t, dir), p->text + p->base, p->len - p->base);
	if (entry) {
		struct dentry *d = tree_dentry(t, entry);
		struct inode *old = tree_inode(t, d->inode);

		if (S_ISDIR(old->mode) && S_ISDIR(m->mode)) {
			set_meta(old, m);
			d->layer = t->layer;
			*ret = old;
			return 0;
		}
		r = remove_entry(t, entry, err);
		if (r < 0)
			return r;
	}
	r = add_new(t, dir, p->text + p->base, p->len - p->base, m, &inode, err);
	if (r == 0)
		*ret = tree_inode(t, inode);
	return r;
}

/* The inode at a path, a last symlink not followed; 0 if there is none. */
static int find(struct tree *t, const struct path *p, aref *ret, struct error *err)
{
	aref dir, entry;
	int r = walk_parent(t, p, false, &dir, err);

	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return r;
	entry = r < 0 ? 0 : dir_find(t, tree_inode(t, dir), p->text + p->base, p->len - p->base);
	*ret = entry ? tree_dentry(t, entry)->inode : 0;
	return 0;
}

int tree_link(struct tree *t, const struct path *p, const struct path *target, const struct meta *m,
	      struct inode **ret, struct error *err)
{
	aref dir, entry, inode;
	struct inode *i;
	struct meta merged = *m;
	int r;

	if (p->len == 0)
		return error_set(err, -EINVAL, "the root can only be a folder");
	r = walk_to_make(t, p, &dir, err);
	if (r < 0)
		return r;
	entry = dir_find(t, tree_inode(t, dir), p->text + p->base, p->len - p->base);
	if (entry && (r = remove_entry(t, entry, err)) < 0)
		return r;
	r = find(t, target, &inode, err);
	if (r < 0)
		return r;
	if (!inode)
		return error_set(err, -ENOENT, "a hard link to %.160s, which does not exist", target->text);
	i = tree_inode(t, inode);
	if (S_ISDIR(i->mode))
		return error_set(err, -EPERM, "a hard link to the folder %.160s", target->text);
	merged.mode = (i->mode & S_IFMT) | (S_ISLNK(i->mode) ? 0777 : m->mode & 07777);
	merged.rdev = i->rdev;
	merged.xattrs = i->xattrs;
	merged.xattr_bytes = i->xattr_bytes;
	r = add_entry(t, dir, p->text + p->base, p->len - p->base, inode, err);
	if (r < 0)
		return r;
	set_meta(i, &merged);
	*ret = i;
	return 0;
}

/* The folder of a whiteout, or 0 if there is none to hide anything in. */
static int walk_to_hide(struct tree *t, const struct path *p, aref *ret, struct error *err)
{
	int r = walk_parent(t, p, false, ret, err);

	if (r != -ENOENT && r != -ENOTDIR)
		return r;
	*ret = 0;
	return 0;
}

int tree_remove(struct tree *t, const struct path *p, struct error *err)
{
	aref dir, entry;
	int r = walk_to_hide(t, p, &dir, err);

	if (r < 0 || !dir)
		return r;
	entry = dir_find(t, tree_inode(t, dir), p->text + p->base, p->len - p->base);
	return entry ? remove_entry(t, entry, err) : 0;
}

int tree_hide(struct tree *t, const struct path *p, const char *name, size_t len, struct error *err)
{
	aref dir, entry;
	int r = walk_to_hide(t, p, &dir, err);

	if (r < 0 || !dir)
		return r;
	entry = dir_find(t, tree_inode(t, dir), name, len);
	return entry ? hide_entry(t, entry, err) : 0;
}

int tree_hide_all(struct tree *t, const struct path *p, struct error *err)
{
	aref dir;
	int r = walk_to_hide(t, p, &dir, err);

	return r < 0 || !dir ? r : hide_below(t, tree_inode(t, dir), err);
}

struct dentry *tree_find(struct tree *t, const char *text)
{
	struct path p;
	aref dir, entry;

	if (tree_path(&p, text, NULL) < 0 || p.len == 0 || walk_parent(t, &p, false, &dir, NULL) < 0)
		return NULL;
	entry = dir_find(t, tree_inode(t, dir), p.text + p.base, p.len - p.base);
	return entry ? tree_dentry(t, entry) : NULL;
}

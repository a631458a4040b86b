#include "image/layer.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <string.h>

#include "base/str.h"
#include "image/xattr.h"

#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh." /* aufs' own files, but for the next */
#define WHITEOUT_OPAQUE ".wh..wh..opq"

struct reader {
	struct erofs *erofs;
	const struct layer *layer;
	struct unpack unpack;
	struct archive *tar;  /* owned */
	struct error source;  /* what unpack said when it failed */
	uint64_t reported;    /* blob bytes at the last progress call */
	uint64_t given;       /* bytes given to libarchive */
	bool in_content;      /* content of the current entry is still to come */
	struct path path, target; /* of the current entry; here for their size */
};

/* --- libarchive's source of bytes ----------------------------------------------------------- */

/* The heap (zstd's window, sparse maps in libarchive) and the arena share one budget. */
static void share_memory(struct arena *a)
{
	struct mallinfo2 heap = mallinfo2();
	uint64_t used = heap.uordblks + heap.hblkhd;

	arena_set_window(a, used < ARENA_WINDOW ? ARENA_WINDOW - used : 0);
}

/*
 * Some writers (umoci insert) end a layer behind the last file's content,
 * without filling its block, and docker takes them. libarchive would call that
 * cut short, so the block is filled here; content that is missing stays missing.
 */
static la_ssize_t fill_last_block(struct reader *r, const void **ret)
{
	static const uint8_t zeros[512];
	size_t n = (size_t)(-r->given % sizeof(zeros));

	if (r->in_content)
		return 0;
	r->given += n;
	*ret = zeros;
	return (la_ssize_t)n;
}

static la_ssize_t source_read(struct archive *a, void *ctx, const void **ret)
{
	struct reader *r = ctx;
	const uint8_t *bytes = NULL;
	uint64_t used;
	ssize_t n = unpack_read(&r->unpack, &bytes, &r->source);

	share_memory(&r->erofs->tree.arena);
	used = unpack_consumed(&r->unpack);
	if (n >= 0 && r->layer->progress && used - r->reported >= LAYER_PROGRESS_STEP) {
		int failed = r->layer->progress(r->layer->ctx, used, &r->source);

		r->reported = used;
		if (failed < 0)
			n = failed;
	}
	if (n < 0)
		archive_set_error(a, (int)-n, "%s", r->source.text);
	if (n == 0)
		return fill_last_block(r, ret);
	if (n > 0)
		r->given += (uint64_t)n;
	*ret = bytes;
	return n;
}

/* The reason why libarchive failed: the source's, if it was the source. */
static int tar_error(struct reader *r, struct error *err)
{
	const char *why = archive_error_string(r->tar);

	if (r->source.code)
		return error_set(err, r->source.code, "%s", r->source.text);
	return error_set(err, archive_errno(r->tar) == ENOMEM ? -ENOMEM : -EBADMSG, "bad tar archive: %s",
			 why ? why : "no reason given");
}

static int open_tar(struct reader *r, struct error *err)
{
	struct archive *a = r->tar = archive_read_new();

	if (!a)
		return error_nomem(err);
	archive_read_support_filter_none(a);
	archive_read_support_format_tar(a);
	archive_read_support_format_empty(a);
	return archive_read_open(a, r, NULL, source_read, NULL) < ARCHIVE_WARN ? tar_error(r, err) : 0;
}

/* --- one entry ------------------------------------------------------------------------------ */

static int read_meta(struct reader *r, struct archive_entry *e, struct meta *m, struct error *err)
{
	int64_t mtime = archive_entry_mtime(e);
	uint32_t type = archive_entry_filetype(e);

	if (archive_entry_uid(e) < 0 || archive_entry_uid(e) > UINT32_MAX || archive_entry_gid(e) < 0 ||
	    archive_entry_gid(e) > UINT32_MAX)
		return error_set(err, -ERANGE, "the owner %" PRId64 ":%" PRId64 " is no user and group id",
				 (int64_t)archive_entry_uid(e), (int64_t)archive_entry_gid(e));
	*m = (struct meta){
		.mode = type | (archive_entry_perm(e) & 07777),
		.uid = (uint32_t)archive_entry_uid(e),
		.gid = (uint32_t)archive_entry_gid(e),
		/* Before 1970: docker takes the epoch too. */
		.mtime_s = mtime > 0 ? (uint64_t)mtime : 0,
		.mtime_ns = mtime >= 0 ? (uint32_t)archive_entry_mtime_nsec(e) : 0,
	};
	if (m->mtime_ns > 999999999)
		m->mtime_ns = 0;
	if (type == AE_IFLNK)
		m->mode = AE_IFLNK | 0777;
	if ((type == AE_IFCHR || type == AE_IFBLK) &&
	    erofs_rdev(archive_entry_rdevmajor(e), archive_entry_rdevminor(e), &m->rdev) < 0)
		return error_set(err, -EINVAL, "device number %ju:%ju is too large",
				 (uintmax_t)archive_entry_rdevmajor(e),
				 (uintmax_t)archive_entry_rdevminor(e));
	return xattr_collect(&r->erofs->tree.arena, e, m, err);
}

static int copy_content(struct reader *r, struct archive_entry *e, struct inode *inode, struct error *err)
{
	struct content c;
	const void *p;
	size_t n;
	la_int64_t at;
	int64_t size = archive_entry_size(e);
	int res = content_begin(&c, r->erofs, inode, size > 0 ? (uint64_t)size : 0,
				archive_entry_sparse_count(e) > 0, err);

	r->in_content = size > 0;
	while (res == 0) {
		int got = archive_read_data_block(r->tar, &p, &n, &at);

		if (got >= ARCHIVE_WARN && got != ARCHIVE_EOF && at + (la_int64_t)n >= size)
			r->in_content = false;
		if (got == ARCHIVE_EOF)
			return content_end(&c, err);
		if (got < ARCHIVE_WARN)
			return tar_error(r, err);
		if (n)
			res = content_write(&c, (uint64_t)at, p, n, err);
	}
	return res;
}

static int add_link(struct reader *r, struct archive_entry *e, const char *target, struct error *err)
{
	struct inode *inode;
	struct meta m;
	int res = read_meta(r, e, &m, err);

	if (res == 0)
		res = tree_path(&r->target, target, err);
	if (res == 0)
		res = tree_link(&r->erofs->tree, &r->path, &r->target, &m, &inode, err);
	/* As in cpio, a link may bring the content of the file that it names. */
	if (res < 0 || archive_entry_size(e) <= 0 || !S_ISREG(inode->mode))
		return res;
	res = tree_drop_content(&r->erofs->tree, inode, err);
	return res < 0 ? res : copy_content(r, e, inode, err);
}

static bool is_kept(uint32_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) ||
	       S_ISFIFO(mode);
}

static int add_entry(struct reader *r, struct archive_entry *e, struct error *err)
{
	const char *link = archive_entry_symlink(e), *target = link ? link : "";
	struct tree *t = &r->erofs->tree;
	struct inode *inode;
	struct meta m;
	int res = read_meta(r, e, &m, err);

	if (res < 0)
		return res;
	/* A tar archive has no sockets, and nobody could use one. */
	if (!is_kept(m.mode))
		return 0;
	/* On overlayfs, where docker unpacks, making this device hides the name. It would in the box. */
	if (S_ISCHR(m.mode) && m.rdev == 0)
		return tree_remove(t, &r->path, err);
	res = tree_place(t, &r->path, &m, &inode, err);
	if (res < 0)
		return res;
	if (S_ISLNK(m.mode))
		return content_symlink(r->erofs, inode, target, strlen(target), err);
	return S_ISREG(m.mode) ? copy_content(r, e, inode, err) : 0;
}

/* path is ".../.wh.<name>". */
static int apply_whiteout(struct reader *r, const char *base, struct error *err)
{
	const char *name = base + strlen(WHITEOUT);

	if (str_eq(base, WHITEOUT_OPAQUE))
		return tree_hide_all(&r->erofs->tree, &r->path, err);
	if (str_eq(name, "") || str_eq(name, ".") || str_eq(name, ".."))
		return error_set(err, -EINVAL, "a whiteout of nothing");
	return tree_hide(&r->erofs->tree, &r->path, name, strlen(name), err);
}

/* Is it one of the files that aufs kept in layers, or below such a folder? */
static bool is_aufs(const struct path *p)
{
	const char *at = p->text;

	while (!str_starts(at, WHITEOUT_META)) {
		at = strchrnul(at, '/');
		if (!*at++)
			return false;
	}
	return !str_eq(at, WHITEOUT_OPAQUE);
}

static int apply_entry(struct reader *r, struct archive_entry *e, struct error *err)
{
	const char *name = archive_entry_pathname(e), *link = archive_entry_hardlink(e), *base;
	int res;

	if (!name)
		return error_set(err, -EBADMSG, "bad tar archive: an entry without a name");
	res = tree_path(&r->path, name, err);
	if (res == 0 && !is_aufs(&r->path)) {
		base = r->path.text + r->path.base;
		if (str_starts(base, WHITEOUT))
			res = apply_whiteout(r, base, err);
		else
			res = link ? add_link(r, e, link, err) : add_entry(r, e, err);
	}
	/* A long name must not push the reason out of the line. */
	return res < 0 ? error_prefix(err, "%.160s%s", name, strlen(name) > 160 ? "..." : "") : 0;
}

/* --- the whole ------------------------------------------------------------------------------ */

static int apply_entries(struct reader *r, struct error *err)
{
	struct archive_entry *e;
	int res;

	while ((res = archive_read_next_header(r->tar, &e)) != ARCHIVE_EOF) {
		if (res < ARCHIVE_WARN)
			return tar_error(r, err);
		res = apply_entry(r, e, err);
		if (res < 0)
			return res;
	}
	return 0;
}

/* What follows the end of the archive counts for the digest too. */
static int check_digest(struct reader *r, struct error *err)
{
	char got[DIGEST_HEX + 1], want[DIGEST_HEX + 1];
	const uint8_t *rest;
	ssize_t n;

	while ((n = unpack_read(&r->unpack, &rest, err)) > 0)
		;
	if (n < 0)
		return (int)n;
	unpack_digest(&r->unpack, got);
	if (!r->layer->diff_id)
		return 0;
	str_hex(r->layer->diff_id, DIGEST_HEX / 2, want);
	if (!str_eq(got, want))
		return error_set(err, -EBADMSG, "the content is sha256:%s, but the image says sha256:%s", got,
				 want);
	return 0;
}

int layer_apply(struct erofs *e, const struct layer *l, struct error *err)
{
	struct reader r = { .erofs = e, .layer = l };
	int res = unpack_open(&r.unpack, l->fd, *l->budget, err);

	if (res < 0)
		return res;
	tree_next_layer(&e->tree);
	res = open_tar(&r, err);
	if (res == 0)
		res = apply_entries(&r, err);
	if (res == 0)
		res = check_digest(&r, err);
	*l->budget = r.unpack.budget;
	archive_read_free(r.tar);
	unpack_close(&r.unpack);
	return res;
}

/*
 * Theory of operation. The tree is walked depth first with an open folder for
 * each level, and each entry is looked at and opened by its name in its open
 * parent: a tree that somebody changes meanwhile gives an archive of what was
 * there, never of what a link leads to. `path` is the name of what is being
 * packed; a level appends to it and cuts it off again.
 */
#include "tar/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clean.h"
#include "tar/links.h"

#define UNSIZED_MAX (1 * MIB) /* of a file that says that it is empty and is not, as those in /proc */
#define XATTR_LIST_MAX 65536
#define MQUEUE_MAGIC 0x19800202

struct packer {
	struct tar_writer *writer;
	struct links links; /* files of several names that are in the archive already */
	struct buf values;  /* of the attributes of one file */
	int put_error;      /* the writer's, which has no text: nobody wants the archive any more */
	size_t len;         /* of path */
	char path[TAR_NAME_MAX + 1];
	uint8_t chunk[64 * KIB];
};

static int pack_folder(struct packer *p, int fd, const struct stat *st, struct error *err);

/* What the writer says. */
static int written(struct packer *p, int r, struct error *err)
{
	if (r == -ENAMETOOLONG || r == -E2BIG || r == -EINVAL)
		return error_code(err, r, "cannot put %s into an archive", p->path);
	if (r < 0)
		p->put_error = r;
	return r;
}

/* --- one entry ------------------------------------------------------------------------------- */

static bool is_kept(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0;
}

static int get_xattr(struct packer *p, int fd, const char *name, struct tar_xattr *ret)
{
	ssize_t n = fgetxattr(fd, name, NULL, 0);
	uint8_t *at = n < 0 ? NULL : buf_reserve(&p->values, (size_t)n + 1);

	if (n < 0)
		return errno == ENODATA ? 0 : -errno;
	if (!at)
		return -E2BIG;
	n = fgetxattr(fd, name, at, (size_t)n);
	if (n < 0)
		return errno == ENODATA ? 0 : -errno;
	/* An offset until all are there: the buffer may move. */
	*ret = (struct tar_xattr){ .name = name, .value = (void *)(buf_len(&p->values)), .len = (size_t)n };
	buf_commit(&p->values, (size_t)n);
	return 1;
}

/* The attributes of an open file; `list` has their names and must live as long. */
static int get_xattrs(struct packer *p, int fd, char *list, struct tar_entry *e, struct tar_xattr *xattrs)
{
	ssize_t n = flistxattr(fd, list, XATTR_LIST_MAX);
	const char *at = list;
	size_t i, count = 0;
	int r = 0;

	if (n <= 0)
		return n == 0 || errno == EOPNOTSUPP ? 0 : -errno;
	buf_consume(&p->values, buf_len(&p->values));
	for (; r >= 0 && at < list + n; at += strlen(at) + 1) {
		if (!is_kept(at))
			continue;
		if (count == TAR_XATTRS_MAX)
			return -E2BIG;
		r = get_xattr(p, fd, at, &xattrs[count]);
		count += r == 1;
	}
	for (i = 0; i < count; i++)
		xattrs[i].value = buf_data(&p->values) + (size_t)xattrs[i].value;
	e->xattrs = xattrs;
	e->nxattrs = count;
	return r < 0 ? r : 0;
}

static struct tar_entry entry_of(const struct packer *p, enum tar_type type, const struct stat *st)
{
	return (struct tar_entry){
		.type = type,
		.name = p->path,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
	};
}

/* fd -1: what has no attributes, or none that are kept. */
static int put_entry(struct packer *p, int fd, struct tar_entry *e, struct error *err)
{
	static char list[XATTR_LIST_MAX]; /* one thread, one entry at a time */
	static struct tar_xattr xattrs[TAR_XATTRS_MAX];
	int r = fd < 0 ? 0 : get_xattrs(p, fd, list, e, xattrs);

	if (r < 0)
		return error_code(err, r, "cannot read the attributes of %s", p->path);
	return written(p, tar_put_entry(p->writer, e), err);
}

/* --- files ----------------------------------------------------------------------------------- */

/* Where a file has data; *ret_n 0 with NULL: everywhere. A file of very many pieces has one long one at its end. */
static int find_data(int fd, const struct stat *st, struct tar_extent **ret, size_t *ret_n)
{
	auto_free struct tar_extent *x = NULL;
	struct tar_extent *more;
	off_t at = 0, end, size = st->st_size;
	size_t n = 0, cap = 0;

	*ret = NULL;
	*ret_n = 0;
	if (st->st_blocks >= (size + 511) / 512)
		return 0;
	while (at < size && (at = lseek(fd, at, SEEK_DATA)) >= 0 && at < size) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0 || end > size || n == TAR_EXTENTS_MAX - 2)
			end = size;
		if (n == cap) {
			cap = cap ? cap * 2 : 16;
			more = realloc(x, cap * sizeof(*x));
			if (!more)
				return -ENOMEM;
			x = more;
		}
		x[n++] = (struct tar_extent){ (uint64_t)at, (uint64_t)(end - at) };
		at = end;
	}
	if (at < 0 && errno != ENXIO) /* a file system that does not know: all is data */
		return 0;
	if (n == 1 && x[0].offset == 0 && x[0].len == (uint64_t)size)
		return 0;
	*ret = x ? take_ptr(&x) : calloc(1, sizeof(*x)); /* a file that is one hole */
	*ret_n = n;
	return *ret ? 0 : -ENOMEM;
}

static int copy_data(struct packer *p, int fd, uint64_t at, uint64_t n, struct error *err)
{
	int r = 0;

	while (r == 0 && n) {
		size_t part = (size_t)MIN(n, (uint64_t)sizeof(p->chunk));
		ssize_t got = pread(fd, p->chunk, part, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_sys(err, "cannot read %s", p->path);
		if (got == 0)
			return error_set(err, -EIO, "%s has become shorter while it was read; copy it again", p->path);
		r = written(p, tar_put_data(p->writer, p->chunk, (size_t)got), err);
		at += (uint64_t)got;
		n -= (uint64_t)got;
	}
	return r;
}

/* A file of size 0 may have something to say nevertheless, where the kernel makes it up. */
static int pack_unsized(struct packer *p, int fd, const struct stat *st, struct error *err)
{
	struct tar_entry e = entry_of(p, TAR_FILE, st);
	auto_buf struct buf all = BUF_INIT(UNSIZED_MAX);
	int r = 0;
	ssize_t got = read(fd, p->chunk, sizeof(p->chunk));

	while (r == 0 && got > 0) {
		r = buf_append(&all, p->chunk, (size_t)got);
		got = read(fd, p->chunk, sizeof(p->chunk));
	}
	if (r == 0 && got < 0)
		r = -errno;
	if (r < 0)
		return error_code(err, r, "cannot read %s", p->path);
	e.size = buf_len(&all);
	r = put_entry(p, fd, &e, err);
	return r == 0 ? written(p, tar_put_data(p->writer, buf_data(&all), buf_len(&all)), err) : r;
}

static int pack_file(struct packer *p, int fd, const struct stat *st, struct error *err)
{
	struct tar_entry e = entry_of(p, TAR_FILE, st);
	auto_free struct tar_extent *extents = NULL;
	size_t i, n;
	int r;

	if (st->st_size == 0)
		return pack_unsized(p, fd, st, err);
	r = find_data(fd, st, &extents, &n);
	if (r < 0)
		return error_code(err, r, "cannot read %s", p->path);
	e.size = (uint64_t)st->st_size;
	e.sparse = extents;
	e.extents = extents;
	e.nextents = n;
	r = put_entry(p, fd, &e, err);
	if (!extents)
		return r == 0 ? copy_data(p, fd, 0, e.size, err) : r;
	for (i = 0; r == 0 && i < n; i++)
		r = copy_data(p, fd, extents[i].offset, extents[i].len, err);
	return r;
}

/* --- all kinds ------------------------------------------------------------------------------- */

/* A link by its name in dir; by itself if that is "". */
static int pack_symlink(struct packer *p, int dir, const char *leaf, const struct stat *st, struct error *err)
{
	struct tar_entry e = entry_of(p, TAR_SYMLINK, st);
	char target[4096 + 1];
	ssize_t n = readlinkat(dir, leaf, target, sizeof(target) - 1);

	if (n < 0)
		return error_sys(err, "cannot read the link %s", p->path);
	target[n] = 0;
	e.link = target;
	return put_entry(p, -1, &e, err);
}

static int pack_special(struct packer *p, const struct stat *st, struct error *err)
{
	enum tar_type type = S_ISFIFO(st->st_mode) ? TAR_FIFO : S_ISCHR(st->st_mode) ? TAR_CHAR : TAR_BLOCK_DEVICE;
	struct tar_entry e = entry_of(p, type, st);

	e.major = major(st->st_rdev);
	e.minor = minor(st->st_rdev);
	return put_entry(p, -1, &e, err);
}

/* 1: it is in the archive under another name, and a link to that is put there. */
static int pack_as_link(struct packer *p, const struct stat *st, struct error *err)
{
	struct tar_entry e = entry_of(p, TAR_HARDLINK, st);
	int r;

	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return 0;
	e.link = links_find(&p->links, st->st_dev, st->st_ino);
	if (!e.link) {
		r = links_add(&p->links, st->st_dev, st->st_ino, p->path);
		return r < 0 ? error_nomem(err) : 0;
	}
	r = put_entry(p, -1, &e, err);
	return r < 0 ? r : 1;
}

/* fd is open on it. */
static int pack_open(struct packer *p, int fd, const struct stat *st, struct error *err)
{
	int r = pack_as_link(p, st, err);

	if (r != 0)
		return MIN(r, 0);
	return S_ISDIR(st->st_mode) ? pack_folder(p, fd, st, err) : pack_file(p, fd, st, err);
}

static int pack_at(struct packer *p, int dir, const char *leaf, struct error *err)
{
	const int how = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	auto_fd int fd = -1;
	struct stat st;
	int r;

	if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_sys(err, "cannot look at %s", p->path);
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		fd = openat(dir, leaf, how);
		if (fd < 0 || fstat(fd, &st) < 0)
			return errno == ENOENT ? 0 : error_sys(err, "cannot open %s", p->path);
		if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
			return pack_open(p, fd, &st, err);
	}
	if (S_ISSOCK(st.st_mode))
		return 0;
	r = pack_as_link(p, &st, err);
	if (r != 0)
		return MIN(r, 0);
	return S_ISLNK(st.st_mode) ? pack_symlink(p, dir, leaf, &st, err) : pack_special(p, &st, err);
}

/* --- folders --------------------------------------------------------------------------------- */

/* Where the kernel shows itself: endless, of changing size, and nothing that a copy could be of. */
static bool is_made_up(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case DEVPTS_SUPER_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case BPF_FS_MAGIC:
	case MQUEUE_MAGIC: return true;
	default: return false;
	}
}

static int pack_child(struct packer *p, int dir, const char *leaf, struct error *err)
{
	size_t len = p->len, n = strlen(leaf);
	int r;

	if (len + 1 + n > TAR_NAME_MAX)
		return error_set(err, -ENAMETOOLONG, "the names below %.100s become too long", p->path);
	p->path[len] = '/';
	memcpy(p->path + len + 1, leaf, n + 1);
	p->len = len + 1 + n;
	r = pack_at(p, dir, leaf, err);
	p->path[len] = 0;
	p->len = len;
	return r;
}

static int pack_children(struct packer *p, int fd, struct error *err)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	auto_dir DIR *dir = own < 0 ? NULL : fdopendir(own);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		r = error_sys(err, "cannot read the folder %s", p->path);
		close_fd(&own);
		return r;
	}
	while (r == 0 && (errno = 0, e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = pack_child(p, dirfd(dir), e->d_name, err);
	return r == 0 && errno ? error_sys(err, "cannot read the folder %s", p->path) : r;
}

static int pack_folder(struct packer *p, int fd, const struct stat *st, struct error *err)
{
	struct tar_entry e = entry_of(p, TAR_DIR, st);
	bool is_root = !strchr(p->path, '/');
	int r = put_entry(p, fd, &e, err);

	if (r < 0 || (!is_root && is_made_up(fd)))
		return r;
	return pack_children(p, fd, err);
}

static int pack_root(struct packer *p, int fd, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_sys(err, "cannot look at %s", p->path);
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return pack_open(p, fd, &st, err);
	if (S_ISSOCK(st.st_mode))
		return error_set(err, -EOPNOTSUPP, "%s is a socket, which cannot be copied", p->path);
	return S_ISLNK(st.st_mode) ? pack_symlink(p, fd, "", &st, err) : pack_special(p, &st, err);
}

int pack_tree(const struct pack_options *o, tar_put_fn *put, void *ud, struct error *err)
{
	struct packer *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return error_nomem(err);
	p->writer = tar_writer_new(put, ud);
	buf_init(&p->values, TAR_PAX_MAX);
	p->len = strlen(o->name);
	if (!p->writer)
		r = error_nomem(err);
	else if (p->len == 0 || p->len > TAR_NAME_MAX)
		r = error_set(err, -EINVAL, "no name for the archive");
	else {
		memcpy(p->path, o->name, p->len + 1);
		r = pack_root(p, o->fd, err);
	}
	if (r == 0)
		r = written(p, tar_put_end(p->writer), err);
	if (r < 0 && p->put_error)
		error_code(err, r, "cannot write the archive");
	tar_writer_free(p->writer);
	links_fini(&p->links);
	buf_fini(&p->values);
	free(p);
	return r;
}

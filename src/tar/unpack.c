/*
 * Theory of operation.
 *
 * Names. map_name() makes of an archive's name one below the folder: parts "."
 * are dropped, ".." is refused, and so are absolute names where the process is
 * not boxed. From there on a name is walked part by part (open_folder()), each
 * opened in the one before and never through a link: a link that the archive
 * has made leads nobody anywhere. The folder that was walked to last is kept
 * open, as entries of one folder follow each other. It cannot have become
 * something else: a folder is never replaced.
 *
 * Entries. A file is made anew (O_EXCL) in the place of what had its name, so
 * nothing is ever written into a file that was there, whose other names could
 * be anywhere.
 *
 * Folders are made with mode 0700 and get their mode, owner and time at the
 * end, in reverse order: nothing of them hinders what comes into them. Until
 * then they are in a list, which has a ceiling.
 */
#include "tar/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"

#define FOLDERS_BYTES_MAX (256 * MIB)

/* A folder whose mode, owner and time are set at the end. */
struct folder {
	uint32_t mode, uid, gid, mtime_ns;
	int64_t mtime;
	char name[];
};

struct unpacker {
	const struct unpack_options *o;
	struct tar_reader *reader;
	struct unpack_result *result;
	bool chowns;               /* owners are set */
	uid_t uid;                 /* the caller's */
	bool begun;                /* the first entry of `place` is known */
	bool first_is_folder;
	int parent_fd;             /* owned, -1: none; the folder called `parent` */
	struct folder **folders;   /* owned, each */
	size_t nfolders, cap, folder_bytes;
	char first[TAR_NAME_MAX + 1];  /* of `place`: what the archive calls its first entry; "": the top */
	char parent[TAR_NAME_MAX + 1];
	char name[2 * TAR_NAME_MAX + 2]; /* of the entry, below the folder; "": the folder itself */
	char link[2 * TAR_NAME_MAX + 2]; /* of a hard link: what it is a name of, likewise */
};

/* --- names ----------------------------------------------------------------------------------- */

/* A name without empty parts and parts "."; "" if nothing is left. */
static int clean_name(const struct unpacker *u, const char *name, char *out, struct error *err)
{
	const char *whole = name;
	char *to = out;

	if (*name == '/' && !(u->o->boxed && !u->o->place))
		return error_set(err, -EPERM, "the archive has the absolute name %.300s", name);
	while (*name) {
		size_t n = strcspn(name, "/");

		if (n == 2 && name[0] == '.' && name[1] == '.')
			return error_set(err, -EPERM, "the archive has the name %.300s, which leads out of it", whole);
		if (n && !(n == 1 && name[0] == '.')) {
			if (to != out)
				*to++ = '/';
			memcpy(to, name, n);
			to += n;
		}
		name += n + (name[n] == '/');
	}
	*to = 0;
	return 0;
}

/* What the first entry becomes. */
static const char *placed(const struct unpacker *u)
{
	if (u->o->leaf)
		return u->o->leaf;
	/* "folder/." into a folder; of anything else the name stays. */
	return u->o->name ? u->o->name : "";
}

/* The archive's name as one below the folder. */
static int map_name(struct unpacker *u, const char *name, char *out, struct error *err)
{
	size_t n = strlen(u->first), m;
	int r = clean_name(u, name, out, err);

	if (r < 0 || !u->o->place)
		return r;
	if (n && (strncmp(out, u->first, n) != 0 || (out[n] && out[n] != '/')))
		return error_set(err, -EPERM, "the archive has %.200s, which is not part of what was copied", name);
	if (n == 0 && *out) {
		memmove(out + 1, out, strlen(out) + 1);
		*out = '/';
	}
	m = strlen(placed(u));
	memmove(out + m, out + n, strlen(out + n) + 1);
	memcpy(out, placed(u), m);
	if (m == 0 && *out == '/')
		memmove(out, out + 1, strlen(out));
	return 0;
}

static int begin(struct unpacker *u, const struct tar_entry *e, struct error *err)
{
	int r = clean_name(u, e->name, u->first, err);

	if (r < 0)
		return r;
	u->begun = true;
	u->first_is_folder = e->type == TAR_DIR;
	if (e->type == TAR_DIR)
		return 0;
	if (!*u->first || !*placed(u))
		return error_set(err, -EPERM, "the archive is of a file where it should be of a folder");
	if (u->o->leaf && u->o->leaf_is_folder)
		return error_set(err, -ENOENT, "there is no folder %s to copy a file into; make it first", u->o->leaf);
	return 0;
}

/* --- folders --------------------------------------------------------------------------------- */

static int open_part(const struct unpacker *u, int at, const char *part)
{
	const int how = O_PATH | O_DIRECTORY | O_CLOEXEC | (u->o->boxed ? 0 : O_NOFOLLOW);
	int fd = openat(at, part, how);

	/* A tar need not have an entry for each folder. */
	if (fd < 0 && errno == ENOENT && mkdirat(at, part, 0755) == 0)
		fd = openat(at, part, how);
	return fd < 0 ? -errno : fd;
}

/* Opens the folder of that name, of n bytes, below the folder at. An fd that is the caller's. */
static int walk(const struct unpacker *u, const char *name, size_t n, struct error *err)
{
	int at = fcntl(u->o->dir, F_DUPFD_CLOEXEC, 0), next;
	const char *p = name, *end = name + n;
	char part[256];

	while (at >= 0 && p < end) {
		size_t len = strcspn(p, "/");

		if (len > (size_t)(end - p))
			len = (size_t)(end - p);
		next = -ENAMETOOLONG;
		if (len < sizeof(part)) {
			memcpy(part, p, len);
			part[len] = 0;
			next = open_part(u, at, part);
		}
		close(at);
		at = next;
		p += len + 1;
	}
	if (at == -ENOTDIR || at == -ELOOP)
		return error_set(err, -ENOTDIR, "%.*s is not a folder, and the archive wants to put something into it",
				 (int)MIN(n, (size_t)300), name);
	return at < 0 ? error_code(err, at, "cannot open the folder %.*s", (int)MIN(n, (size_t)300), name) : at;
}

/* The folder that u->name is in, borrowed, and its name there. */
static int open_parent(struct unpacker *u, const char **ret_leaf, struct error *err)
{
	const char *slash = strrchr(u->name, '/');
	size_t n = slash ? (size_t)(slash - u->name) : 0;
	int fd;

	*ret_leaf = slash ? slash + 1 : u->name;
	if (u->parent_fd >= 0 && strlen(u->parent) == n && memcmp(u->parent, u->name, n) == 0)
		return u->parent_fd;
	if (n > TAR_NAME_MAX)
		return error_set(err, -ENAMETOOLONG, "a name in the archive is too long");
	fd = walk(u, u->name, n, err);
	if (fd < 0)
		return fd;
	close_fd(&u->parent_fd);
	u->parent_fd = fd;
	memcpy(u->parent, u->name, n);
	u->parent[n] = 0;
	return fd;
}

static int add_folder(struct unpacker *u, const struct tar_entry *e, struct error *err)
{
	size_t n = strlen(u->name) + 1;
	struct folder *f, **more;

	u->folder_bytes += sizeof(*f) + sizeof(f) + n;
	if (u->folder_bytes > FOLDERS_BYTES_MAX)
		return error_set(err, -E2BIG, "the archive has too many folders");
	if (u->nfolders == u->cap) {
		u->cap = u->cap ? u->cap * 2 : 64;
		more = realloc(u->folders, u->cap * sizeof(*more));
		if (!more)
			return error_nomem(err);
		u->folders = more;
	}
	f = malloc(sizeof(*f) + n);
	if (!f)
		return error_nomem(err);
	f->mode = e->mode;
	f->uid = e->uid;
	f->gid = e->gid;
	f->mtime = e->mtime;
	f->mtime_ns = e->mtime_ns;
	memcpy(f->name, u->name, n);
	u->folders[u->nfolders++] = f;
	return 0;
}

/* At the end, by "." of the folder, which is opened as any other. */
static int finish_folder(struct unpacker *u, const struct folder *f, struct error *err)
{
	auto_fd int fd = walk(u, f->name, strlen(f->name), err);
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
					   { .tv_sec = (time_t)f->mtime, .tv_nsec = (long)f->mtime_ns } };

	if (fd < 0)
		return fd;
	if (u->chowns && fchownat(fd, ".", f->uid, f->gid, 0) < 0)
		return error_sys(err, "cannot set the owner of %.300s", f->name);
	/* The time first: without the right to enter it, the folder is closed to its owner, too. */
	if (utimensat(fd, ".", times, 0) < 0 || fchmodat(fd, ".", f->mode, 0) < 0)
		return error_sys(err, "cannot set the mode and time of %.300s", f->name);
	return 0;
}

static int finish_folders(struct unpacker *u, struct error *err)
{
	int r = 0;

	while (r == 0 && u->nfolders) {
		r = finish_folder(u, u->folders[u->nfolders - 1], err);
		free(u->folders[--u->nfolders]);
	}
	return r;
}

/* --- attributes ------------------------------------------------------------------------------ */

/* Attributes are kept where they can be: not each file system has them. */
static int set_xattrs(const struct unpacker *u, int fd, const struct tar_entry *e, struct error *err)
{
	size_t i;

	for (i = 0; i < e->nxattrs; i++) {
		const struct tar_xattr *x = &e->xattrs[i];

		if (strncmp(x->name, "user.", 5) != 0 && !(u->o->boxed && strcmp(x->name, "security.capability") == 0))
			continue;
		if (fsetxattr(fd, x->name, x->value, x->len, 0) < 0 && errno != EOPNOTSUPP && errno != EPERM)
			return error_sys(err, "cannot set the attribute %.60s of %.300s", x->name, u->name);
	}
	return 0;
}

/* Bits that make a program run as its owner are for the owner that the archive means. */
static uint32_t mode_of(const struct unpacker *u, const struct tar_entry *e)
{
	bool same = u->chowns || (u->o->owners && e->uid == u->uid);

	return same ? e->mode : e->mode & ~(uint32_t)06000;
}

static int finish_file(const struct unpacker *u, int fd, const struct tar_entry *e, struct error *err)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
					   { .tv_sec = (time_t)e->mtime, .tv_nsec = (long)e->mtime_ns } };
	int r;

	/* In this order: a new owner takes such bits and capabilities away. */
	if (u->chowns && fchown(fd, e->uid, e->gid) < 0)
		return error_sys(err, "cannot set the owner of %.300s", u->name);
	if (fchmod(fd, mode_of(u, e)) < 0)
		return error_sys(err, "cannot set the mode of %.300s", u->name);
	r = set_xattrs(u, fd, e, err);
	if (r == 0 && futimens(fd, times) < 0)
		return error_sys(err, "cannot set the time of %.300s", u->name);
	return r;
}

static int finish_special(const struct unpacker *u, int dir, const char *leaf, const struct tar_entry *e,
			  struct error *err)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
					   { .tv_sec = (time_t)e->mtime, .tv_nsec = (long)e->mtime_ns } };

	if (u->chowns && fchownat(dir, leaf, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "cannot set the owner of %.300s", u->name);
	if (utimensat(dir, leaf, times, AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "cannot set the time of %.300s", u->name);
	return 0;
}

/* --- entries --------------------------------------------------------------------------------- */

/* Makes room for what is not a folder: 0, or 1 if what is there cannot go and may be written into. */
static int clear_way(const struct unpacker *u, int dir, const char *leaf, struct error *err)
{
	struct stat st;

	if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : error_sys(err, "cannot look at %.300s", u->name);
	if (S_ISDIR(st.st_mode))
		return error_set(err, -EISDIR, "%.300s is a folder and is not replaced by a file", u->name);
	if (unlinkat(dir, leaf, 0) == 0 || errno == ENOENT)
		return 0;
	/* A file that is mounted there, as /etc/hosts of a box. */
	if (errno == EBUSY && u->o->boxed && S_ISREG(st.st_mode))
		return 1;
	return error_sys(err, "cannot replace %.300s", u->name);
}

static int write_data(struct unpacker *u, int fd, const struct tar_entry *e, struct error *err)
{
	const void *data;
	uint64_t at;
	ssize_t n;
	int r;

	while ((n = tar_data(u->reader, &data, &at, err)) > 0) {
		r = io_pwrite_full(fd, data, (size_t)n, at);
		if (r < 0)
			return error_code(err, r, "cannot write %.300s", u->name);
	}
	if (n < 0)
		return (int)n;
	if (e->sparse && ftruncate(fd, (off_t)e->size) < 0)
		return error_sys(err, "cannot write %.300s", u->name);
	return 0;
}

#define MAKE_TRIES 100 /* each is lost only to another copy that makes a file there */

/* The file, open and empty. *ret_there: it is one that cannot go, and is written into. */
static int open_file(const struct unpacker *u, int dir, const char *leaf, bool *ret_there, struct error *err)
{
	const int how = O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC;
	int fd, there, tries = 0;

	do {
		there = clear_way(u, dir, leaf, err);
		if (there < 0)
			return there;
		fd = openat(dir, leaf, how | (there ? O_TRUNC : O_CREAT | O_EXCL), 0600);
	} while (fd < 0 && errno == EEXIST && ++tries < MAKE_TRIES);
	*ret_there = there;
	return fd < 0 ? error_sys(err, "cannot make the file %.300s", u->name) : fd;
}

/* A part of a file is worse than none; but what another copy has put in its place meanwhile is not ours. */
static void take_back(int dir, const char *leaf, int fd)
{
	struct stat ours, now;

	if (fstat(fd, &ours) == 0 && fstatat(dir, leaf, &now, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_ino == now.st_ino &&
	    ours.st_dev == now.st_dev)
		unlinkat(dir, leaf, 0);
}

static int make_file(struct unpacker *u, const struct tar_entry *e, struct error *err)
{
	const char *leaf;
	int dir = open_parent(u, &leaf, err), r;
	auto_fd int fd = -1;
	bool there;

	if (dir < 0)
		return dir;
	fd = open_file(u, dir, leaf, &there, err);
	if (fd < 0)
		return fd;
	r = write_data(u, fd, e, err);
	if (r == 0)
		r = finish_file(u, fd, e, err);
	if (r < 0 && !there)
		take_back(dir, leaf, fd);
	return r;
}

static int make_link(struct unpacker *u, const struct tar_entry *e, struct error *err)
{
	const char *leaf, *slash;
	int dir, r = map_name(u, e->link, u->link, err);
	auto_fd int from = -1;

	if (r < 0)
		return r;
	slash = strrchr(u->link, '/');
	from = walk(u, u->link, slash ? (size_t)(slash - u->link) : 0, err);
	if (from < 0)
		return from;
	dir = open_parent(u, &leaf, err);
	/* Two entries of the same name and one file: it is that already. */
	if (dir < 0 || strcmp(u->link, u->name) == 0)
		return MIN(dir, 0);
	r = clear_way(u, dir, leaf, err);
	if (r != 0)
		return r < 0 ? r : error_set(err, -EBUSY, "cannot replace %.300s, which is mounted there", u->name);
	if (linkat(from, slash ? slash + 1 : u->link, dir, leaf, 0) < 0)
		return error_sys(err, "cannot make %.200s another name of %.200s", u->name, u->link);
	return 0;
}

static bool is_device(const struct tar_entry *e)
{
	return e->type == TAR_CHAR || e->type == TAR_BLOCK_DEVICE;
}

static void leave_out(struct unpacker *u)
{
	if (u->result->left_out++ == 0)
		snprintf(u->result->first_left_out, sizeof(u->result->first_left_out), "%s", u->name);
}

static int make_special(struct unpacker *u, const struct tar_entry *e, struct error *err)
{
	static const mode_t types[] = { [TAR_CHAR] = S_IFCHR, [TAR_BLOCK_DEVICE] = S_IFBLK, [TAR_FIFO] = S_IFIFO };
	const char *leaf;
	int dir, r;

	if (is_device(e) && !u->o->boxed) {
		leave_out(u);
		return 0;
	}
	dir = open_parent(u, &leaf, err);
	r = dir < 0 ? dir : clear_way(u, dir, leaf, err);
	if (r != 0)
		return r < 0 ? r : error_set(err, -EBUSY, "cannot replace %.300s, which is mounted there", u->name);
	if (e->type == TAR_SYMLINK)
		r = symlinkat(e->link, dir, leaf);
	else
		r = mknodat(dir, leaf, types[e->type] | (mode_of(u, e) & 0777), makedev(e->major, e->minor));
	if (r < 0)
		return error_sys(err, "cannot make %.300s", u->name);
	return finish_special(u, dir, leaf, e, err);
}

/* A folder that is there already is kept and becomes as the archive says; a link to one, in a box, stays as it is. */
static int make_folder(struct unpacker *u, const struct tar_entry *e, struct error *err)
{
	const char *leaf;
	struct stat st;
	int dir = open_parent(u, &leaf, err);
	auto_fd int fd = -1;
	int r;

	if (dir < 0)
		return dir;
	if (mkdirat(dir, leaf, 0700) < 0) {
		if (errno != EEXIST)
			return error_sys(err, "cannot make the folder %.300s", u->name);
		if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return error_sys(err, "cannot look at %.300s", u->name);
		if (S_ISLNK(st.st_mode) && u->o->boxed && fstatat(dir, leaf, &st, 0) == 0 && S_ISDIR(st.st_mode))
			return 0;
		if (!S_ISDIR(st.st_mode))
			return error_set(err, -ENOTDIR, "%.300s is not a folder and is not replaced by one", u->name);
	}
	if (e->nxattrs) {
		fd = openat(dir, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 ? error_sys(err, "cannot open the folder %.300s", u->name) : set_xattrs(u, fd, e, err);
		if (r < 0)
			return r;
	}
	return add_folder(u, e, err);
}

static int unpack_entry(struct unpacker *u, const struct tar_entry *e, struct error *err)
{
	int r = u->o->place && !u->begun ? begin(u, e, err) : 0;

	if (r == 0)
		r = map_name(u, e->name, u->name, err);
	if (r < 0)
		return r;
	if (!*u->name) /* where all comes into: it is somebody else's, and stays as it is */
		return e->type == TAR_DIR ? 0 : error_set(err, -EPERM, "the archive wants to replace the folder it goes to");
	switch (e->type) {
	case TAR_FILE: return make_file(u, e, err);
	case TAR_DIR: return make_folder(u, e, err);
	case TAR_HARDLINK: return make_link(u, e, err);
	default: return make_special(u, e, err);
	}
}

static void unpacker_free(struct unpacker *u)
{
	while (u->nfolders)
		free(u->folders[--u->nfolders]);
	free(u->folders);
	close_fd(&u->parent_fd);
	tar_reader_free(u->reader);
	free(u);
}

int unpack_tree(const struct unpack_options *o, tar_fill_fn *fill, void *ud, struct unpack_result *ret,
		struct error *err)
{
	struct unpacker *u = calloc(1, sizeof(*u));
	struct error later = { 0 };
	struct tar_entry e;
	int r, finished;

	if (!u)
		return error_nomem(err);
	u->o = o;
	u->result = ret;
	u->parent_fd = -1;
	u->uid = geteuid();
	u->chowns = o->owners && u->uid == 0;
	u->reader = tar_reader_new(fill, ud);
	if (!u->reader) {
		unpacker_free(u);
		return error_nomem(err);
	}
	while ((r = tar_next(u->reader, &e, err)) > 0 && (r = unpack_entry(u, &e, err)) == 0)
		;
	/* Also after a failure: no folder stays closed because of it. */
	finished = finish_folders(u, &later);
	if (r == 0 && finished < 0) {
		r = finished;
		if (err)
			*err = later;
	}
	if (r == 0 && o->place && !u->begun)
		r = error_set(err, -ENODATA, "there was nothing in the archive");
	if (r == 0)
		tar_drain(u->reader);
	unpacker_free(u);
	return r;
}

#include "image/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#define PARTIAL_SUFFIX ".partial"
#define PARTIAL_MAX_AGE_S (7 * 24 * 3600)

int store_open(struct store *s, int dir, struct error *err)
{
	*s = STORE_NONE;
	s->dir = dir;
	s->blobs = io_open_dir_at(dir, "blobs/sha256", 0700);
	if (s->blobs >= 0)
		s->rootfs = io_open_dir_at(dir, "rootfs", 0700);
	if (s->rootfs >= 0)
		s->tmp = io_open_dir_at(dir, "tmp", 0700);
	if (s->tmp < 0) {
		int r = s->blobs < 0 ? s->blobs : s->rootfs < 0 ? s->rootfs : s->tmp;

		store_close(s);
		return error_code(err, r, "cannot open the image store");
	}
	return 0;
}

void store_close(struct store *s)
{
	close_fd(&s->blobs);
	close_fd(&s->rootfs);
	close_fd(&s->tmp);
	*s = STORE_NONE;
}

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);

	return n >= k && str_eq(s + n - k, suffix);
}

/* Is this unlocked file or folder of tmp/ of no more use? Called with its lock held. */
static bool is_litter(const char *name, const struct stat *st)
{
	if (!ends_with(name, PARTIAL_SUFFIX))
		return true;
	return st->st_size == 0 || time(NULL) - st->st_mtime > PARTIAL_MAX_AGE_S;
}

/* Does the name still lead to the file that was locked? Else its holder published or removed it between our open and
 * our lock, and another may have made a new one. *ret_locked is filled in then. */
static bool is_current(const struct store *s, const char *name, int fd, struct stat *ret_locked)
{
	struct stat named;

	return fstat(fd, ret_locked) == 0 && fstatat(s->tmp, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       named.st_dev == ret_locked->st_dev && named.st_ino == ret_locked->st_ino;
}

void store_sweep(const struct store *s)
{
	auto_dir DIR *d = NULL;
	struct dirent *e;
	int again = openat(s->tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	d = again < 0 ? NULL : fdopendir(again);
	if (!d) {
		close_fd(&again);
		return;
	}
	while ((e = readdir(d))) {
		auto_fd int fd = -1;
		struct stat st;

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		fd = openat(s->tmp, e->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || io_lock(fd, LOCK_EX | LOCK_NB) < 0 || !is_current(s, e->d_name, fd, &st))
			continue;
		if (is_litter(e->d_name, &st) && io_remove_tree_at(s->tmp, e->d_name) == 0)
			log_info("removed the leftover tmp/%s", e->d_name);
	}
}

int store_blob_size(const struct store *s, const char *hex, uint64_t *ret)
{
	struct stat st;

	if (fstatat(s->blobs, hex, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return -ENOENT;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int store_blob_open(const struct store *s, const char *hex, struct error *err)
{
	int fd = openat(s->blobs, hex, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? error_sys(err, "cannot open blob sha256:%.12s", hex) : fd;
}

int store_blob_read(const struct store *s, const char *hex, struct buf *b, struct error *err)
{
	auto_fd int fd = store_blob_open(s, hex, err);
	int r;

	if (fd < 0)
		return fd;
	r = io_read_rest(fd, b);
	if (r == -ENOBUFS)
		return error_set(err, r, "blob sha256:%.12s is larger than %zu bytes", hex, b->max);
	return r < 0 ? error_code(err, r, "cannot read blob sha256:%.12s", hex) : 0;
}

int store_blob_write(const struct store *s, const char *hex, const void *p, size_t n, struct error *err)
{
	struct claim c = CLAIM_NONE;
	uint64_t size;
	int r;

	if (store_blob_size(s, hex, &size) == 0)
		return 0;
	/* A name of its own, not the blob's: a stalled download of it elsewhere must not hold this up. */
	r = claim_scratch(&c, s);
	if (r == 0) {
		snprintf(c.final, sizeof(c.final), "%s", hex);
		c.final_dir = s->blobs;
		r = io_write_full(c.fd, p, n);
	}
	if (r == 0)
		r = claim_publish(&c);
	claim_drop(&c, false);
	return r < 0 ? store_write_error(s, r, err) : 0;
}

int store_sync_names(const struct store *s, struct error *err)
{
	if (fsync(s->blobs) < 0 || fsync(s->rootfs) < 0)
		return error_sys(err, "cannot sync the image store");
	return 0;
}

int store_write_error(const struct store *s, int code, struct error *err)
{
	char path[256] = "the image store", link[32], size[24] = "nothing";
	struct statvfs v;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", s->dir);
	n = readlink(link, path, sizeof(path) - 1);
	if (n > 0)
		path[n] = 0;
	if (code == -EDQUOT)
		return error_set(err, code, "the disk quota for %s is used up: remove images or boxes", path);
	if (code != -ENOSPC)
		return error_code(err, code, "cannot write to %s", path);
	if (fstatvfs(s->dir, &v) == 0 && v.f_bavail)
		str_format_size((uint64_t)v.f_bavail * v.f_frsize, size);
	return error_set(err, code, "the file system of %s is full (%s free): remove images or boxes, "
				    "or free space there", path, size);
}

/* --- claims ----------------------------------------------------------------------------------- */

void claim_blob(struct claim *c, const struct store *s, const char *hex)
{
	*c = CLAIM_NONE;
	c->store = s;
	c->final_dir = s->blobs;
	snprintf(c->name, sizeof(c->name), "%.64s" PARTIAL_SUFFIX, hex);
	snprintf(c->final, sizeof(c->final), "%.64s", hex);
}

void claim_rootfs(struct claim *c, const struct store *s, const char *file)
{
	*c = CLAIM_NONE;
	c->store = s;
	c->final_dir = s->rootfs;
	snprintf(c->name, sizeof(c->name), "%.80s.build", file);
	snprintf(c->final, sizeof(c->final), "%.80s", file);
}

static bool is_published(const struct claim *c)
{
	struct stat st;

	return c->final[0] && fstatat(c->final_dir, c->final, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int take(struct claim *c, int how)
{
	struct stat st;

	for (;;) {
		int r;

		if (is_published(c))
			return CLAIM_PRESENT;
		c->fd = openat(c->store->tmp, c->name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (c->fd < 0)
			return -errno;
		r = io_lock(c->fd, how);
		if (r < 0) {
			close_fd(&c->fd);
			return r == -EWOULDBLOCK ? CLAIM_BUSY : r;
		}
		if (is_current(c->store, c->name, c->fd, &st))
			break;
		close_fd(&c->fd);
	}
	if (is_published(c)) { /* between the question above and the open, which then made an empty file */
		claim_drop(c, false);
		return CLAIM_PRESENT;
	}
	return CLAIM_HELD;
}

int claim_try(struct claim *c)
{
	return take(c, LOCK_EX | LOCK_NB);
}

int claim_wait(struct claim *c)
{
	return take(c, LOCK_EX);
}

int claim_scratch(struct claim *c, const struct store *s)
{
	uint64_t salt;
	int r;

	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
		return -EIO;
	*c = CLAIM_NONE;
	c->store = s;
	snprintf(c->name, sizeof(c->name), "%016llx.new", (unsigned long long)salt);
	r = claim_wait(c); /* nobody else can want this name; a sweep lets go at once */
	return r < 0 ? r : 0;
}

int claim_publish(struct claim *c)
{
	if (fdatasync(c->fd) < 0 || renameat(c->store->tmp, c->name, c->final_dir, c->final) < 0)
		return -errno;
	close_fd(&c->fd);
	return 0;
}

void claim_drop(struct claim *c, bool keep)
{
	if (c->fd < 0)
		return;
	/* Unlinked while locked: whoever waits for the lock then sees that the name is gone. */
	if (!keep)
		unlinkat(c->store->tmp, c->name, 0);
	close_fd(&c->fd);
}

#include "image/source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"

#define COPY_BUFFER MIB
#define LINKS_MAX 8 /* one leading to another */

/* --- opening and closing ------------------------------------------------------------------------ */

/* A new folder in tmp/, locked so that no sweep removes it. */
static int make_spool(struct source *s, struct error *err)
{
	const struct store *store = &s->fetch->store;
	uint64_t salt;
	struct stat st;

	for (;;) {
		if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
			return error_sys(err, "getrandom");
		snprintf(s->spool, sizeof(s->spool), "%016llx.load", (unsigned long long)salt);
		if (mkdirat(store->tmp, s->spool, 0700) < 0)
			return store_write_error(store, -errno, err);
		s->dir = openat(store->tmp, s->spool, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (s->dir >= 0 && flock(s->dir, LOCK_EX) == 0 && fstat(s->dir, &st) == 0 && st.st_nlink > 0)
			return 0;
		if (s->dir < 0 && errno != ENOENT)
			return error_sys(err, "cannot open tmp/%s", s->spool);
		close_fd(&s->dir); /* a sweep was between the two steps: another name */
	}
}

int source_open(struct source *s, struct fetch *f, int fd, struct error *err)
{
	struct stat st;
	int r;

	*s = SOURCE_NONE;
	s->fetch = f;
	if (fstat(fd, &st) < 0)
		return error_sys(err, "fd %d, the source", fd);
	if (S_ISDIR(st.st_mode)) {
		s->dir = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		return s->dir < 0 ? error_sys(err, "the source") : 0;
	}
	r = make_spool(s, err);
	return r < 0 ? r : archive_unpack(s, fd, err);
}

void source_close(struct source *s)
{
	size_t i;

	if (s->spool[0])
		io_remove_tree_at(s->fetch->store.tmp, s->spool);
	close_fd(&s->dir);
	for (i = 0; i < s->n; i++) {
		free(s->files[i].path);
		free(s->files[i].link);
	}
	free(s->files);
	*s = SOURCE_NONE;
}

/* --- finding ------------------------------------------------------------------------------------ */

/* The file that an archive has at path; the last of that name, as when unpacking. */
static struct source_file *find(const struct source *s, const char *path)
{
	unsigned hops;

	for (hops = 0; path && hops < LINKS_MAX; hops++) {
		struct source_file *f = NULL;
		size_t i;

		for (i = s->n; i-- > 0 && !f;)
			if (str_eq(s->files[i].path, path))
				f = &s->files[i];
		if (!f || !f->link)
			return f;
		path = f->link;
	}
	return NULL;
}

static int open_beneath(int dir, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int open_number(const struct source *s, const struct source_file *f)
{
	char name[24];
	int fd;

	if (f->moved)
		return openat(s->fetch->store.blobs, f->hex, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(name, sizeof(name), "%zu", (size_t)(f - s->files));
	fd = openat(s->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A regular file of the source: fd or -errno. */
static int open_file(const struct source *s, const char *path)
{
	const struct source_file *f;
	struct stat st;
	int fd;

	if (s->spool[0]) {
		f = find(s, path);
		return f ? open_number(s, f) : -ENOENT;
	}
	fd = open_beneath(s->dir, path);
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

bool source_has(const struct source *s, const char *path)
{
	auto_fd int fd = open_file(s, path);

	return fd >= 0;
}

int source_read(const struct source *s, const char *path, struct buf *b, struct error *err)
{
	auto_fd int fd = open_file(s, path);
	int r = fd < 0 ? fd : io_read_rest(fd, b);

	if (r == -ENOBUFS)
		return error_set(err, -EFBIG, "%.200s is larger than %zu bytes", path, b->max);
	return r < 0 ? error_code(err, r, "cannot read %.200s", path) : 0;
}

/* --- into the store ----------------------------------------------------------------------------- */

static int check_blob(const char *path, const char *hex, uint64_t size, const struct descriptor *want,
		      uint64_t max, struct error *err)
{
	if (want && size != want->size)
		return error_set(err, -EBADMSG, "%.200s has %llu bytes, not the %llu of its descriptor", path,
				 (unsigned long long)size, (unsigned long long)want->size);
	if (size > max)
		return error_set(err, -EFBIG, "%.200s is larger than the %llu bytes allowed", path,
				 (unsigned long long)max);
	if (want && memcmp(hex, want->hex, DIGEST_HEX) != 0)
		return error_set(err, -EBADMSG, "%.200s does not have the content of its digest (it has sha256:%.12s)",
				 path, hex);
	return 0;
}

/* Copies and hashes the rest of fd into the claim's file, at most max bytes. */
static int copy_hashed(struct source *s, int fd, struct claim *c, uint64_t max, struct descriptor *ret,
		       struct error *err)
{
	struct digest d = { 0 };
	uint8_t *mem = malloc(COPY_BUFFER);
	uint64_t size = 0;
	ssize_t n = 0;
	int r = mem ? digest_begin(&d) : -ENOMEM;

	while (r == 0 && size <= max) {
		n = read(fd, mem, COPY_BUFFER);
		if (n <= 0)
			break;
		digest_add(&d, mem, (size_t)n);
		r = io_write_full(c->fd, mem, (size_t)n);
		if (r < 0)
			store_write_error(&s->fetch->store, r, err);
		else
			r = fetch_check(s->fetch, -1, err);
		size += (uint64_t)n;
	}
	if (r == 0 && n < 0)
		r = error_sys(err, "cannot read the source");
	else if (r == -ENOMEM)
		error_nomem(err);
	if (r == 0) {
		digest_end(&d, ret->hex);
		ret->size = size;
	}
	digest_fini(&d);
	free(mem);
	return r;
}

static int blob_from_folder(struct source *s, const char *path, const struct descriptor *want, uint64_t max,
			    struct descriptor *ret, struct error *err)
{
	auto_fd int fd = open_file(s, path);
	const struct store *store = &s->fetch->store;
	struct claim c = CLAIM_NONE;
	struct descriptor got;
	int r;

	if (fd == -ENOENT)
		return error_set(err, -EBADMSG, "the folder has no %.200s", path);
	if (fd < 0)
		return error_code(err, fd, "cannot open %.200s", path);
	r = claim_scratch(&c, store);
	if (r < 0)
		return store_write_error(store, r, err);
	r = copy_hashed(s, fd, &c, want ? want->size : max, &got, err);
	if (r == 0)
		r = check_blob(path, got.hex, got.size, want, max, err);
	if (r == 0) {
		c.final_dir = store->blobs;
		memcpy(c.final, got.hex, sizeof(got.hex));
		r = claim_publish(&c);
		if (r < 0)
			store_write_error(store, r, err);
	}
	claim_drop(&c, false);
	if (r == 0)
		*ret = got;
	return r;
}

static int blob_from_archive(struct source *s, const char *path, const struct descriptor *want, uint64_t max,
			     struct descriptor *ret, struct error *err)
{
	const struct store *store = &s->fetch->store;
	struct source_file *f = find(s, path);
	char name[24];
	int r;

	if (!f)
		return error_set(err, -EBADMSG, "the archive has no %.200s", path);
	r = check_blob(path, f->hex, f->size, want, max, err);
	if (r < 0)
		return r;
	if (!f->moved) {
		auto_fd int fd = open_number(s, f);

		snprintf(name, sizeof(name), "%zu", (size_t)(f - s->files));
		if (fd < 0 || fdatasync(fd) < 0 || renameat(s->dir, name, store->blobs, f->hex) < 0)
			return store_write_error(store, fd < 0 ? fd : -errno, err);
		f->moved = true;
	}
	memcpy(ret->hex, f->hex, sizeof(ret->hex));
	ret->size = f->size;
	return 0;
}

int source_blob(struct source *s, const char *path, const struct descriptor *want, uint64_t max,
		struct descriptor *ret, struct error *err)
{
	uint64_t size;

	if (want && store_blob_size(&s->fetch->store, want->hex, &size) == 0 && size == want->size) {
		*ret = *want;
		return 0;
	}
	return s->spool[0] ? blob_from_archive(s, path, want, max, ret, err)
			   : blob_from_folder(s, path, want, max, ret, err);
}

/* Unpacks an archive of images into a source's folder; see source.h. libarchive only reads the stream: it never
 * touches a file. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "image/source.h"

#define READ_BUFFER (256 * KIB)
#define UNPACKED_MAX (1024ULL * GIB) /* bytes of all files: a bomb fills the disk at most, not time */

struct unpack {
	struct source *source;
	int fd;             /* borrowed */
	uint64_t done, total; /* bytes of the archive read; total 0 = unknown */
	uint64_t unpacked;
	uint64_t told_ms;
	struct error *err;  /* of the read callback, which can return only one number */
	bool failed;
	uint8_t mem[READ_BUFFER];
	uint8_t out[READ_BUFFER];
};

/* libarchive asks for more. A pipe may keep it waiting for ever, so this also waits for a reason to stop. */
static la_ssize_t on_read(struct archive *a, void *user, const void **ret)
{
	struct unpack *u = user;
	struct image_progress p = { .phase = IMAGE_RESOLVING };
	ssize_t n = -1;

	if (fetch_check(u->source->fetch, u->fd, u->err) == 0) {
		do
			n = read(u->fd, u->mem, sizeof(u->mem));
		while (n < 0 && (errno == EINTR));
		if (n < 0)
			error_sys(u->err, "cannot read the archive");
	}
	if (n < 0) {
		u->failed = true;
		archive_set_error(a, EIO, "read");
		return ARCHIVE_FATAL;
	}
	u->done += (uint64_t)n;
	p.done = u->done;
	p.total = u->total;
	fetch_progress(u->source->fetch, &p, &u->told_ms);
	*ret = u->mem;
	return n;
}

/* Writes `path` (relative to the folder `base` of length n) without ".", ".." and empty parts to out.
 * False if it leads out or is too long. */
static bool normalise(const char *base, size_t n, const char *path, char out[SOURCE_PATH_MAX])
{
	size_t len = MIN(n, (size_t)SOURCE_PATH_MAX - 1);

	memcpy(out, base, len);
	while (*path) {
		size_t part = strcspn(path, "/");

		if (part == 2 && path[0] == '.' && path[1] == '.') {
			if (len == 0)
				return false;
			while (len > 0 && out[len - 1] != '/')
				len--;
			len -= len > 0;
		} else if (part > 0 && !(part == 1 && path[0] == '.')) {
			if (len + 1 + part >= SOURCE_PATH_MAX)
				return false;
			if (len)
				out[len++] = '/';
			memcpy(out + len, path, part);
			len += part;
		}
		path += part + (path[part] == '/');
	}
	out[len] = 0;
	return len > 0;
}

/* A new entry in the source's list; NULL with err. */
static struct source_file *add_file(struct source *s, const char *path, struct error *err)
{
	struct source_file *f;

	if (s->n >= SOURCE_FILES_MAX) {
		error_set(err, -E2BIG, "the archive has more than %d files", SOURCE_FILES_MAX);
		return NULL;
	}
	if ((s->n & (s->n - 1)) == 0) { /* grow at powers of two */
		f = reallocarray(s->files, MAX(s->n, 1U) * 2, sizeof(*f));
		if (!f) {
			error_nomem(err);
			return NULL;
		}
		s->files = f;
	}
	f = &s->files[s->n];
	*f = (struct source_file){ .path = strdup(path) };
	if (!f->path) {
		error_nomem(err);
		return NULL;
	}
	s->n++;
	return f;
}

static int archive_failure(struct unpack *u, struct archive *a, struct error *err)
{
	const char *text = archive_error_string(a);

	if (u->failed)
		return err->code; /* on_read() has said why */
	if (archive_errno(a) == ENOMEM || (text && strstr(text, "memory"))) /* the latter of zstd */
		return error_set(err, -ENOMEM, "unpacking the archive takes more than the %llu MiB of memory allowed: "
					       "compress it with a smaller window, as `zstd -19` and `xz -9` do",
				 LOAD_HEAP_MAX / MIB);
	return error_set(err, -EBADMSG, "cannot read the archive: %.200s", text ? text : "damaged");
}

/* The content of the entry just read, to the file named by its number. */
static int unpack_file(struct unpack *u, struct archive *a, struct source_file *f, struct error *err)
{
	struct source *s = u->source;
	auto_fd int fd = -1;
	struct digest d = { 0 };
	char name[24];
	la_ssize_t n;
	int r;

	snprintf(name, sizeof(name), "%zu", (size_t)(f - s->files));
	fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : digest_begin(&d);
	if (r < 0)
		return store_write_error(&s->fetch->store, r, err);
	while (r == 0 && (n = archive_read_data(a, u->out, sizeof(u->out))) != 0) {
		if (n < 0) {
			r = archive_failure(u, a, err);
			break;
		}
		digest_add(&d, u->out, (size_t)n);
		f->size += (uint64_t)n;
		u->unpacked += (uint64_t)n;
		r = io_write_full(fd, u->out, (size_t)n);
		if (r < 0)
			store_write_error(&s->fetch->store, r, err);
		else
			r = fetch_check(s->fetch, -1, err); /* a hole, or a bomb, is long without another on_read() */
		if (r == 0 && u->unpacked > UNPACKED_MAX)
			r = error_set(err, -EFBIG, "the archive unpacks to more than 1 TiB");
	}
	if (r == 0)
		digest_end(&d, f->hex);
	digest_fini(&d);
	return r;
}

static int unpack_entry(struct unpack *u, struct archive *a, struct archive_entry *e, struct error *err)
{
	const char *raw = archive_entry_pathname(e), *hard = archive_entry_hardlink(e);
	const char *soft = archive_entry_symlink(e), *slash;
	char path[SOURCE_PATH_MAX], target[SOURCE_PATH_MAX];
	struct source_file *f;

	/* What has no usable name cannot be referred to by an image either. */
	if (!raw || raw[0] == '/' || !normalise("", 0, raw, path))
		return 0;
	if (!hard && !soft && archive_entry_filetype(e) != AE_IFREG)
		return 0;
	slash = strrchr(path, '/');
	if (hard && (!normalise("", 0, hard, target) || str_eq(target, path))) /* tar links a file named twice to itself */
		return 0;
	if (!hard && soft && (soft[0] == '/' || !normalise(path, slash ? (size_t)(slash - path) : 0, soft, target)))
		return 0;
	f = add_file(u->source, path, err);
	if (!f)
		return err->code;
	if (!hard && !soft)
		return unpack_file(u, a, f, err);
	f->link = strdup(target);
	return f->link ? 0 : error_nomem(err);
}

/* Goes over what nobody wanted of the entry. libarchive does so by itself, but what a few bytes of an archive unpack to
 * may take minutes, and nothing could stop it. */
static int skip_rest(struct unpack *u, struct archive *a, struct error *err)
{
	const void *p;
	la_int64_t at;
	size_t n;
	int r;

	while ((r = archive_read_data_block(a, &p, &n, &at)) == ARCHIVE_OK || r == ARCHIVE_WARN)
		if (fetch_check(u->source->fetch, -1, err) < 0)
			return err->code;
	return r == ARCHIVE_EOF ? 0 : archive_failure(u, a, err);
}

static int unpack_all(struct unpack *u, struct archive *a, struct error *err)
{
	struct archive_entry *e;
	int r;

	archive_read_support_filter_gzip(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_format_tar(a);
	if (archive_read_open(a, u, NULL, on_read, NULL) != ARCHIVE_OK)
		return archive_failure(u, a, err);
	for (;;) {
		r = archive_read_next_header(a, &e);
		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return archive_failure(u, a, err);
		r = unpack_entry(u, a, e, err);
		if (r == 0)
			r = skip_rest(u, a, err);
		if (r < 0)
			return r;
	}
}

int archive_unpack(struct source *s, int fd, struct error *err)
{
	struct unpack *u = calloc(1, sizeof(*u));
	struct archive *a = archive_read_new();
	struct error local = { 0 };
	struct stat st;
	int r = -ENOMEM;

	if (u && a) {
		u->source = s;
		u->fd = fd;
		u->err = &local;
		u->total = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
		r = unpack_all(u, a, &local);
	}
	archive_read_free(a);
	free(u);
	if (r < 0 && err)
		*err = local.code ? local : (struct error){ .code = r, .text = "out of memory" };
	return r;
}

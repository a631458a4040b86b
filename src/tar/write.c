#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "tar/header.h"

struct tar_writer {
	tar_put_fn *put;
	void *ud;
	uint64_t left;  /* data of the entry that is still to come */
	unsigned pad;   /* zeros after it */
	size_t n;       /* bytes that wait in buf */
	struct buf pax; /* records of the entry */
	struct buf map; /* of a file with holes */
	uint8_t buf[TAR_BUFFER];
};

static const uint8_t zeros[2 * TAR_BLOCK];

struct tar_writer *tar_writer_new(tar_put_fn *put, void *ud)
{
	struct tar_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->put = put;
	w->ud = ud;
	buf_init(&w->pax, TAR_PAX_MAX);
	buf_init(&w->map, 64 * TAR_EXTENTS_MAX);
	return w;
}

void tar_writer_free(struct tar_writer *w)
{
	if (!w)
		return;
	buf_fini(&w->pax);
	buf_fini(&w->map);
	free(w);
}

static int flush(struct tar_writer *w)
{
	int r = w->n ? w->put(w->ud, w->buf, w->n) : 0;

	w->n = 0;
	return r;
}

static int append(struct tar_writer *w, const void *p, size_t n)
{
	const uint8_t *at = p;
	int r = 0;

	while (r == 0 && n) {
		size_t part = MIN(n, sizeof(w->buf) - w->n);

		memcpy(w->buf + w->n, at, part);
		w->n += part;
		at += part;
		n -= part;
		if (w->n == sizeof(w->buf))
			r = flush(w);
	}
	return r;
}

static unsigned padding(uint64_t n)
{
	return (unsigned)(-n & (TAR_BLOCK - 1));
}

/* --- pax ------------------------------------------------------------------------------------- */

static size_t digits(size_t n)
{
	size_t d = 1;

	while (n >= 10) {
		n /= 10;
		d++;
	}
	return d;
}

/* "LEN key=value\n", where LEN counts itself. */
static int pax_bytes(struct tar_writer *w, const char *prefix, const char *key, const void *value, size_t len)
{
	size_t rest = strlen(prefix) + strlen(key) + len + 3, total = rest + digits(rest);
	int r;

	if (rest + digits(total) > total)
		total++;
	r = buf_printf(&w->pax, "%zu %s%s=", total, prefix, key);
	if (r == 0)
		r = buf_append(&w->pax, value, len);
	if (r == 0)
		r = buf_append(&w->pax, "\n", 1);
	return r == -ENOBUFS ? -E2BIG : r;
}

static int pax_text(struct tar_writer *w, const char *key, const char *value)
{
	return pax_bytes(w, "", key, value, strlen(value));
}

static int pax_number(struct tar_writer *w, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return pax_text(w, key, text);
}

/* Parts of a second count upwards from it, also before 1970: "-1.25" is 750 ms after second -2. */
static int pax_time(struct tar_writer *w, int64_t s, uint32_t ns)
{
	bool negative = s < 0;
	char text[40];

	if (negative && ns) {
		s++;
		ns = 1000000000 - ns;
	}
	if (ns)
		snprintf(text, sizeof(text), "%s%" PRIu64 ".%09u", negative ? "-" : "",
			 negative ? 0 - (uint64_t)s : (uint64_t)s, ns);
	else
		snprintf(text, sizeof(text), "%" PRId64, s);
	return pax_text(w, "mtime", text);
}

/* --- headers --------------------------------------------------------------------------------- */

/* An octal number that fills its field up to a NUL; false: it does not fit. */
static bool put_octal(char *field, size_t n, uint64_t v)
{
	size_t i = n - 1;

	field[i] = 0;
	while (i--) {
		field[i] = (char)('0' + (v & 7));
		v >>= 3;
	}
	return v == 0;
}

static char type_flag(enum tar_type t)
{
	static const char flags[] = { '0', '5', '2', '1', '3', '4', '6' };

	return flags[t];
}

static void finish_header(struct tar_header *h)
{
	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	snprintf(h->checksum, sizeof(h->checksum), "%06o", tar_checksum(h));
	h->checksum[7] = ' ';
}

/* A name into its field, with '/' behind it for a folder: false if it does not fit or will not be read as it is. */
static bool put_name(char field[100], const char *name, bool folder)
{
	size_t n = strlen(name);
	bool slash = folder && n && name[n - 1] != '/';

	memcpy(field, name, MIN(n, (size_t)100));
	if (n + slash > 100)
		return false;
	if (slash)
		field[n] = '/';
	return true;
}

static int put_block_of_pax(struct tar_writer *w)
{
	struct tar_header h = { .type = 'x' };
	size_t n = buf_len(&w->pax);
	int r;

	memcpy(h.name, "PaxHeaders/entry", sizeof("PaxHeaders/entry"));
	put_octal(h.mode, sizeof(h.mode), 0644);
	put_octal(h.uid, sizeof(h.uid), 0);
	put_octal(h.gid, sizeof(h.gid), 0);
	put_octal(h.mtime, sizeof(h.mtime), 0);
	put_octal(h.size, sizeof(h.size), n);
	finish_header(&h);
	r = append(w, &h, sizeof(h));
	if (r == 0)
		r = append(w, buf_data(&w->pax), n);
	return r == 0 ? append(w, zeros, padding(n)) : r;
}

/* The map of a sparse file, format 1.0: how many pieces, then offset and length of each, a line for each number. */
static int make_map(struct tar_writer *w, const struct tar_entry *e, uint64_t *ret_stored)
{
	uint64_t end = 0, bytes = 0;
	/* GNU tar wants to see where a file ends that ends in a hole. */
	bool hole_at_end;
	size_t i;
	int r;

	buf_consume(&w->map, buf_len(&w->map));
	for (i = 0; i < e->nextents; i++) {
		if (e->extents[i].offset < end || e->extents[i].offset > e->size ||
		    e->extents[i].len > e->size - e->extents[i].offset)
			return -EINVAL;
		end = e->extents[i].offset + e->extents[i].len;
		bytes += e->extents[i].len;
	}
	hole_at_end = end < e->size;
	if (e->nextents + hole_at_end > TAR_EXTENTS_MAX)
		return -E2BIG;
	r = buf_printf(&w->map, "%zu\n", e->nextents + hole_at_end);
	for (i = 0; r == 0 && i < e->nextents; i++)
		r = buf_printf(&w->map, "%" PRIu64 "\n%" PRIu64 "\n", e->extents[i].offset, e->extents[i].len);
	if (r == 0 && hole_at_end)
		r = buf_printf(&w->map, "%" PRIu64 "\n0\n", e->size);
	if (r == 0)
		r = buf_append(&w->map, zeros, padding(buf_len(&w->map)));
	*ret_stored = buf_len(&w->map) + bytes;
	return r;
}

static int describe_sparse(struct tar_writer *w, const struct tar_entry *e)
{
	int r = pax_text(w, "GNU.sparse.major", "1");

	if (r == 0)
		r = pax_text(w, "GNU.sparse.minor", "0");
	if (r == 0)
		r = pax_text(w, "GNU.sparse.name", e->name);
	return r == 0 ? pax_number(w, "GNU.sparse.realsize", e->size) : r;
}

/* Everything that the header does not hold becomes a record. */
static int fill(struct tar_writer *w, const struct tar_entry *e, uint64_t stored, struct tar_header *h)
{
	size_t i;
	int r = 0;

	h->type = type_flag(e->type);
	put_octal(h->mode, sizeof(h->mode), e->mode & 07777);
	if (e->sparse)
		r = describe_sparse(w, e);
	/* A file with holes is a map and data to those who do not know the format: under a name that says so. */
	if (!put_name(h->name, e->sparse ? "GNUSparseFile.0/file" : e->name, e->type == TAR_DIR) && r == 0)
		r = pax_text(w, "path", e->name);
	if (e->link && !put_name(h->link, e->link, false) && r == 0)
		r = pax_text(w, "linkpath", e->link);
	if (!put_octal(h->size, sizeof(h->size), stored) && r == 0)
		r = pax_number(w, "size", stored);
	if (!put_octal(h->uid, sizeof(h->uid), e->uid) && r == 0)
		r = pax_number(w, "uid", e->uid);
	if (!put_octal(h->gid, sizeof(h->gid), e->gid) && r == 0)
		r = pax_number(w, "gid", e->gid);
	if ((!put_octal(h->mtime, sizeof(h->mtime), e->mtime < 0 ? 0 : (uint64_t)e->mtime) || e->mtime < 0 ||
	     e->mtime_ns) && r == 0)
		r = pax_time(w, e->mtime, e->mtime_ns);
	if ((!put_octal(h->major, sizeof(h->major), e->major) || !put_octal(h->minor, sizeof(h->minor), e->minor)) &&
	    r == 0)
		r = -EINVAL;
	for (i = 0; r == 0 && i < e->nxattrs; i++)
		r = pax_bytes(w, PAX_XATTR, e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].len);
	return r;
}

int tar_put_entry(struct tar_writer *w, const struct tar_entry *e)
{
	struct tar_header h = { .type = 0 };
	uint64_t stored = e->type == TAR_FILE ? e->size : 0;
	int r = 0;

	if (w->left || !*e->name || e->size > TAR_SIZE_MAX || e->mtime_ns >= 1000000000)
		return -EINVAL;
	if (strlen(e->name) > TAR_NAME_MAX || (e->link && strlen(e->link) > TAR_NAME_MAX))
		return -ENAMETOOLONG;
	buf_consume(&w->pax, buf_len(&w->pax));
	if (e->sparse)
		r = make_map(w, e, &stored);
	if (r == 0)
		r = fill(w, e, stored, &h);
	if (r == 0 && buf_len(&w->pax))
		r = put_block_of_pax(w);
	if (r < 0)
		return r;
	finish_header(&h);
	r = append(w, &h, sizeof(h));
	if (r == 0 && e->sparse)
		r = append(w, buf_data(&w->map), buf_len(&w->map));
	w->left = stored - (e->sparse ? buf_len(&w->map) : 0);
	w->pad = padding(stored);
	return r == 0 && w->left == 0 ? append(w, zeros, w->pad) : r;
}

int tar_put_data(struct tar_writer *w, const void *p, size_t n)
{
	int r;

	if (n > w->left)
		return -EINVAL;
	if (n == 0)
		return 0;
	r = append(w, p, n);
	w->left -= n;
	return r == 0 && w->left == 0 ? append(w, zeros, w->pad) : r;
}

int tar_put_end(struct tar_writer *w)
{
	int r = w->left ? -EINVAL : append(w, zeros, 2 * TAR_BLOCK);

	return r == 0 ? flush(w) : r;
}

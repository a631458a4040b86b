/* Archives: what is written is read as it was, and one that is cut off anywhere is not taken for a whole one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tap.h"
#include "tar/header.h"

#define ARCHIVE_MAX (4 * MIB)

struct bytes {
	struct buf buf;
	size_t at, end; /* of what is read */
	size_t step;    /* so many at a time */
};

static int put(void *ud, const void *p, size_t n)
{
	struct bytes *b = ud;

	return buf_append(&b->buf, p, n);
}

static ssize_t fill(void *ud, void *p, size_t n)
{
	struct bytes *b = ud;

	n = MIN(MIN(n, b->end - b->at), b->step);
	memcpy(p, buf_data(&b->buf) + b->at, n);
	b->at += n;
	return (ssize_t)n;
}

static void rewind_to(struct bytes *b, size_t end, size_t step)
{
	b->at = 0;
	b->end = end;
	b->step = step;
}

static char long_name[301], longer_link[5001];

static const struct tar_xattr xattrs[] = { { "user.a", "1\n2=3\0", 6 }, { "user.empty", "", 0 } };
static const struct tar_extent pieces[] = { { 4096, 5 }, { 1ULL << 40, 600 } };

static const struct tar_entry entries[] = {
	{ .type = TAR_DIR, .name = "d", .mode = 01755, .uid = 1000, .gid = 2000, .mtime = 1234567890 },
	{ .type = TAR_FILE, .name = "d/empty", .mode = 0644 },
	{ .type = TAR_FILE, .name = "d/one", .mode = 04711, .size = 1, .mtime = 1, .mtime_ns = 999999999 },
	{ .type = TAR_FILE, .name = "d/block", .size = 512, .xattrs = xattrs, .nxattrs = 2 },
	{ .type = TAR_FILE, .name = "new\nline \xff\xfe", .size = 513, .mtime = -2, .mtime_ns = 750000000 },
	{ .type = TAR_FILE, .name = long_name, .size = 100000, .uid = 4294967294, .gid = 2097152 },
	{ .type = TAR_DIR, .name = long_name, .mtime = 1LL << 40 },
	{ .type = TAR_SYMLINK, .name = "l", .link = longer_link, .mtime = -1 },
	{ .type = TAR_HARDLINK, .name = "h", .link = "d/one" },
	{ .type = TAR_CHAR, .name = "null", .major = 1, .minor = 3 },
	{ .type = TAR_BLOCK_DEVICE, .name = "disk", .major = 259, .minor = 1048575 },
	{ .type = TAR_FIFO, .name = "fifo", .mode = 0600 },
	{ .type = TAR_FILE, .name = "holes", .size = (1ULL << 40) + 600, .sparse = true, .extents = pieces, .nextents = 2 },
	{ .type = TAR_FILE, .name = long_name, .size = 1ULL << 35, .sparse = true, .extents = pieces, .nextents = 0 },
	{ .type = TAR_FILE, .name = "last", .size = 3 },
};

/* The byte of a file at a place. */
static uint8_t byte_at(const struct tar_entry *e, uint64_t at)
{
	return (uint8_t)(at * 7 + e->size);
}

static int put_data(struct tar_writer *w, const struct tar_entry *e)
{
	const struct tar_extent all = { 0, e->type == TAR_FILE ? e->size : 0 };
	const struct tar_extent *x = e->sparse ? e->extents : &all;
	size_t i, n = e->sparse ? e->nextents : 1;
	uint64_t at;
	int r = 0;

	for (i = 0; i < n; i++)
		for (at = 0; r == 0 && at < x[i].len; at++) {
			uint8_t c = byte_at(e, x[i].offset + at);

			r = tar_put_data(w, &c, 1);
		}
	return r;
}

static int write_all(struct bytes *b)
{
	struct tar_writer *w = tar_writer_new(put, b);
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < ARRAY_SIZE(entries); i++) {
		r = tar_put_entry(w, &entries[i]);
		if (r == 0)
			r = put_data(w, &entries[i]);
	}
	if (r == 0)
		r = tar_put_end(w);
	tar_writer_free(w);
	return r;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same(const struct tar_entry *a, const struct tar_entry *b)
{
	size_t i;

	if (a->type != b->type || !same_text(a->name, b->name) || !same_text(a->link, b->link) || a->mode != b->mode ||
	    a->uid != b->uid || a->gid != b->gid || a->mtime != b->mtime || a->mtime_ns != b->mtime_ns ||
	    a->size != b->size || a->major != b->major || a->minor != b->minor || a->nxattrs != b->nxattrs)
		return false;
	for (i = 0; i < a->nxattrs; i++)
		if (strcmp(a->xattrs[i].name, b->xattrs[i].name) != 0 || a->xattrs[i].len != b->xattrs[i].len ||
		    memcmp(a->xattrs[i].value, b->xattrs[i].value, a->xattrs[i].len) != 0)
			return false;
	return true;
}

/* All data of the entry is right, and in its place. */
static bool same_data(struct tar_reader *r, const struct tar_entry *want)
{
	uint64_t at, all = 0, expected = want->size;
	const void *p;
	size_t i;
	ssize_t n;

	if (want->sparse)
		for (i = 0, expected = 0; i < want->nextents; i++)
			expected += want->extents[i].len;
	while ((n = tar_data(r, &p, &at, NULL)) > 0) {
		for (i = 0; i < (size_t)n; i++)
			if (((const uint8_t *)p)[i] != byte_at(want, at + i))
				return false;
		all += (uint64_t)n;
	}
	return n == 0 && all == expected;
}

static void test_round_trip(struct bytes *b, size_t step, bool with_data)
{
	struct tar_reader *r;
	struct error err = { 0 };
	struct tar_entry e;
	size_t i;

	rewind_to(b, buf_len(&b->buf), step);
	r = tar_reader_new(fill, b);
	for (i = 0; i < ARRAY_SIZE(entries); i++)
		if (!ok(tar_next(r, &e, &err) == 1 && same(&e, &entries[i]) &&
			(!with_data || e.type != TAR_FILE || same_data(r, &entries[i])),
			"entry %zu, %zu bytes at a time%s", i, step, with_data ? "" : ", data passed over"))
			printf("# %s\n", err.text);
	is_int(tar_next(r, &e, &err), 0, "the end");
	is_int(tar_next(r, &e, &err), 0, "which stays");
	tar_reader_free(r);
}

/* The last entry may be whole: that nothing comes after it is not known before the zeros. */
static int read_cut(struct bytes *b, size_t end)
{
	struct tar_reader *r;
	struct tar_entry e;
	struct error err = { 0 };
	uint64_t at;
	const void *p;
	int x;

	rewind_to(b, end, 1 << 20);
	r = tar_reader_new(fill, b);
	while ((x = tar_next(r, &e, &err)) > 0)
		while (tar_data(r, &p, &at, NULL) > 0)
			;
	tar_reader_free(r);
	return x;
}

static void test_cut(struct bytes *b)
{
	size_t end, whole = buf_len(&b->buf) - 1024, wrong = 0;

	for (end = 0; end < whole; end += 61)
		wrong += read_cut(b, end) >= 0;
	is_int(wrong, 0, "wherever it is cut off, it is not whole");
	is_int(read_cut(b, whole), -ENODATA, "even between two entries");
	is_int(read_cut(b, whole + 512), 0, "one block of zeros is an end");
	is_int(read_cut(b, 0), -ENODATA, "nothing is no archive");
}

static void test_refused(void)
{
	static const struct tar_extent backwards[] = { { 10, 5 }, { 5, 5 } }, beyond[] = { { 10, 500 } };
	struct tar_entry e = { .type = TAR_FILE, .name = "x", .size = 20, .sparse = true, .extents = backwards, .nextents = 2 };
	struct bytes b = { .buf = BUF_INIT(ARCHIVE_MAX) };
	struct tar_writer *w = tar_writer_new(put, &b);
	char *name = malloc(TAR_NAME_MAX + 2);

	is_int(tar_put_entry(w, &e), -EINVAL, "pieces out of order");
	e.extents = beyond;
	e.nextents = 1;
	is_int(tar_put_entry(w, &e), -EINVAL, "or behind the end");
	memset(name, 'a', TAR_NAME_MAX + 1);
	name[TAR_NAME_MAX + 1] = 0;
	e = (struct tar_entry){ .type = TAR_DIR, .name = name };
	is_int(tar_put_entry(w, &e), -ENAMETOOLONG, "a name that would not be read");
	e = (struct tar_entry){ .type = TAR_FILE, .name = "x", .size = 2 };
	is_int(tar_put_entry(w, &e), 0, "a file of 2 bytes");
	is_int(tar_put_data(w, "abc", 3), -EINVAL, "has no third");
	is_int(tar_put_end(w), -EINVAL, "and is not complete");
	is_int(tar_put_data(w, "ab", 2), 0, "before it is");
	is_int(tar_put_end(w), 0, "now it is");
	is_int(buf_len(&b.buf), 4 * TAR_BLOCK, "header, data, end");
	free(name);
	tar_writer_free(w);
	buf_fini(&b.buf);
}

/* One pax header of a text that fills, with its NUL, all that was allocated for it; then an empty file. */
static int read_pax(const char *last_record)
{
	struct bytes b = { .buf = BUF_INIT(ARCHIVE_MAX) };
	struct tar_header h = { .name = "pax", .type = 'x', .magic = "ustar", .size = "1777", .mode = "0" };
	char text[1024] = "", block[TAR_BLOCK] = "";
	size_t first = 1023 - strlen(last_record);
	int r;

	memset(text, 'a', 1023);
	text[snprintf(text, 16, "%zu a=", first)] = 'a';
	text[first - 1] = '\n';
	memcpy(text + first, last_record, strlen(last_record));
	memcpy(h.version, "00", 2);
	snprintf(h.checksum, sizeof(h.checksum), "%06o", tar_checksum(&h));
	r = put(&b, &h, sizeof(h));
	if (r == 0)
		r = put(&b, text, sizeof(text));
	if (r == 0)
		r = put(&b, block, sizeof(block));
	r = r ? r : read_cut(&b, buf_len(&b.buf));
	buf_fini(&b.buf);
	return r;
}

static void test_pax_lengths(void)
{
	is_int(read_pax("7 k=vv\n"), 0, "a record that ends where the header does");
	is_int(read_pax("9 k"), -EBADMSG, "one that would end behind it");
	is_int(read_pax("9 k=v\n"), -EBADMSG, "by a few bytes, too");
	is_int(read_pax("23 GNU.sparse.major=5\n"), -EBADMSG, "a number that is too large with its first digit");
}

int main(void)
{
	struct bytes b = { .buf = BUF_INIT(ARCHIVE_MAX) };

	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[150] = '/';
	memset(longer_link, 'k', sizeof(longer_link) - 1);
	is_int(write_all(&b), 0, "an archive of everything");
	test_round_trip(&b, 1 << 20, true);
	test_round_trip(&b, 1, true);
	test_round_trip(&b, 700, false);
	test_cut(&b);
	test_refused();
	test_pax_lengths();
	buf_fini(&b.buf);
	return tap_done();
}

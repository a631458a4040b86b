/*
 * Theory of operation. The stream is read into one buffer and looked at there:
 * blocks of headers whole, data in the pieces that are in the buffer.
 *
 *	 tar_next():  [what is left of the last entry] [pax, long names]* header [its map]
 *	 tar_data():  the pieces of the entry, from `left` bytes that are stored
 *
 * An entry without holes is one piece. What a pax header says goes before what
 * the header says; a long name of GNU's goes before both, as no tar has both.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "tar/header.h"

/* What precedes a header and is about its entry. */
struct before {
	char *path, *link;   /* owned */
	bool has_size, has_uid, has_gid, has_mtime, has_real_size;
	uint64_t size, uid, gid, real_size;
	int64_t mtime;
	uint32_t mtime_ns;
	unsigned sparse_major; /* 0: not a sparse file */
	struct tar_xattr xattrs[TAR_XATTRS_MAX]; /* in `pax` */
	size_t nxattrs;
};

struct tar_reader {
	tar_fill_fn *fill;
	void *ud;
	size_t at, end;        /* of what is in buf and was not taken */
	uint64_t left;         /* stored data of the entry that was not taken */
	unsigned pad;          /* and what follows it */
	bool begun, ended;
	struct before before;
	struct buf pax;        /* the last pax header; before.xattrs point into it */
	char *name, *link;     /* owned; of the entry */
	struct tar_extent *extents; /* owned; of the entry */
	size_t nextents, extent;
	uint64_t extent_done;  /* of the piece number `extent` */
	uint8_t buf[TAR_BUFFER];
};

struct tar_reader *tar_reader_new(tar_fill_fn *fill, void *ud)
{
	struct tar_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->fill = fill;
	r->ud = ud;
	buf_init(&r->pax, TAR_PAX_MAX + 1);
	return r;
}

static void forget_before(struct tar_reader *r)
{
	free(r->before.path);
	free(r->before.link);
	memset(&r->before, 0, sizeof(r->before));
	buf_consume(&r->pax, buf_len(&r->pax));
}

static void forget_entry(struct tar_reader *r)
{
	free(take_ptr(&r->name));
	free(take_ptr(&r->link));
	free(take_ptr(&r->extents));
	r->nextents = r->extent = 0;
	r->extent_done = 0;
}

void tar_reader_free(struct tar_reader *r)
{
	if (!r)
		return;
	forget_before(r);
	forget_entry(r);
	buf_fini(&r->pax);
	free(r);
}

/* --- bytes ----------------------------------------------------------------------------------- */

/* Reads more behind what is there, of which there is less than a block: its count, 0 at the end, -errno. */
static ssize_t fill_more(struct tar_reader *r)
{
	ssize_t got;

	memmove(r->buf, r->buf + r->at, r->end - r->at);
	r->end -= r->at;
	r->at = 0;
	got = r->fill(r->ud, r->buf + r->end, sizeof(r->buf) - r->end);
	if (got > 0)
		r->end += (size_t)got;
	return got;
}

static int bad(struct error *err, const char *what)
{
	return error_set(err, -EBADMSG, "this is not a tar archive, or a damaged one: %s", what);
}

static int cut_off(struct error *err)
{
	return error_set(err, -ENODATA, "the archive ends before its end");
}

/* What is there when it is no tar; says so if it knows what it is. */
static int explain(const void *p, size_t n, const char *what, struct error *err)
{
	static const char *const magics[] = { "\x1f\x8b", "\x28\xb5\x2f\xfd", "\xfd\x37zXZ", "BZh", "\x04\x22\x4d\x18" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(magics); i++)
		if (n >= strlen(magics[i]) && memcmp(p, magics[i], strlen(magics[i])) == 0)
			return error_set(err, -EOPNOTSUPP,
					 "the archive is compressed; decompress it first, as by gunzip or unxz");
	return what ? bad(err, what) : cut_off(err);
}

/* The next block: 1, 0 at the end of the stream, -errno. */
static int next_block(struct tar_reader *r, const void **ret, struct error *err)
{
	while (r->end - r->at < TAR_BLOCK) {
		ssize_t got = fill_more(r);

		if (got < 0)
			return error_code(err, (int)got, "cannot read the archive");
		if (got == 0)
			return r->end == r->at ? 0 : explain(r->buf + r->at, r->begun ? 0 : r->end - r->at, NULL, err);
	}
	r->begun = true;
	*ret = r->buf + r->at;
	r->at += TAR_BLOCK;
	return 1;
}

/* Some of the next `most` bytes, at least one. */
static ssize_t some_bytes(struct tar_reader *r, uint64_t most, const void **ret, struct error *err)
{
	size_t n;

	if (r->at == r->end) {
		ssize_t got = fill_more(r);

		if (got < 0)
			return error_code(err, (int)got, "cannot read the archive");
		if (got == 0)
			return cut_off(err);
	}
	n = (size_t)MIN((uint64_t)(r->end - r->at), most);
	*ret = r->buf + r->at;
	r->at += n;
	return (ssize_t)n;
}

static int skip(struct tar_reader *r, uint64_t n, struct error *err)
{
	const void *p;

	while (n) {
		ssize_t got = some_bytes(r, n, &p, err);

		if (got < 0)
			return (int)got;
		n -= (uint64_t)got;
	}
	return 0;
}

static unsigned padding(uint64_t n)
{
	return (unsigned)(-n & (TAR_BLOCK - 1));
}

/* --- numbers --------------------------------------------------------------------------------- */

/* Octal text, or base 256 if the first bit says so. What is no number is 0, as by all tars. */
static bool get_number(const char *field, size_t n, int64_t *ret)
{
	const uint8_t *p = (const uint8_t *)field;
	uint64_t v = 0;
	size_t i = 0;

	if (p[0] & 0x80) {
		bool negative = p[0] & 0x40;

		v = negative ? ~0ULL << 6 | (p[0] & 0x3f) : (p[0] & 0x3f);
		for (i = 1; i < n; i++) {
			uint64_t top = v >> 55;

			if (top != 0 && top != (~0ULL >> 55))
				return false;
			v = v << 8 | p[i];
		}
		*ret = (int64_t)v;
		return negative == (*ret < 0);
	}
	while (i < n && p[i] == ' ')
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
		if (v >> 60)
			return false;
		v = v << 3 | (uint64_t)(p[i] - '0');
	}
	*ret = (int64_t)v;
	return i == n || p[i] == 0 || p[i] == ' ';
}

static bool get_size(const char *field, size_t n, uint64_t *ret)
{
	int64_t v;

	if (!get_number(field, n, &v) || v < 0 || (uint64_t)v > TAR_SIZE_MAX)
		return false;
	*ret = (uint64_t)v;
	return true;
}

static bool parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		uint64_t digit = (uint64_t)(*s - '0');

		if (digit > max || v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*ret = v;
	return *s == 0;
}

/* "-1.25": the fraction makes a time before 1970 earlier. */
static bool parse_time(const char *s, int64_t *ret, uint32_t *ret_ns)
{
	bool negative = *s == '-';
	uint64_t v = 0, scale = 100000000;
	uint32_t ns = 0;

	s += negative;
	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (v > (1ULL << 58))
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++) {
			ns += (uint32_t)((uint64_t)(*s - '0') * scale);
			scale /= 10;
		}
	*ret = negative ? -(int64_t)v : (int64_t)v;
	if (negative && ns) {
		*ret -= 1;
		ns = 1000000000 - ns;
	}
	*ret_ns = ns;
	return *s == 0;
}

/* --- what precedes a header ------------------------------------------------------------------ */

/* The stored bytes of an entry that is itself not a file, into b, with a NUL behind them. */
static int read_all(struct tar_reader *r, uint64_t n, uint64_t most, struct buf *b, struct error *err)
{
	uint64_t left = n;
	const void *p = NULL;
	int e = 0;

	if (n > most)
		return error_set(err, -E2BIG, "a name or an attribute in the archive is too long");
	buf_consume(b, buf_len(b));
	while (e == 0 && left) {
		ssize_t got = some_bytes(r, left, &p, err);

		if (got < 0)
			return (int)got;
		left -= (uint64_t)got;
		e = buf_append(b, p, (size_t)got);
	}
	if (e < 0 || !buf_str(b))
		return error_nomem(err);
	return skip(r, padding(n), err);
}

static int set_text(char **to, const char *value, size_t len, struct error *err)
{
	char *copy;

	if (memchr(value, 0, len))
		return bad(err, "a NUL within a name");
	if (len > TAR_NAME_MAX)
		return error_set(err, -ENAMETOOLONG, "a name in the archive is too long");
	copy = strndup(value, len);
	if (!copy)
		return error_nomem(err);
	free(*to);
	*to = copy;
	return 0;
}

static int long_name(struct tar_reader *r, uint64_t size, char **to, struct error *err)
{
	auto_buf struct buf text = BUF_INIT(TAR_NAME_MAX + 2);
	int e = read_all(r, size, TAR_NAME_MAX + 1, &text, err);

	return e < 0 ? e : set_text(to, (char *)buf_data(&text), strlen((char *)buf_data(&text)), err);
}

static int add_xattr(struct before *b, const char *name, const char *value, size_t len, struct error *err)
{
	if (!*name)
		return bad(err, "an attribute without a name");
	if (b->nxattrs == TAR_XATTRS_MAX)
		return error_set(err, -E2BIG, "a file in the archive has too many attributes");
	b->xattrs[b->nxattrs++] = (struct tar_xattr){ .name = name, .value = value, .len = len };
	return 0;
}

/* One record. value ends with a NUL that is not part of it. An empty value means that it was not said. */
static int on_record(struct before *b, const char *key, const char *value, size_t len, struct error *err)
{
	uint64_t n = 0;
	bool good = true;

	if (strncmp(key, PAX_XATTR, strlen(PAX_XATTR)) == 0)
		return add_xattr(b, key + strlen(PAX_XATTR), value, len, err);
	if (len == 0)
		return 0;
	if (strcmp(key, "path") == 0)
		/* The name of a sparse file is another. */
		return b->sparse_major && b->path ? 0 : set_text(&b->path, value, len, err);
	if (strcmp(key, "GNU.sparse.name") == 0)
		return set_text(&b->path, value, len, err);
	if (strcmp(key, "linkpath") == 0)
		return set_text(&b->link, value, len, err);
	if (strcmp(key, "size") == 0)
		good = b->has_size = parse_u64(value, TAR_SIZE_MAX, &b->size);
	else if (strcmp(key, "uid") == 0)
		good = b->has_uid = parse_u64(value, UINT32_MAX, &b->uid);
	else if (strcmp(key, "gid") == 0)
		good = b->has_gid = parse_u64(value, UINT32_MAX, &b->gid);
	else if (strcmp(key, "mtime") == 0)
		good = b->has_mtime = parse_time(value, &b->mtime, &b->mtime_ns);
	else if (strcmp(key, "GNU.sparse.realsize") == 0)
		good = b->has_real_size = parse_u64(value, TAR_SIZE_MAX, &b->real_size);
	else if (strcmp(key, "GNU.sparse.major") == 0) {
		good = parse_u64(value, 1, &n);
		b->sparse_major = (unsigned)n;
	} else if (strcmp(key, "GNU.sparse.map") == 0 || strcmp(key, "GNU.sparse.numblocks") == 0)
		return error_set(err, -EOPNOTSUPP,
				 "the archive has files with holes in a format that is not known here: use tar --sparse-version=1.0");
	return good ? 0 : bad(err, "a number that is none");
}

static int pax_header(struct tar_reader *r, uint64_t size, struct error *err)
{
	char *at, *end;
	int e;

	forget_before(r);
	e = read_all(r, size, TAR_PAX_MAX, &r->pax, err);
	if (e < 0)
		return e;
	at = (char *)buf_data(&r->pax);
	end = at + size;
	while (e == 0 && at < end) {
		char *space = memchr(at, ' ', (size_t)(end - at)), *last, *equals;
		uint64_t len;

		if (!space)
			return bad(err, "a broken pax header");
		*space = 0;
		if (!parse_u64(at, (uint64_t)(end - at), &len) || len < (uint64_t)(space - at) + 3)
			return bad(err, "a broken pax header");
		last = at + len - 1;
		equals = memchr(space + 1, '=', (size_t)(last - space - 1));
		if (*last != '\n' || !equals || memchr(space + 1, 0, (size_t)(equals - space - 1)))
			return bad(err, "a broken pax header");
		*last = *equals = 0;
		e = on_record(&r->before, space + 1, equals + 1, (size_t)(last - equals - 1), err);
		at = last + 1;
	}
	return e;
}

/* --- files with holes ------------------------------------------------------------------------ */

static int add_extent(struct tar_reader *r, size_t *cap, uint64_t offset, uint64_t len, struct error *err)
{
	struct tar_extent *more;

	if (r->nextents == TAR_EXTENTS_MAX)
		return error_set(err, -E2BIG, "a file in the archive has too many holes");
	if (r->nextents == *cap) {
		*cap = *cap ? *cap * 2 : 16;
		more = realloc(r->extents, *cap * sizeof(*more));
		if (!more)
			return error_nomem(err);
		r->extents = more;
	}
	r->extents[r->nextents++] = (struct tar_extent){ offset, len };
	return 0;
}

/* In order, within the file, and as much data as is stored. */
static int check_extents(const struct tar_reader *r, uint64_t size, struct error *err)
{
	uint64_t end = 0, bytes = 0;
	size_t i;

	for (i = 0; i < r->nextents; i++) {
		const struct tar_extent *x = &r->extents[i];

		if (x->offset < end || x->offset > size || x->len > size - x->offset)
			return bad(err, "the map of a file with holes");
		end = x->offset + x->len;
		bytes += x->len;
	}
	return bytes == r->left ? 0 : bad(err, "the map of a file with holes");
}

/* Lines of digits in blocks of their own at the head of the data. */
struct map {
	struct tar_reader *r;
	const char *block;
	size_t at;
};

static int map_number(struct map *m, uint64_t max, uint64_t *ret, struct error *err)
{
	char text[24];
	size_t n = 0;

	for (;;) {
		char c;

		if (m->at == TAR_BLOCK) {
			const void *block;
			int e = m->r->left < TAR_BLOCK ? 0 : next_block(m->r, &block, err);

			if (e <= 0)
				return e < 0 ? e : bad(err, "the map of a file with holes");
			m->r->left -= TAR_BLOCK;
			m->block = block;
			m->at = 0;
		}
		c = m->block[m->at++];
		if (c == '\n')
			break;
		if (n + 1 == sizeof(text))
			return bad(err, "the map of a file with holes");
		text[n++] = c;
	}
	text[n] = 0;
	return parse_u64(text, max, ret) ? 0 : bad(err, "the map of a file with holes");
}

static int read_map(struct tar_reader *r, uint64_t size, struct error *err)
{
	struct map m = { .r = r, .at = TAR_BLOCK };
	uint64_t n, offset = 0, len = 0;
	size_t cap = 0;
	int e = map_number(&m, TAR_EXTENTS_MAX, &n, err);

	while (e == 0 && n--) {
		e = map_number(&m, TAR_SIZE_MAX, &offset, err);
		if (e == 0)
			e = map_number(&m, TAR_SIZE_MAX, &len, err);
		if (e == 0)
			e = add_extent(r, &cap, offset, len, err);
	}
	return e < 0 ? e : check_extents(r, size, err);
}

static int add_gnu_pieces(struct tar_reader *r, const struct tar_gnu_piece *p, size_t n, size_t *cap, struct error *err)
{
	uint64_t offset, len;
	int e = 0;

	for (; e == 0 && n && p->offset[0]; n--, p++) {
		if (!get_size(p->offset, sizeof(p->offset), &offset) || !get_size(p->len, sizeof(p->len), &len))
			return bad(err, "the map of a file with holes");
		e = add_extent(r, cap, offset, len, err);
	}
	return e;
}

/* GNU tar's own format, which it makes of `tar -S` unless told otherwise. */
static int read_gnu_map(struct tar_reader *r, const struct tar_gnu_header *h, uint64_t *ret_size, struct error *err)
{
	const struct tar_gnu_more *more;
	bool goes_on = h->more;
	const void *block;
	size_t cap = 0;
	int e;

	if (!get_size(h->real_size, sizeof(h->real_size), ret_size))
		return bad(err, "the size of a file with holes");
	e = add_gnu_pieces(r, h->piece, ARRAY_SIZE(h->piece), &cap, err);
	while (e == 0 && goes_on) {
		e = next_block(r, &block, err);
		if (e <= 0)
			return e < 0 ? e : cut_off(err);
		more = block;
		goes_on = more->more;
		e = add_gnu_pieces(r, more->piece, ARRAY_SIZE(more->piece), &cap, err);
	}
	return e < 0 ? e : check_extents(r, *ret_size, err);
}

/* --- entries --------------------------------------------------------------------------------- */

static bool type_of(char flag, enum tar_type *ret)
{
	switch (flag) {
	case 0:
	case '0':
	case '7': /* in one piece on its disk, once */
	case 'S': *ret = TAR_FILE; return true;
	case '1': *ret = TAR_HARDLINK; return true;
	case '2': *ret = TAR_SYMLINK; return true;
	case '3': *ret = TAR_CHAR; return true;
	case '4': *ret = TAR_BLOCK_DEVICE; return true;
	case '5':
	case 'D': *ret = TAR_DIR; return true; /* D: with a list of what was in it */
	case '6': *ret = TAR_FIFO; return true;
	default: return false;
	}
}

/* prefix/name, or what preceded the header. */
static int take_name(struct tar_reader *r, const struct tar_header *h, struct error *err)
{
	bool posix = memcmp(h->magic, "ustar\0" "00", 8) == 0;
	char text[sizeof(h->prefix) + sizeof(h->name) + 2];
	size_t n;

	if (r->before.path) {
		r->name = take_ptr(&r->before.path);
	} else {
		if (posix && h->prefix[0])
			snprintf(text, sizeof(text), "%.*s/%.*s", (int)sizeof(h->prefix), h->prefix, (int)sizeof(h->name),
				 h->name);
		else
			snprintf(text, sizeof(text), "%.*s", (int)sizeof(h->name), h->name);
		r->name = strdup(text);
	}
	if (r->before.link)
		r->link = take_ptr(&r->before.link);
	else
		r->link = strndup(h->link, sizeof(h->link));
	if (!r->name || !r->link)
		return error_nomem(err);
	n = strlen(r->name);
	return n ? 0 : bad(err, "an entry without a name");
}

static void cut_slashes(char *name)
{
	size_t n = strlen(name);

	while (n > 1 && name[n - 1] == '/')
		name[--n] = 0;
}

static int take_numbers(struct tar_reader *r, const struct tar_header *h, struct tar_entry *e, struct error *err)
{
	const struct before *b = &r->before;
	int64_t mode, uid, gid, mtime;

	if (!get_number(h->mode, sizeof(h->mode), &mode) || !get_number(h->uid, sizeof(h->uid), &uid) ||
	    !get_number(h->gid, sizeof(h->gid), &gid) || !get_number(h->mtime, sizeof(h->mtime), &mtime))
		return bad(err, "a number that is none");
	e->mode = (uint32_t)mode & 07777;
	e->uid = b->has_uid ? (uint32_t)b->uid : (uint32_t)uid;
	e->gid = b->has_gid ? (uint32_t)b->gid : (uint32_t)gid;
	e->mtime = b->has_mtime ? b->mtime : mtime;
	e->mtime_ns = b->has_mtime ? b->mtime_ns : 0;
	if (e->type == TAR_CHAR || e->type == TAR_BLOCK_DEVICE) {
		if (!get_number(h->major, sizeof(h->major), &mode) || !get_number(h->minor, sizeof(h->minor), &uid) ||
		    mode < 0 || uid < 0 || mode > UINT32_MAX || uid > UINT32_MAX)
			return bad(err, "the number of a device");
		e->major = (uint32_t)mode;
		e->minor = (uint32_t)uid;
	}
	return 0;
}

/* A file's data: `size` bytes, or pieces of it. */
static int begin_data(struct tar_reader *r, const struct tar_header *h, struct tar_entry *e, struct error *err)
{
	size_t cap = 0;
	int x;

	e->size = r->left;
	if (h->type == 'S') {
		e->sparse = true;
		x = read_gnu_map(r, (const void *)h, &e->size, err);
	} else if (r->before.sparse_major) {
		if (!r->before.has_real_size)
			return bad(err, "a file with holes without its size");
		e->sparse = true;
		e->size = r->before.real_size;
		x = read_map(r, e->size, err);
	} else {
		x = add_extent(r, &cap, 0, r->left, err);
	}
	e->extents = r->extents;
	e->nextents = r->nextents;
	return x;
}

static int take_entry(struct tar_reader *r, const struct tar_header *block, uint64_t stored, struct tar_entry *ret,
		      struct error *err)
{
	struct tar_header h = *block; /* reading its map takes the block out of the buffer */
	struct tar_entry e = { 0 };
	int x;

	if (!type_of(h.type, &e.type))
		return error_set(err, -EOPNOTSUPP, "the archive has an entry of a kind that is not known here ('%c')", h.type);
	x = take_name(r, &h, err);
	if (x == 0 && e.type == TAR_FILE && r->name[strlen(r->name) - 1] == '/')
		e.type = TAR_DIR; /* before POSIX */
	if (x == 0)
		x = take_numbers(r, &h, &e, err);
	if (x < 0)
		return x;
	cut_slashes(r->name);
	e.name = r->name;
	e.link = e.type == TAR_SYMLINK || e.type == TAR_HARDLINK ? r->link : NULL;
	e.xattrs = r->before.xattrs;
	e.nxattrs = r->before.nxattrs;
	/* Some tars say the size of a link's file and store nothing. */
	r->left = e.type == TAR_FILE || e.type == TAR_DIR ? stored : 0;
	r->pad = padding(r->left);
	if (e.type == TAR_FILE)
		x = begin_data(r, &h, &e, err);
	if (x == 0)
		*ret = e;
	return x;
}

static bool is_zero(const uint8_t *p)
{
	return p[0] == 0 && memcmp(p, p + 1, TAR_BLOCK - 1) == 0;
}

static int check_block(const struct tar_header *h, struct error *err)
{
	int64_t sum;

	if (get_number(h->checksum, sizeof(h->checksum), &sum) && sum == tar_checksum(h))
		return 0;
	return explain(h, sizeof(*h), "its checksum is wrong", err);
}

/* One header: 1 it was an entry, 0 it is about the next one, 2 the end, -errno. */
static int take_header(struct tar_reader *r, const struct tar_header *h, struct tar_entry *ret, struct error *err)
{
	uint64_t size;
	int e = check_block(h, err);

	if (e < 0)
		return e;
	if (!get_size(h->size, sizeof(h->size), &size))
		return bad(err, "a size that is none");
	switch (h->type) {
	case 'x':
	case 'X': return pax_header(r, size, err);
	case 'L': return long_name(r, size, &r->before.path, err);
	case 'K': return long_name(r, size, &r->before.link, err);
	case 'g': /* about all that follow: what git adds, for one. And the archive's own name. */
	case 'V': return skip(r, size + padding(size), err);
	default:
		e = take_entry(r, h, r->before.has_size ? r->before.size : size, ret, err);
		return e < 0 ? e : 1;
	}
}

int tar_next(struct tar_reader *r, struct tar_entry *ret, struct error *err)
{
	const void *block;
	int e;

	if (r->ended)
		return 0;
	e = skip(r, r->left + r->pad, err);
	r->left = r->pad = 0;
	forget_entry(r);
	forget_before(r);
	while (e == 0) {
		e = next_block(r, &block, err);
		if (e == 0)
			return cut_off(err);
		if (e > 0 && is_zero(block)) {
			r->ended = true;
			return 0;
		}
		if (e > 0)
			e = take_header(r, block, ret, err);
	}
	return e;
}

ssize_t tar_data(struct tar_reader *r, const void **ret, uint64_t *ret_offset, struct error *err)
{
	struct tar_extent *x;
	ssize_t n;

	while (r->extent < r->nextents && r->extent_done == r->extents[r->extent].len) {
		r->extent++;
		r->extent_done = 0;
	}
	if (r->extent == r->nextents)
		return 0;
	x = &r->extents[r->extent];
	n = some_bytes(r, x->len - r->extent_done, ret, err);
	if (n < 0)
		return n;
	*ret_offset = x->offset + r->extent_done;
	r->extent_done += (uint64_t)n;
	r->left -= (uint64_t)n;
	return n;
}

void tar_drain(struct tar_reader *r)
{
	while (r->fill(r->ud, r->buf, sizeof(r->buf)) > 0)
		;
}

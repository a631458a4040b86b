/*
 * A reader of uncompressed EROFS images, written from the format's
 * documentation and sharing nothing with the writer but facts: an oracle where
 * nothing can be mounted. Any violation of the format ends the test.
 */
#ifndef TESTS_LIB_EROFS_READER_H
#define TESTS_LIB_EROFS_READER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct efs {
	const uint8_t *p; /* the image, mapped */
	size_t n;
	uint64_t meta;    /* byte offset of the metadata */
	uint64_t root;
	uint64_t inos;
};

struct efs_inode {
	uint64_t nid, at; /* at: of the inode in the image */
	unsigned layout, mode;
	uint64_t size;
	uint32_t field, uid, gid, nlink, mtime_ns;
	uint64_t mtime;
	uint64_t xattr_bytes, tail; /* tail: byte offset of what follows inode and xattrs */
};

#define EFS_MUST(cond)                                                            \
	do {                                                                      \
		if (!(cond)) {                                                    \
			printf("Bail out! bad EROFS image: %s (line %d)\n", #cond, __LINE__); \
			exit(1);                                                  \
		}                                                                 \
	} while (0)

static inline uint64_t efs_le(const struct efs *f, uint64_t at, unsigned bytes)
{
	uint64_t v = 0;
	unsigned i;

	EFS_MUST(at + bytes <= f->n);
	for (i = 0; i < bytes; i++)
		v |= (uint64_t)f->p[at + i] << 8 * i;
	return v;
}

__attribute__((unused)) static struct efs efs_open(int fd)
{
	struct efs f = { 0 };
	struct stat st;
	uint8_t *super;
	uint32_t crc = ~0U;
	unsigned i, bit;

	EFS_MUST(fstat(fd, &st) == 0 && st.st_size >= 8192 && st.st_size % 4096 == 0);
	f.n = (size_t)st.st_size;
	f.p = mmap(NULL, f.n, PROT_READ, MAP_SHARED, fd, 0);
	EFS_MUST(f.p != MAP_FAILED);
	EFS_MUST(efs_le(&f, 1024, 4) == 0xe0f5e1e2);
	EFS_MUST(efs_le(&f, 1024 + 8, 4) & 1 && f.p[1024 + 12] == 12);
	super = malloc(3072);
	memcpy(super, f.p + 1024, 3072);
	memset(super + 4, 0, 4);
	for (i = 0; i < 3072; i++)
		for (crc ^= super[i], bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
	free(super);
	EFS_MUST(crc == efs_le(&f, 1024 + 4, 4));
	f.root = efs_le(&f, 1024 + 14, 2);
	f.inos = efs_le(&f, 1024 + 16, 8);
	EFS_MUST(efs_le(&f, 1024 + 36, 4) == f.n / 4096);
	f.meta = efs_le(&f, 1024 + 40, 4) * 4096;
	return f;
}

__attribute__((unused)) static void efs_close(struct efs *f)
{
	munmap((void *)(uintptr_t)f->p, f->n);
}

__attribute__((unused)) static struct efs_inode efs_inode(const struct efs *f, uint64_t nid)
{
	struct efs_inode i = { .nid = nid, .at = f->meta + nid * 32 };
	unsigned format = (unsigned)efs_le(f, i.at, 2), count = (unsigned)efs_le(f, i.at + 2, 2);

	EFS_MUST(format & 1);
	EFS_MUST(i.at % 4096 + 64 <= 4096);
	i.layout = format >> 1;
	i.mode = (unsigned)efs_le(f, i.at + 4, 2);
	i.size = efs_le(f, i.at + 8, 8);
	i.field = (uint32_t)efs_le(f, i.at + 16, 4);
	i.uid = (uint32_t)efs_le(f, i.at + 24, 4);
	i.gid = (uint32_t)efs_le(f, i.at + 28, 4);
	i.mtime = efs_le(f, i.at + 32, 8);
	i.mtime_ns = (uint32_t)efs_le(f, i.at + 40, 4);
	i.nlink = (uint32_t)efs_le(f, i.at + 44, 4);
	i.xattr_bytes = count ? 12 + (count - 1) * 4 : 0;
	i.tail = i.at + 64 + i.xattr_bytes;
	return i;
}

/* Byte offset in the image of byte `off` of the content; 0 = in a hole. */
__attribute__((unused)) static uint64_t efs_map(const struct efs *f, const struct efs_inode *i, uint64_t off)
{
	uint64_t blocks = (i->size + 4095) / 4096, chunk, addr;

	EFS_MUST(off < i->size);
	switch (i->layout) {
	case 0:
		return (uint64_t)i->field * 4096 + off;
	case 2:
		if (off / 4096 < blocks - 1)
			return (uint64_t)i->field * 4096 + off;
		/* what is inline lies within one block */
		EFS_MUST(i->tail % 4096 + (i->size - 1) % 4096 + 1 <= 4096);
		return i->tail + off % 4096;
	case 4:
		EFS_MUST(!(i->field & ~0x1fU));
		chunk = 4096ULL << (i->field & 0x1f);
		addr = efs_le(f, i->tail + off / chunk * 4, 4);
		return addr == 0xffffffff ? 0 : addr * 4096 + off % chunk;
	default:
		EFS_MUST(!"a layout");
		return 0;
	}
}

__attribute__((unused)) static void efs_read(const struct efs *f, const struct efs_inode *i, uint64_t off,
					     void *buf, size_t n)
{
	uint8_t *out = buf;

	while (n) {
		size_t take = 4096 - off % 4096 < n ? 4096 - off % 4096 : n;
		uint64_t at = efs_map(f, i, off);

		EFS_MUST(at + take <= f->n);
		if (at)
			memcpy(out, f->p + at, take);
		else
			memset(out, 0, take);
		off += take;
		out += take;
		n -= take;
	}
}

/* Calls fn for each entry of a folder but "." and "..", checking order and format. */
__attribute__((unused)) static void efs_each(const struct efs *f, const struct efs_inode *dir,
					     void (*fn)(void *ctx, const char *name, uint64_t nid), void *ctx)
{
	static const uint8_t types[] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	static const unsigned modes[] = { 0, S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFLNK };
	char name[256], last[256] = "";
	uint64_t off, dots = 0;

	EFS_MUST(S_ISDIR(dir->mode));
	for (off = 0; off < dir->size; off += 4096) {
		uint8_t block[4096] = { 0 };
		size_t len = dir->size - off < 4096 ? dir->size - off : 4096;
		unsigned n, k;

		efs_read(f, dir, off, block, len);
		n = (block[8] | block[9] << 8) / 12;
		EFS_MUST(n > 0 && n * 12 < len);
		for (k = 0; k < n; k++) {
			const uint8_t *d = block + k * 12;
			size_t from = d[8] | (size_t)d[9] << 8, to = k + 1 < n ? d[20] | (size_t)d[21] << 8 :
				from + strnlen((char *)block + from, len - from);
			uint64_t nid = 0;
			struct efs_inode i;

			for (unsigned b = 0; b < 8; b++)
				nid |= (uint64_t)d[b] << 8 * b;
			EFS_MUST(to > from && to - from <= 255 && to <= len);
			memcpy(name, block + from, to - from);
			name[to - from] = 0;
			EFS_MUST(strcmp(last, name) < 0);
			memcpy(last, name, sizeof(last));
			i = efs_inode(f, nid);
			EFS_MUST(d[10] < sizeof(types) && modes[d[10]] == (i.mode & S_IFMT));
			if (!strcmp(name, ".")) {
				EFS_MUST(nid == dir->nid);
				dots++;
			} else if (!strcmp(name, "..")) {
				EFS_MUST(S_ISDIR(i.mode));
				dots++;
			} else {
				fn(ctx, name, nid);
			}
		}
	}
	EFS_MUST(dots == 2);
}

struct efs_search {
	const char *name;
	uint64_t nid; /* 0 = not found */
};

static inline void efs_match(void *ctx, const char *name, uint64_t nid)
{
	struct efs_search *s = ctx;

	if (!strcmp(s->name, name))
		s->nid = nid;
}

/* The inode at a path without symlinks; nid 0 if there is none. */
__attribute__((unused)) static struct efs_inode efs_find(const struct efs *f, const char *path)
{
	struct efs_inode at = efs_inode(f, f->root);
	char *copy = strdup(path), *rest = copy, *word;

	while ((word = strsep(&rest, "/"))) {
		struct efs_search s = { .name = word };

		if (!*word)
			continue;
		efs_each(f, &at, efs_match, &s);
		if (!s.nid) {
			at = (struct efs_inode){ 0 };
			break;
		}
		at = efs_inode(f, s.nid);
	}
	free(copy);
	return at;
}

/* The value of an xattr, by prefix index and rest of the name; NULL if absent. */
__attribute__((unused)) static const uint8_t *efs_xattr(const struct efs *f, const struct efs_inode *i,
							unsigned index, const char *name, size_t *ret_len)
{
	uint64_t at = i->at + 64 + 12, end = i->tail;

	while (i->xattr_bytes && at < end) {
		unsigned name_len = f->p[at], value_len = (unsigned)efs_le(f, at + 2, 2);

		EFS_MUST(at % 4 == 0 && at + 4 + name_len + value_len <= end);
		if (f->p[at + 1] == index && name_len == strlen(name) &&
		    !memcmp(f->p + at + 4, name, name_len)) {
			*ret_len = value_len;
			return f->p + at + 4 + name_len;
		}
		at = (at + 4 + name_len + value_len + 3) & ~3ULL;
	}
	return NULL;
}

/* --- the whole tree in one line: see tar_of() -------------------------------------------------- */

struct efs_line {
	const struct efs *f;
	const char *dir;
	char *out;
	size_t room;
};

static void efs_line_add(void *ctx, const char *name, uint64_t nid)
{
	struct efs_line *l = ctx;
	struct efs_inode i = efs_inode(l->f, nid);
	char path[4096], body[64] = "";
	int n;

	snprintf(path, sizeof(path), "%s%s", l->dir, name);
	efs_read(l->f, &i, 0, body, S_ISDIR(i.mode) ? 0 : i.size < 63 ? i.size : 63);
	n = snprintf(l->out, l->room, "%s%s%s ", path,
		     S_ISDIR(i.mode) ? "/" : S_ISLNK(i.mode) ? "->" : S_ISFIFO(i.mode) ? "|" : "=", body);
	EFS_MUST(n > 0 && (size_t)n < l->room);
	l->out += n;
	l->room -= (size_t)n;
	if (S_ISDIR(i.mode)) {
		struct efs_line below = { l->f, NULL, l->out, l->room };
		char *prefix;

		EFS_MUST(asprintf(&prefix, "%s/", path) > 0);
		below.dir = prefix;
		efs_each(l->f, &i, efs_line_add, &below);
		free(prefix);
		l->out = below.out;
		l->room = below.room;
	}
}

__attribute__((unused)) static void efs_line(const struct efs *f, char *out, size_t room)
{
	struct efs_line l = { f, "", out, room };
	struct efs_inode root = efs_inode(f, f->root);

	out[0] = 0;
	efs_each(f, &root, efs_line_add, &l);
	if (l.out > out)
		l.out[-1] = 0;
}

#endif

/* What stands in the image: metadata, xattrs, content of every size, large folders, sparse files. */
#include <errno.h>

#include "lib/image_build.h"
#include "lib/tap.h"

static int must(int fd, const struct error *err)
{
	if (fd < 0) {
		printf("Bail out! %s\n", err->text);
		exit(1);
	}
	return fd;
}

static int finish(struct tarball *t)
{
	struct error err = { 0 };
	int fd = must(build_tar(t, &err), &err);

	ok(fsck(fd) <= 0, "fsck.erofs");
	return fd;
}

static void test_metadata(void)
{
	struct tarball t = { 0 };
	char pax[256];
	size_t n = pax_record(pax, "mtime", "1700000000.123456789", 20);
	struct efs_inode i;
	int fd;

	tar_add(&t, &(struct tar_entry){ .type = '5', .name = "./", .mode = 0711, .uid = 1, .gid = 2, .mtime = 3 });
	tar_add(&t, &(struct tar_entry){ .type = '0', .name = "suid", .mode = 06755, .uid = 4000000000,
					 .gid = 70000, .data = "x", .len = 1, .pax = pax, .pax_len = n });
	tar_add(&t, &(struct tar_entry){ .type = '5', .name = "tmp", .mode = 01777, .mtime = 1234567890 });
	tar_add(&t, &(struct tar_entry){ .type = '3', .name = "c", .mode = 0600, .major = 4095, .minor = 1048575 });
	tar_add(&t, &(struct tar_entry){ .type = '4', .name = "b", .mode = 0660, .major = 8, .minor = 257 });
	tar_add(&t, &(struct tar_entry){ .type = '6', .name = "p", .mode = 0600 });
	tar_add(&t, &(struct tar_entry){ .type = '2', .name = "l", .link = "x", .mode = 0, .uid = 9 });
	tar_add(&t, &(struct tar_entry){ .type = '0', .name = "implied/f", .mode = 0644 });
	fd = finish(&t);
	struct efs f = efs_open(fd);

	i = efs_find(&f, "");
	ok(i.mode == (S_IFDIR | 0711) && i.uid == 1 && i.gid == 2 && i.mtime == 3, "the root's metadata");
	i = efs_find(&f, "suid");
	is_int(i.mode, S_IFREG | 06755, "setuid and setgid");
	ok(i.uid == 4000000000 && i.gid == 70000, "large ids");
	ok(i.mtime == 1700000000 && i.mtime_ns == 123456789, "time in nanoseconds");
	i = efs_find(&f, "tmp");
	ok(i.mode == (S_IFDIR | 01777) && i.mtime == 1234567890 && i.mtime_ns == 0, "a sticky folder");
	i = efs_find(&f, "c");
	ok(S_ISCHR(i.mode) && i.field == 0xffffffff, "the largest device number");
	i = efs_find(&f, "b");
	ok(S_ISBLK(i.mode) && i.field == (1 | 8 << 8 | 1 << 20), "a minor of more than 8 bits");
	ok(S_ISFIFO(efs_find(&f, "p").mode), "a fifo");
	i = efs_find(&f, "l");
	ok(i.mode == (S_IFLNK | 0777) && i.uid == 9, "a symlink's mode is 0777");
	i = efs_find(&f, "implied");
	ok(i.mode == (S_IFDIR | 0755) && i.uid == 0 && i.mtime == 0, "a missing parent");
	efs_close(&f);
	close(fd);
}

static bool xattr_is(const struct efs *f, const char *path, unsigned index, const char *name,
		     const void *want, size_t n)
{
	struct efs_inode i = efs_find(f, path);
	size_t len = 0;
	const uint8_t *v = efs_xattr(f, &i, index, name, &len);

	return want ? v && len == n && !memcmp(v, want, n) : !v;
}

static void test_xattrs(void)
{
	static const char caps[] = "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0";
	struct tarball t = { 0 };
	char *pax = malloc(70000), *big = malloc(60000);
	size_t n = 0;
	int fd;

	memset(big, 'b', 60000);
	n += pax_record(pax + n, "SCHILY.xattr.security.capability", caps, 20);
	n += pax_record(pax + n, "SCHILY.xattr.user.empty", "", 0);
	n += pax_record(pax + n, "SCHILY.xattr.user.twice", "old", 3);
	n += pax_record(pax + n, "SCHILY.xattr.user.twice", "new", 3);
	n += pax_record(pax + n, "SCHILY.xattr.trusted.t", "=\n=", 3);
	n += pax_record(pax + n, "SCHILY.xattr.system.posix_acl_access", "\2\0\0\0", 4);
	n += pax_record(pax + n, "SCHILY.xattr.trusted.overlay.opaque", "y", 1);
	n += pax_record(pax + n, "SCHILY.xattr.user.overlay.redirect", "/x", 2);
	n += pax_record(pax + n, "SCHILY.xattr.com.apple.quarantine", "q", 1);
	tar_add(&t, &(struct tar_entry){ .type = '0', .name = "f", .data = "data", .len = 4,
					 .pax = pax, .pax_len = n });
	n = pax_record(pax, "LIBARCHIVE.xattr.user.base64", "aGVsbG8", 7);
	tar_add(&t, &(struct tar_entry){ .type = '5', .name = "d", .pax = pax, .pax_len = n });
	n = pax_record(pax, "SCHILY.xattr.user.big", big, 60000);
	tar_add(&t, &(struct tar_entry){ .type = '0', .name = "big", .data = "tail", .len = 4,
					 .pax = pax, .pax_len = n });
	fd = finish(&t);
	struct efs f = efs_open(fd);

	ok(xattr_is(&f, "f", 6, "capability", caps, 20), "security.capability, byte for byte");
	ok(xattr_is(&f, "f", 1, "empty", "", 0), "an empty value");
	ok(xattr_is(&f, "f", 1, "twice", "new", 3), "the last of two values");
	ok(xattr_is(&f, "f", 4, "t", "=\n=", 3), "trusted, with = and newline");
	ok(xattr_is(&f, "f", 2, "", "\2\0\0\0", 4), "a POSIX ACL");
	ok(xattr_is(&f, "f", 4, "overlay.opaque", NULL, 0), "trusted.overlay is dropped");
	ok(xattr_is(&f, "f", 1, "overlay.redirect", NULL, 0), "user.overlay is dropped");
	ok(xattr_is(&f, "d", 1, "base64", "hello", 5), "LIBARCHIVE.xattr");
	ok(xattr_is(&f, "big", 1, "big", big, 60000), "60000 bytes");
	struct efs_inode i = efs_find(&f, "big");
	char data[5] = { 0 };

	efs_read(&f, &i, 0, data, 4);
	is_str(data, "tail", "content beside them");
	efs_close(&f);
	close(fd);

	memset(pax, 0, 70000);
	n = pax_record(pax, "SCHILY.xattr.user.a", big, 33000);
	n += pax_record(pax + n, "SCHILY.xattr.user.b", big, 33000);
	struct error err = { 0 };

	tar_add(&t, &(struct tar_entry){ .type = '0', .name = "f", .pax = pax, .pax_len = n });
	ok(build_tar(&t, &err) == -E2BIG, "66000 bytes are refused");
	free(pax);
	free(big);
}

/* Bytes that differ from block to block. */
static void pattern(uint8_t *p, size_t n, unsigned seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(seed + i + (i >> 8) * 7 + (i >> 12) * 13);
}

static const size_t sizes[] = { 0, 1, 2, 63, 4031, 4032, 4033, 4095, 4096, 4097, 8128, 8191, 8192, 12287,
				65536, 300000, 524288, 524289, 1048576, 3000001 };

static void test_sizes(void)
{
	uint8_t *want = malloc(4000000), *got = malloc(4000000);
	struct tarball t = { 0 };
	char name[32];
	size_t k;
	int fd;

	for (k = 0; k < ARRAY_SIZE(sizes); k++) {
		snprintf(name, sizeof(name), "f%zu", sizes[k]);
		pattern(want, sizes[k], (unsigned)k);
		tar_add(&t, &(struct tar_entry){ .type = '0', .name = name, .data = want, .len = sizes[k] });
	}
	fd = finish(&t);
	struct efs f = efs_open(fd);

	for (k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct efs_inode i;

		snprintf(name, sizeof(name), "f%zu", sizes[k]);
		pattern(want, sizes[k], (unsigned)k);
		i = efs_find(&f, name);
		efs_read(&f, &i, 0, got, sizes[k]);
		ok(i.size == sizes[k] && !memcmp(got, want, sizes[k]), "a file of %zu bytes", sizes[k]);
	}
	efs_close(&f);
	close(fd);
	free(want);
	free(got);
}

static void test_names(void)
{
	struct tarball t = { 0 };
	char name[256], target[4096];
	static const size_t targets[] = { 1, 4031, 4032, 4033, 4095 };
	size_t k;
	int fd, c;

	memset(name, 'n', 255);
	name[255] = 0;
	tar_add(&t, &(struct tar_entry){ .type = '0', .name = name, .data = "long", .len = 4 });
	/* Every byte that a name can have, as ustar and as pax. */
	for (c = 1; c < 256; c++) {
		char odd[8] = { 'o', (char)c, 'd', 0 }, pax[64];
		size_t n;

		if (c == '/')
			continue;
		tar_add(&t, &(struct tar_entry){ .type = '0', .name = odd, .data = &c, .len = 1 });
		odd[0] = 'p';
		n = pax_record(pax, "path", odd, 3);
		tar_add(&t, &(struct tar_entry){ .type = '0', .name = "x", .data = &c, .len = 1,
						 .pax = pax, .pax_len = n });
	}
	memset(target, 't', sizeof(target));
	for (k = 0; k < ARRAY_SIZE(targets); k++) {
		char link[8];

		snprintf(link, sizeof(link), "l%zu", targets[k]);
		target[targets[k]] = 0;
		target[targets[k] - 1] = '\xff';
		tar_add(&t, &(struct tar_entry){ .type = '2', .name = link, .link = target });
		target[targets[k]] = target[targets[k] - 1] = 't';
	}
	fd = finish(&t);
	struct efs f = efs_open(fd);
	int good = 0;

	ok(efs_find(&f, name).size == 4, "a name of 255 bytes");
	for (c = 1; c < 256; c++) {
		char odd[8] = { 'o', (char)c, 'd', 0 };

		good += efs_find(&f, odd).size == 1;
		odd[0] = 'p';
		good += efs_find(&f, odd).size == 1;
	}
	is_int(good, 2 * 254, "names of any bytes");
	for (k = 0; k < ARRAY_SIZE(targets); k++) {
		struct efs_inode i;
		char link[8];
		uint8_t got[4096];

		snprintf(link, sizeof(link), "l%zu", targets[k]);
		i = efs_find(&f, link);
		efs_read(&f, &i, 0, got, targets[k]);
		ok(S_ISLNK(i.mode) && i.size == targets[k] && got[targets[k] - 1] == 0xff &&
		   (targets[k] == 1 || got[0] == 't'), "a symlink target of %zu bytes", targets[k]);
	}
	efs_close(&f);
	close(fd);
}

/* Entries in an order that would make a plain search tree a list, and one that is as good as random. */
static void test_large_folder(void)
{
	struct tarball t = { 0 };
	unsigned i, count = 20000;
	char name[64];
	int fd;

	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "big/%05u-%s", i * 7919 % count, i % 3 ? "x" : "a-rather-long-name");
		tar_add(&t, &(struct tar_entry){ .type = '0', .name = name, .data = name, .len = 9 });
	}
	for (i = 0; i < 300; i++) {
		/* '!' and '-' sort before "." */
		snprintf(name, sizeof(name), "odd/%c%c", "!-.09Aa~"[i % 8], (char)('0' + i / 8));
		tar_add(&t, &(struct tar_entry){ .type = '0', .name = name });
	}
	fd = finish(&t);
	struct efs f = efs_open(fd);

	is_int(f.inos, count + 300 + 3, "all are there");
	ok(efs_find(&f, "big").size > count * 14, "many blocks, in order");
	ok(efs_find(&f, "big/00000-a-rather-long-name").size == 9, "the first");
	ok(efs_find(&f, "odd/!0").nid && efs_find(&f, "odd/~0").nid, "around the dots");
	efs_close(&f);
	close(fd);
}

/* --- sparse files -------------------------------------------------------------------------------- */

/* A GNU sparse file in pax format 1.0: its map is the first part of the content. */
static void add_sparse(struct tarball *t, const char *name, unsigned long long size, const char *map,
		       const void *data, size_t n)
{
	uint8_t *body = calloc(1, 512 + n);
	char pax[512], number[24];
	size_t len = 0;

	memcpy(body, map, strlen(map));
	if (n)
		memcpy(body + 512, data, n);
	len += pax_record(pax + len, "GNU.sparse.major", "1", 1);
	len += pax_record(pax + len, "GNU.sparse.minor", "0", 1);
	len += pax_record(pax + len, "GNU.sparse.name", name, strlen(name));
	len += pax_record(pax + len, "GNU.sparse.realsize", number,
			  (size_t)snprintf(number, sizeof(number), "%llu", size));
	tar_add(t, &(struct tar_entry){ .type = '0', .name = "GNUSparseFile.0/x", .data = body, .len = 512 + n,
					.pax = pax, .pax_len = len });
	free(body);
}

static unsigned long long disk_bytes(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (unsigned long long)st.st_blocks * 512 : 0;
}

static void test_sparse(void)
{
	const unsigned long long huge = 5ULL << 40;
	struct tarball t = { 0 };
	uint8_t data[8192], got[8192];
	struct efs_inode i;
	int fd;

	pattern(data, sizeof(data), 1);
	add_sparse(&t, "small", 20480, "2\n0\n4096\n16384\n4096\n", data, 8192);
	add_sparse(&t, "odd", 20000, "2\n5000\n100\n19990\n10\n", data, 110);
	add_sparse(&t, "hole", 1ULL << 30, "1\n1073741824\n0\n", NULL, 0);
	add_sparse(&t, "huge", huge, "2\n0\n512\n5497558138368\n512\n", data, 1024);
	fd = finish(&t);
	struct efs f = efs_open(fd);

	i = efs_find(&f, "small");
	ok(i.layout == 4 && i.size == 20480, "a sparse file is made of chunks");
	efs_read(&f, &i, 0, got, 4096);
	ok(!memcmp(got, data, 4096), "its first data");
	ok(!efs_map(&f, &i, 4096) && !efs_map(&f, &i, 16383), "the hole is a hole");
	efs_read(&f, &i, 16384, got, 4096);
	ok(!memcmp(got, data + 4096, 4096), "its last data");
	i = efs_find(&f, "odd");
	efs_read(&f, &i, 4096, got, 4096);
	ok(!got[903] && !memcmp(got + 904, data, 100) && !got[1004], "data that begins within a block");
	efs_read(&f, &i, 19990, got, 10);
	ok(!memcmp(got, data + 100, 10), "data at the end");
	i = efs_find(&f, "hole");
	ok(i.size == 1ULL << 30 && !efs_map(&f, &i, 0) && !efs_map(&f, &i, (1 << 30) - 1), "a file of nothing");
	i = efs_find(&f, "huge");
	efs_read(&f, &i, huge - (5497558138880ULL - 5497558138368ULL), got, 512);
	ok(i.size == huge && !memcmp(got, data + 512, 512), "5 TiB, with data at the end");
	ok(!efs_map(&f, &i, huge / 2), "and nothing in the middle");
	ok(disk_bytes(fd) < 2 * MIB, "it takes little disk (%llu bytes)", disk_bytes(fd));
	efs_close(&f);
	close(fd);

	struct error err = { 0 };

	add_sparse(&t, "bad", 8192, "2\n4096\n4096\n0\n4096\n", data, 8192);
	ok(build_tar(&t, &err) < 0, "a map that goes back is refused");
	add_sparse(&t, "bad", 4096, "2\n0\n4096\n4096\n4096\n", data, 8192);
	ok(build_tar(&t, &err) < 0, "a map past the end is refused");
	add_sparse(&t, "bad", 1ULL << 60, "1\n0\n512\n", data, 512);
	ok(build_tar(&t, &err) == -EFBIG, "an exabyte is refused");
}

/* --- what no longer belongs to anything ---------------------------------------------------------- */

static void test_dead_content(void)
{
	static uint8_t data[4 << 20];
	struct tarball t[2] = { { 0 }, { 0 } };
	struct erofs_stats st;
	struct error err = { 0 };
	int fd;

	pattern(data, sizeof(data), 3);
	tar_add(&t[0], &(struct tar_entry){ .type = '0', .name = "replaced", .data = data, .len = sizeof(data) });
	tar_add(&t[0], &(struct tar_entry){ .type = '0', .name = "d/removed", .data = data, .len = sizeof(data) });
	tar_add(&t[0], &(struct tar_entry){ .type = '0', .name = "linked", .data = data, .len = 1 << 20 });
	tar_add(&t[0], &(struct tar_entry){ .type = '1', .name = "kept", .link = "linked" });
	add_sparse(&t[0], "sparse", 1 << 20, "1\n65536\n4096\n", data, 4096);
	tar_end(&t[0]);
	tar_add(&t[1], &(struct tar_entry){ .type = '0', .name = "replaced", .data = "new", .len = 3 });
	tar_add(&t[1], &(struct tar_entry){ .type = '0', .name = ".wh.d" });
	tar_add(&t[1], &(struct tar_entry){ .type = '0', .name = ".wh.linked" });
	tar_add(&t[1], &(struct tar_entry){ .type = '0', .name = ".wh.sparse" });
	tar_end(&t[1]);
	fd = must(build_tars(t, 2, &st, &err), &err);
	ok(fsck(fd) <= 0, "fsck.erofs");
	ok(st.bytes > 9 * MIB && disk_bytes(fd) < 3 * MIB / 2,
	   "content of removed files takes no disk (%llu of %llu bytes)", disk_bytes(fd),
	   (unsigned long long)st.bytes);
	struct efs f = efs_open(fd);
	struct efs_inode i = efs_find(&f, "kept");
	uint8_t got[4096];

	efs_read(&f, &i, (1 << 20) - 4096, got, 4096);
	ok(!memcmp(got, data + (1 << 20) - 4096, 4096), "content with a name left is still there");
	efs_close(&f);
	close(fd);
	tar_fini(&t[0]);
	tar_fini(&t[1]);
}

static void test_determinism(void)
{
	struct tarball t = tar_of("a/ a/b=1 c->d e=>a/b f| z/y/x=longer g=2 g=3 .wh.nothing");
	struct erofs_stats st[2];
	struct error err = { 0 };
	int fd[2], k;

	for (k = 0; k < 2; k++)
		fd[k] = must(build_tars(&t, 1, &st[k], &err), &err);
	struct efs a = efs_open(fd[0]), b = efs_open(fd[1]);

	ok(a.n == b.n && !memcmp(a.p, b.p, a.n), "same layers, same bytes");
	ok(!memcmp(a.p + 1024 + 48, test_uuid, 16), "the uuid is the one given");
	is_int(a.inos, 9, "inodes");
	is_int(st[0].bytes, a.n, "size");
	efs_close(&a);
	efs_close(&b);
	close(fd[0]);
	close(fd[1]);
	tar_fini(&t);
}

int main(void)
{
	test_metadata();
	test_xattrs();
	test_sizes();
	test_names();
	test_large_folder();
	test_sparse();
	test_dead_content();
	test_determinism();
	return tap_done();
}

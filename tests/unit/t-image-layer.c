/* What layers do to each other: the semantics of docker's and containerd's unpacking. */
#include "lib/image_build.h"
#include "lib/tap.h"

struct semantic {
	const char *what;
	const char *layers[4]; /* as tar_of() takes them, bottom first */
	const char *want;      /* the tree as efs_line() gives it, or NULL: */
	const char *error;     /* part of the message */
};

static const struct semantic cases[] = {
	{ "nothing", { "" }, "" },
	{ "files and folders", { "a/ a/b=x c=y" }, "a/ a/b=x c=y" },
	{ "paths are cleaned", { "./a/ ./a//b=x /c=y d/./e=z" }, "a/ a/b=x c=y d/ d/e=z" },
	{ "dot-dot inside the root", { "a/ a/../b=x" }, "a/ b=x" },
	{ "dot-dot out of the root", { "a/../../b=x" }, NULL, "leads out of the image" },
	{ "absolute dot-dot", { "/../b=x" }, NULL, "leads out of the image" },
	{ "missing parents", { "a/b/c=x" }, "a/ a/b/ a/b/c=x" },
	{ "an entry replaces an earlier one", { "a=1 a=2" }, "a=2" },
	{ "an upper layer's file replaces", { "a=1", "a=2" }, "a=2" },
	{ "folder on folder keeps entries", { "a/ a/b=x", "a/" }, "a/ a/b=x" },
	{ "file on folder removes it all", { "a/ a/b/ a/b/c=x", "a=f" }, "a=f" },
	{ "folder on file", { "a=f", "a/ a/b=x" }, "a/ a/b=x" },
	{ "symlink on folder", { "a/ a/b=x", "a->c" }, "a->c" },
	{ "folder on symlink", { "c/ a->c", "a/ a/b=x" }, "a/ a/b=x c/" },
	{ "file below a file", { "a=f", "a/b=x" }, NULL, "on the way is a file" },
	{ "fifo", { "p|" }, "p|" },

	{ "through a symlink", { "usr/ usr/lib/ lib->usr/lib", "lib/x=1" },
	  "lib->usr/lib usr/ usr/lib/ usr/lib/x=1" },
	{ "through an absolute symlink", { "usr/ lib->/usr", "lib/x=1" }, "lib->/usr usr/ usr/x=1" },
	{ "far through a symlink", { "usr/ a->/usr", "a/b/c/d=1" }, "a->/usr usr/ usr/b/ usr/b/c/ usr/b/c/d=1" },
	{ "through symlinks to symlinks", { "x/ x/y/ a->b/ b->x", "a/y/c/d=1 b/y/e=2" },
	  "a->b/ b->x x/ x/y/ x/y/c/ x/y/c/d=1 x/y/e=2" },
	{ "whiteout and hard link far through symlinks", { "x/ x/y/ x/y/f=1 x/y/g=2 a->x", "a/y/.wh.f h=>a/y/g" },
	  "a->x h=2 x/ x/y/ x/y/g=2" },
	{ "through a dangling symlink", { "lib->usr/lib", "lib/x=1" },
	  "lib->usr/lib usr/ usr/lib/ usr/lib/x=1" },
	{ "a symlink's dot-dot stops at the root", { "a->../../../b b/", "a/x=1" }, "a->../../../b b/ b/x=1" },
	{ "symlink in a folder", { "d/ d/up->../e e/", "d/up/x=1" }, "d/ d/up->../e e/ e/x=1" },
	{ "symlink loop", { "a->b b->a", "a/x=1" }, NULL, "loop" },
	{ "symlink to itself", { "a->a/a", "a/x=1" }, NULL, "loop" },
	{ "symlink to a file on the way", { "f=1 a->f", "a/x=1" }, NULL, "on the way is a file" },
	{ "the last symlink is not followed", { "f=1 a->f", "a=2" }, "a=2 f=1" },

	{ "hard link", { "a=x b=>a" }, "a=x b=x" },
	{ "hard link to a lower layer", { "a=x", "b=>a" }, "a=x b=x" },
	{ "hard link through a symlink", { "d/ d/a=x s->d b=>s/a" }, "b=x d/ d/a=x s->d" },
	{ "hard link at a symlinked folder", { "d/ s->d a=x s/b=>a" }, "a=x d/ d/b=x s->d" },
	{ "hard link to a symlink", { "a->x b=>a" }, "a->x b->x" },
	{ "hard link replaces", { "a=x b=y b=>a" }, "a=x b=x" },
	{ "hard link to nothing", { "b=>a" }, NULL, "does not exist" },
	{ "hard link to a folder", { "a/ b=>a" }, NULL, "folder" },
	{ "hard link out of the root", { "b=>../a" }, NULL, "leads out of the image" },
	{ "hard link to itself", { "a=x a=>a" }, NULL, "does not exist" },
	{ "replacing one name leaves the other", { "a=x b=>a", "a=y" }, "a=y b=x" },

	{ "whiteout", { "a=1 b=2", ".wh.a" }, "b=2" },
	{ "whiteout of a folder", { "a/ a/b/ a/b/c=1 d=2", ".wh.a" }, "d=2" },
	{ "whiteout below", { "a/ a/b=1 a/c=2", "a/.wh.b" }, "a/ a/c=2" },
	{ "whiteout of nothing", { "a=1", ".wh.b x/.wh.y a/.wh.z" }, "a=1" },
	{ "whiteout then new", { "a=1", ".wh.a a=2" }, "a=2" },
	{ "new then whiteout", { "a=1", "a=2 .wh.a" }, "a=2" },
	{ "whiteout of the layer's own", { "", "a=2 .wh.a" }, "a=2" },
	{ "whiteout of a folder that the layer fills", { "a/ a/old=1", "a/new=2 .wh.a" }, "a/ a/new=2" },
	{ "whiteout through a symlink", { "usr/ usr/x=1 l->usr", "l/.wh.x" }, "l->usr usr/" },
	{ "whiteout of a hard link's one name", { "a=x b=>a", ".wh.a" }, "b=x" },
	{ "a whiteout does not reach upper layers", { "a=1", ".wh.a", "a=3" }, "a=3" },
	{ "whiteout without a name", { ".wh." }, NULL, "whiteout of nothing" },
	{ "whiteout of dot-dot", { "d/ d/.wh..." , "" }, NULL, "whiteout of nothing" },

	{ "opaque", { "a/ a/old=1 b=2", "a/ a/.wh..wh..opq a/new=3" }, "a/ a/new=3 b=2" },
	{ "opaque last", { "a/ a/old=1 b=2", "a/ a/new=3 a/.wh..wh..opq" }, "a/ a/new=3 b=2" },
	{ "opaque keeps new files in old folders", { "a/ a/b/ a/b/old=1", "a/b/new=2 a/.wh..wh..opq" },
	  "a/ a/b/ a/b/new=2" },
	{ "opaque of the root", { "a=1 b/ b/c=2", ".wh..wh..opq d=3" }, "d=3" },
	{ "opaque twice", { "a/ a/x=1", "a/.wh..wh..opq a/y=2 a/.wh..wh..opq" }, "a/ a/y=2" },
	{ "opaque of nothing", { "a=1", "b/.wh..wh..opq" }, "a=1" },
	{ "opaque over a file", { "a=1", "a/.wh..wh..opq a/ a/x=2" }, "a/ a/x=2" },
	{ "aufs metadata", { ".wh..wh.plnk/ .wh..wh.plnk/1.2=x .wh..wh.aufs=y a=1" }, "a=1" },
};

static void run_case(const struct semantic *c)
{
	struct tarball tars[4];
	struct erofs_stats st;
	struct error err = { 0 };
	char got[4096];
	size_t i, n;
	int fd;

	for (n = 0; n < 4 && c->layers[n]; n++)
		tars[n] = tar_of(c->layers[n]);
	fd = build_tars(tars, n, &st, &err);
	for (i = 0; i < n; i++)
		tar_fini(&tars[i]);
	if (!c->want) {
		if (!ok(fd < 0 && strstr(err.text, c->error), "%s: refused", c->what))
			printf("# %s\n", err.text);
		return;
	}
	if (fd < 0) {
		ok(false, "%s: %s", c->what, err.text);
		return;
	}
	struct efs f = efs_open(fd);

	efs_line(&f, got, sizeof(got));
	is_str(got, c->want, c->what);
	efs_close(&f);
	if (fsck(fd) > 0)
		ok(false, "%s: fsck.erofs", c->what);
	close(fd);
}

static unsigned nlink_of(const struct efs *f, const char *path)
{
	return efs_find(f, path).nlink;
}

static void test_links(void)
{
	struct tarball t[2] = { tar_of("a=x d/ d/e/ d/e/f/ b=>a c=>a l->a"), tar_of(".wh.b d/g/ m=>l") };
	struct erofs_stats st;
	int fd = build_tars(t, 2, &st, NULL);
	struct efs f = efs_open(fd);

	is_int(nlink_of(&f, "a"), 2, "two of three names are left");
	ok(efs_find(&f, "a").nid == efs_find(&f, "c").nid, "they are one inode");
	is_int(nlink_of(&f, "l"), 2, "a symlink with two names");
	is_int(nlink_of(&f, "d"), 4, "a folder with two folders");
	is_int(nlink_of(&f, "d/e/f"), 2, "a folder without");
	is_int(nlink_of(&f, ""), 3, "the root");
	is_int(f.inos, 7, "inodes counted once");
	is_int(st.inodes, 7, "and reported");
	efs_close(&f);
	close(fd);
	tar_fini(&t[0]);
	tar_fini(&t[1]);
}

/* In pax archives a hard link may carry the content of its file. */
static void test_link_with_data(void)
{
	struct tarball t = { 0 };
	struct tar_entry a = { .type = '0', .name = "a", .mode = 0644, .data = "first", .len = 5 };
	char pax[64];
	size_t n = pax_record(pax, "comment", "x", 1);
	struct tar_entry b = { .type = '1', .name = "b", .link = "a", .mode = 0600, .uid = 7,
			       .data = "second!", .len = 7, .pax = pax, .pax_len = n };
	struct error err = { 0 };
	char got[64];
	int fd;

	tar_add(&t, &a);
	tar_add(&t, &b);
	fd = build_tar(&t, &err);
	struct efs f = efs_open(fd);

	efs_line(&f, got, sizeof(got));
	is_str(got, "a=second! b=second!", "a hard link with data gives the file its content");
	is_int(efs_find(&f, "a").mode & 07777, 0600, "and its mode");
	is_int(efs_find(&f, "a").uid, 7, "and its owner");
	efs_close(&f);
	close(fd);
}

/* The device that overlayfs takes for a whiteout works like one, as it does where docker unpacks. */
static void test_whiteout_device(void)
{
	struct tarball t[2] = { tar_of("a=1 b=2"), { 0 } };
	struct erofs_stats st;
	char got[64];
	int fd;

	tar_add(&t[1], &(struct tar_entry){ .type = '3', .name = "a", .mode = 0600 });
	tar_add(&t[1], &(struct tar_entry){ .type = '3', .name = "null", .mode = 0666, .major = 1, .minor = 3 });
	tar_end(&t[1]);
	fd = build_tars(t, 2, &st, NULL);
	struct efs f = efs_open(fd);

	efs_line(&f, got, sizeof(got));
	is_str(got, "b=2 null=", "device 0:0");
	efs_close(&f);
	close(fd);
	tar_fini(&t[0]);
	tar_fini(&t[1]);
}

static void refuse(const char *what, struct tarball *t, const char *why)
{
	struct error err = { 0 };
	int fd = build_tar(t, &err);

	if (!ok(fd < 0 && strstr(err.text, why), "%s: refused", what))
		printf("# %s\n", err.text);
	if (fd >= 0)
		close(fd);
}

static void test_limits(void)
{
	struct tarball t = { 0 };
	char *name = malloc(70000);
	size_t i;

	memset(name, 'n', 70000);
	name[256] = 0;
	tar_add(&t, &(struct tar_entry){ .type = '0', .name = name });
	refuse("a name of 256 bytes", &t, "longer than 255");
	memset(name, 'n', 70000);
	for (i = 100; i < 5000; i += 100)
		name[i] = '/';
	name[5000] = 0;
	tar_add(&t, &(struct tar_entry){ .type = '0', .name = name });
	refuse("a path of 5000 bytes", &t, "longer than 4096");
	tar_add(&t, &(struct tar_entry){ .type = '2', .name = "l", .link = name });
	refuse("a target of 5000 bytes", &t, "4095");
	tar_add(&t, &(struct tar_entry){ .type = '2', .name = "l", .link = "" });
	refuse("a symlink to nothing", &t, "4095");
	tar_add(&t, &(struct tar_entry){ .type = '3', .name = "dev", .major = 5000, .minor = 1 });
	refuse("a major number of 13 bits", &t, "device number");
	tar_add(&t, &(struct tar_entry){ .type = '0', .name = "f", .uid = 5000000000ULL });
	refuse("a user id of 33 bits", &t, "user and group");
	tar_add(&t, &(struct tar_entry){ .type = '2', .name = "./", .link = "x" });
	refuse("a symlink as the root", &t, "root");

	/* Each folder is reached through a symlink, so no path is long. */
	tar_add(&t, &(struct tar_entry){ .type = '5', .name = "top", .mode = 0755 });
	for (i = 0; i < 3; i++) {
		size_t k;

		memcpy(name, "s/", 3);
		for (k = 0; k < 2000; k++)
			memcpy(name + (i ? 2 : 0) + k * 2, "d/", 3);
		tar_add(&t, &(struct tar_entry){ .type = '5', .name = name, .mode = 0755 });
		name[strlen(name) - 1] = 0;
		tar_add(&t, &(struct tar_entry){ .type = '2', .name = "s", .link = name });
	}
	refuse("folders nested without end", &t, "nested");
	free(name);
}

static void test_damage(void)
{
	struct tarball t = tar_of("a=x");
	struct error err = { 0 };
	struct erofs_stats st;

	t.n -= 1024;
	tar_raw(&t, "garbage that is no header", 25);
	tar_pad(&t);
	refuse("garbage between entries", &t, "bad tar");
	t = (struct tarball){ 0 };
	tar_raw(&t, "this is not a tar archive at all", 32);
	tar_pad(&t);
	refuse("no archive", &t, "bad tar");
	t = (struct tarball){ 0 };
	tar_header(&t, &(struct tar_entry){ .name = "a", .mode = 0644 }, '0', 100000);
	refuse("a file cut short", &t, "bad tar");
	t = tar_of("a=x");
	tar_raw(&t, "trailing garbage", 16);
	int fd = build_tar(&t, &err);

	ok(fd >= 0, "bytes behind the end of the archive");
	close(fd);
	/* As it is, without an end marker: build_tar() would add one. */
	t = tar_of("a=xyz");
	t.n = 512 + 3;
	fd = build_tars(&t, 1, &st, &err);
	ok(fd >= 0, "an archive that ends behind the last byte of a file: %s", fd < 0 ? err.text : "taken");
	close(fd);
	t.n = 512 + 2;
	fd = build_tars(&t, 1, &st, &err);
	ok(fd < 0 && strstr(err.text, "bad tar"), "one that ends before it: refused");
	tar_fini(&t);
}

int main(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(&cases[i]);
	test_links();
	test_link_with_data();
	test_whiteout_device();
	test_limits();
	test_damage();
	return tap_done();
}

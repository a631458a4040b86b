/* Archives of hostile boxes: whatever is in them, nothing outside of the target folder changes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "lib/tap.h"
#include "tar/pack.h"
#include "tar/unpack.h"

#define ENTRIES_MAX 8

/* TAR_FILE has the content "evil". */
struct line {
	enum tar_type type;
	const char *name, *link;
};

struct archive {
	struct buf buf;
	size_t at;
	bool is_replaced; /* see fill_beside() */
};

static int put(void *ud, const void *p, size_t n)
{
	return buf_append(&((struct archive *)ud)->buf, p, n);
}

static ssize_t fill(void *ud, void *p, size_t n)
{
	struct archive *a = ud;

	n = MIN(n, buf_len(&a->buf) - a->at);
	memcpy(p, buf_data(&a->buf) + a->at, n);
	a->at += n;
	return (ssize_t)n;
}

static void build(struct archive *a, const struct line *l, bool complete)
{
	struct tar_writer *w = tar_writer_new(put, a);
	int r = 0;

	for (; r == 0 && l->name; l++) {
		struct tar_entry e = { .type = l->type, .name = l->name, .link = l->link, .mode = 06777 };

		if (l->type == TAR_FILE)
			e.size = 4;
		r = tar_put_entry(w, &e);
		if (r == 0 && e.size)
			r = tar_put_data(w, "evil", 4);
	}
	if (r == 0)
		r = tar_put_end(w);
	if (r < 0)
		printf("# cannot build the archive: %d\n", r);
	if (!complete)
		a->buf.tail -= 1024 + 510; /* in the middle of the last file */
	tar_writer_free(w);
}

static int top; /* the scratch folder: outside/, with a file "precious", and in/, the target */

static bool is_precious(void)
{
	char text[16] = "";
	int fd = openat(top, "outside/precious", O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool good = fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0600 && st.st_nlink == 1 &&
		    read(fd, text, sizeof(text)) == 4 && memcmp(text, "good", 4) == 0;

	close(fd);
	return good && fstatat(top, "outside", &st, 0) == 0 && (st.st_mode & 07777) == 0755 && st.st_nlink == 2 &&
	       faccessat(top, "outside/new", F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	       faccessat(top, "new", F_OK, AT_SYMLINK_NOFOLLOW) < 0 && faccessat(AT_FDCWD, "/boxlite-evil", F_OK, 0) < 0;
}

static void make_scratch(void)
{
	int fd;

	io_remove_tree_at(top, "in");
	io_remove_tree_at(top, "outside");
	if (mkdirat(top, "outside", 0755) < 0 || mkdirat(top, "in", 0755) < 0)
		printf("# cannot make the scratch folders: %s\n", strerror(errno));
	fd = openat(top, "outside/precious", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || io_write_full(fd, "good", 4) < 0)
		printf("# cannot make the precious file: %s\n", strerror(errno));
	close(fd);
}

static int unpack(const struct line *l, struct unpack_options *o, struct unpack_result *res, struct error *err)
{
	struct archive a = { .buf = BUF_INIT(MIB) };
	int r, dir = openat(top, "in", O_PATH | O_DIRECTORY | O_CLOEXEC);

	build(&a, l, true);
	o->dir = dir;
	r = unpack_tree(o, fill, &a, res, err);
	close(dir);
	buf_fini(&a.buf);
	return r;
}

static const struct {
	const char *what;
	struct line lines[ENTRIES_MAX];
	int want; /* 0: it may be taken, but leads nowhere */
} attacks[] = {
	{ "a name with ..", { { TAR_FILE, "../new", NULL } }, -EPERM },
	{ ".. in the middle", { { TAR_DIR, "a", NULL }, { TAR_FILE, "a/../../outside/new", NULL } }, -EPERM },
	{ "an absolute name", { { TAR_FILE, "/boxlite-evil", NULL } }, -EPERM },
	{ "a link and a file through it",
	  { { TAR_SYMLINK, "l", "../outside" }, { TAR_FILE, "l/new", NULL } }, -ENOTDIR },
	{ "an absolute link and a folder through it",
	  { { TAR_SYMLINK, "l", "/" }, { TAR_DIR, "l/boxlite-evil", NULL } }, -ENOTDIR },
	{ "a link deep below and a file through it",
	  { { TAR_DIR, "a", NULL }, { TAR_DIR, "a/b", NULL }, { TAR_SYMLINK, "a/b/l", "../../../outside" },
	    { TAR_FILE, "a/b/l/precious", NULL } }, -ENOTDIR },
	{ "a link and a file in its place",
	  { { TAR_SYMLINK, "l", "../outside/precious" }, { TAR_FILE, "l", NULL } }, 0 },
	{ "a link and a folder in its place", { { TAR_SYMLINK, "l", "../outside" }, { TAR_DIR, "l", NULL } }, -ENOTDIR },
	{ "a folder, replaced by a link", { { TAR_DIR, "d", NULL }, { TAR_SYMLINK, "d", "../outside" },
					    { TAR_FILE, "d/new", NULL } }, -EISDIR },
	{ "a hard link to what is outside", { { TAR_HARDLINK, "h", "../outside/precious" } }, -EPERM },
	{ "a hard link through a link",
	  { { TAR_SYMLINK, "l", "../outside" }, { TAR_HARDLINK, "h", "l/precious" } }, -ENOTDIR },
	{ "a hard link to a link, and a file over it",
	  { { TAR_SYMLINK, "l", "../outside/precious" }, { TAR_HARDLINK, "h", "l" }, { TAR_FILE, "h", NULL } }, 0 },
	{ "a device", { { TAR_CHAR, "null", NULL } }, 0 },
};

static void test_attacks(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(attacks); i++) {
		struct unpack_options o = { 0 };
		struct unpack_result res = { 0 };
		struct error err = { 0 };
		int r;

		make_scratch();
		r = unpack(attacks[i].lines, &o, &res, &err);
		if (!ok(r == attacks[i].want && is_precious(), "%s", attacks[i].what))
			printf("# %d %s\n", r, err.text);
	}
	ok(faccessat(top, "in/null", F_OK, AT_SYMLINK_NOFOLLOW) < 0, "no device was made");
}

/* A copy of one thing gets one name, whatever the archive calls it. */
static void test_placed(void)
{
	static const struct line file[] = { { TAR_FILE, "anything", NULL }, { 0 } };
	static const struct line folder[] = { { TAR_DIR, "x/y", NULL }, { TAR_FILE, "x/y/f", NULL }, { 0 } };
	static const struct line two[] = { { TAR_FILE, "a", NULL }, { TAR_FILE, "b", NULL }, { 0 } };
	static const struct line beside[] = { { TAR_DIR, "a", NULL }, { TAR_FILE, "ab", NULL }, { 0 } };
	static const struct line dot[] = { { TAR_DIR, ".", NULL }, { TAR_FILE, "./f", NULL },
					   { TAR_HARDLINK, "./g", "./f" }, { 0 } };
	struct unpack_options leaf = { .place = true, .leaf = "leaf" }, into = { .place = true, .name = "name" };
	struct unpack_options contents = { .place = true }, only = { .place = true, .leaf = "leaf", .leaf_is_folder = true };
	struct unpack_result res = { 0 };
	struct stat st;

	make_scratch();
	is_int(unpack(file, &leaf, &res, NULL), 0, "a file");
	ok(fstatat(top, "in/leaf", &st, 0) == 0 && S_ISREG(st.st_mode) && st.st_size == 4, "has the name it was to get");
	is_int(st.st_mode & 07777, 0777, "without bits that make it run as its owner");
	is_int(unpack(folder, &leaf, &res, NULL), -ENOTDIR, "a folder does not replace it");
	is_int(unpack(folder, &into, &res, NULL), 0, "a folder into a folder");
	ok(faccessat(top, "in/name/f", F_OK, 0) == 0 && faccessat(top, "in/x", F_OK, 0) < 0, "has the name of the source");
	is_int(unpack(file, &into, &res, NULL), -EISDIR, "a file does not replace it");
	is_int(unpack(two, &leaf, &res, NULL), -EPERM, "a second thing");
	is_int(unpack(beside, &into, &res, NULL), -EPERM, "or one beside a folder");
	is_int(unpack(file, &contents, &res, NULL), -EPERM, "a file where the contents of a folder should be");
	is_int(unpack(file, &only, &res, NULL), -ENOENT, "or a folder");
	is_int(unpack(dot, &contents, &res, NULL), 0, "what is in a folder");
	ok(fstatat(top, "in/g", &st, 0) == 0 && st.st_nlink == 2, "comes into it, with links between it");
	ok(fstatat(top, "in", &st, 0) == 0 && (st.st_mode & 07777) == 0755, "which stays as it is");
}

static void test_cut(void)
{
	static const struct line lines[] = { { TAR_DIR, "d", NULL }, { TAR_FILE, "d/whole", NULL }, { TAR_FILE, "d/part", NULL },
					     { 0 } };
	struct archive a = { .buf = BUF_INIT(MIB) };
	struct unpack_options o = { 0 };
	struct unpack_result res = { 0 };
	struct stat st;

	make_scratch();
	build(&a, lines, false);
	o.dir = openat(top, "in", O_PATH | O_DIRECTORY | O_CLOEXEC);
	is_int(unpack_tree(&o, fill, &a, &res, NULL), -ENODATA, "an archive that is cut off");
	ok(faccessat(top, "in/d/whole", F_OK, 0) == 0 && faccessat(top, "in/d/part", F_OK, 0) < 0, "leaves no part of a file");
	ok(fstatat(top, "in/d", &st, 0) == 0 && (st.st_mode & 0777) == 0777, "and no closed folder");
	close(o.dir);
	buf_fini(&a.buf);
}

static int fail_to_put(void *ud, const void *p, size_t n)
{
	(void)ud;
	(void)p;
	(void)n;
	return -EPIPE;
}

/* Another copy makes a file of that name while this one is at it. */
static ssize_t fill_beside(void *ud, void *p, size_t n)
{
	struct archive *a = ud;

	if (a->at >= 512 && !a->is_replaced) {
		int fd = unlinkat(top, "in/f", 0) < 0 ? -1
						      : openat(top, "in/f", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		a->is_replaced = fd >= 0 && io_write_full(fd, "good", 4) == 0;
		close(fd);
	}
	return fill(ud, p, MIN(n, 512)); /* the head, and then the content */
}

static void test_beside(void)
{
	const struct line file[] = { { TAR_FILE, "f", NULL }, { 0 } };
	struct archive a = { .buf = BUF_INIT(MIB) };
	struct unpack_options o = { 0 };
	struct unpack_result res = { 0 };
	struct error err = { 0 };
	struct stat st;

	make_scratch();
	o.dir = openat(top, "in", O_PATH | O_DIRECTORY | O_CLOEXEC);
	build(&a, file, false);
	is_int(unpack_tree(&o, fill_beside, &a, &res, &err), -ENODATA, "a copy is cut off");
	ok(a.is_replaced && fstatat(top, "in/f", &st, 0) == 0 && st.st_size == 4,
	   "what another has put there meanwhile stays");
	close(o.dir);
	buf_fini(&a.buf);
}

/* Two that make the same file again and again: none of them fails. */
static void test_two(void)
{
	const struct line file[] = { { TAR_FILE, "f", NULL }, { 0 } };
	int i, status = -1, failures = 0;
	struct error err = { 0 };
	pid_t child;

	make_scratch();
	child = fork();
	for (i = 0; i < 2000; i++) {
		struct unpack_options o = { 0 };
		struct unpack_result res = { 0 };

		failures += unpack(file, &o, &res, &err) < 0;
	}
	if (child == 0)
		_exit(failures != 0);
	is_int(failures, 0, "two copies of the same name");
	waitpid(child, &status, 0);
	ok(status == 0, "neither fails: %s", err.text);
}

static void test_pack_errors(void)
{
	int fd = openat(top, "outside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct error err = { 0 };

	is_int(pack_tree(&(struct pack_options){ .fd = fd, .name = "x" }, fail_to_put, NULL, &err), -EPIPE,
	       "nobody takes the archive");
	is_str(err.text, "cannot write the archive: Broken pipe", "and that is said");
	close(fd);
}

int main(void)
{
	char path[] = "/tmp/boxlite-unpack.XXXXXX";

	umask(0);
	if (!mkdtemp(path) || (top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return 1;
	test_attacks();
	test_placed();
	test_cut();
	test_beside();
	test_two();
	test_pack_errors();
	close(top);
	io_remove_tree_at(AT_FDCWD, path);
	return tap_done();
}

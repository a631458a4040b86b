#include "base/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/str.h"

#define LINKS_MAX 40 /* as the kernel */

/* Length without slashes at the end; "/" keeps its own. */
static size_t without_slashes(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return n;
}

/* Where the last of the first n bytes' parts begins. */
static size_t last_part(const char *path, size_t n)
{
	while (n && path[n - 1] != '/')
		n--;
	return n;
}

void copy_source_name(const char *path, char ret[NAME_MAX + 1])
{
	size_t n = without_slashes(path), at = last_part(path, n);

	if (n - at == 0 || n - at > NAME_MAX || (n - at == 2 && memcmp(path + at, "..", 2) == 0)) {
		memcpy(ret, ".", 2);
		return;
	}
	memcpy(ret, path + at, n - at);
	ret[n - at] = 0;
}

/* The folder ".." has a name, too, if one asks the kernel. */
static void name_of(const char *path, char ret[NAME_MAX + 1])
{
	size_t n = without_slashes(path);
	auto_free char *real = NULL;

	if (n >= 2 && memcmp(path + n - 2, "..", 2) == 0 && (n == 2 || path[n - 3] == '/'))
		real = realpath(path, NULL);
	copy_source_name(real ? real : path, ret);
}

static int open_source(const char *path, bool follow, const struct stat *st)
{
	const int how = O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);
	int fd;

	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | how);
	else
		fd = open(path, O_PATH | how);
	return fd < 0 ? -errno : fd;
}

int copy_source_open(const char *path, bool follow, struct copy_source *ret, struct error *err)
{
	struct copy_source s = { .fd = -1 };
	size_t n = without_slashes(path);
	bool as_folder = path[n] == '/';
	auto_free char *plain = strndup(path, n);
	struct stat st;

	if (!plain)
		return error_nomem(err);
	if (n == 0)
		return error_set(err, -EINVAL, "a path to copy from is empty");
	name_of(path, s.name);
	s.contents = str_eq(s.name, ".");
	as_folder |= s.contents;
	follow |= as_folder;
	if (fstatat(AT_FDCWD, plain, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return error_sys(err, "cannot copy %s", path);
	if (as_folder && !S_ISDIR(st.st_mode))
		return error_set(err, -ENOTDIR, "cannot copy %s: it is not a folder", path);
	if (S_ISSOCK(st.st_mode))
		return error_set(err, -EOPNOTSUPP, "cannot copy %s: it is a socket", path);
	s.fd = open_source(plain, follow, &st);
	if (s.fd < 0)
		return error_code(err, s.fd, "cannot copy %s", path);
	s.bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	*ret = s;
	return 0;
}

/* What a path is if its end is a link; the text is replaced. -ELOOP after too many. */
static int follow_links(char **path)
{
	char target[PATH_MAX];
	unsigned i;

	for (i = 0; i < LINKS_MAX; i++) {
		ssize_t n = readlink(*path, target, sizeof(target) - 1);
		size_t at;
		char *next;

		if (n < 0) /* no link, or nothing */
			return 0;
		target[n] = 0;
		at = target[0] == '/' ? 0 : last_part(*path, strlen(*path));
		next = malloc(at + (size_t)n + 1);
		if (!next)
			return -ENOMEM;
		memcpy(next, *path, at);
		memcpy(next + at, target, (size_t)n + 1);
		free(*path);
		*path = next;
		next[without_slashes(next)] = 0;
	}
	return -ELOOP;
}

/* path, which is no folder, as a name in one. */
static int open_parent(const char *path, const char *typed, struct copy_target *t, struct error *err)
{
	size_t n = without_slashes(path), at = last_part(path, n);
	auto_free char *parent = at ? strndup(path, at) : strdup(".");

	if (!parent)
		return error_nomem(err);
	if (n - at > NAME_MAX)
		return error_code(err, -ENAMETOOLONG, "cannot copy to %s", typed);
	memcpy(t->leaf, path + at, n - at);
	t->leaf[n - at] = 0;
	t->dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->dir < 0 && errno == ENOENT)
		return error_set(err, -ENOENT, "cannot copy to %s: there is no folder %s; make it first", typed, parent);
	return t->dir < 0 ? error_sys(err, "cannot copy to %s", typed) : 0;
}

int copy_target_open(const char *path, struct copy_target *ret, struct error *err)
{
	struct copy_target t = { .dir = -1 };
	size_t n = without_slashes(path);
	auto_free char *plain = NULL;
	struct stat st;
	char last[NAME_MAX + 1];
	int r;

	if (n == 0)
		return error_set(err, -EINVAL, "a path to copy to is empty");
	t.dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t.dir >= 0) {
		*ret = t;
		return 0;
	}
	if (errno != ENOENT && errno != ENOTDIR)
		return error_sys(err, "cannot copy to %s", path);
	plain = strndup(path, n);
	if (!plain)
		return error_nomem(err);
	copy_source_name(path, last);
	t.must_be_folder = path[n] == '/' || str_eq(last, ".");
	if (t.must_be_folder && lstat(plain, &st) == 0)
		return error_set(err, -ENOTDIR, "cannot copy to %s: it is not a folder", path);
	if (str_eq(last, "."))
		return error_set(err, -ENOENT, "cannot copy to %s: there is no such folder; make it first", path);
	r = follow_links(&plain);
	if (r < 0)
		return error_code(err, r, "cannot copy to %s", path);
	r = open_parent(plain, path, &t, err);
	if (r == 0)
		*ret = t;
	return r;
}

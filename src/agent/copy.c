#include "agent/copy.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/place.h"
#include "tar/pack.h"
#include "tar/unpack.h"

static int put_stdout(void *ud, const void *p, size_t n)
{
	(void)ud;
	return io_write_full(STDOUT_FILENO, p, n);
}

static ssize_t fill_stdin(void *ud, void *p, size_t n)
{
	ssize_t got;

	(void)ud;
	do
		got = read(STDIN_FILENO, p, n);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static int get(const struct copy_spec *s, struct error *err)
{
	struct copy_source from;
	int r = copy_source_open(s->path, s->follow, &from, err);

	if (r < 0)
		return r;
	/* The process ends after this: nothing needs to be closed. */
	r = pack_tree(&(struct pack_options){ .fd = from.fd, .name = from.name }, put_stdout, NULL, err);
	return r < 0 ? error_prefix(err, "cannot copy %.200s of the box", s->path) : 0;
}

static int put(const struct copy_spec *s, struct error *err)
{
	struct unpack_result ignored = { 0 };
	struct copy_target to;
	int r = copy_target_open(s->path, &to, err);

	if (r == 0 && *to.leaf && !s->place)
		r = error_set(err, -ENOTDIR, "cannot copy to %s: there is no such folder; make it first", s->path);
	if (r < 0)
		return r;
	const struct unpack_options o = {
		.dir = to.dir,
		.place = s->place,
		.leaf = *to.leaf ? to.leaf : NULL,
		.name = s->name,
		.leaf_is_folder = to.must_be_folder,
		.owners = s->owners,
		.boxed = true,
	};
	r = unpack_tree(&o, fill_stdin, NULL, &ignored, err);
	return r < 0 ? error_prefix(err, "cannot copy to %.200s of the box", s->path) : 0;
}

int copy_files(const struct copy_spec *s, struct error *err)
{
	umask(0);
	if (!s->path)
		return error_set(err, -EINVAL, "a copy without a path");
	/* As docker has it: of the box's root, wherever its command works. */
	if (chdir("/") < 0)
		return error_sys(err, "cannot enter the box's root");
	return s->op == COPY_GET ? get(s, err) : put(s, err);
}

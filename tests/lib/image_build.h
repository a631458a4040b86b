/* Layers given as archives in memory, converted in this process, and what fsck.erofs says of the image. */
#ifndef TESTS_LIB_IMAGE_BUILD_H
#define TESTS_LIB_IMAGE_BUILD_H

#include <fcntl.h>

#include "base/spawn.h"
#include "image/layer.h"
#include "lib/erofs_reader.h"
#include "lib/tarball.h"

static const uint8_t test_uuid[16] = { 1, 2, 3 };

__attribute__((unused)) static int scratch_dir(void)
{
	const char *at = getenv("TMPDIR");

	return open(at ? at : "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The image's fd, or a negative errno. */
__attribute__((unused)) static int build_tars(const struct tarball *tars, size_t n, struct erofs_stats *st,
					      struct error *err)
{
	uint64_t budget = UNPACK_MAX;
	int dir = scratch_dir(), out = scratch_open(dir), r;
	struct erofs e;
	size_t i;

	r = erofs_open(&e, out, dir, err);
	for (i = 0; i < n && r == 0; i++) {
		int fd = bytes_fd(tars[i].p, tars[i].n);
		struct layer l = { .fd = fd, .budget = &budget };

		r = layer_apply(&e, &l, err);
		close(fd);
	}
	if (r == 0)
		r = erofs_finish(&e, test_uuid, st, err);
	erofs_close(&e);
	close(dir);
	if (r == 0)
		return out;
	close(out);
	return r;
}

/* The same for one archive, which is freed. */
__attribute__((unused)) static int build_tar(struct tarball *t, struct error *err)
{
	struct erofs_stats st;
	int fd;

	tar_end(t);
	fd = build_tars(t, 1, &st, err);
	tar_fini(t);
	return fd;
}

/* Exit status of fsck.erofs: 0 = a good image, -1 = there is no such program. */
__attribute__((unused)) static int fsck(int image)
{
	static const char *const argv[] = { "fsck.erofs", "--extract", "/proc/self/fd/3", NULL };
	const struct spawn_fd fds[] = { { image, 3 } };
	struct spawn s = { .path = "/usr/bin/fsck.erofs", .argv = argv, .fds = fds, .nfds = 1 };
	struct child c = CHILD_NONE;
	int status;

	if (spawn_start(&s, &c, NULL) < 0)
		return -1;
	return spawn_wait(&c, &status) < 0 ? -1 : status;
}

#endif

/*
 * A list looks at each box of the home, a thousand of them perhaps: the folder is opened once, and what is in it is
 * asked for by a handful of system calls.
 */
#include "box/look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "box/lock.h"
#include "wire/spec.h"

#define EXIT_RECORD_MAX (16 * KIB)
#define HEALTH_RECORD_MAX (32 * KIB)
#define PORTS_RECORD_MAX (64 * KIB)
#define USAGE_DEPTH_MAX 16

/* The socket is made at the start. One that is still there after the end was left by a shim that was killed. */
static int64_t socket_time(int box)
{
	struct stat st;

	return fstatat(box, "run/box.sock", &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : st.st_mtime;
}

/* 1 with *ret filled, 0 if it never ran, -errno. */
static int read_record(int box, struct exit_record *ret)
{
	auto_buf struct buf text = BUF_INIT(EXIT_RECORD_MAX);
	auto_json json_t *j = NULL;
	int r = io_read_file_at(box, "exit.json", &text);

	if (r == -ENOENT && faccessat(box, "log/shim.log", F_OK, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (r == -ENOENT) {
		/* Started, and ended without a record: its shim was killed. */
		*ret = (struct exit_record){
			.exit = { .kind = PROC_LOST, .error = "the box's shim was killed" },
			.started_at = socket_time(box),
		};
		return 1;
	}
	if (r < 0)
		return r;
	j = json_parse(buf_data(&text), buf_len(&text), "exit.json", NULL);
	r = exit_record_from_json(j, ret);
	return r < 0 ? r : 1;
}

static int read_health(int box, struct health_state *ret)
{
	auto_buf struct buf text = BUF_INIT(HEALTH_RECORD_MAX);
	auto_json json_t *j = NULL;

	if (io_read_file_at(box, HEALTH_FILE, &text) < 0)
		return -ENOENT;
	j = json_parse(buf_data(&text), buf_len(&text), HEALTH_FILE, NULL);
	return health_from_json(j, ret);
}

static int look(struct home *h, const char *id, struct box_state *ret)
{
	auto_fd int box = openat(h->boxes_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct box_state s = { 0 };
	struct stat st;
	int r;

	if (box < 0)
		return -errno;
	r = box_lock_held(box, "lock");
	if (r < 0)
		return r;
	/* One that is locked for copies only does not run. */
	if (r == 1 && faccessat(box, SPEC_COPYING_FILE, F_OK, 0) < 0) {
		if (errno != ENOENT)
			return -errno;
		s.running = true;
	}
	if (s.running) {
		s.has_health = read_health(box, &s.health) == 0;
		s.again = read_record(box, &s.last) == 1 && s.last.exit.again;
		if (!s.again)
			s.last = (struct exit_record){ .started_at = socket_time(box) };
	} else {
		r = read_record(box, &s.last);
		if (r < 0)
			return r;
		s.ended = r == 1;
	}
	if (fstatat(box, "disk.img", &st, AT_SYMLINK_NOFOLLOW) == 0)
		s.disk_bytes = (uint64_t)st.st_blocks * 512;
	*ret = s;
	return 0;
}

/* For what this process lacks the box can do nothing. */
static bool is_of_caller(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOMEM;
}

int box_look(struct home *h, const char *id, struct box_state *ret)
{
	int r = look(h, id, ret);

	if (r == 0 || r == -ENOENT || is_of_caller(r))
		return r;
	*ret = (struct box_state){ .ended = true, .last.exit.kind = PROC_LOST };
	snprintf(ret->last.exit.error, sizeof(ret->last.exit.error), "cannot look at the box: %s", strerror(-r));
	return 0;
}

int box_look_at_ports(struct home *h, const char *id, struct net_spec *ret)
{
	auto_fd int box = openat(h->boxes_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_buf struct buf text = BUF_INIT(PORTS_RECORD_MAX);
	auto_json json_t *j = NULL;
	int r = box < 0 ? -errno : io_read_file_at(box, SPEC_PORTS_FILE, &text);

	if (r < 0)
		return r;
	j = json_parse(buf_data(&text), buf_len(&text), SPEC_PORTS_FILE, NULL);
	return j ? net_spec_from_json(j, ret, NULL) : -EBADMSG;
}

static int add_usage(int dirfd, const char *path, unsigned depth, uint64_t *bytes)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = 0;
	auto_dir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;

	if (!d && fd >= 0)
		close(fd);
	if (!d)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	while (r == 0 && (errno = 0, e = readdir(d))) {
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		*bytes += (uint64_t)st.st_blocks * 512;
		if (S_ISDIR(st.st_mode))
			r = depth == USAGE_DEPTH_MAX ? -ELOOP : add_usage(fd, e->d_name, depth + 1, bytes);
	}
	return r == 0 ? -errno : r;
}

int disk_usage(int dirfd, const char *path, uint64_t *ret_bytes)
{
	uint64_t bytes = 0;
	int r = add_usage(dirfd, path, 0, &bytes);

	if (r == 0)
		*ret_bytes = bytes;
	return r;
}

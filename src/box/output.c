/*
 * Two files, an old and a current one, and a writer that may rename the one to the other at any time. A file that is
 * open is known by its inode: at its end, it is the current one, and there may be more later; or it is not any more,
 * and the next is the old one if that is another (the writer was faster than we), else the current one.
 */
#include "box/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "box/box.h"
#include "box/look.h"

struct reader {
	int box;       /* borrowed; the box's folder */
	int fd;        /* owned; -1: none is open */
	ino_t inode;   /* of it */
	uint64_t at;
	char data[LOGREC_DATA_MAX]; /* of the last record */
};

#define READER(box_fd) { .box = box_fd, .fd = -1 }

/* The inode of a file, 0 if there is none; or -errno. */
static int inode_of(const struct reader *l, const char *name, ino_t *ret)
{
	struct stat st = { .st_ino = 0 };

	if (fstatat(l->box, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
		return -errno;
	*ret = st.st_ino;
	return 0;
}

static int open_file(struct reader *l, const char *name)
{
	auto_fd int fd = openat(l->box, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	close_fd(&l->fd);
	l->fd = take_fd(&fd);
	l->inode = st.st_ino;
	l->at = 0;
	return 1;
}

/* 1 a file to read is open, 0 there is none beyond the one that was read. The current one is looked at last, and taken
 * if the old one is the same as before then: none has come between. */
static int open_next(struct reader *l)
{
	ino_t read = l->inode, old, now;
	int e, f;

	for (;;) {
		e = inode_of(l, LOGREC_OLD, &old);
		if (e < 0)
			return e;
		if (old && old != read)
			return open_file(l, LOGREC_OLD);
		e = open_file(l, LOGREC_FILE);
		f = inode_of(l, LOGREC_OLD, &now);
		if (f < 0)
			return f;
		if (e <= 0 || now == old)
			return e;
	}
}

/* 1, 0 at the end or before a record that is being written, -errno. */
static int read_record(struct reader *l, struct logrec *r)
{
	char header[LOGREC_HEADER];
	int e = io_pread_full(l->fd, header, sizeof(header), l->at);

	if (e == 0)
		e = logrec_get(header, r);
	if (e == 0)
		e = io_pread_full(l->fd, l->data, r->len, l->at + sizeof(header));
	if (e < 0)
		return e == -ENODATA ? 0 : e;
	l->at += sizeof(header) + r->len;
	return 1;
}

/* The next record of all files: 1, 0 there is none now, -errno. */
static int next_record(struct reader *l, struct logrec *r)
{
	ino_t current = 0;
	int e;

	for (;;) {
		/* In this order: what was written before it ceased to be the current one is read. */
		e = l->fd >= 0 ? inode_of(l, LOGREC_FILE, &current) : 0;
		if (e == 0 && l->fd >= 0)
			e = read_record(l, r);
		if (e != 0 || (l->fd >= 0 && current == l->inode))
			return e;
		e = open_next(l);
		if (e <= 0)
			return e;
	}
}

/* Lines by where they begin, for the pieces of two channels come as they like. */
struct lines {
	uint64_t begun;
	bool within[CHANNELS]; /* the last piece of the channel did not end its line */
	bool wanted[CHANNELS]; /* its last line is not one of those to be skipped */
};

/* Counts the lines of a piece; returns where the first of them begins that is not among the first `skip` ones of all.
 * The rest of a line that began earlier goes with its beginning. */
static const char *count_lines(struct lines *l, const struct logrec *r, const char *p, uint64_t skip)
{
	const char *end = p + r->len, *from = NULL;

	while (p < end) {
		if (!l->within[r->channel])
			l->wanted[r->channel] = ++l->begun > skip;
		if (!from && l->wanted[r->channel])
			from = p;
		p = memchr(p, '\n', (size_t)(end - p));
		l->within[r->channel] = !p;
		p = p ? p + 1 : end;
	}
	return from ? from : end;
}

/* How many lines come before the last `tail` ones. */
static int lines_before(int box, const struct output_query *q, uint64_t *ret)
{
	struct reader l = READER(box);
	struct lines lines = { 0 };
	struct logrec r;
	int e;

	while ((e = next_record(&l, &r)) == 1)
		if (r.time_ns >= q->since_ns)
			count_lines(&lines, &r, l.data, 0);
	close_fd(&l.fd);
	*ret = lines.begun > (uint64_t)q->tail ? lines.begun - (uint64_t)q->tail : 0;
	return e;
}

/* Whether more may come: 1, 0, -errno. exit.json is written when all of the output is; a shim that was killed writes
 * none. */
static int more_may_come(struct home *h, const char *id, int box)
{
	struct box_state state;

	if (faccessat(box, "exit.json", F_OK, 0) < 0)
		return box_is_running(h, id, NULL);
	return box_look(h, id, &state) == 0 && state.again; /* its command is started once more */
}

/* Until something happens to the box. The death of a shim makes no event, hence the limit. */
static int wait_for_event(int events, int cancel_fd)
{
	struct pollfd p[2] = { { .fd = events, .events = POLLIN }, { .fd = cancel_fd, .events = POLLIN } };
	char event[4096];

	if (poll(p, 2, 1000) < 0 && errno != EINTR)
		return -errno;
	if (p[1].revents)
		return -ECANCELED;
	while (read(events, event, sizeof(event)) > 0)
		;
	return 0;
}

static int watch_box(int box)
{
	auto_fd int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[64];

	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", box);
	if (inotify_add_watch(fd, path, IN_MOVED_TO | IN_CREATE) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/log", box);
	if (inotify_add_watch(fd, path, IN_MODIFY | IN_CREATE) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Who wants the output, and what they said last. */
struct sink {
	output_fn *fn;
	void *ud;
	int said;
};

static void pass_on(const struct reader *l, struct logrec *r, struct lines *lines, uint64_t skip, struct sink *to)
{
	const char *from = count_lines(lines, r, l->data, skip);

	r->len -= (uint32_t)(from - l->data);
	if (r->len)
		to->said = to->fn(r, from, to->ud);
}

static int read_all(struct home *h, const char *id, int box, int events, const struct output_query *q, struct sink *to)
{
	struct reader l = READER(box);
	struct logrec r;
	struct lines lines = { 0 };
	uint64_t skip = 0;
	int more = 1, e = q->tail < 0 ? 0 : lines_before(box, q, &skip);

	while (e == 0 && more > 0 && !to->said) {
		/* Asked before the look: what is there once the box has ended is all. */
		more = q->follow ? more_may_come(h, id, box) : 0;
		e = MIN(more, 0);
		while (e == 0 && !to->said && (e = next_record(&l, &r)) == 1) {
			e = 0;
			if (r.time_ns >= q->since_ns)
				pass_on(&l, &r, &lines, skip, to);
		}
		if (e == 0 && more && !to->said)
			e = wait_for_event(events, q->cancel_fd);
	}
	close_fd(&l.fd);
	return e;
}

int output_read(struct home *h, const char *id, const struct output_query *q, output_fn *fn, void *ud, int *ret,
		struct error *err)
{
	struct sink to = { fn, ud, 0 };
	auto_fd int box = openat(h->boxes_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC), events = -1;
	int e;

	if (box < 0)
		return error_sys(err, "cannot open box %s", id);
	events = q->follow ? watch_box(box) : -1;
	if (q->follow && events < 0)
		return error_code(err, events, "cannot watch box %s", id);
	e = read_all(h, id, box, events, q, &to);
	*ret = to.said;
	if (e == -EBADMSG)
		return error_set(err, e, "the log of box %s is damaged", id);
	if (e == -ECANCELED)
		return error_set(err, e, "cancelled");
	return e < 0 ? error_code(err, e, "cannot read the log of box %s", id) : 0;
}

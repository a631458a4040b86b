/*
 * Theory of operation.
 *
 * Any number of processes append to one file, each by its own fd, and any number read it: so it can neither be renamed
 * nor cut at its end. When it holds more than EVENTS_MOST bytes of the disk, boxlite_open(), or a shim that has written
 * many, punches a hole into its beginning (event_trim): sizes and offsets stay what they are, readers begin behind the
 * hole, and no writer notices. A file system that cannot do that keeps all of it.
 *
 * A reader waits by inotify for the file to be written to. A line that does not end yet is left for the next look.
 */
#include "box/events.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"

#define CHUNK (64 * KIB)

int events_open(struct home *h)
{
	int fd = openat(h->fd, EVENT_FILE, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

void events_say(struct home *h, const struct event *e)
{
	auto_fd int fd = events_open(h);

	if (fd >= 0 && event_append(fd, e) < 0)
		return; /* a full disk; the next may fit again */
}

void events_trim(struct home *h)
{
	auto_fd int fd = openat(h->fd, EVENT_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0)
		event_trim(fd);
}

/* --- reading ------------------------------------------------------------------------------------- */

struct events_reader {
	int fd;      /* owned; of the file */
	int changes; /* owned; an inotify of it, or -1 */
	off_t at;
	struct buf in;
	bool within; /* the bytes up to the next newline are the rest of a line that was cut */
	struct events_query q;
	event_fn *fn;
	void *ud;
	int said;
	bool past; /* one at or after until_ns was seen */
};

static void take_line(struct events_reader *l, const char *line, size_t n)
{
	auto_json json_t *j = json_loadb(line, n, 0, NULL);
	struct event e;

	/* One of another version, or damaged by a full disk: the others count even so. */
	if (event_from_json(j, &e) < 0 || e.time_ns < l->q.since_ns)
		return;
	if (l->q.until_ns && e.time_ns >= l->q.until_ns)
		l->past = true;
	else
		l->said = l->fn(&e, l->ud);
}

static void take_lines(struct events_reader *l)
{
	const char *p, *end;

	while (!l->said && buf_len(&l->in)) {
		p = (const char *)buf_data(&l->in);
		end = memchr(p, '\n', buf_len(&l->in));
		if (!end) {
			if (buf_len(&l->in) < EVENT_LINE_MAX)
				return;
			l->within = true; /* no line is so long */
			buf_consume(&l->in, buf_len(&l->in));
			return;
		}
		if (!l->within)
			take_line(l, p, (size_t)(end - p));
		l->within = false;
		buf_consume(&l->in, (size_t)(end + 1 - p));
	}
}

/* All that is there now: 0 or -errno. */
static int read_more(struct events_reader *l)
{
	while (!l->said) {
		uint8_t *at = buf_reserve(&l->in, CHUNK);
		ssize_t got = at ? pread(l->fd, at, CHUNK, l->at) : -1;

		if (got <= 0)
			return !at ? -ENOMEM : got < 0 ? -errno : 0;
		buf_commit(&l->in, (size_t)got);
		l->at += got;
		take_lines(l);
	}
	return 0;
}

/* Behind the hole, which may begin in a line. */
static void skip_hole(struct events_reader *l)
{
	off_t data = lseek(l->fd, 0, SEEK_DATA);

	if (data > 0) {
		l->at = data;
		l->within = true;
	}
}

/* Until something is written, or the time is over: 1, 0 it is, -errno. */
static int wait_for_more(const struct events_reader *l)
{
	const struct events_query *q = &l->q;
	struct pollfd p[2] = { { .fd = l->changes, .events = POLLIN }, { .fd = q->cancel_fd, .events = POLLIN } };
	uint64_t now = clock_wall_ns();
	int ms = -1;

	if (q->until_ns && now >= q->until_ns)
		return 0;
	if (q->until_ns)
		ms = (int)MIN((q->until_ns - now) / 1000000 + 1, (uint64_t)60000);
	if (poll(p, 2, ms) < 0 && errno != EINTR)
		return -errno;
	return p[1].revents ? -ECANCELED : 1;
}

/* What is written after this is seen by the next look. */
static void forget_changes(const struct events_reader *l)
{
	char event[4096];

	while (l->changes >= 0 && read(l->changes, event, sizeof(event)) > 0)
		;
}

int events_reader_more(struct events_reader *l)
{
	int r;

	forget_changes(l);
	r = read_more(l);
	return r < 0 ? r : !l->said && !l->past;
}

static int follow(struct events_reader *l)
{
	int r = events_reader_more(l), more = 1;

	/* Looked at once more when the time is over: what came until then counts. */
	while (r == 1 && more && l->q.follow) {
		more = wait_for_more(l);
		r = more < 0 ? more : events_reader_more(l);
	}
	return r;
}

static int watch(int fd)
{
	auto_fd int events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[64];

	if (events < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return inotify_add_watch(events, path, IN_MODIFY) < 0 ? -errno : take_fd(&events);
}

static int open_file(struct home *h, struct events_reader *l, struct error *err)
{
	buf_init(&l->in, CHUNK + EVENT_LINE_MAX);
	l->fd = openat(h->fd, EVENT_FILE, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l->fd < 0)
		return error_sys(err, "cannot open " EVENT_FILE " of %s", h->path);
	l->changes = l->q.follow ? watch(l->fd) : -1;
	if (l->q.follow && l->changes < 0)
		return error_code(err, l->changes, "cannot watch " EVENT_FILE " of %s", h->path);
	if (l->q.from_now)
		l->at = MAX(lseek(l->fd, 0, SEEK_END), (off_t)0);
	else
		skip_hole(l);
	return 0;
}

static void fini(struct events_reader *l)
{
	close_fd(&l->fd);
	close_fd(&l->changes);
	buf_fini(&l->in);
}

int events_reader_open(struct home *h, const struct events_query *q, event_fn *fn, void *ud, struct events_reader **ret,
		       struct error *err)
{
	struct events_reader *l = malloc(sizeof(*l));
	int r;

	if (!l)
		return error_nomem(err);
	*l = (struct events_reader){ .fd = -1, .changes = -1, .q = *q, .fn = fn, .ud = ud };
	l->q.follow = true;
	r = open_file(h, l, err);
	if (r < 0)
		events_reader_close(l);
	else
		*ret = l;
	return r;
}

int events_reader_fd(const struct events_reader *l)
{
	return l->changes;
}

void events_reader_close(struct events_reader *l)
{
	if (!l)
		return;
	fini(l);
	free(l);
}

int events_read(struct home *h, const struct events_query *q, event_fn *fn, void *ud, int *ret, struct error *err)
{
	struct events_reader l = { .fd = -1, .changes = -1, .q = *q, .fn = fn, .ud = ud };
	int r = open_file(h, &l, err);

	if (r == 0) {
		r = follow(&l);
		*ret = l.said;
		if (r == -ECANCELED)
			error_set(err, r, "cancelled");
		else if (r < 0)
			error_code(err, r, "cannot read " EVENT_FILE " of %s", h->path);
	}
	fini(&l);
	return MIN(r, 0);
}

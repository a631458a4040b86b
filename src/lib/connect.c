/*
 * Streams of a process that are fds of the application.
 *
 * Theory of operation. boxlite_process_connect() makes fds of our own of those that it is given, so that the
 * application may close its own, and epoll(7) knows ours under no other name. What flows is what the process's buffers
 * hold: output goes from there, and is only credited to the box once it is written; input is read when the process has
 * room for it. So whoever is slow slows the other one down, and nothing is lost or piles up.
 *
 * Nothing here may block, and the file status flags of an fd belong to everybody who has it: O_NONBLOCK is not ours to
 * set. It depends on what it is (enum how):
 *
 *	a socket           MSG_DONTWAIT.
 *	a pipe to write    is opened once more by /proc, with O_NONBLOCK: another description of the same pipe. Likewise
 *	                   a terminal, but not the master of one, of which that would make a new one.
 *	any other          poll(2) first, and then no more than fits whenever it says that something does. That is also
 *	                   for a pipe or terminal that we may not open. Not so sure if others write to it, too.
 *
 * A pipe to read is not opened again: that description would never be told of an end that is there already.
 *
 * Regular files, /dev/null and the like are always ready, which poll(2) says and epoll(7) refuses (-EPERM). They are
 * served at each turn.
 *
 * A pipe without a reader would send SIGPIPE to the application. It is blocked around the write and taken back.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "lib/lib.h"

#define PIECE (64 * KIB)
#define TTY_PIECE 256 /* a terminal that poll(2) calls writable takes that much */

enum how {
	HOW_SOCKET,
	HOW_NONBLOCK, /* its description is non-blocking, as the application has it or as we have made it */
	HOW_POLL,
};

struct end {
	int fd;       /* owned; -1: not connected */
	enum how how;
	bool always;  /* ready, so epoll does not take it */
	bool sigpipe; /* a write may bring one */
	size_t most;  /* bytes that one write may have */
	struct watch watch; /* armed once each time */
	struct driven *of;
};

struct streams {
	struct end end[CHANNELS];
	uint8_t *in;          /* owned, PIECE bytes: input that was read and not taken yet */
	size_t in_at, in_len;
	struct error error;   /* the first failure */
};

static const char *const names[CHANNELS] = { "standard input", "standard output", "standard error" };

/* --- fds of our own --------------------------------------------------------------------------------- */

static bool is_tty_slave(int fd)
{
	unsigned int number;

	return isatty(fd) && ioctl(fd, TIOCGPTN, &number) < 0;
}

/* The same pipe or terminal, but a description that does not block; -1 if we may not. */
static int open_again(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Whether fd may be used that way: its flags, or -EBADF. */
static int check_mode(int fd, bool to_write)
{
	int flags = fcntl(fd, F_GETFL), wrong = to_write ? O_RDONLY : O_WRONLY;

	return flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == wrong ? -EBADF : flags;
}

static int open_end(struct end *e, int fd, bool to_write)
{
	int flags = check_mode(fd, to_write);
	bool tty = is_tty_slave(fd);
	struct stat st;

	if (flags < 0 || fstat(fd, &st) < 0)
		return -EBADF;
	e->sigpipe = S_ISFIFO(st.st_mode);
	e->how = S_ISSOCK(st.st_mode) ? HOW_SOCKET : flags & O_NONBLOCK ? HOW_NONBLOCK : HOW_POLL;
	if (to_write && e->how == HOW_POLL && (e->sigpipe || tty) && (e->fd = open_again(fd)) >= 0)
		e->how = HOW_NONBLOCK;
	if (e->fd < 0)
		e->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	e->most = e->how != HOW_POLL ? PIECE : S_ISFIFO(st.st_mode) ? PIPE_BUF : tty ? TTY_PIECE : PIECE;
	return e->fd < 0 ? -errno : 0;
}

static void on_end(struct watch *w, uint32_t events)
{
	struct end *e = container_of(w, struct end, watch);

	(void)events;
	w->events = EPOLLONESHOT; /* it is not armed any more */
	e->of->busy = true;
	streams_turn(e->of);
	driven_settle(e->of);
}

static int connect_end(struct end *e, struct driven *v, int channel, int fd, struct error *err)
{
	int r;

	if (fd < 0)
		return 0;
	r = open_end(e, fd, channel != CHANNEL_STDIN);
	e->of = v;
	if (r == 0)
		r = dispatch_watch(v->d, &e->watch, e->fd, EPOLLONESHOT, on_end);
	e->always = r == -EPERM;
	return r < 0 && r != -EPERM ? error_code(err, r, "cannot connect %s to fd %d", names[channel], fd) : 0;
}

static void close_end(struct end *e)
{
	if (e->fd < 0)
		return;
	dispatch_unwatch(e->of->d, &e->watch);
	close_fd(&e->fd);
}

void streams_drop(struct driven *v, int channel)
{
	if (v->streams)
		close_end(&v->streams->end[channel]);
}

void streams_close(struct streams *s)
{
	int ch;

	if (!s)
		return;
	for (ch = 0; ch < CHANNELS; ch++)
		close_end(&s->end[ch]);
	free(s->in);
	free(s);
}

/* --- bytes ------------------------------------------------------------------------------------------- */

static bool is_ready(const struct end *e, short events)
{
	struct pollfd p = { .fd = e->fd, .events = events };

	return e->how != HOW_POLL || poll(&p, 1, 0) == 1;
}

/* write(2) without the signal that comes with -EPIPE. One that the application has blocked itself may stay. */
static ssize_t write_quietly(int fd, const void *data, size_t n)
{
	const struct timespec now = { 0 };
	sigset_t pipes, before;
	ssize_t put;
	int failure;

	sigemptyset(&pipes);
	sigaddset(&pipes, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipes, &before);
	put = write(fd, data, n);
	failure = errno;
	if (put < 0 && failure == EPIPE && !sigismember(&before, SIGPIPE))
		(void)sigtimedwait(&pipes, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = failure;
	return put;
}

/* How many bytes it took, -EAGAIN none now, -errno. */
static ssize_t give(const struct end *e, const void *data, size_t n)
{
	ssize_t put;

	n = MIN(n, e->most);
	if (!is_ready(e, POLLOUT))
		return -EAGAIN;
	do {
		if (e->how == HOW_SOCKET)
			put = send(e->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			put = e->sigpipe ? write_quietly(e->fd, data, n) : write(e->fd, data, n);
	} while (put < 0 && errno == EINTR);
	return put > 0 ? put : put < 0 ? -errno : -EIO;
}

/* How many bytes came, 0 at the end, -EAGAIN none now, -errno. */
static ssize_t take(const struct end *e, void *data, size_t n)
{
	ssize_t got;

	if (!is_ready(e, POLLIN))
		return -EAGAIN;
	do
		got = e->how == HOW_SOCKET ? recv(e->fd, data, n, MSG_DONTWAIT) : read(e->fd, data, n);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

/* A reader that has left is none. */
static void note(struct streams *s, int channel, ssize_t code)
{
	const char *what = channel == CHANNEL_STDIN ? "read" : "write";

	if (code != -EPIPE && !s->error.code)
		error_code(&s->error, (int)code, "cannot %s %s", what, names[channel]);
}

static void drain(struct driven *v, int channel)
{
	struct end *e = &v->streams->end[channel];
	const void *data;
	ssize_t put = 1;
	size_t n;

	while (e->fd >= 0 && put > 0 && (n = boxlite_process_output(v->p, channel, &data)) > 0) {
		put = give(e, data, n);
		if (put > 0)
			boxlite_process_consume(v->p, channel, (size_t)put);
	}
	if (put > 0 || put == -EAGAIN)
		return;
	note(v->streams, channel, put);
	boxlite_process_close_output(v->p, channel);
}

/* What was read before and is not sent: whether that is nothing now. */
static bool send_rest(struct driven *v)
{
	struct streams *s = v->streams;
	size_t put;

	while (s->in_len && (put = boxlite_process_write(v->p, s->in + s->in_at, s->in_len)) > 0) {
		s->in_at += put;
		s->in_len -= put;
	}
	return !s->in_len;
}

/* Not before it runs: one that never does, or that has no input, takes nothing from the application. */
static void feed(struct driven *v)
{
	struct streams *s = v->streams;
	struct end *e = &s->end[CHANNEL_STDIN];
	ssize_t got = 1;
	size_t room;

	while (send_rest(v) && got > 0 && e->fd >= 0) {
		room = boxlite_process_write_room(v->p);
		if (!room || lib_process_takes_input(v->p) != 1)
			return;
		got = take(e, s->in, MIN(room, PIECE));
		s->in_at = 0;
		s->in_len = got > 0 ? (size_t)got : 0;
	}
	if (got > 0 || got == -EAGAIN)
		return;
	if (got < 0 && !(got == -EIO && isatty(e->fd))) /* which is how a terminal hangs up */
		note(s, CHANNEL_STDIN, got);
	streams_drop(v, CHANNEL_STDIN);
	boxlite_process_close_stdin(v->p);
}

void streams_turn(struct driven *v)
{
	if (!v->streams)
		return;
	feed(v);
	drain(v, CHANNEL_STDOUT);
	drain(v, CHANNEL_STDERR);
}

/* --- waiting ------------------------------------------------------------------------------------------ */

bool streams_has(const struct driven *v, int channel)
{
	return v->streams && v->streams->end[channel].fd >= 0;
}

/* What is to be waited for, or 0. */
static short wants(const struct driven *v, int channel)
{
	const void *data;

	if (!streams_has(v, channel))
		return 0;
	if (channel != CHANNEL_STDIN)
		return boxlite_process_output(v->p, channel, &data) ? POLLOUT : 0;
	return boxlite_process_write_room(v->p) && lib_process_takes_input(v->p) == 1 ? POLLIN : 0;
}

int streams_poll(const struct driven *v, struct pollfd *fds)
{
	int ch, n = 0;

	for (ch = 0; ch < CHANNELS; ch++)
		if (wants(v, ch))
			fds[n++] = (struct pollfd){ .fd = v->streams->end[ch].fd, .events = wants(v, ch) };
	return n;
}

void streams_changed(struct driven *v)
{
	bool ended = boxlite_process_ended(v->p, NULL) == 1;
	int ch;

	for (ch = 0; v->streams && ch < CHANNELS; ch++) {
		struct end *e = &v->streams->end[ch];
		short events = wants(v, ch);

		if (ended || (ch == CHANNEL_STDIN && lib_process_takes_input(v->p) < 0))
			close_end(e);
		else if (events && e->always)
			due_add(v->d, &v->due);
		else if (events) /* EPOLLIN is POLLIN */
			loop_change(&v->d->loop, &e->watch, (uint32_t)events | EPOLLONESHOT);
	}
}

int streams_status(const struct driven *v, struct error *err)
{
	const struct error *e = v->streams ? &v->streams->error : NULL;

	return e && e->code ? error_set(err, e->code, "%s", e->text) : 0;
}

/* --- connecting ---------------------------------------------------------------------------------------- */

static int make(struct driven *v, const int fds[CHANNELS], struct streams **ret, struct error *err)
{
	struct streams *s = calloc(1, sizeof(*s));
	int ch, r = s ? 0 : error_nomem(err);

	if (!s)
		return r;
	for (ch = 0; ch < CHANNELS; ch++)
		s->end[ch] = (struct end){ .fd = -1, .watch = WATCH_NONE, .of = v };
	if (fds[CHANNEL_STDIN] >= 0 && !(s->in = malloc(PIECE)))
		r = error_nomem(err);
	for (ch = 0; r == 0 && ch < CHANNELS; ch++)
		r = connect_end(&s->end[ch], v, ch, fds[ch], err);
	if (r < 0)
		streams_close(s);
	else
		*ret = s;
	return r;
}

/* Input that was read of the former fd comes before that of the new one. */
static void take_over(struct streams *s, struct streams *old)
{
	if (!old)
		return;
	if (old->in_len) {
		free(s->in);
		s->in = take_ptr(&old->in);
		s->in_at = old->in_at;
		s->in_len = old->in_len;
	}
	s->error = old->error;
	streams_close(old);
}

PUBLIC int boxlite_process_connect(struct boxlite_process *p, int in, int out, int err_fd, struct boxlite_error *err)
{
	const int fds[CHANNELS] = { in, out, err_fd };
	struct driven *v = p ? lib_process_driven(p) : NULL;
	struct streams *s = NULL;
	struct error e = { 0 };
	int r = p ? driven_begin(v, &e) : lib_missing(&e);

	if (r == 0)
		r = make(v, fds, &s, &e);
	if (r < 0) {
		if (p)
			driven_end(v);
		return lib_fail(err, &e, r);
	}
	take_over(s, v->streams);
	v->streams = s;
	if (in < 0 && out < 0 && err_fd < 0 && !s->in_len && !s->error.code) {
		v->streams = NULL;
		streams_close(s);
		driven_end(v);
	}
	driven_tell(v);
	driven_changed(v);
	return 0;
}

PUBLIC int boxlite_process_connect_status(const struct boxlite_process *p, struct boxlite_error *err)
{
	struct error e = { 0 };
	int r = p ? streams_status(lib_process_driven((struct boxlite_process *)p), &e) : lib_missing(&e);

	return r < 0 ? lib_fail(err, &e, r) : 0;
}

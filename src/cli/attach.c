/*
 * The terminal (or the pipes) of this program joined to a process in a box.
 *
 * One thread, one poll(2). Standard streams are shared with other programs, so
 * they are never made non-blocking: what is written to is an open file of our
 * own, or a write happens only when poll says there is room, and then at most
 * of the size that is sure not to wait. Output that cannot be written stays in
 * the library, whose flow control stops the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/base.h"
#include "cli/cli.h"

struct sink {
	int fd, channel;
	bool own;    /* fd is ours */
	size_t most; /* bytes of one write that cannot block once poll says POLLOUT */
	bool gone;   /* nobody reads it any more */
};

struct attach {
	struct boxlite_process *p;
	struct sink out, err;
	bool stdin_open, tty, joined;
	bool held; /* a ^P was typed: what follows says whether it is ours */
	bool left; /* ^P ^Q */
	bool lost; /* output that could not be written */
	int signal_fd;
};

#define KEY_P 0x10 /* with control */
#define KEY_Q 0x11

static struct termios saved_terminal;
static bool terminal_is_raw;

static void restore_terminal(void)
{
	if (terminal_is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_terminal);
	terminal_is_raw = false;
}

static void make_raw(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved_terminal) < 0)
		return;
	raw = saved_terminal;
	cfmakeraw(&raw);
	terminal_is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

void attach_window_size(unsigned short *rows, unsigned short *cols)
{
	struct winsize w = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0)
		ioctl(STDIN_FILENO, TIOCGWINSZ, &w);
	*rows = w.ws_row;
	*cols = w.ws_col;
}

/*
 * A pipe or a terminal is opened once more: an open file of our own may be made non-blocking, while the one that we
 * were given is shared with other programs. Where that fails, a pipe with POLLOUT has room for PIPE_BUF bytes.
 */
static struct sink sink_for(int fd, int channel)
{
	struct sink s = { .fd = fd, .channel = channel, .most = PIPE_BUF };
	struct stat st;
	char path[32];
	int again = -1;

	if (fstat(fd, &st) < 0)
		return s;
	if (S_ISFIFO(st.st_mode) || isatty(fd)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	if (again >= 0) {
		s.fd = again;
		s.own = true;
	}
	if (s.own || S_ISREG(st.st_mode)) /* a file has room always */
		s.most = 256 * KIB;
	return s;
}

static void sink_close(struct sink *s)
{
	if (s->own)
		close(s->fd);
	s->fd = -1;
}

/* `boxlite run ... | head`: the command gets what an ordinary program would get, the signal or, if it ignores that,
 * EPIPE. Other errors are told, and the command goes on: its output is lost, and the status will say so. */
static void lose_sink(struct attach *a, struct sink *s, int error)
{
	s->gone = true;
	if (error == EPIPE && a->joined) {
		a->left = a->out.gone;
		return;
	}
	if (error == EPIPE) {
		boxlite_process_signal(a->p, SIGPIPE);
		boxlite_process_close_output(a->p, s->channel);
		return;
	}
	if (error == EBADF) /* closed on purpose: `>&-` */
		return;
	cli_failf("cannot write the output: %s", strerror(error));
	a->lost = true;
}

static void drain(struct attach *a, struct sink *s)
{
	const void *data;
	size_t n = boxlite_process_output(a->p, s->channel, &data);
	ssize_t put;

	if (n == 0)
		return;
	if (s->gone) {
		boxlite_process_consume(a->p, s->channel, n);
		return;
	}
	put = write(s->fd, data, MIN(n, s->most));
	if (put >= 0)
		boxlite_process_consume(a->p, s->channel, (size_t)put);
	else if (errno != EAGAIN && errno != EINTR)
		lose_sink(a, s, errno);
}

/* typed[1..n] were read; [0] is for a ^P of before. */
static void send_typed(struct attach *a, char *typed, size_t n)
{
	size_t from = 1, i;

	if (!a->joined || !a->tty) {
		boxlite_process_write(a->p, typed + 1, n);
		return;
	}
	if (a->held)
		typed[from = 0] = KEY_P;
	for (i = 1; i <= n && !a->left; i++)
		a->left = typed[i] == KEY_Q && (i > from) && typed[i - 1] == KEY_P;
	if (a->left)
		n = i - 3; /* without the two keys, and what came after them */
	a->held = !a->left && typed[n] == KEY_P;
	if (a->held)
		n--;
	if (n + 1 > from)
		boxlite_process_write(a->p, typed + from, n + 1 - from);
}

static void feed(struct attach *a)
{
	char chunk[16384];
	size_t room = boxlite_process_write_room(a->p);
	/* A ^P that was held back goes first, so it needs room, too. */
	ssize_t got = read(STDIN_FILENO, chunk + 1, MIN(sizeof(chunk), room) - 1);

	if (got > 0) {
		send_typed(a, chunk, (size_t)got);
	} else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
		boxlite_process_close_stdin(a->p);
		a->stdin_open = false;
	}
}

static void forward_signal(struct attach *a)
{
	struct signalfd_siginfo si;
	unsigned short rows, cols;

	if (read(a->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo == SIGWINCH) {
		attach_window_size(&rows, &cols);
		if (a->tty)
			boxlite_process_resize(a->p, rows, cols);
	} else {
		boxlite_process_signal(a->p, (int)si.ssi_signo);
	}
}

/* Which way a sink waits: for room if it has something to write. */
static short sink_events(const struct attach *a, const struct sink *s)
{
	const void *data;

	return boxlite_process_output(a->p, s->channel, &data) ? POLLOUT : 0;
}

static int step(struct attach *a, struct boxlite_error *err)
{
	short out = sink_events(a, &a->out), errout = sink_events(a, &a->err);
	struct pollfd fds[] = {
		{ .fd = boxlite_process_fd(a->p), .events = boxlite_process_events(a->p) },
		{ .fd = out && !a->out.gone ? a->out.fd : -1, .events = out },
		{ .fd = errout && !a->err.gone ? a->err.fd : -1, .events = errout },
		{ .fd = a->stdin_open && boxlite_process_write_room(a->p) > 1 ? STDIN_FILENO : -1, .events = POLLIN },
		{ .fd = a->signal_fd, .events = POLLIN },
	};
	/* Output for a reader that is gone is thrown away at once. */
	bool idle = !(a->out.gone && out) && !(a->err.gone && errout);

	if (poll(fds, ARRAY_SIZE(fds), idle ? -1 : 0) < 0 && errno != EINTR)
		return -errno;
	if (fds[1].revents || a->out.gone)
		drain(a, &a->out);
	if (fds[2].revents || a->err.gone)
		drain(a, &a->err);
	if (fds[3].revents)
		feed(a);
	if (fds[4].revents)
		forward_signal(a);
	return fds[0].revents ? boxlite_process_dispatch(a->p, err) : 0;
}

static void discard(struct boxlite_process *p, int channel)
{
	const void *data;

	boxlite_process_consume(p, channel, boxlite_process_output(p, channel, &data));
}

/* A signal other than that of a resized terminal. */
static bool is_interrupted(int signal_fd)
{
	struct signalfd_siginfo si;

	return read(signal_fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo != SIGWINCH;
}

static int wait_started(struct boxlite_process *p, int signal_fd, bool keep_output)
{
	struct boxlite_error err = { 0 };
	struct boxlite_exit e;

	while (!boxlite_process_started(p)) {
		struct pollfd pfd[] = {
			{ .fd = boxlite_process_fd(p), .events = boxlite_process_events(p) },
			{ .fd = signal_fd, .events = POLLIN },
		};

		if (!keep_output) {
			discard(p, BOXLITE_STDOUT);
			discard(p, BOXLITE_STDERR);
		}
		if (boxlite_process_ended(p, &e)) {
			if (*e.error)
				cli_failf("%s", e.error);
			return e.status;
		}
		if (poll(pfd, ARRAY_SIZE(pfd), -1) < 0 && errno != EINTR)
			return cli_failf("cannot wait: %s", strerror(errno));
		if (pfd[1].revents && is_interrupted(signal_fd))
			return EXIT_INTERRUPTED;
		if (boxlite_process_dispatch(p, &err) < 0)
			return cli_fail(&err);
	}
	return -1;
}

int attach_wait(struct boxlite_process *p, int signal_fd)
{
	return wait_started(p, signal_fd, true);
}

/* Its output is in the log, for whoever wants it. */
int attach_until_started(struct boxlite_process *p)
{
	int status = wait_started(p, -1, false);

	return status < 0 ? 0 : status ? status : EXIT_BOXLITE;
}

int attach_run(struct boxlite_process *p, const struct attach_how *how)
{
	struct attach a = {
		.p = p,
		.out = sink_for(STDOUT_FILENO, BOXLITE_STDOUT),
		.err = sink_for(STDERR_FILENO, BOXLITE_STDERR),
		.stdin_open = how->with_stdin,
		.tty = how->tty,
		.joined = how->joined,
		.signal_fd = how->signal_fd,
	};
	struct boxlite_error err = { 0 };
	struct boxlite_exit e = { .error = "" };
	int r = 0;

	/* Without input from here the keys are for this program: Ctrl-C must stay a signal. */
	if (a.tty && a.stdin_open)
		make_raw();
	while (r == 0 && !a.left && !boxlite_process_ended(p, &e))
		r = step(&a, &err);
	restore_terminal();
	sink_close(&a.out);
	sink_close(&a.err);
	if (r < 0)
		return err.code ? cli_fail(&err) : cli_failf("cannot wait: %s", strerror(-r));
	if (*e.error)
		cli_failf("%s", e.error);
	return a.lost ? EXIT_BOXLITE : e.status;
}

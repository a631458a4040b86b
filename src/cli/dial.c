/*
 * dial: standard input and output as a connection to a port or a UNIX socket of a box.
 *
 * Two ways, each with a buffer, and poll(2): who is slow on one of them stops that one only. The end of the input is
 * said to the box, and what it answers is still printed; the end of that is the end.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "base/str.h"
#include "cli/cli.h"

struct way {
	int from, to;
	char data[64 * 1024];
	size_t at, n;
	bool ended; /* nothing more comes */
};

static bool is_gone(ssize_t r)
{
	return r < 0 && errno != EAGAIN && errno != EINTR;
}

static ssize_t take(struct way *w, bool sock)
{
	ssize_t r = sock ? recv(w->from, w->data, sizeof(w->data), MSG_DONTWAIT)
			 : read(w->from, w->data, sizeof(w->data));

	w->at = 0;
	w->n = r > 0 ? (size_t)r : 0;
	w->ended = r == 0 || is_gone(r);
	return r;
}

/* To a pipe no more than fits when poll(2) says that something does. */
static ssize_t give(struct way *w, bool sock)
{
	size_t n = sock ? w->n : MIN(w->n, (size_t)PIPE_BUF);
	ssize_t r = sock ? send(w->to, w->data + w->at, n, MSG_DONTWAIT | MSG_NOSIGNAL)
			 : write(w->to, w->data + w->at, n);

	if (r > 0) {
		w->at += (size_t)r;
		w->n -= (size_t)r;
	}
	return r;
}

static int talk(int fd)
{
	static struct way out, in;
	bool told = false;

	out = (struct way){ .from = STDIN_FILENO, .to = fd };
	in = (struct way){ .from = fd, .to = STDOUT_FILENO };
	while (!in.ended || in.n) {
		struct pollfd p[] = {
			{ out.ended || out.n ? -1 : STDIN_FILENO, POLLIN, 0 },
			{ fd, (short)((in.n || in.ended ? 0 : POLLIN) | (out.n ? POLLOUT : 0)), 0 },
			{ in.n ? STDOUT_FILENO : -1, POLLOUT, 0 },
		};

		if (!p[1].events)
			p[1].fd = -1; /* or it says without end that it has hung up */
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return cli_failf("cannot wait: %s", strerror(errno));
		if (p[0].revents)
			take(&out, false);
		if (out.n && p[1].revents & ~POLLIN && is_gone(give(&out, true))) {
			out.n = 0; /* the box takes no more, but may have something to say */
			out.ended = told = true;
		}
		if (out.ended && !out.n && !told) {
			shutdown(fd, SHUT_WR);
			told = true;
		}
		if (!in.n && !in.ended && p[1].revents & ~POLLOUT && is_gone(take(&in, true)))
			return cli_failf("the box has reset the connection");
		if (p[2].revents && is_gone(give(&in, false)))
			return errno == EPIPE ? 0 : cli_failf("cannot write: %s", strerror(errno));
	}
	return 0;
}

/* port 0: to the socket at that path. */
static int dial(const struct global *g, const char *name, unsigned port, const char *path, int *fd)
{
	struct boxlite_error err = { 0 };
	struct cli_box c;
	int r = cli_open_box(g, name, &c);

	if (r)
		return r;
	r = port ? boxlite_box_dial(c.box, port, fd, &err) : boxlite_box_dial_unix(c.box, path, fd, &err);
	cli_close_box(&c);
	return r < 0 ? cli_fail(&err) : 0;
}

int cmd_dial(const struct global *g, int argc, char **argv)
{
	static const char help[] = "PORT is one of TCP, at which a program in the box listens; it need not be published.\n"
				   "SOCKET is the absolute path of a UNIX socket in the box.\n";
	uint64_t port = 0;
	const char *to;
	int fd, r = cli_no_options("dial", help, argc, argv);

	if (r >= 0)
		return r;
	if (argc - optind != 2)
		return cli_usage("dial", "a box and one of its ports or sockets are wanted");
	to = argv[optind + 1];
	if (*to != '/' && (str_parse_u64(to, UINT16_MAX, &port) < 0 || port == 0))
		return cli_usage("dial", "'%s' is not a port, nor an absolute path", to);
	r = dial(g, argv[optind], (unsigned)port, to, &fd);
	if (r == 0) {
		r = talk(fd);
		close(fd);
	}
	return r;
}

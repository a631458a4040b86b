/* The output of a program that may hang, in spawn.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/spawn.h"

#define DEATH_MS 1000 /* from SIGKILL to the end of a process that the kernel does not hold */

/* Waits for fd to be readable: 0, -ETIMEDOUT, -errno. */
static int wait_readable(int fd, uint64_t end_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		uint64_t now = clock_ms();
		int r = poll(&p, 1, now < end_ms ? (int)(end_ms - now) : 0);

		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int read_all(int fd, uint64_t end_ms, struct buf *out)
{
	for (;;) {
		int r = wait_readable(fd, end_ms);
		ssize_t n;

		if (r < 0)
			return r;
		n = buf_read_fd(out, fd, 4 * KIB);
		if (n <= 0)
			return (int)n;
	}
}

/* Its output to the end, then its own: it may have closed its output and hang. */
static int finish(struct child *c, int fd, unsigned limit_ms, struct buf *out, int *ret_status)
{
	uint64_t end_ms = clock_ms() + limit_ms;
	int r = read_all(fd, end_ms, out);

	if (r == 0)
		r = wait_readable(c->pidfd, end_ms);
	if (r == 0)
		return spawn_wait(c, ret_status);
	spawn_kill(c, SIGKILL);
	if (wait_readable(c->pidfd, clock_ms() + DEATH_MS) == 0)
		spawn_reap(c);
	close_fd(&c->pidfd);
	return r;
}

int spawn_capture(const struct spawn *s, unsigned limit_ms, struct buf *out, int *ret_status,
		  struct error *err)
{
	struct spawn_fd fds[SPAWN_FDS_MAX];
	struct spawn with = *s;
	struct child c = CHILD_NONE;
	int pipe_fds[2], r;

	if (s->nfds >= SPAWN_FDS_MAX)
		return error_set(err, -EINVAL, "cannot start %s: too many file descriptors", s->path);
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return error_sys(err, "cannot make a pipe");
	if (s->nfds)
		memcpy(fds, s->fds, s->nfds * sizeof(*fds));
	fds[s->nfds] = (struct spawn_fd){ pipe_fds[1], STDOUT_FILENO };
	with.fds = fds;
	with.nfds++;
	r = spawn_start(&with, &c, err);
	close(pipe_fds[1]);
	if (r == 0) {
		r = finish(&c, pipe_fds[0], limit_ms, out, ret_status);
		if (r == -ETIMEDOUT)
			error_set(err, r, "%s was killed after %u ms without an end", s->path, limit_ms);
		else if (r < 0)
			error_code(err, r, "cannot learn what %s says", s->path);
	}
	close(pipe_fds[0]);
	return r;
}

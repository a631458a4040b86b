/*
 * Starting a helper program.
 *
 * The child gets exactly the fds of the map (and 0, 1, 2 unless mapped: those
 * default to /dev/null, except 2 which is inherited) and the environment
 * given: nothing leaks in, whatever the embedding process has open. The one
 * handle is the pidfd; SIGCHLD is not needed, and an embedder whose
 * waitpid(-1) takes the status costs us the status, nothing else.
 *
 * Safe in a process with threads: the child shares memory only until exec
 * (CLONE_VM | CLONE_VFORK) and calls nothing but system calls.
 */
#ifndef BASE_SPAWN_H
#define BASE_SPAWN_H

#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/error.h"

struct spawn_fd {
	int from; /* an fd of the caller, which keeps it */
	int to;   /* its number in the child */
};

#define SPAWN_FDS_MAX 24

struct spawn {
	const char *path;        /* program, absolute */
	const char *const *argv; /* NULL-terminated */
	const char *const *envp;       /* NULL-terminated; NULL = empty environment */
	const struct spawn_fd *fds;
	size_t nfds;             /* <= SPAWN_FDS_MAX; the targets are distinct */
	bool new_session;        /* setsid(): not part of the caller's terminal and job */
	bool die_with_parent;    /* SIGKILL when the calling thread ends */
};

struct child {
	pid_t pid;
	int pidfd; /* owned, close-on-exec; readable when the child has ended */
};

#define CHILD_NONE ((struct child){ .pid = 0, .pidfd = -1 })

/* Starts it: 0, or -errno with the reason (a missing program is -ENOENT). */
int spawn_start(const struct spawn *s, struct child *ret, struct error *err) MUST_CHECK;

/* Waits for its end and closes the pidfd. *ret_status is the exit code, or 128 + signal: 0,
 * -ECHILD when somebody else took the status, -errno. */
int spawn_wait(struct child *c, int *ret_status);

/* Whether it has ended; if so, as spawn_wait() without its status. */
bool spawn_try_reap(struct child *c);

/* Sends a signal; an ended or absent child is fine. */
void spawn_kill(const struct child *c, int signo);

/* SIGKILL and wait; for cleaning up. */
void spawn_reap(struct child *c);

/*
 * Runs a program and appends what it writes to standard output (which s->fds does not map) to `out`. One
 * that is not done in limit_ms is killed: -ETIMEDOUT. One that says more than `out` holds: -ENOBUFS.
 * Otherwise 0, whatever the *ret_status. One that the kernel itself does not let die is left behind, not
 * waited for.
 */
int spawn_capture(const struct spawn *s, unsigned limit_ms, struct buf *out, int *ret_status,
		  struct error *err) MUST_CHECK;

#endif

/*
 * torture-tracer PROGRAM ARG...: runs a program and lets one system call of it fail, the one that it asks for
 * (torture-calls.h): the kernel does not see the call, and the program gets an error that this call can have. Calls of
 * its children are not seen: a tracer that does not ask for them does not get them, also not by vfork.
 *
 *	TORTURE_TRACE=1   each call that is counted, to standard error
 *
 * Not counted are
 *	- close: on Linux the fd is gone whatever it returns, and who would do something about an error might close the
 *	  fd of another thread;
 *	- munmap, exit, exit_group, rt_sig*, getpid, signals to a child and the like, which cannot fail with the
 *	  arguments of a program that works, and nobody could do anything about it;
 *	- brk, which has no error: the C library asks for memory by mmap instead, and that is counted;
 *	- futex and the like of threads, of which there is one.
 *
 * x86-64 only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture-calls.h"

/* A call, and errors of it that say nothing about what was asked: ENOENT of an open(), ECONNRESET of a send() or
 * ECHILD of a wait() would be an answer, and a wrong one. */
struct call {
	long nr;
	const char *name;
	int errors[3]; /* 0: no more */
};

#define CALL(name, ...) { SYS_##name, #name, { __VA_ARGS__ } }

static const struct call calls[] = {
	CALL(read, EIO, EINTR, ENOMEM), CALL(pread64, EIO, EINTR), CALL(readv, EIO, EINTR), CALL(preadv, EIO),
	CALL(write, ENOSPC, EIO, EINTR), CALL(pwrite64, ENOSPC, EIO, EINTR), CALL(writev, ENOSPC, EIO, EINTR),
	CALL(pwritev, ENOSPC, EIO), CALL(open, EMFILE, EIO, EACCES), CALL(openat, EMFILE, EIO, EACCES),
	CALL(openat2, EMFILE, EIO, EACCES), CALL(creat, EMFILE, ENOSPC),
	CALL(stat, EIO, ENOMEM, EACCES), CALL(fstat, EIO, ENOMEM), CALL(lstat, EIO, ENOMEM, EACCES),
	CALL(newfstatat, EIO, ENOMEM, EACCES), CALL(statx, EIO, ENOMEM, EACCES), CALL(statfs, EIO), CALL(fstatfs, EIO),
	CALL(access, EIO, ENOMEM), CALL(faccessat, EIO, ENOMEM), CALL(faccessat2, EIO, ENOMEM),
	CALL(readlink, EIO, ENOMEM, EACCES), CALL(readlinkat, EIO, ENOMEM, EACCES), CALL(getcwd, ENOMEM, ENOENT),
	CALL(getdents64, EIO, ENOMEM), CALL(lseek, EIO), CALL(mkdir, ENOSPC, EIO, EMLINK),
	CALL(mkdirat, ENOSPC, EIO, EMLINK), CALL(rmdir, EIO, EBUSY), CALL(unlink, EIO, EROFS, EPERM),
	CALL(unlinkat, EIO, EROFS, EPERM), CALL(rename, ENOSPC, EIO), CALL(renameat, ENOSPC, EIO),
	CALL(renameat2, ENOSPC, EIO), CALL(link, EMLINK, EIO, ENOSPC), CALL(linkat, EMLINK, EIO, ENOSPC),
	CALL(symlinkat, ENOSPC, EIO), CALL(fchmod, EPERM, EIO), CALL(fchmodat, EPERM, EIO), CALL(fchown, EPERM, EIO),
	CALL(fchownat, EPERM, EIO), CALL(utimensat, EPERM, EIO), CALL(truncate, ENOSPC, EIO),
	CALL(ftruncate, ENOSPC, EIO, EINTR), CALL(fallocate, ENOSPC, EIO, EINTR), CALL(fsync, EIO, ENOSPC),
	CALL(fdatasync, EIO, ENOSPC), CALL(sync_file_range, EIO), CALL(copy_file_range, ENOSPC, EIO),
	CALL(sendfile, EIO, ENOMEM), CALL(splice, ENOMEM), CALL(flock, ENOLCK, EINTR), CALL(fcntl, ENOLCK),
	CALL(ioctl, EIO, EOPNOTSUPP), CALL(dup, EMFILE), CALL(dup2, EMFILE), CALL(dup3, EMFILE), CALL(pipe, EMFILE),
	CALL(pipe2, EMFILE, ENFILE), CALL(mmap, ENOMEM), CALL(mremap, ENOMEM), CALL(mprotect, ENOMEM),
	CALL(memfd_create, EMFILE, ENOMEM), CALL(socket, EMFILE, ENOBUFS), CALL(socketpair, EMFILE, ENOBUFS),
	CALL(bind, ENOMEM), CALL(listen, EADDRINUSE), CALL(connect, EINTR, EACCES, ENOMEM),
	CALL(accept4, EMFILE, EINTR),
	CALL(shutdown, ENOTCONN), CALL(sendto, ENOBUFS, EINTR), CALL(sendmsg, ENOBUFS, EINTR),
	CALL(recvfrom, ENOMEM, EINTR), CALL(recvmsg, ENOMEM, EINTR), CALL(getsockopt, ENOBUFS),
	CALL(setsockopt, ENOMEM), CALL(poll, EINTR, ENOMEM), CALL(ppoll, EINTR, ENOMEM), CALL(select, EINTR, ENOMEM),
	CALL(pselect6, EINTR, ENOMEM), CALL(epoll_create1, EMFILE, ENOMEM), CALL(epoll_ctl, ENOMEM, ENOSPC),
	CALL(epoll_wait, EINTR), CALL(epoll_pwait, EINTR), CALL(eventfd2, EMFILE), CALL(timerfd_create, EMFILE),
	CALL(timerfd_settime, ENOMEM), CALL(signalfd4, EMFILE), CALL(inotify_init1, EMFILE, ENOMEM),
	CALL(inotify_add_watch, ENOSPC, ENOMEM), CALL(clone, EAGAIN, ENOMEM), CALL(clone3, EAGAIN, ENOMEM),
	CALL(vfork, EAGAIN, ENOMEM), CALL(fork, EAGAIN, ENOMEM), CALL(wait4, EINTR), CALL(waitid, EINTR),
	CALL(pidfd_open, EMFILE, ENOMEM), CALL(getrandom, EINTR),
	CALL(nanosleep, EINTR), CALL(clock_nanosleep, EINTR), CALL(prlimit64, EPERM), CALL(chdir, EACCES, EIO),
	CALL(fchdir, EACCES, EIO), CALL(fadvise64, EINVAL), CALL(madvise, ENOMEM), CALL(msync, EIO),
};

static struct {
	pid_t pid;
	int on, way;
	long at, count;
	unsigned long what; /* address in the program, 0: none */
	int trace;
} t;

static const struct call *find(long nr)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].nr == nr)
			return &calls[i];
	return NULL;
}

/* fcntl() is many calls. That a lock cannot be given back is left out: that is of all of it, which needs nothing. */
static int pick_fcntl(const struct user_regs_struct *r)
{
	short type;

	switch (r->rsi) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return EMFILE;
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		type = (short)ptrace(PTRACE_PEEKDATA, t.pid, (void *)r->rdx, NULL); /* the first member */
		if (type == F_UNLCK)
			return 0;
		return (r->rsi == F_OFD_SETLKW || r->rsi == F_SETLKW) && t.way % 2 ? EINTR : ENOLCK;
	case F_GETLK:
	case F_OFD_GETLK:
		return ENOLCK;
	}
	return 0; /* flags of an fd that is there */
}

static int pick(const struct call *c, const struct user_regs_struct *r)
{
	int n = 0;

	if (c->nr == SYS_fcntl)
		return pick_fcntl(r);
	while (n < 3 && c->errors[n])
		n++;
	return c->errors[t.way % n];
}

static void describe(const struct call *c, int error)
{
	char text[MARK_WHAT_MAX];
	struct iovec here = { text, sizeof(text) }, there = { (void *)t.what, sizeof(text) };

	snprintf(text, sizeof(text), " (%s: %s)", c->name, strerrorname_np(error));
	if (t.what && process_vm_writev(t.pid, &here, 1, &there, 1, 0) < 0)
		perror("torture-tracer: process_vm_writev");
}

/* What the program says; its return value. */
static long take_mark(const struct user_regs_struct *r)
{
	switch ((enum mark)r->rdi) {
	case MARK_BEGIN:
		t.at = (long)r->rsi;
		t.way = (int)r->rdx;
		t.what = r->r10;
		t.count = 0;
		t.on = 1;
		return 0;
	case MARK_PAUSE:
		t.on = 0;
		return 0;
	case MARK_RESUME:
		t.on = 1;
		return 0;
	case MARK_END:
		t.on = 0;
		return t.count;
	}
	return -EINVAL;
}

/* At the entry of a call: the error that it is to have, 0: none. */
static int fails(const struct user_regs_struct *r)
{
	const struct call *c = t.on ? find((long)r->orig_rax) : NULL;
	int error = c ? pick(c, r) : 0;

	if (!error)
		return 0;
	t.count++;
	if (t.trace)
		fprintf(stderr, "%ld %s(%llx, %llx, %llx)%s%s\n", t.count, c->name, r->rdi, r->rsi, r->rdx,
			t.count == t.at ? " = " : "", t.count == t.at ? strerrorname_np(error) : "");
	if (t.count != t.at)
		return 0;
	describe(c, error);
	return error;
}

static void put(struct user_regs_struct *r)
{
	if (ptrace(PTRACE_SETREGS, t.pid, NULL, r) < 0)
		perror("torture-tracer: PTRACE_SETREGS");
}

/* A stop at the entry or the exit of a call. */
static void at_call(void)
{
	static int inside, replace;
	static long result;
	struct user_regs_struct r;
	int error;

	if (ptrace(PTRACE_GETREGS, t.pid, NULL, &r) < 0)
		return; /* it was killed */
	inside = !inside;
	if (inside) {
		replace = 0;
		if (r.orig_rax == MARK_CALL) {
			result = take_mark(&r);
			replace = 1;
		} else if ((error = fails(&r)) != 0) {
			result = -error;
			replace = 1;
			r.orig_rax = (unsigned long)-1; /* none at all */
			put(&r);
		}
	} else if (replace) {
		r.rax = (unsigned long)result;
		put(&r);
	}
}

static int run(void)
{
	int status, signo = 0;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, t.pid, NULL, (long)signo) < 0 && errno != ESRCH)
			return 2;
		if (waitpid(t.pid, &status, __WALL) < 0)
			return 2;
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (WIFSIGNALED(status))
			return 128 + WTERMSIG(status);
		signo = WSTOPSIG(status);
		if (signo == (SIGTRAP | 0x80)) {
			at_call();
			signo = 0;
		} else if (status >> 16) {
			signo = 0; /* an event of ptrace, no signal */
		}
	}
}

int main(int argc, char **argv)
{
	int status;

	if (argc < 2)
		return 2;
	t.trace = getenv("TORTURE_TRACE") != NULL;
	t.pid = fork();
	if (t.pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0)
			_exit(2);
		execv(argv[1], argv + 1);
		_exit(127);
	}
	/* One fork ahead of its exec: a SIGSTOP of its own, then the exec, which is a SIGTRAP without TRACEEXEC. */
	if (t.pid < 0 || waitpid(t.pid, &status, 0) < 0 || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, t.pid, NULL,
		   PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) < 0)
		return 2;
	return run();
}

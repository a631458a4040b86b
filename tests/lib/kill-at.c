/*
 * For LD_PRELOAD: the program dies by SIGKILL at its n-th step. A step is a call that others can see something of:
 * files made, written, renamed, removed or synced, locks, sockets, messages, programs started. Between two of them a
 * death makes no difference to anybody, so n = 1, 2, 3 ... are all the deaths that there are.
 *
 *	KILL_PROGRAM   the short name of the program; others are left alone
 *	KILL_AT        n; 0: none, only count
 *	KILL_WHOM      "self", or "child": the last program that it has started dies, and it goes on; without boxlite-net,
 *	               which is "net". Steps are then those that it makes while there is one
 *	KILL_NOTE      a file: gets a line "total N" at the end, or "died N CALL" before the death
 *
 * Only what the program calls itself is seen, not what libc does inside; nor are lines of a log (standard error).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	int active, of_child, of_net, note_fd;
	long at, count;
	pid_t self, child;
} k;

#define RAW_WRITE(fd, p, n) raw_syscall(SYS_write, fd, (long)(p), n, 0, 0, 0)

static long raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

static void note(const char *what, const char *call)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %ld %s\n", what, k.count, call);

	if (k.note_fd >= 0)
		RAW_WRITE(k.note_fd, line, n);
}

__attribute__((constructor)) static void begin(void)
{
	const char *program = getenv("KILL_PROGRAM"), *at = getenv("KILL_AT"), *whom = getenv("KILL_WHOM"),
		   *path = getenv("KILL_NOTE");

	k.note_fd = -1;
	if (!program || !at || strcmp(program, program_invocation_short_name) != 0)
		return;
	k.self = getpid();
	k.at = strtol(at, NULL, 10);
	k.of_net = whom && strcmp(whom, "net") == 0;
	k.of_child = k.of_net || (whom && strcmp(whom, "child") == 0);
	if (path) {
		const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
		int fd = (int)raw_syscall(SYS_open, (long)path, flags, 0600, 0, 0, 0);

		/* Out of the way of the numbers that the program gives its own. */
		k.note_fd = (int)raw_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900, 0, 0, 0);
		raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	}
	k.active = 1;
}

__attribute__((destructor)) static void finish(void)
{
	if (k.active && getpid() == k.self)
		note("total", "");
}

static void step(const char *call)
{
	if (!k.active || (k.of_child && k.child <= 0) || ++k.count != k.at)
		return;
	note("died", call);
	/* The child before its exec shares this memory: then it is the child that dies. */
	raw_syscall(SYS_kill, k.of_child ? k.child : getpid(), SIGKILL, 0, 0, 0, 0);
}

#define REAL(name) \
	static __typeof__(name) *real; \
	if (!real) \
		real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* A call that is a step whenever it is made. */
#define STEP(ret, name, params, args) \
	ret name params \
	{ \
		REAL(name); \
		step(#name); \
		return real args; \
	}

STEP(int, mkdir, (const char *p, mode_t m), (p, m))
STEP(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m))
STEP(int, unlink, (const char *p), (p))
STEP(int, unlinkat, (int d, const char *p, int f), (d, p, f))
STEP(int, rename, (const char *p, const char *q), (p, q))
STEP(int, renameat, (int d, const char *p, int e, const char *q), (d, p, e, q))
STEP(int, linkat, (int d, const char *p, int e, const char *q, int f), (d, p, e, q, f))
STEP(int, symlinkat, (const char *p, int d, const char *q), (p, d, q))
STEP(int, fchmodat, (int d, const char *p, mode_t m, int f), (d, p, m, f))
STEP(int, utimensat, (int d, const char *p, const struct timespec t[2], int f), (d, p, t, f))
STEP(int, ftruncate, (int d, off_t n), (d, n))
STEP(int, ftruncate64, (int d, off64_t n), (d, n))
STEP(int, fsync, (int d), (d))
STEP(int, fdatasync, (int d), (d))
STEP(ssize_t, pwrite, (int d, const void *p, size_t n, off_t o), (d, p, n, o))
STEP(ssize_t, pwrite64, (int d, const void *p, size_t n, off64_t o), (d, p, n, o))
STEP(ssize_t, copy_file_range, (int d, off64_t *o, int e, off64_t *q, size_t n, unsigned f), (d, o, e, q, n, f))
STEP(int, flock, (int d, int how), (d, how))
STEP(int, bind, (int d, const struct sockaddr *a, socklen_t n), (d, a, n))
STEP(int, listen, (int d, int n), (d, n))
STEP(int, connect, (int d, const struct sockaddr *a, socklen_t n), (d, a, n))
STEP(int, shutdown, (int d, int how), (d, how))
STEP(ssize_t, send, (int d, const void *p, size_t n, int f), (d, p, n, f))
STEP(ssize_t, sendmsg, (int d, const struct msghdr *m, int f), (d, m, f))
STEP(int, execve, (const char *p, char *const v[], char *const e[]), (p, v, e))

/* Of these only some are. */
#define STEP_IF(condition, ret, name, params, args) \
	ret name params \
	{ \
		REAL(name); \
		if (condition) \
			step(#name); \
		return real args; \
	}

STEP_IF(d > 2, ssize_t, write, (int d, const void *p, size_t n), (d, p, n))
STEP_IF(d > 2, ssize_t, writev, (int d, const struct iovec *v, int n), (d, v, n))

/* ... and these take one argument more, or not. */
#define LAST(type, after) \
	va_list ap; \
	va_start(ap, after); \
	type last = va_arg(ap, type); \
	va_end(ap)

#define MAKES(flags) (((flags) & (O_CREAT | O_TRUNC)) || ((flags) & O_TMPFILE) == O_TMPFILE)
#define IS_LOCK(how) ((how) == F_SETLK || (how) == F_SETLKW || (how) == F_OFD_SETLK || (how) == F_OFD_SETLKW)

#define STEP_OPEN(name, params, args) \
	int name params \
	{ \
		REAL(name); \
		LAST(mode_t, flags); \
		if (MAKES(flags)) \
			step(#name); \
		return real args; \
	}

STEP_OPEN(open, (const char *p, int flags, ...), (p, flags, last))
STEP_OPEN(open64, (const char *p, int flags, ...), (p, flags, last))
STEP_OPEN(openat, (int d, const char *p, int flags, ...), (d, p, flags, last))
STEP_OPEN(openat64, (int d, const char *p, int flags, ...), (d, p, flags, last))

#define STEP_FCNTL(name) \
	int name(int d, int how, ...) \
	{ \
		REAL(name); \
		LAST(long, how); \
		if (IS_LOCK(how)) \
			step(#name); \
		return real(d, how, last); \
	}

STEP_FCNTL(fcntl)
STEP_FCNTL(fcntl64)

int ioctl(int d, unsigned long request, ...)
{
	REAL(ioctl);
	LAST(long, request);
	if (request == 0x40049409) /* FICLONE */
		step("ioctl");
	return real(d, request, last);
}

long syscall(long nr, ...)
{
	long a[6];
	va_list ap;
	int i;

	va_start(ap, nr);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (nr == SYS_pidfd_send_signal)
		step("pidfd_send_signal");
	a[0] = raw_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (a[0] >= 0)
		return a[0];
	errno = (int)-a[0];
	return -1;
}

/* What the kernel calls a process, with the line's end: its length. */
static long read_name(pid_t pid, char *to, long size)
{
	char path[32];
	long fd, n;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = raw_syscall(SYS_open, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0, 0);
	n = fd < 0 ? fd : raw_syscall(SYS_read, fd, (long)to, size, 0, 0, 0);
	if (fd >= 0)
		raw_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
	return n;
}

/* When clone returns the child has begun its exec, which gives it its own name a moment later. */
static int is_net(pid_t pid)
{
	static const char wanted[] = "boxlite-net\n";
	char ours[32], name[32];
	long n = read_name(getpid(), ours, sizeof(ours)), m;
	int tries = 100000;

	while ((m = read_name(pid, name, sizeof(name))) == n && memcmp(ours, name, (size_t)n) == 0 && tries--)
		sched_yield();
	return m == (long)sizeof(wanted) - 1 && memcmp(name, wanted, (size_t)m) == 0;
}

/* The name by which base/spawn.c calls it. */
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	void *more[3];
	va_list ap;
	pid_t pid;
	int i;

	REAL(__clone);
	va_start(ap, arg);
	for (i = 0; i < 3; i++)
		more[i] = va_arg(ap, void *);
	va_end(ap);
	step("clone");
	pid = real(fn, stack, flags, arg, more[0], more[1], more[2]);
	if (!k.of_child || is_net(pid) == k.of_net)
		k.child = pid;
	return pid;
}

/* What was waited for is nobody any more, and its number may be another's. */
int waitid(idtype_t type, id_t id, siginfo_t *si, int options)
{
	int r;

	REAL(waitid);
	r = real(type, id, si, options);
	if (r == 0 && si->si_pid == k.child)
		k.child = 0;
	return r;
}

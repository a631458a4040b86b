#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clean.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define CHILD_STACK (64 * 1024)

/*
 * The child leaves by exec, not by return: what a sanitizer notes about its stack would stay behind
 * and be held against the next child on the same addresses.
 *
 * Sanitizers, this program's or those of who embeds the library, also have a sigaction(), dup2() and _exit() of their
 * own. These keep notes about the process, and the last one does what is to be done at its end; here it would be in the
 * parent's memory: the parent's handlers were forgotten, and its unwritten output went to the child's files. Hence
 * system calls.
 */
#define ON_CHILD_STACK __attribute__((no_sanitize("address", "thread", "undefined")))

/* clone(2) by the name that no sanitizer replaces. */
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);

struct job {
	const struct spawn *s;
	sigset_t old_mask;
	pid_t parent;
	int null_fd;
	int code; /* written by the child: -errno when it could not exec */
};

/* As the kernel has it, which begins with the handler; the rest, here zero, may be shorter. */
struct kernel_sigaction {
	void (*handler)(int);
	unsigned long rest[7];
};

ON_CHILD_STACK static void set_handler(int sig, void (*handler)(int))
{
	const struct kernel_sigaction sa = { .handler = handler };

	syscall(SYS_rt_sigaction, sig, &sa, NULL, (size_t)_NSIG / 8);
}

__attribute__((noreturn)) ON_CHILD_STACK static void leave(void)
{
	for (;;)
		syscall(SYS_exit_group, 127);
}

/* Moves every source above all targets first, so that no dup2 overwrites a source. */
ON_CHILD_STACK static int arrange_fds(const struct job *j)
{
	const struct spawn *s = j->s;
	int moved[SPAWN_FDS_MAX], null, above = 3;
	bool std[2] = { false, false };
	size_t i;

	for (i = 0; i < s->nfds; i++) {
		above = MAX(above, s->fds[i].to + 1);
		if (s->fds[i].to < 2)
			std[s->fds[i].to] = true;
	}
	for (i = 0; i < s->nfds; i++) {
		moved[i] = fcntl(s->fds[i].from, F_DUPFD_CLOEXEC, above);
		if (moved[i] < 0)
			return -errno;
	}
	/* Where the parent has closed its standard input, this may be 0 itself. */
	null = fcntl(j->null_fd, F_DUPFD_CLOEXEC, above);
	if (null < 0)
		return -errno;
	for (i = 0; i < 2; i++)
		if (!std[i] && syscall(SYS_dup3, null, (int)i, 0) < 0)
			return -errno;
	for (i = 0; i < s->nfds; i++)
		if (syscall(SYS_dup3, moved[i], s->fds[i].to, 0) < 0)
			return -errno;
	return 0;
}

/* Everything from 3 up that is not a target becomes close-on-exec: the embedder may have
 * opened fds without it. */
ON_CHILD_STACK static int hide_other_fds(const struct spawn *s)
{
	unsigned from = 3;

	for (;;) {
		unsigned next = ~0U;
		size_t i;

		for (i = 0; i < s->nfds; i++)
			if (s->fds[i].to >= (int)from && (unsigned)s->fds[i].to < next)
				next = (unsigned)s->fds[i].to;
		if (next > from &&
		    syscall(SYS_close_range, from, next == ~0U ? ~0U : next - 1, CLOSE_RANGE_CLOEXEC) < 0)
			return -errno;
		if (next == ~0U)
			return 0;
		from = next + 1;
	}
}

/* Runs in the parent's memory: no allocation, no locks, no stdio. */
ON_CHILD_STACK static int child_main(void *arg)
{
	struct job *j = arg;
	const struct spawn *s = j->s;
	static const char *const empty[] = { NULL };
	const struct rlimit no_core = { 1, 1 };
	int sig;

	if (s->new_session && setsid() < 0)
		goto fail;
	/* Handlers of the parent must not run here on the shared memory. Ignoring first discards what the
	 * terminal sent to the old session's group in the meantime. */
	for (sig = 1; sig < NSIG; sig++) {
		if (sig != SIGCHLD)
			set_handler(sig, SIG_IGN);
		set_handler(sig, SIG_DFL);
	}
	/* A core of it would have what the box has in memory. 1 byte: with 0 a kernel that pipes cores to a program
	 * does. */
	setrlimit(RLIMIT_CORE, &no_core);
	if (s->die_with_parent) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			goto fail;
		if (getppid() != j->parent)
			leave(); /* it ended before the prctl */
	}
	j->code = arrange_fds(j);
	if (j->code == 0)
		j->code = hide_other_fds(s);
	if (j->code < 0)
		leave();
	sigemptyset(&j->old_mask);
	sigprocmask(SIG_SETMASK, &j->old_mask, NULL);
	/* execve() takes what it does not change as not const, for history's sake. */
	execve(s->path, (char *const *)(uintptr_t)s->argv,
	       (char *const *)(uintptr_t)(s->envp ? s->envp : empty));
fail:
	j->code = -errno;
	leave();
}

int spawn_start(const struct spawn *s, struct child *ret, struct error *err)
{
	struct job j = { .s = s, .parent = getpid() };
	sigset_t all, old;
	int pidfd = -1;
	pid_t pid;
	void *stack;

	if (s->nfds > SPAWN_FDS_MAX)
		return error_set(err, -EINVAL, "cannot start %s: too many file descriptors", s->path);
	auto_fd int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		return error_sys(err, "cannot open /dev/null");
	j.null_fd = null_fd;
	stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return error_sys(err, "cannot start %s", s->path);

	/* With all signals blocked no handler of ours can run in the child before it resets them. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pid = __clone(child_main, (char *)stack + CHILD_STACK, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, &j,
		      &pidfd);
	int saved = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	munmap(stack, CHILD_STACK);

	if (pid < 0)
		return error_code(err, -saved, "cannot start %s", s->path);
	if (j.code < 0) {
		struct child failed = { .pid = pid, .pidfd = pidfd };

		spawn_reap(&failed);
		return error_code(err, j.code, "cannot start %s", s->path);
	}
	ret->pid = pid;
	ret->pidfd = pidfd;
	return 0;
}

int spawn_wait(struct child *c, int *ret_status)
{
	siginfo_t si = { 0 };
	int r;

	if (c->pidfd < 0)
		return -ECHILD;
	do
		r = waitid((idtype_t)P_PIDFD, (id_t)c->pidfd, &si, WEXITED | __WALL);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno != ECHILD)
		return -errno;
	close_fd(&c->pidfd);
	if (r < 0)
		return -ECHILD;
	*ret_status = si.si_code == CLD_EXITED ? si.si_status : 128 + si.si_status;
	return 0;
}

bool spawn_try_reap(struct child *c)
{
	siginfo_t si = { 0 };
	int r;

	if (c->pidfd < 0)
		return true;
	do
		r = waitid((idtype_t)P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG | __WALL);
	while (r < 0 && errno == EINTR);
	if (r == 0 && si.si_pid == 0)
		return false;
	close_fd(&c->pidfd);
	return true;
}

void spawn_kill(const struct child *c, int signo)
{
	if (c->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, c->pidfd, signo, NULL, 0);
}

void spawn_reap(struct child *c)
{
	int status;

	spawn_kill(c, SIGKILL);
	(void)spawn_wait(c, &status);
}

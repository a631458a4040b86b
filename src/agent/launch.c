/*
 * The stages of a new process. It starts as a copy of the agent: pid 1's
 * powers, every fd, the agent's file systems. Each stage takes some of that
 * away and the order is what keeps it safe, hence a Should and a Mustn't for
 * each. The process is single-threaded, so everything may be called.
 *
 * The agent is not dumpable and the copy inherits that until exec: a process
 * of the box that finds it in /proc can neither trace it nor open its fds.
 */
#include "agent/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/container.h"
#include "agent/copy.h"
#include "agent/dial.h"
#include "agent/idle.h"
#include "agent/path.h"
#include "agent/trust.h"
#include "agent/tty.h"
#include "agent/user.h"
#include "base/clean.h"
#include "base/io.h"
#include "base/sock.h"

#define REPORTS_FD 3 /* from stage 4 on */
#define PROGRAM_FD 4 /* likewise, if there is one: only to be executed */

/* The 14 that docker gives. */
#define CAP(c) (1ULL << (c))
static const uint64_t capabilities =
	CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FSETID) | CAP(CAP_FOWNER) | CAP(CAP_MKNOD) |
	CAP(CAP_NET_RAW) | CAP(CAP_SETGID) | CAP(CAP_SETUID) | CAP(CAP_SETFCAP) | CAP(CAP_SETPCAP) |
	CAP(CAP_NET_BIND_SERVICE) | CAP(CAP_SYS_CHROOT) | CAP(CAP_KILL) | CAP(CAP_AUDIT_WRITE);

/*
 * Stage 1: namespaces. clone has made pid, mount, ipc and uts for a main process, and for a copy without one.
 * Should: leave the process in all namespaces of the box. The cgroup namespace is made
 *         here because its root is the group that its maker is in: clone would take the
 *         agent's. Joining also brings the box's root and "/" as current folder.
 * Mustn't: open anything by path; for an exec the paths are hostile from here on.
 */
static int enter_namespaces(const struct launch *l, struct error *err)
{
	const int all = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

	if (l->join >= 0)
		return setns(l->join, all) < 0 ? error_sys(err, "cannot join the box's namespaces") : 0;
	if (l->copy)
		return 0;
	if (unshare(CLONE_NEWCGROUP) < 0)
		return error_sys(err, "cannot make a cgroup namespace");
	if (sethostname(l->hostname, strlen(l->hostname)) < 0)
		return error_sys(err, "cannot set the hostname '%s'", l->hostname);
	return 0;
}

/*
 * Stage 2: root, of a main process, and of a copy without one.
 * Should: leave no way to a file system of the agent but the fds that are still open.
 * Mustn't: look at a path of the box before the root has changed (see container.c).
 */
static int enter_root(const struct launch *l, struct error *err)
{
	umask(0);
	if (l->copy && l->join < 0)
		return container_enter(err);
	return l->spec->main ? container_build(err) : 0;
}

static int send_report(const struct launch *l, const struct launch_report *r, const int *fd, size_t nfds)
{
	return nfds ? sock_send_fds(l->reports, r, sizeof(*r), fd, nfds) : io_write_full(l->reports, r, sizeof(*r));
}

/*
 * Stage 3: terminal, and the first report.
 * Should: make the terminal on the box's own /dev/pts, so that its name is right there, and
 *         give the agent its master.
 * Mustn't: become its foreground process yet; the agent may still refuse.
 */
static int open_terminal(struct launch *l, struct error *err)
{
	struct launch_report report = { .pid = (int32_t)syscall(SYS_getpid) };
	auto_fd int master = -1;
	int r, i, slave = -1;

	if (l->spec->tty) {
		r = tty_open(l->spec->rows, l->spec->cols, &master, &slave, err);
		if (r == 0 && l->spec->main)
			r = container_bind_console(slave, err);
		if (r < 0)
			return r;
		for (i = 0; i < 3; i++)
			l->stdio[i] = slave;
	}
	r = send_report(l, &report, &master, master >= 0 ? 1 : 0);
	return r < 0 ? error_code(err, r, "cannot report to the agent") : 0;
}

/*
 * Stage 4: fds and session.
 * Should: leave 0, 1, 2, the reports and the program to execute; closed, not just marked: a working folder of
 *         "/proc/self/fd/7" would otherwise be a way back to the agent.
 * Mustn't: come before the last use of an fd that was inherited.
 */
static int take_stdio(struct launch *l, struct error *err)
{
	int i;

	/* 0, 1 and 2 of the agent are always open, so none of these is below 3. */
	for (i = 0; i < 3; i++)
		if (dup2(l->stdio[i], i) < 0)
			return error_sys(err, "cannot set up the standard streams");
	if (l->reports != REPORTS_FD && dup3(l->reports, REPORTS_FD, O_CLOEXEC) < 0)
		return error_sys(err, "cannot set up the standard streams");
	l->reports = REPORTS_FD;
	if (l->program >= 0 && l->program != PROGRAM_FD && dup3(l->program, PROGRAM_FD, O_CLOEXEC) < 0)
		return error_sys(err, "cannot set up the program");
	if (close_range(l->program >= 0 ? PROGRAM_FD + 1 : REPORTS_FD + 1, ~0U, 0) < 0)
		return error_sys(err, "cannot close the agent's files");
	setsid();
	if (l->spec->tty && ioctl(0, TIOCSCTTY, 0) < 0)
		return error_sys(err, "cannot take the terminal");
	return 0;
}

static int drop_capabilities(uint64_t permitted, struct error *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)permitted, .permitted = (uint32_t)permitted },
		{ .effective = (uint32_t)(permitted >> 32), .permitted = (uint32_t)(permitted >> 32) },
	};

	/* Nothing inheritable, so nothing ambient: exec gives root the bounding set and others none. */
	if (syscall(SYS_capset, &head, data) < 0)
		return error_sys(err, "cannot drop capabilities");
	return 0;
}

int launch_bound_capabilities(struct error *err)
{
	int cap;

	for (cap = 0; cap < 64; cap++) {
		if (capabilities & CAP(cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			break; /* past the last one that this kernel knows */
		return error_sys(err, "cannot drop a capability");
	}
	return 0;
}

/* A process must be able to open /dev/stdout again, and a user owns the terminal in front of them. */
static int own_stdio(uid_t uid, struct error *err)
{
	struct stat st;
	int i;

	for (i = 0; i < 3; i++) {
		if (fstat(i, &st) < 0)
			return error_sys(err, "cannot look at the standard streams");
		if (st.st_uid == uid || !(S_ISFIFO(st.st_mode) || isatty(i)))
			continue;
		if (fchown(i, uid, (gid_t)-1) < 0)
			return error_sys(err, "cannot own the standard streams");
	}
	return 0;
}

/* For those that come after it. */
static int report_user(const struct launch *l, struct error *err)
{
	struct launch_report report = { .pid = (int32_t)syscall(SYS_getpid), .has_user = true, .user = *l->known };
	int r = send_report(l, &report, NULL, 0);

	return r < 0 ? error_code(err, r, "cannot report to the agent") : 0;
}

/*
 * Stage 5: working folder and user.
 * Should: look the user up in the box's own files; enter the folder as root, who can enter
 *         any (a mount that keeps root out is tried again as the user); end with the
 *         user's ids and no more than the default capabilities.
 * Mustn't: give up ids before all that needs root is done.
 */
static int become_user(struct launch *l, struct error *err)
{
	const char *cwd = l->spec->cwd && *l->spec->cwd ? l->spec->cwd : "/";
	static struct user user; /* 8 kB */
	bool late = false, is_new = false;
	int r = known_user_load(l->spec->user, l->known, &is_new, &user, err);

	if (r == 0 && is_new)
		r = report_user(l, err);
	if (r < 0)
		return r;
	umask(022);
	if (chdir(cwd) < 0) {
		if (errno == ENOENT)
			container_make_dirs(cwd, 0755);
		if (chdir(cwd) < 0) {
			if (errno != EACCES)
				return error_sys(err, "cannot enter the working folder %s", cwd);
			late = true;
		}
	}
	r = own_stdio(user.uid, err);
	if (r < 0)
		return r;
	/* The agent's own ids are all 0. */
	if (setgroups(user.ngroups, user.groups) < 0 || (user.gid && setresgid(user.gid, user.gid, user.gid) < 0) ||
	    (user.uid && setresuid(user.uid, user.uid, user.uid) < 0))
		return error_sys(err, "cannot become user %u", user.uid);
	/* Becoming another user has cleared the rest. */
	r = drop_capabilities(user.uid == 0 ? capabilities : 0, err);
	if (r == 0 && late && chdir(cwd) < 0)
		r = error_sys(err, "cannot enter the working folder %s", cwd);
	if (r == 0 && !strv_get_env(&l->spec->env, "HOME") &&
	    strv_addf(&l->spec->env, "HOME=%s", user.home) < 0)
		r = error_nomem(err);
	if (r == 0 && trust_env(&l->spec->env) < 0)
		r = error_nomem(err);
	return r;
}

/* Why execve failed, as docker words it; and which of the two exit codes that is. */
static enum proc_end explain(const char *name, const char *file, int code, struct error *err)
{
	struct stat st;

	if (code == EACCES && stat(file, &st) == 0 && S_ISDIR(st.st_mode))
		code = EISDIR;
	switch (code) {
	case ENOENT:
	case ENOTDIR:
		error_set(err, -code, "exec: \"%s\": no such file or directory%s", name,
			  stat(file, &st) == 0 ? " (its interpreter or loader is missing)" : "");
		return PROC_NOT_FOUND;
	case EACCES: error_set(err, -code, "exec: \"%s\": permission denied", name); break;
	case EISDIR: error_set(err, -code, "exec: \"%s\": is a directory", name); break;
	case ENOEXEC: error_set(err, -code, "exec: \"%s\": exec format error", name); break;
	default: error_code(err, -code, "exec: \"%s\"", name); break;
	}
	return PROC_CANNOT_RUN;
}

/* As execvp, but folders do not count and a script without "#!" is not handed to a shell. */
static enum proc_end run_from_path(const struct proc_spec *s, struct error *err)
{
	const char *name = s->argv.v[0], *path = strv_get_env(&s->env, "PATH");
	char file[PATH_MAX], denied[PATH_MAX] = "";
	struct stat st;

	if (!path)
		path = PATH_DEFAULT;
	while (*name && path_next(&path, name, file, sizeof(file))) {
		int code;

		execve(file, s->argv.v, s->env.v);
		code = errno;
		if (code == EACCES) {
			if (!*denied && !(stat(file, &st) == 0 && S_ISDIR(st.st_mode)))
				memcpy(denied, file, sizeof(denied));
			continue;
		}
		/* There, and yet ENOENT: its interpreter is missing. That is worth telling. */
		if ((code != ENOENT && code != ENOTDIR) || stat(file, &st) == 0)
			return explain(name, file, code, err);
	}
	if (*denied)
		return explain(name, denied, EACCES, err);
	error_set(err, -ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
	return PROC_NOT_FOUND;
}

/* The agent's own program once more, in a memory of its own, for a box that only waits. */
static enum proc_end run_nothing(const struct proc_spec *s, struct error *err)
{
	char name[] = IDLE_NAME, *const argv[] = { name, NULL };

	execveat(PROGRAM_FD, "", argv, s->env.v, AT_EMPTY_PATH);
	error_sys(err, "cannot wait");
	return PROC_CANNOT_RUN;
}

/*
 * Stage 6: the program.
 * Should: find it as the user, in the box. The agent handles no signal, so all are at their
 *         default; only those that it reads from a signalfd are blocked.
 * Mustn't: open anything that would survive.
 */
static enum proc_end run(const struct proc_spec *s, struct error *err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (s->argv.n == 0)
		return run_nothing(s, err);
	if (!strchr(s->argv.v[0], '/'))
		return run_from_path(s, err);
	execve(s->argv.v[0], s->argv.v, s->env.v);
	return explain(s->argv.v[0], s->argv.v[0], errno, err);
}

/*
 * Instead of stages 5 and 6: a copy.
 * Should: keep root's ids, for it reads and makes files of all owners, and no more capabilities than root in the box.
 * Mustn't: exec; so the process is never dumpable, and the box cannot look into it or use its files.
 */
static enum proc_end copy(const struct launch *l, struct launch_report *report, struct error *err)
{
	int r = drop_capabilities(capabilities, err);

	if (r == 0)
		r = copy_files(l->copy, err);
	if (r == 0)
		_exit(0);
	report->code = (uint8_t)MIN(-r, 255);
	return PROC_EXITED;
}

/*
 * Instead of stages 5 and 6: a connection.
 * Should: be root in the box, no more, and give the agent the connection.
 * Mustn't: exec, as a copy; have a file of the agent open but /dev/null and the reports: the path may lead through
 *          /proc/self/fd.
 */
static enum proc_end dial(const struct launch *l, struct launch_report *report, struct error *err)
{
	struct launch_report done = { .pid = (int32_t)syscall(SYS_getpid) };
	int r = drop_capabilities(capabilities, err), fd;

	if (r == 0 && (fd = r = dial_unix(l->dial, err)) >= 0) {
		r = send_report(l, &done, &fd, 1);
		if (r == 0)
			_exit(0);
		error_code(err, r, "cannot report to the agent");
	}
	report->code = (uint8_t)MIN(-r, 255);
	return PROC_EXITED;
}

_Noreturn void launch_child(struct launch *l)
{
	struct launch_report report = { .failed = true, .kind = proc_end_unprepared(l->spec) };
	struct error err = { 0 };
	int r;

	/* While the agent's own files are to be seen. */
	l->program = l->copy || l->dial || l->spec->argv.n ? -1 : open("/proc/self/exe", O_PATH | O_CLOEXEC);
	r = enter_namespaces(l, &err);

	if (r == 0)
		r = enter_root(l, &err);
	if (r == 0)
		r = open_terminal(l, &err);
	if (r == 0)
		r = take_stdio(l, &err);
	if (r == 0 && l->copy)
		report.kind = copy(l, &report, &err);
	else if (r == 0 && l->dial)
		report.kind = dial(l, &report, &err);
	else if (r == 0 && (r = become_user(l, &err)) == 0)
		report.kind = run(l->spec, &err);
	memcpy(report.error, err.text, sizeof(report.error));
	/* If it cannot be said, the exit code still tells that it did not run. */
	(void)send_report(l, &report, NULL, 0);
	_exit(proc_exit_status(&(struct proc_exit){ .kind = report.kind }));
}

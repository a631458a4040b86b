/*
 * Theory of operation.
 *
 * A process is made by one clone3 from the agent, which has a single thread,
 * so the child is a plain copy and may call anything. It is born in its
 * cgroup. A main process gets new namespaces by clone flags. For an exec the
 * agent first points its own "pid namespace for children" at the box by
 * setns() on the main process' pidfd, and back afterwards: so an exec is a
 * direct child of the agent, which gets its SIGCHLD, and no helper process
 * stands between.
 *
 *	 START --> child sets itself up --exec--> STARTED --> ended --> drained --> EXIT
 *	                | report `failed`                      (reaped)
 *	                +------------------------------------> ended --> EXIT
 *
 * What comes before the main process runs waits for that, as what it joins is not there.
 *
 * A connection is made by a process like an exec, which sends it as the fd of a report and ends. What stays is a proc
 * without a process, until its stream is over:
 *
 *	 DIAL_UNIX --> child connects --report, fd--> STARTED, child reaped --> stream over --> EXIT
 *
 * A terminal is its process' from STARTED on: what is typed before that waits in the stream, because a ^C would
 * find no foreground group that it is meant for.
 *
 * All waiting is in the event loop: a child that hangs in its set-up (a box can
 * make that happen to an exec) holds up nobody else, and can be killed.
 *
 * EXIT needs both: the process was reaped, and both outlets are done. Which of
 * the two comes first differs; procs_settle() looks after each batch of events.
 *
 * The end of a main process is the end of its pid namespace: the kernel kills
 * the rest, and lets the main process be reaped once they are gone; those of
 * them that are the agent's children have to be reaped before it.
 */
#include "agent/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cgroup.h"
#include "agent/dial.h"
#include "agent/launch.h"
#include "agent/signals.h"
#include "agent/tty.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/sock.h"

/* Most execs are short: what they write and their end come within that, and wake the host once. No shorter than a tick
 * of the kernel, which is waited for anyway: a timer before it would be an exit of the machine. */
#define STARTED_HOLD_MS 5

static void child_ready(struct watch *w, uint32_t events);
static void reports_ready(struct watch *w, uint32_t events);
static void attach_terminal(struct proc *p);
static void attach_connection(struct proc *p);
static void time_is_up(struct watch *w, uint32_t events);

int procs_init(struct procs *ps, struct loop *l, struct channel *to, struct error *err)
{
	sigset_t set;
	int r;

	*ps = (struct procs){ .loop = l, .to = to, .hostname = "", .child_watch = WATCH_NONE };
	ps->self = pidfd_open(getpid(), 0);
	if (ps->self < 0)
		return error_sys(err, "cannot open a pidfd");
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	ps->child_fd = loop_signal_fd(&set);
	if (ps->child_fd < 0)
		return error_code(err, ps->child_fd, "cannot make a signalfd");
	r = loop_add(l, &ps->child_watch, ps->child_fd, EPOLLIN, child_ready);
	return r < 0 ? error_code(err, r, "cannot watch for children") : 0;
}

struct proc *procs_find(const struct procs *ps, uint32_t stream)
{
	struct proc *p;

	for (p = ps->list; p; p = p->next)
		if (p->stream.id == stream)
			return p;
	return NULL;
}

void task_fini(struct task *t)
{
	proc_spec_fini(&t->spec);
	copy_spec_fini(&t->copy);
	free(t->path);
	*t = TASK_INIT(TASK_RUN);
}

/* It is made; the process that has made it is ending, or was reaped. */
static bool is_connection(const struct proc *p)
{
	return p->dials && p->running;
}

bool procs_main_alive(const struct procs *ps)
{
	return ps->main && !ps->main->ended;
}

/* --- starting ------------------------------------------------------------------------------- */

/* The fds of a new process: the child's ends and ours. All owned, -1 = none. */
struct ends {
	int child[3], ours[3];
	int reports_child, reports_ours;
};

#define ENDS_NONE ((struct ends){ { -1, -1, -1 }, { -1, -1, -1 }, -1, -1 })

static void ends_fini(struct ends *e)
{
	int i;

	for (i = 0; i < 3; i++) {
		close_fd(&e->child[i]);
		close_fd(&e->ours[i]);
	}
	close_fd(&e->reports_child);
	close_fd(&e->reports_ours);
}

/* A pipe of which only our end does not block: the process expects an ordinary one. */
static int make_pipe(struct ends *e, int i)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	e->child[i] = i == 0 ? fds[0] : fds[1];
	e->ours[i] = i == 0 ? fds[1] : fds[0];
	return fcntl(e->ours[i], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0; /* it is new: there are no other flags */
}

/* Of `gives`: a terminal or a connection, which the child makes. */
static int make_ends(struct ends *e, const struct proc_spec *spec, bool gives)
{
	/* A pipe is cheaper, and cannot carry an fd. */
	int fds[2], r = gives ? sock_pair(fds) : pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0;

	if (r < 0)
		return r;
	e->reports_ours = fds[0];
	e->reports_child = fds[1];
	if (gives)
		return 0;
	if (spec->stdin_open)
		r = make_pipe(e, 0);
	else if ((e->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
		r = -errno;
	if (r == 0)
		r = make_pipe(e, 1);
	return r == 0 ? make_pipe(e, 2) : r;
}

/* clone3: the pid, 0 in the child, -errno. */
static pid_t clone_child(uint64_t namespaces, int cgroup, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = namespaces | CLONE_PIDFD | CLONE_INTO_CGROUP,
		.pidfd = (uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	return pid < 0 ? -errno : (pid_t)pid;
}

static int spawn(struct proc *p, struct launch *l, struct error *err)
{
	const uint64_t fresh = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
	int cgroup = cgroup_fd(p->cgroup);
	pid_t pid;

	if (cgroup < 0)
		return error_code(err, cgroup, "cannot open the process' cgroup");
	if (l->join >= 0 && setns(l->join, CLONE_NEWPID) < 0)
		return error_sys(err, "cannot join the box's pid namespace");
	/* A copy without a main process is nobody's pid 1, which would not feel a signal. */
	pid = clone_child(l->join >= 0 ? 0 : l->copy ? CLONE_NEWNS : fresh, cgroup, &p->pidfd);
	if (pid == 0)
		launch_child(l);
	if (l->join >= 0 && setns(p->set->self, CLONE_NEWPID) < 0)
		log_error("cannot leave the box's pid namespace: %s", strerror(errno));
	if (pid < 0)
		return error_code(err, pid, "cannot start a process");
	p->pid = pid;
	return 0;
}

/* Whether a report of its brings an fd. */
static bool gives_fd(const struct proc *p)
{
	return p->has_tty || p->dials;
}

/* Starts the process of p, whose cgroup exists. */
static int start(struct proc *p, struct task *t, struct error *err)
{
	struct procs *ps = p->set;
	struct ends e = ENDS_NONE;
	struct launch l = {
		.spec = &t->spec,
		.copy = t->kind == TASK_COPY ? &t->copy : NULL,
		.dial = t->path,
		.hostname = ps->hostname,
		.known = &ps->known,
	};
	int r = make_ends(&e, &t->spec, gives_fd(p));

	if (r < 0) {
		error_code(err, r, "cannot make the pipes of a process");
		goto out;
	}
	l.join = p->is_main || !ps->main ? -1 : ps->main->pidfd;
	l.reports = e.reports_child;
	memcpy(l.stdio, e.child, sizeof(l.stdio));
	if (p->dials)
		memset(l.stdio, 0, sizeof(l.stdio)); /* all of them the agent's own: /dev/null */
	r = spawn(p, &l, err);
	if (r < 0)
		goto out;
	/* What a child that sends no fd says first need not wake us: it is read when the socket is closed. */
	r = loop_add(ps->loop, &p->reports_watch, e.reports_ours, gives_fd(p) ? EPOLLIN : EPOLLHUP, reports_ready);
	if (r < 0)
		cgroup_kill(p->cgroup); /* and wait for it as for any other */
	p->reports = take_fd(&e.reports_ours);
	if (!gives_fd(p))
		stream_attach(&p->stream, STREAM_PIPES, take_fd(&e.ours[0]), take_fd(&e.ours[1]),
			      take_fd(&e.ours[2]));
	r = 0;
out:
	ends_fini(&e);
	return r;
}

/* Whether the box is in a state for it; else how it ends. */
static bool may_start(const struct procs *ps, const struct proc_spec *spec, bool copies, struct proc_exit *ret)
{
	const char *why = NULL;
	enum proc_end kind = proc_end_unprepared(spec);

	if (ps->refuse || (!spec->main && ps->had_main && !procs_main_alive(ps))) {
		why = ps->refuse ? "the box is shutting down" : "the box's main process has ended";
		kind = PROC_LOST;
	} else if (spec->main && ps->had_main) {
		why = "the box has a main process already";
	} else if (!spec->main && !ps->main && !(copies && !ps->had_main)) {
		why = "the box was only started to be copied from or to";
	} else if (ps->n == PROCS_MAX) {
		why = "too many processes are running in the box";
	}
	if (!why)
		return true;
	*ret = (struct proc_exit){ .kind = kind };
	strncpy(ret->error, why, sizeof(ret->error) - 1);
	return false;
}

/* An EXIT for a process that never was. */
static int refuse(struct procs *ps, uint32_t stream, const struct proc_exit *e)
{
	return wire_put_exit(&ps->to->out, stream, e);
}

static struct proc *proc_new(struct procs *ps, uint32_t stream, const struct task *t)
{
	const struct proc_spec *spec = &t->spec;
	struct proc *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->set = ps;
	p->is_main = spec->main;
	p->dials = t->kind == TASK_DIAL;
	p->stop_signal = spec->stop_signal ? spec->stop_signal : SIGTERM;
	p->has_tty = spec->tty;
	p->rows = spec->rows;
	p->cols = spec->cols;
	p->pidfd = p->reports = p->terminal = p->connection = p->timer = -1;
	p->reports_watch = p->timer_watch = WATCH_NONE;
	p->cgroup = CGROUP_BOX;
	stream_init(&p->stream, stream, ps->to, ps->loop);
	return p;
}

static void stop_waiting(struct proc *p)
{
	if (!p->waits)
		return;
	task_fini(p->waits);
	free(p->waits);
	p->waits = NULL;
}

static void proc_free(struct proc *p)
{
	loop_remove(p->set->loop, &p->reports_watch);
	loop_remove(p->set->loop, &p->timer_watch);
	close_fd(&p->timer);
	close_fd(&p->reports);
	close_fd(&p->terminal);
	close_fd(&p->connection);
	close_fd(&p->pidfd);
	stream_fini(&p->stream);
	if (p->cgroup != CGROUP_BOX)
		cgroup_release(p->cgroup);
	stop_waiting(p);
	free(p);
}

/* It may be past exec or not when the time is up: a child that hangs before it is killed just so. */
static int limit_time(struct proc *p, uint32_t ms, struct error *err)
{
	int r;

	if (ms == 0)
		return 0;
	r = p->timer = loop_timer_fd();
	if (r >= 0)
		r = loop_add(p->set->loop, &p->timer_watch, p->timer, EPOLLIN, time_is_up);
	if (r < 0)
		return error_code(err, r, "cannot limit the time of a process");
	loop_timer_set(p->timer, ms);
	return 0;
}

/* Gives p its process. */
static int launch(struct proc *p, struct task *t, struct error *err)
{
	const char *what = t->kind == TASK_COPY ? "a copy" : t->kind == TASK_DIAL ? "a connection" : "nothing";
	int r = t->spec.main ? 0 : cgroup_new(&p->cgroup, err);

	if (r == 0)
		r = start(p, t, err);
	if (r == 0)
		log_debug("stream %u: pid %d for %s", p->stream.id, p->pid, t->spec.argv.n ? t->spec.argv.v[0] : what);
	return r;
}

/* The main process is on its way: it makes the namespaces that others join. */
static int wait_for_main(struct proc *p, struct task *t, struct error *err)
{
	p->waits = calloc(1, sizeof(*p->waits));
	if (!p->waits)
		return error_nomem(err);
	*p->waits = *t;
	*t = TASK_INIT(TASK_RUN);
	return 0;
}

int procs_start(struct procs *ps, uint32_t stream, struct task *t, struct error *err)
{
	const struct proc_spec *spec = &t->spec;
	struct proc_exit e = { 0 };
	struct error why = { 0 };
	struct proc *p;
	int r;

	if (stream == 0 || procs_find(ps, stream))
		return error_set(err, -EPROTO, "START on stream %u, which is in use", stream);
	if (!may_start(ps, spec, t->kind == TASK_COPY, &e))
		return refuse(ps, stream, &e);
	p = proc_new(ps, stream, t);
	if (!p)
		return error_nomem(err);
	e.kind = proc_end_unprepared(spec);
	r = limit_time(p, spec->timeout_ms, &why);
	if (r == 0 && !spec->main && ps->main && !ps->main->running)
		r = wait_for_main(p, t, &why);
	else if (r == 0)
		r = launch(p, t, &why);
	if (r < 0) {
		memcpy(e.error, why.text, sizeof(e.error));
		proc_free(p);
		return refuse(ps, stream, &e);
	}
	p->next = ps->list;
	ps->list = p;
	ps->n++;
	if (p->is_main) {
		ps->main = p;
		ps->had_main = true;
	}
	return 0;
}

/* One that waits never runs: procs_settle() says so. */
static void give_up(struct proc *p, enum proc_end kind, int signo, const char *why)
{
	stop_waiting(p);
	p->exit.kind = kind;
	p->exit.signal = (uint8_t)signo;
	snprintf(p->exit.error, sizeof(p->exit.error), "%s", why);
	p->ended = true;
	stream_end(&p->stream);
}

/* The main process runs, or never will. */
static void end_waits(struct procs *ps)
{
	struct error why = { 0 };
	struct proc *p;

	for (p = ps->list; p; p = p->next) {
		if (!p->waits)
			continue;
		if (!procs_main_alive(ps))
			give_up(p, PROC_LOST, 0, "the box's main process has ended");
		else if (launch(p, p->waits, &why) < 0)
			give_up(p, PROC_CANNOT_RUN, 0, why.text);
		else
			stop_waiting(p);
	}
}

/* --- reports of the child ------------------------------------------------------------------- */

static void reports_close(struct proc *p)
{
	loop_remove(p->set->loop, &p->reports_watch);
	close_fd(&p->reports);
}

/* Takes one report; false when there will be no more. Blocks only on a message that is under way. */
static bool take_report(struct proc *p)
{
	struct launch_report r;
	size_t nfds = 0;
	int fd = -1;
	bool got = gives_fd(p) ? sock_recv_fds(p->reports, &r, sizeof(r), &fd, 1, &nfds) == (ssize_t)sizeof(r)
			      : io_read_full(p->reports, &r, sizeof(r)) == 0;

	if (!got)
		return false;
	r.error[sizeof(r.error) - 1] = 0;
	if (nfds && p->dials) {
		close_fd(&p->connection);
		p->connection = fd;
	} else if (nfds) {
		close_fd(&p->terminal);
		p->terminal = fd;
		tty_resize(fd, p->rows, p->cols); /* a RESIZE may have come before it */
	}
	if (r.has_user)
		p->set->known = r.user;
	if (!r.failed) {
		p->box_pid = r.pid;
		return true;
	}
	p->exit.kind = r.kind;
	p->exit.code = r.code;
	memcpy(p->exit.error, r.error, sizeof(p->exit.error));
	return false;
}

/* The socket is at its end: exec has closed it, or the child has failed or died. */
static void reports_end(struct proc *p)
{
	reports_close(p);
	if (*p->exit.error || !p->box_pid || (p->dials && p->connection < 0))
		return;
	p->running = true;
	p->started_ns = clock_ns();
	if (p->terminal >= 0)
		attach_terminal(p);
	log_debug("stream %u runs", p->stream.id);
	channel_hold(p->set->to, p->is_main || p->dials ? 0 : STARTED_HOLD_MS);
	if (wire_put_started(&p->set->to->out, p->stream.id, &(struct proc_started){ .pid = p->box_pid }) < 0)
		p->set->to->lost = true;
	if (p->dials)
		attach_connection(p);
	if (p->is_main)
		end_waits(p->set);
}

static void reports_ready(struct watch *w, uint32_t events)
{
	struct proc *p = container_of(w, struct proc, reports_watch);

	bool more = true;

	do
		more = take_report(p);
	while (more && events & EPOLLHUP);
	if (!more)
		reports_end(p);
}

/* --- the end -------------------------------------------------------------------------------- */

/* Its process has done its part: it stays, as a connection. */
static void become_connection(struct proc *p)
{
	p->ended = p->exit.timed_out = false;
	p->pid = 0;
	close_fd(&p->pidfd);
	loop_remove(p->set->loop, &p->timer_watch);
	close_fd(&p->timer);
	cgroup_release(p->cgroup);
	p->cgroup = CGROUP_BOX;
}

static void proc_ended(struct proc *p, int status)
{
	p->ended = true;
	/* That may be known before its last reports were read; nobody else holds the socket. */
	if (p->reports >= 0) {
		while (take_report(p))
			;
		reports_end(p);
	}
	if (is_connection(p)) {
		become_connection(p);
		return;
	}
	if (*p->exit.error || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		p->exit.timed_out = false; /* its own end was faster */
	if (!*p->exit.error) {
		if (WIFSIGNALED(status)) {
			int signo = WTERMSIG(status);

			p->exit.kind = PROC_SIGNALLED;
			p->exit.signal = (uint8_t)(signo == SIGKILL && p->killed_as ? p->killed_as : signo);
		} else {
			p->exit.kind = PROC_EXITED;
			p->exit.code = (uint8_t)WEXITSTATUS(status);
		}
	}
	if (p->started_ns)
		p->exit.duration_ns = clock_ns() - p->started_ns;
	loop_remove(p->set->loop, &p->timer_watch);
	log_debug("stream %u: pid %d ended, status %#x", p->stream.id, p->pid, status);
	stream_end(&p->stream);
	if (p->is_main)
		end_waits(p->set);
}

static void child_ready(struct watch *w, uint32_t events)
{
	struct procs *ps = container_of(w, struct procs, child_watch);
	struct signalfd_siginfo info;
	struct proc *p;
	int status;
	pid_t pid;

	(void)events;
	/* One SIGCHLD may stand for many children. */
	while (read(ps->child_fd, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (p = ps->list; p; p = p->next)
			if (p->pid == pid && !p->ended) {
				proc_ended(p, status);
				break;
			}
}

void procs_settle(struct procs *ps)
{
	struct proc **at = &ps->list, *p;

	while ((p = *at)) {
		if (!channel_busy(ps->to))
			stream_resume(&p->stream);
		p->ended |= is_connection(p) && stream_is_over(&p->stream);
		if (p->ended && (ps->impatient || ps->to->lost))
			stream_abandon(&p->stream);
		if (!p->ended || !stream_drained(&p->stream)) {
			at = &p->next;
			continue;
		}
		if (wire_put_exit(&ps->to->out, p->stream.id, &p->exit) < 0)
			ps->to->lost = true;
		*at = p->next;
		ps->n--;
		if (ps->main == p)
			ps->main = NULL;
		proc_free(p);
	}
}

/* --- signals -------------------------------------------------------------------------------- */

/* Whether the kernel would spare the main process a signal that ends any other: see signals.h. */
static bool is_spared(const struct proc *p, int signo)
{
	struct signal_masks m;

	return p->is_main && signo != SIGKILL && signal_masks_read(p->pid, &m) && signal_would_end(&m, signo);
}

void proc_signal(struct proc *p, int signo)
{
	if (p->ended || is_connection(p))
		return;
	if (p->waits) {
		give_up(p, PROC_SIGNALLED, signo, "");
		return;
	}
	if (signo == SIGKILL && !p->is_main) {
		cgroup_kill(p->cgroup);
		return;
	}
	if (is_spared(p, signo)) {
		if (!p->killed_as)
			p->killed_as = signo;
		signo = SIGKILL;
	}
	pidfd_send_signal(p->pidfd, signo, NULL, 0);
}

/* All that an exec has started goes with it; with a main process the kernel ends the box's other processes. */
static void time_is_up(struct watch *w, uint32_t events)
{
	struct proc *p = container_of(w, struct proc, timer_watch);

	(void)events;
	loop_remove(p->set->loop, w);
	log_debug("stream %u: its time is up", p->stream.id);
	p->exit.timed_out = true;
	proc_signal(p, SIGKILL);
}

void procs_kill_all(struct procs *ps)
{
	struct proc *p;

	cgroup_kill(CGROUP_BOX);
	/* A box with privileges may have moved itself: the ends of its pid namespace have no such way out. */
	for (p = ps->list; p; p = p->next)
		if (p->waits || (is_connection(p) && !p->ended))
			give_up(p, PROC_LOST, 0, "the box is shutting down");
		else if (!p->ended)
			pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
}

/* --- terminal ------------------------------------------------------------------------------- */

/*
 * A terminal signals its foreground group by itself; only a pid 1 does not feel it. What these bytes mean is asked
 * before they are passed on, which may change the answer.
 */
static int signal_typed(const struct proc *p, const uint8_t *typed, size_t n)
{
	if (!p->is_main || !p->running || p->terminal < 0 || n == 0)
		return 0;
	return tty_signal_typed(p->terminal, p->pid, typed, n);
}

static void feel(struct proc *p, int signo)
{
	if (signo && !p->ended && is_spared(p, signo))
		proc_signal(p, signo);
}

/* The process runs: what was typed until now is for it. */
static void attach_terminal(struct proc *p)
{
	const struct buf *early = &p->stream.in.queue;
	int signo = signal_typed(p, buf_data(early), buf_len(early));
	/* epoll wants an fd for each direction */
	int in = fcntl(p->terminal, F_DUPFD_CLOEXEC, 0), out = fcntl(p->terminal, F_DUPFD_CLOEXEC, 0);

	stream_attach(&p->stream, STREAM_TTY, in, out, -1);
	feel(p, signo);
	if (p->stream.out[0].unwanted)
		proc_close_output(p, CHANNEL_STDOUT);
}

static void attach_connection(struct proc *p)
{
	int in = fcntl(p->connection, F_DUPFD_CLOEXEC, 0);

	stream_attach(&p->stream, STREAM_SOCKET, in, take_fd(&p->connection), -1);
}

int proc_input(struct proc *p, const struct frame *f, struct error *err)
{
	int signo = signal_typed(p, f->payload, f->len);
	int r = stream_data(&p->stream, f, err);

	if (r == 0)
		feel(p, signo);
	return r;
}

void proc_close_output(struct proc *p, enum frame_channel ch)
{
	stream_close(&p->stream, ch);
	/* A terminal hangs up when no fd of its master is left. */
	close_fd(&p->terminal);
}

void proc_resize(struct proc *p, uint16_t rows, uint16_t cols)
{
	p->rows = rows;
	p->cols = cols;
	if (p->terminal >= 0)
		tty_resize(p->terminal, rows, cols);
}

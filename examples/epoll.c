/*
 * epoll IMAGE N COMMAND: runs COMMAND with `sh -c` in N boxes at once, and `hostname` in each as a second process once
 * its command has started. Prints each line of output with the number of its box. Ctrl-C ends the commands.
 *
 * The loop is this program's: its signals and whatever else it waits for are beside the boxes in one epoll. The library
 * has no thread and no loop of its own. All that a loop owes a process is
 *
 *   1. to wait for boxlite_process_events() on boxlite_process_fd(),
 *   2. to call boxlite_process_dispatch() when it is ready, which never blocks,
 *   3. to take the output, and look whether that was the end.
 */
#include <boxlite.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define BOXES_MAX 64

struct job {
	struct boxlite_box *box;
	struct boxlite_process *main, *second; /* NULL: not there (any more) */
	unsigned main_events, second_events;   /* what epoll waits for now */
};

struct program {
	int epoll_fd, signal_fd, left; /* processes that go on */
	struct job jobs[BOXES_MAX];
	int n, status;
};

static int fail(const struct boxlite_error *err)
{
	fprintf(stderr, "epoll: %s\n", err->text);
	return -1;
}

/* EPOLLIN is POLLIN, and EPOLLOUT POLLOUT, on Linux. `job` comes back with each event. */
static int watch(struct program *g, struct job *job, struct boxlite_process *p, unsigned *events, int op)
{
	struct epoll_event e = { .events = (unsigned short)boxlite_process_events(p), .data.ptr = job };

	if (op == EPOLL_CTL_MOD && e.events == *events)
		return 0;
	*events = e.events;
	return epoll_ctl(g->epoll_fd, op, boxlite_process_fd(p), &e);
}

/* What has arrived, line by line. A loop that cannot write now would leave it where it is: the command waits then. */
static void show(const struct program *g, const struct job *job, struct boxlite_process *p, int channel)
{
	const void *data;
	size_t n = boxlite_process_output(p, channel, &data);
	const char *at = data, *newline;
	size_t left = n, line;

	for (; left; at += line, left -= line) {
		newline = memchr(at, '\n', left);
		line = newline ? (size_t)(newline - at) + 1 : left;
		printf("%d: %.*s\n", (int)(job - g->jobs), (int)line - (newline != NULL), at);
	}
	fflush(stdout);
	boxlite_process_consume(p, channel, n);
}

static int start_second(struct program *g, struct job *job)
{
	static const char *const argv[] = { "hostname", NULL };
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_error err;

	o.argv = argv;
	if (boxlite_box_exec(job->box, &o, &job->second, &err) < 0)
		return fail(&err);
	g->left++;
	return watch(g, job, job->second, &job->second_events, EPOLL_CTL_ADD);
}

/* Steps 2 and 3 for one process. *p is NULL afterwards if that was its end. */
static int turn(struct program *g, struct job *job, struct boxlite_process **p, unsigned *events)
{
	struct boxlite_error err;
	struct boxlite_exit end;

	if (boxlite_process_dispatch(*p, &err) < 0)
		return fail(&err);
	show(g, job, *p, BOXLITE_STDOUT);
	show(g, job, *p, BOXLITE_STDERR);
	if (!boxlite_process_ended(*p, &end)) /* what it waits for may be something else by now */
		return watch(g, job, *p, events, EPOLL_CTL_MOD);

	printf("%d: %s ended with %d%s%s\n", (int)(job - g->jobs), *p == job->main ? "command" : "hostname",
	       end.status, *end.error ? ": " : "", end.error);
	fflush(stdout);
	if (end.status)
		g->status = end.status;
	boxlite_process_close(*p); /* closes its fd, if it was not closed yet: epoll forgets it by itself */
	*p = NULL;
	g->left--;
	return 0;
}

/* One fd was ready; which one is not worth a second pointer, as a dispatch without need costs nothing. */
static int on_job(struct program *g, struct job *job)
{
	int had_started = job->main && boxlite_process_started(job->main);

	if (job->main && turn(g, job, &job->main, &job->main_events) < 0)
		return -1;
	if (job->second && turn(g, job, &job->second, &job->second_events) < 0)
		return -1;
	return job->main && !had_started && boxlite_process_started(job->main) ? start_second(g, job) : 0;
}

static void on_signal(struct program *g)
{
	struct signalfd_siginfo si;
	int i;

	if (read(g->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	for (i = 0; i < g->n; i++)
		if (g->jobs[i].main)
			boxlite_process_signal(g->jobs[i].main, (int)si.ssi_signo);
}

static int loop(struct program *g)
{
	struct epoll_event ready[16];
	int i, n;

	while (g->left) {
		n = epoll_wait(g->epoll_fd, ready, 16, -1);
		for (i = 0; i < n; i++) {
			if (!ready[i].data.ptr)
				on_signal(g);
			else if (on_job(g, ready[i].data.ptr) < 0)
				return -1;
		}
	}
	return 0;
}

/* Making and starting a box takes milliseconds; the guest comes up while the loop runs. */
static int start(struct program *g, struct boxlite *b, struct job *job, const char *image, const char *command)
{
	const char *const argv[] = { "sh", "-c", command, NULL };
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_error err;

	o.image = image;
	o.command = argv;
	o.auto_remove = 1;
	if (boxlite_box_create(b, &o, &job->box, &err) < 0 || boxlite_box_start(job->box, NULL, &job->main, &err) < 0)
		return fail(&err);
	g->left++;
	return watch(g, job, job->main, &job->main_events, EPOLL_CTL_ADD);
}

static int set_up(struct program *g)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL); /* they come by the loop; the library minds no signal */
	g->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	g->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, g->signal_fd, &e);
}

int main(int argc, char **argv)
{
	static struct program g;
	struct boxlite_error err;
	struct boxlite *b;
	int r = 0, i;

	g.n = argc == 4 ? atoi(argv[2]) : 0;
	if (g.n < 1 || g.n > BOXES_MAX) {
		fprintf(stderr, "usage: epoll IMAGE N COMMAND (N: 1 to %d)\n", BOXES_MAX);
		return 125;
	}
	if (boxlite_open(NULL, &b, &err) < 0)
		return fail(&err) < 0 ? 125 : 0;
	r = set_up(&g);
	for (i = 0; i < g.n && r == 0; i++)
		r = start(&g, b, &g.jobs[i], argv[1], argv[3]);
	if (r == 0)
		r = loop(&g);
	for (i = 0; i < g.n; i++) { /* closing a main process that goes on ends its box */
		boxlite_process_close(g.jobs[i].second);
		boxlite_process_close(g.jobs[i].main);
		boxlite_box_close(g.jobs[i].box);
	}
	boxlite_close(b);
	close(g.signal_fd);
	close(g.epoll_fd);
	return r < 0 ? 125 : g.status;
}

/*
 * epoll IMAGE N COMMAND: runs COMMAND with `sh -c` in N boxes at once, and `hostname` in each as a second process once
 * its command has started. Prints each line of output with the number of its box, and every second how many processes
 * there are. Ctrl-C ends the commands.
 *
 * The loop is this program's: its signals, its clock and whatever else it waits for are beside the home in one epoll.
 * The library has no thread and no loop of its own. All that a loop owes it is boxlite_dispatch() when
 * boxlite_get_fd() is readable; what happens comes by handlers from there.
 */
#include <boxlite.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BOXES_MAX 64

struct job {
	struct boxlite_box *box;
	struct boxlite_process *command, *second; /* NULL: not there (any more) */
	int number, asked;                        /* asked: for the second process */
};

static struct job jobs[BOXES_MAX];
static int njobs, processes, status;
static struct boxlite_error err;

static int fail(void)
{
	fprintf(stderr, "epoll: %s\n", err.text);
	status = 125;
	return -1;
}

/* --- what the library calls ---------------------------------------------------------------------- */

/* What has arrived, line by line. Who cannot write it now leaves it where it is: the command waits then. */
static void show(const struct job *job, struct boxlite_process *p, int channel)
{
	const void *data;
	size_t n = boxlite_process_output(p, channel, &data), left, line;
	const char *at, *newline;

	for (at = data, left = n; left; at += line, left -= line) {
		newline = memchr(at, '\n', left);
		line = newline ? (size_t)(newline - at) + 1 : left;
		printf("%d: %.*s\n", job->number, (int)line - (newline != NULL), at);
	}
	boxlite_process_consume(p, channel, n);
}

static void on_process(struct boxlite_process *p, void *ud);

/* A handler may do anything, and so start another process. */
static void start_second(struct job *job)
{
	static const char *const argv[] = { "hostname", NULL };
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);

	o.argv = argv;
	job->asked = 1;
	if (boxlite_box_exec(job->box, &o, &job->second, &err) < 0 ||
	    boxlite_process_set_handler(job->second, on_process, job, &err) < 0)
		fail();
	else
		processes++;
}

static void on_process(struct boxlite_process *p, void *ud)
{
	struct job *job = ud;
	struct boxlite_exit end;

	show(job, p, BOXLITE_STDOUT);
	show(job, p, BOXLITE_STDERR);
	if (boxlite_process_started(p) && !job->asked)
		start_second(job);
	if (boxlite_process_ended(p, &end)) {
		printf("%d: %s ended with %d%s%s\n", job->number, p == job->command ? "command" : "hostname", end.status,
		       *end.error ? ": " : "", end.error);
		if (end.status)
			status = end.status;
		*(p == job->command ? &job->command : &job->second) = NULL;
		boxlite_process_close(p);
		processes--;
	}
	fflush(stdout);
}

/* --- the loop --------------------------------------------------------------------------------------- */

static void on_signal(int fd)
{
	struct signalfd_siginfo si;
	int i;

	if (read(fd, &si, sizeof(si)) != sizeof(si))
		return;
	for (i = 0; i < njobs; i++) /* NULL is fine */
		boxlite_process_signal(jobs[i].command, (int)si.ssi_signo);
}

static void on_tick(int fd)
{
	uint64_t ticks;

	if (read(fd, &ticks, sizeof(ticks)) == sizeof(ticks))
		fprintf(stderr, "epoll: %d processes\n", processes);
}

static void loop(struct boxlite *b, int epoll_fd, int signal_fd, int timer_fd)
{
	struct epoll_event ready[4];
	int i, n;

	while (processes && status != 125) {
		n = epoll_wait(epoll_fd, ready, 4, -1);
		for (i = 0; i < n; i++) {
			if (ready[i].data.fd == signal_fd)
				on_signal(signal_fd);
			else if (ready[i].data.fd == timer_fd)
				on_tick(timer_fd);
			else if (boxlite_dispatch(b, &err) < 0)
				fail();
		}
	}
}

static int watch(int epoll_fd, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
}

static void run(struct boxlite *b)
{
	const struct itimerspec second = { { 1, 0 }, { 1, 0 } };
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC), timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), signal_fd;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL); /* they come by the loop; the library minds no signal */
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	timerfd_settime(timer_fd, 0, &second, NULL);
	if (watch(epoll_fd, signal_fd) < 0 || watch(epoll_fd, timer_fd) < 0 || watch(epoll_fd, boxlite_get_fd(b)) < 0)
		perror("epoll"), status = 125;
	else
		loop(b, epoll_fd, signal_fd, timer_fd);
	close(signal_fd);
	close(timer_fd);
	close(epoll_fd);
}

/* Making and starting a box takes milliseconds; the guest comes up while the loop runs. */
static int start(struct boxlite *b, struct job *job, const char *image, const char *command)
{
	const char *const argv[] = { "sh", "-c", command, NULL };
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);

	o.image = image;
	o.command = argv;
	o.auto_remove = 1;
	if (boxlite_box_create(b, &o, &job->box, &err) < 0 ||
	    boxlite_box_start(job->box, NULL, &job->command, &err) < 0 ||
	    boxlite_process_set_handler(job->command, on_process, job, &err) < 0)
		return fail();
	processes++;
	return 0;
}

int main(int argc, char **argv)
{
	struct boxlite *b;
	int i, r = 0;

	njobs = argc == 4 ? atoi(argv[2]) : 0;
	if (njobs < 1 || njobs > BOXES_MAX) {
		fprintf(stderr, "usage: epoll IMAGE N COMMAND (N: 1 to %d)\n", BOXES_MAX);
		return 125;
	}
	if (boxlite_open(NULL, &b, &err) < 0)
		return fail() < 0 ? 125 : 0;
	for (i = 0; i < njobs && r == 0; i++) {
		jobs[i].number = i;
		r = start(b, &jobs[i], argv[1], argv[3]);
	}
	if (r == 0)
		run(b);
	for (i = 0; i < njobs; i++) { /* closing the main process of a box that goes on ends it */
		boxlite_process_close(jobs[i].second);
		boxlite_process_close(jobs[i].command);
		boxlite_box_close(jobs[i].box);
	}
	boxlite_close(b);
	return status;
}

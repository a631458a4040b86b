/*
 * embed-soak CYCLES: an application that lives long and runs many boxes of image bb, one after the other, in all the
 * ways in which one may end. Prints what it holds before and after, a line each: "NAME BEFORE AFTER". Some cycles come
 * before "before": what is kept to be used again is there by then. Status 1: a box did not do what it should.
 *
 * Freed bytes of the heap that a thread keeps for itself count as used: without them (GLIBC_TUNABLES, tcache_count)
 * the figure is exact.
 */
#include <boxlite.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "count.h"

#define WARM_UP 4 /* each way once */
#define OUTPUT_MAX 256

static struct boxlite *home;
static struct boxlite_error err;

static int fail(int cycle, const char *what)
{
	fprintf(stderr, "cycle %d: %s: %s\n", cycle, what, err.text);
	return -1;
}

static int start(const char *const *command, struct boxlite_box **box, struct boxlite_process **p)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);

	o.image = "bb";
	o.command = command;
	o.stdin_open = 1;
	o.auto_remove = 1;
	if (boxlite_box_create(home, &o, box, &err) < 0)
		return -1;
	if (boxlite_box_start(*box, NULL, p, &err) == 0)
		return 0;
	boxlite_box_close(*box);
	return -1;
}

/* Takes the output until the process has ended. */
static int finish(struct boxlite_process *p, char out[OUTPUT_MAX], struct boxlite_exit *end)
{
	size_t n, have = 0;
	const void *data;

	while (!boxlite_process_ended(p, end)) {
		struct pollfd f = { boxlite_process_fd(p), boxlite_process_events(p), 0 };

		if (poll(&f, 1, -1) < 0 || boxlite_process_dispatch(p, &err) < 0)
			return -1;
		while ((n = boxlite_process_output(p, BOXLITE_STDOUT, &data)) > 0) {
			if (have + n >= OUTPUT_MAX)
				return -1;
			memcpy(out + have, data, n);
			have += n;
			boxlite_process_consume(p, BOXLITE_STDOUT, n);
		}
	}
	out[have] = '\0';
	return 0;
}

/* An exec needs a main process that runs. */
static int wait_started(struct boxlite_process *p)
{
	struct boxlite_exit end;

	while (!boxlite_process_started(p) && !boxlite_process_ended(p, &end)) {
		struct pollfd f = { boxlite_process_fd(p), boxlite_process_events(p), 0 };

		if (poll(&f, 1, -1) < 0 || boxlite_process_dispatch(p, &err) < 0)
			return -1;
	}
	return boxlite_process_started(p) ? 0 : -1;
}

/* A question and its answer. */
static int ask(int cycle)
{
	static const char *const command[] = { "sh", "-c", "read a; echo $((a * a)); exit 3", NULL };
	char question[16], answer[OUTPUT_MAX], want[16];
	struct boxlite_exit end = { .status = -1 };
	struct boxlite_process *p;
	struct boxlite_box *box;
	int r;

	snprintf(question, sizeof(question), "%d\n", cycle);
	snprintf(want, sizeof(want), "%d\n", cycle * cycle);
	if (start(command, &box, &p) < 0)
		return fail(cycle, "start");
	boxlite_process_write(p, question, strlen(question));
	boxlite_process_close_stdin(p);
	r = finish(p, answer, &end);
	if (r == 0 && (strcmp(answer, want) != 0 || end.status != 3))
		r = -1;
	boxlite_process_close(p);
	boxlite_box_close(box);
	return r < 0 ? fail(cycle, "the answer is wrong") : 0;
}

/* A box that is there for its execs, and is removed while it runs. */
static int exec_and_remove(int cycle)
{
	static const char *const forever[] = { "sleep", "100000", NULL };
	static const char *const echo[] = { "echo", "hello", NULL };
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_exit end = { .status = -1 };
	struct boxlite_process *p, *q;
	struct boxlite_box *box;
	char answer[OUTPUT_MAX] = "";
	int r;

	if (start(forever, &box, &p) < 0)
		return fail(cycle, "start");
	o.argv = echo;
	r = wait_started(p);
	if (r == 0)
		r = boxlite_box_exec(box, &o, &q, &err);
	if (r == 0) {
		r = finish(q, answer, &end);
		boxlite_process_close(q);
	}
	if (r == 0)
		r = boxlite_box_remove(box, 1, &err);
	boxlite_process_close(p);
	boxlite_box_close(box);
	return r < 0 || strcmp(answer, "hello\n") != 0 ? fail(cycle, "exec and remove") : 0;
}

static int run_nothing(int cycle)
{
	static const char *const command[] = { "/no/such/program", NULL };
	struct boxlite_exit end = { .status = -1 };
	struct boxlite_process *p;
	struct boxlite_box *box;

	if (start(command, &box, &p) < 0)
		return fail(cycle, "start");
	boxlite_process_wait(p, &end, &err);
	boxlite_process_close(p);
	boxlite_box_close(box);
	return end.status == 127 ? 0 : fail(cycle, "a program that is not there");
}

/* A second handle of the home, and an owner that leaves before the end, which ends the box. */
static int leave(int cycle)
{
	static const char *const forever[] = { "sleep", "100000", NULL };
	struct boxlite_process *p;
	struct boxlite_box *box;
	struct boxlite *second;
	int r;

	if (boxlite_open(NULL, &second, &err) < 0 || start(forever, &box, &p) < 0)
		return fail(cycle, "start");
	boxlite_process_close(p);
	r = boxlite_box_wait(box, &err);
	boxlite_box_close(box);
	boxlite_close(second);
	return r < 0 ? fail(cycle, "a box that is left") : 0;
}

static int run(int from, int to)
{
	static int (*const ways[])(int cycle) = { ask, exec_and_remove, run_nothing, leave };

	for (int i = from; i < to; i++)
		if (ways[i % 4](i) < 0)
			return -1;
	return 0;
}

/* Of the only thread: those that run, and those that nobody has waited for. */
static long children(void)
{
	char path[64], text[4096] = "";
	long n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "r");
	if (f && fgets(text, sizeof(text), f))
		for (char *c = text; *c; c++)
			n += *c == ' ';
	if (f)
		fclose(f);
	return n;
}

struct held {
	long fds, threads, children, heap, rss_kib;
};

static int no_box(const struct boxlite_box_info *i, void *ud)
{
	(void)i, (void)ud;
	return 0;
}

/* A shim is there for some ms after its box, while KVM takes its VM away; the library's next look takes note of its
 * end. */
static void settle(void)
{
	for (int i = 0; i < 1000 && children() > 0; i++) {
		poll(NULL, 0, 10);
		boxlite_box_list(home, no_box, NULL, &err);
	}
}

static struct held held(void)
{
	struct mallinfo2 m = mallinfo2();
	struct held h = { .fds = count_in("/proc/self/fd"), .threads = count_in("/proc/self/task"), .children = children() };
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		exit(1);
	fclose(f);
	h.heap = (long)(m.uordblks + m.hblkhd);
	h.rss_kib = pages * (sysconf(_SC_PAGESIZE) / 1024);
	return h;
}

int main(int argc, char **argv)
{
	int cycles = argc == 2 ? atoi(argv[1]) : 0;
	struct held before, after;

	if (cycles < 1 || boxlite_open(NULL, &home, &err) < 0 || run(0, WARM_UP) < 0)
		return 1;
	settle();
	before = held();
	if (run(WARM_UP, WARM_UP + cycles) < 0)
		return 1;
	settle();
	after = held();
	printf("fds %ld %ld\nthreads %ld %ld\nchildren %ld %ld\nheap %ld %ld\nrss %ld %ld\n", before.fds, after.fds,
	       before.threads, after.threads, before.children, after.children, before.heap, after.heap, before.rss_kib,
	       after.rss_kib);
	boxlite_close(home);
	return 0;
}

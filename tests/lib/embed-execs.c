/*
 * Execs in one box of image bb, by one thread of one process.
 *
 *	embed-execs at-once N       N of them, each with bytes of its own that come back, and a status of its own
 *	embed-execs in-turn N       N of them one after the other, of all kinds. Prints what is held before and after, a
 *	                            line each: "NAME BEFORE AFTER", -1 where it cannot be seen. Some come before
 *	                            "before": what is kept to be used again is there by then
 *
 * Status 1: something was not as it should.
 *
 * Freed bytes of the heap that a thread keeps for itself count as used: without them (GLIBC_TUNABLES, tcache_count)
 * the figure is exact.
 */
#define _GNU_SOURCE
#include <boxlite.h>
#include <dirent.h>
#include <malloc.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "count.h"

#define KEPT 64 /* so many ends of detached ones are kept by the shim */
#define MOST 1024

static struct boxlite *home;
static struct boxlite_box *box;
static struct boxlite_process *box_main;
static struct boxlite_error err;

__attribute__((format(printf, 1, 2))) static int fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", err.text);
	return -1;
}

static int start(void)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);

	o.image = "bb";
	o.idle = 1;
	o.auto_remove = 1;
	o.memory_bytes = 256 << 20;
	if (boxlite_open(NULL, &home, &err) < 0 || boxlite_box_create(home, &o, &box, &err) < 0 ||
	    boxlite_box_start(box, NULL, &box_main, &err) < 0)
		return fail("no box");
	return 0;
}

static int finish(void)
{
	int r = boxlite_box_stop(box, NULL, &err);

	if (r < 0)
		return fail("stop");
	boxlite_process_wait(box_main, NULL, NULL);
	boxlite_process_close(box_main);
	boxlite_box_close(box);
	boxlite_close(home);
	return 0;
}

/* --- many at once ------------------------------------------------------------------------------------------ */

struct one {
	struct boxlite_process *p;
	unsigned char *in, *out;
	size_t size, sent, got;
	struct boxlite_exit end;
	int ended;
};

static struct one ones[MOST];

/* Every byte there is, and no two of them alike: a splitmix of number and place. */
static void fill(unsigned char *at, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t z = (seed << 32) + i / 8 * 0x9e3779b97f4a7c15;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		at[i] = (unsigned char)((z ^ z >> 31) >> i % 8 * 8);
	}
}

static int begin(struct one *o, int i)
{
	char status[32];
	const char *const argv[] = { "sh", "-c", status, NULL };
	struct boxlite_exec_options opts = BOXLITE_OPTIONS(boxlite_exec_options);

	snprintf(status, sizeof(status), "cat; exit %d", i % 120);
	o->size = 100000 + 3001 * (size_t)i;
	o->in = malloc(o->size);
	o->out = malloc(o->size);
	if (!o->in || !o->out)
		return -1;
	fill(o->in, o->size, (uint64_t)i + 1);
	opts.argv = argv;
	opts.stdin_open = 1;
	return boxlite_box_exec(box, &opts, &o->p, &err) < 0 ? fail("exec %d", i) : 0;
}

static int move(struct one *o, int i)
{
	const void *data;
	size_t n;

	if (boxlite_process_dispatch(o->p, &err) < 0)
		return fail("exec %d", i);
	if (o->sent < o->size) {
		o->sent += boxlite_process_write(o->p, o->in + o->sent, o->size - o->sent);
		if (o->sent == o->size)
			boxlite_process_close_stdin(o->p);
	}
	while ((n = boxlite_process_output(o->p, BOXLITE_STDOUT, &data)) > 0) {
		if (n > o->size - o->got || memcmp(o->in + o->got, data, n) != 0)
			return fail("exec %d: other bytes come back at %zu", i, o->got);
		memcpy(o->out + o->got, data, n);
		o->got += n;
		boxlite_process_consume(o->p, BOXLITE_STDOUT, n);
	}
	o->ended = boxlite_process_ended(o->p, &o->end);
	return 0;
}

static int check(struct one *o, int i)
{
	int r = 0;

	if (o->got != o->size || memcmp(o->in, o->out, o->size) != 0)
		r = fail("exec %d: %zu of %zu bytes", i, o->got, o->size);
	if (o->end.kind != BOXLITE_EXITED || o->end.code != i % 120)
		r = fail("exec %d: kind %d, code %d: %s", i, o->end.kind, o->end.code, o->end.error);
	boxlite_process_close(o->p);
	free(o->in);
	free(o->out);
	return r;
}

static int at_once(int n)
{
	struct pollfd f[MOST];
	int i, left = n, r = 0;

	for (i = 0; i < n; i++)
		if (begin(&ones[i], i) < 0)
			return -1;
	while (left) {
		for (i = 0; i < n; i++)
			f[i] = ones[i].ended ? (struct pollfd){ .fd = -1 }
					     : (struct pollfd){ boxlite_process_fd(ones[i].p),
								boxlite_process_events(ones[i].p), 0 };
		if (poll(f, (nfds_t)n, 120000) <= 0)
			return fail("nothing happens, and %d are not at their end", left);
		for (i = 0; i < n; i++) {
			if (!f[i].revents)
				continue;
			if (move(&ones[i], i) < 0)
				return -1;
			left -= ones[i].ended;
		}
	}
	for (i = 0; i < n; i++)
		r |= check(&ones[i], i);
	if (r == 0)
		printf("%d execs\n", n);
	return r;
}

/* --- one after the other ----------------------------------------------------------------------------------- */

/* Runs one; its output, cut to the size. */
static int run(const char *script, const char *input, int kind, char *out, size_t size, struct boxlite_exit *end)
{
	const char *const argv[] = { "sh", "-c", script, NULL }, *const none[] = { "/no/such", NULL };
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_process *p;
	size_t n, have = 0;
	const void *data;

	o.argv = script ? argv : none;
	o.stdin_open = input != NULL;
	o.tty = kind == 't';
	o.detach = kind == 'd';
	o.timeout_ms = kind == 'l' ? 100000 : 0; /* which has a timer of its own */
	if (boxlite_box_exec(box, &o, &p, &err) < 0)
		return -1;
	if (input) {
		boxlite_process_write(p, input, strlen(input));
		boxlite_process_close_stdin(p);
	}
	while (!boxlite_process_ended(p, end)) {
		struct pollfd f = { boxlite_process_fd(p), boxlite_process_events(p), 0 };

		if (poll(&f, 1, 120000) <= 0 || boxlite_process_dispatch(p, &err) < 0)
			return -1;
		if (kind == 'd' && boxlite_process_started(p))
			break; /* it goes on by itself */
		while ((n = boxlite_process_output(p, BOXLITE_STDOUT, &data)) > 0) {
			size_t taken = n < size - 1 - have ? n : size - 1 - have;

			memcpy(out + have, data, taken);
			have += taken;
			boxlite_process_consume(p, BOXLITE_STDOUT, n);
		}
	}
	out[have] = '\0';
	boxlite_process_close(p);
	return 0;
}

enum { WAYS = 6, DETACHED = 3 };

static int one_of_many(int i)
{
	static const struct {
		const char *script, *input;
		int kind, status;
		const char *output;
	} ways[WAYS] = {
		{ "cat; exit 3", "some\n", 0, 3, "some\n" },
		{ NULL, NULL, 0, 127, "" },
		{ "echo a terminal", NULL, 't', 0, "a terminal\r\n" },
		[DETACHED] = { "exit 0", NULL, 'd', 0, "" },
		{ "sleep 0.02 & exit 5", NULL, 'l', 5, "" }, /* its group is not empty when it ends */
		{ "kill -9 $$", NULL, 0, 137, "" },
	};
	int w = i % WAYS;
	struct boxlite_exit end = { .status = 0, .error = "" };
	char out[64];

	if (run(ways[w].script, ways[w].input, ways[w].kind, out, sizeof(out), &end) < 0)
		return fail("exec %d", i);
	if (end.status != ways[w].status || strcmp(out, ways[w].output) != 0)
		return fail("exec %d: status %d, output '%s': %s", i, end.status, out, end.error);
	return 0;
}

/* --- what is held ------------------------------------------------------------------------------------------ */

static long child_of(long pid)
{
	char path[64];
	long child = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", pid, pid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%ld", &child) != 1)
		child = -1;
	if (f)
		fclose(f);
	return child;
}

static long rss_kib(long pid)
{
	char path[64];
	long pages = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/statm", pid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%*d %ld", &pages) != 1)
		pages = -1;
	if (f)
		fclose(f);
	return pages < 0 ? -1 : pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static long of_process(long pid, const char *folder)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%ld/%s", pid, folder);
	return count_in(path);
}

/* The shim closes the connection of a process that we have closed when it comes to it. */
static long settled_fds(long pid)
{
	long now, least = of_process(pid, "fd");

	for (int i = 0; i < 30; i++) {
		poll(NULL, 0, 10);
		now = of_process(pid, "fd");
		least = now < least ? now : least;
	}
	return least;
}

/* A number that a script in the box prints. */
static long in_box(const char *script)
{
	struct boxlite_exit end;
	char out[64];

	return run(script, NULL, 0, out, sizeof(out), &end) < 0 ? -1 : strtol(out, NULL, 10);
}

static long files(const char *folder)
{
	char path[4096];
	DIR *d = opendir(folder);
	struct dirent *e;
	struct stat st;
	long n = 0;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' && (!e->d_name[1] || e->d_name[1] == '.'))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		n += 1 + (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) ? files(path) : 0);
	}
	if (d)
		closedir(d);
	return n;
}

static long blocks_kib(const char *folder, const char *name)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return stat(path, &st) < 0 ? -1 : (long)st.st_blocks / 2;
}

enum { HELD = 15 };
static const char *const names[HELD] = {
	"fds", "threads", "heap", "rss_kib", "shim_fds", "shim_threads", "shim_rss_kib", "machine_fds",
	"machine_threads", "machine_rss_kib", "box_groups", "box_processes", "box_used_kib", "folder_files", "events_kib",
};

static void look(long h[HELD])
{
	struct mallinfo2 m;
	long shim = child_of(getpid()), machine = child_of(shim);

	/* What was left in the background is at its end, and the groups of that were swept by the next exec. */
	in_box("sleep 0.5");
	h[10] = in_box("ls -d /sys/fs/cgroup/exec-* | wc -l");
	h[11] = in_box("set -- /proc/[0-9]*; echo $#");
	h[12] = in_box("awk '/MemTotal/ { a = $2 } /MemAvailable/ { b = $2 } END { print a - b }' /proc/meminfo");
	m = mallinfo2();
	h[0] = count_in("/proc/self/fd");
	h[1] = count_in("/proc/self/task");
	h[2] = (long)(m.uordblks + m.hblkhd);
	h[3] = rss_kib(getpid());
	h[4] = settled_fds(shim);
	h[5] = of_process(shim, "task");
	h[6] = rss_kib(shim);
	h[7] = of_process(machine, "fd");
	h[8] = of_process(machine, "task");
	h[9] = rss_kib(machine);
	h[13] = files(boxlite_box_folder(box));
	h[14] = blocks_kib(getenv("BOXLITE_HOME"), "events.log");
}

static int in_turn(int n)
{
	long before[HELD], after[HELD];
	int i;

	for (i = 0; i < KEPT + 2 * WAYS; i++)
		if (one_of_many(i < KEPT ? DETACHED : i) < 0)
			return -1;
	look(before);
	for (i = 0; i < n; i++)
		if (one_of_many(i) < 0)
			return -1;
	look(after);
	for (i = 0; i < HELD; i++)
		printf("%s %ld %ld\n", names[i], before[i], after[i]);
	return 0;
}

int main(int argc, char **argv)
{
	int n = argc == 3 ? atoi(argv[2]) : 0;

	if (n < 1 || n > (strcmp(argv[1], "at-once") == 0 ? MOST : 100000000) || start() < 0)
		return 1;
	return (strcmp(argv[1], "at-once") == 0 ? at_once(n) : in_turn(n)) < 0 || finish() < 0;
}

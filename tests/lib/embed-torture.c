/*
 * An application for which the n-th allocation, or the n-th system call, fails (torture.h), n = 1, 2, 3 ... in each
 * function of the library's main paths, until it needs no more of them. It must fail with a reason, or succeed and have
 * done what it should; leave no fd open, no process behind and a home that is in order; and work the next time. Image
 * bb is in the home.
 *
 * "layout" is a folder of bb as an OCI layout.
 *
 *	embed-torture EVERY [NAME]   only each so many of them, of what takes long; only that function
 */
#define _GNU_SOURCE
#include <boxlite.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "count.h"
#include "torture.h"

static long at;
static const char *only; /* NULL: all */
static const char *volatile now = "the beginning";

static void on_crash(int signo)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "signal %d in %s, %s %ld%s\n", signo, now, fault_name, at,
			 fault_what());

	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		_exit(2);
	_exit(1);
}

/* --- what is called ------------------------------------------------------------------------------ */

static struct boxlite *home;
static struct boxlite_box *box;
static struct boxlite_error err;
static const char *reason; /* of a failure that no return value says */
static char reason_text[BOXLITE_ERROR_MAX];
static char wrong[256]; /* it says that it has succeeded, and has not; "": nothing */
static unsigned up;     /* 1: the box runs */
static int has_run;

__attribute__((format(printf, 1, 2))) static void is_wrong(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	if (!*wrong)
		vsnprintf(wrong, sizeof(wrong), format, ap);
	va_end(ap);
}

struct seen {
	unsigned n, running;
};

/* That a box could not be looked at may be said instead of how it is. */
static int on_box(const struct boxlite_box_info *i, void *ud)
{
	struct seen *s = ud;
	int unknown = i->ended && i->exit.kind == BOXLITE_LOST && strstr(i->exit.error, "cannot look");

	s->n++;
	s->running += i->running != 0;
	if (!unknown && i->running != (int)up)
		is_wrong("the box is said %sto run", i->running ? "" : "not ");
	if (!unknown && !i->running && i->ended != has_run)
		is_wrong("the box is said %sto have run", i->ended ? "" : "not ");
	return 0;
}

static int on_image(const struct boxlite_image_info *i, void *ud)
{
	++*(unsigned *)ud;
	if (!strstr(i->reference, "bb"))
		is_wrong("an image %s", i->reference);
	return 0;
}

static int on_info(const struct boxlite_info *i, void *ud)
{
	(void)ud;
	if (i->boxes != 1 || i->images != 1)
		is_wrong("%u boxes and %u images", i->boxes, i->images);
	if (i->boxes_running != up)
		is_wrong("%u boxes that run, not %u", i->boxes_running, up);
	return 0;
}

static int open_home(void)
{
	struct boxlite *b;
	int r = boxlite_open(NULL, &b, &err);

	if (r == 0)
		boxlite_close(b);
	return r;
}

/* One that is not there; what is made in part, the next one makes whole. */
static int make_home(void)
{
	static unsigned made;
	struct boxlite *b;
	char path[32];
	int r;

	snprintf(path, sizeof(path), "fresh-%u", made++);
	r = boxlite_open(path, &b, &err);
	if (r == 0)
		boxlite_close(b);
	fault_pause();
	if (boxlite_open(path, &b, NULL) < 0)
		is_wrong("what was made cannot be opened");
	else
		boxlite_close(b);
	if (r < 0 && *wrong)
		printf("%s: %s\n", now, wrong);
	return r;
}

/* The image that is there, once more. */
static int load(void)
{
	int fd = open("layout", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = boxlite_image_load(home, fd, "bb", NULL, &err);

	close(fd);
	return r;
}

static int list(void)
{
	struct seen s = { 0 };
	int r = boxlite_box_list(home, on_box, &s, &err);

	if (r == 0 && s.n != 1)
		is_wrong("%u boxes", s.n);
	return r;
}

static int list_images(void)
{
	unsigned n = 0;
	int r = boxlite_image_list(home, on_image, &n, &err);

	if (r == 0 && n != 1)
		is_wrong("%u images", n);
	return r;
}

static int tell(void)
{
	return boxlite_info(home, on_info, NULL, &err);
}

static int image_is_here(void)
{
	int r = boxlite_image_exists(home, "bb", &err);

	if (r == 0)
		is_wrong("no such image");
	return r;
}

static int create(void)
{
	static const char *const command[] = { "sleep", "100000", NULL }, *const env[] = { "A=b", "C=d", NULL };
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_box *made;
	int r;

	o.image = "bb";
	o.command = command;
	o.env = env;
	o.name = "made";
	r = boxlite_box_create(home, &o, &made, &err);
	if (r < 0)
		return r;
	fault_pause();
	if (boxlite_box_remove(made, 0, NULL) < 0)
		is_wrong("what was made cannot be removed");
	boxlite_box_close(made);
	return 0;
}

/* What has failed half-way is done by the next one. */
static int remove_it(void)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_box *made;
	int r;

	o.image = "bb";
	o.idle = 1;
	fault_pause();
	r = boxlite_box_create(home, &o, &made, &err);
	fault_resume();
	if (r < 0)
		return r;
	r = boxlite_box_remove(made, 0, &err);
	fault_pause();
	if (r < 0 && boxlite_box_remove(made, 0, NULL) < 0)
		printf("%s: it cannot be removed afterwards\n", now);
	boxlite_box_close(made);
	return r;
}

/* Of a box that is there. */
static int get_box(void)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_box *again;
	int r;

	o.name = "tortured";
	o.image = "bb";
	r = boxlite_box_get_or_create(home, &o, &again, NULL, &err);
	if (r < 0)
		return r;
	if (strcmp(boxlite_box_id(again), boxlite_box_id(box)) != 0)
		is_wrong("another box");
	boxlite_box_close(again);
	return r;
}

static int open_box(void)
{
	struct seen s = { 0 };
	struct boxlite_box *again;
	int r = boxlite_box_open(home, boxlite_box_id(box), &again, &err);

	if (r < 0)
		return r;
	r = boxlite_box_info(again, on_box, &s, &err);
	boxlite_box_close(again);
	return r;
}

static int is_there(void)
{
	int r = boxlite_box_is_running(box, &err);

	if (r >= 0 && r != (int)up)
		is_wrong("it is said %sto run", r ? "" : "not ");
	return r;
}

/* Its start, and its end in order. */
static int start(void)
{
	struct boxlite_stop_options at_once = BOXLITE_OPTIONS(boxlite_stop_options);
	struct boxlite_error after;
	struct boxlite_process *p;
	struct boxlite_exit e;
	int r = boxlite_box_start(box, NULL, &p, &err);

	if (r < 0) {
		fault_pause();
		boxlite_box_wait(box, NULL); /* its shim sees that nobody wants it */
		return r;
	}
	at_once.at_once = 1;
	r = boxlite_box_stop(box, &at_once, &err);
	if (r == 0) {
		fault_pause();
		if (boxlite_box_is_running(box, NULL))
			is_wrong("it is stopped, and runs");
		fault_resume();
		r = boxlite_process_wait(p, &e, &err);
	}
	fault_pause();
	boxlite_process_close(p);
	if (boxlite_box_stop(box, &at_once, &after) < 0)
		printf("%s, %s %ld%s: it cannot be stopped afterwards: %s (stop said %d '%s')\n", now, fault_name, at,
		       fault_what(), after.text, r, err.text);
	has_run = 1;
	return r;
}

/* All of its standard output, cut to `size`; *reason if it was no success. */
static int collect(struct boxlite_process *p, char *out, size_t size)
{
	struct boxlite_exit e = { .kind = BOXLITE_EXITED };
	const void *data;
	size_t n, have = 0;
	int r = 0;

	while (r == 0 && !boxlite_process_ended(p, &e)) {
		struct pollfd f = { boxlite_process_fd(p), boxlite_process_events(p), 0 };

		fault_pause();
		poll(&f, 1, -1);
		fault_resume();
		r = boxlite_process_dispatch(p, &err);
		while (r == 0 && (n = boxlite_process_output(p, BOXLITE_STDOUT, &data)) > 0) {
			size_t taken = n < size - 1 - have ? n : size - 1 - have;

			memcpy(out + have, data, taken);
			have += taken;
			boxlite_process_consume(p, BOXLITE_STDOUT, n);
		}
	}
	out[have] = '\0';
	if (r == 0 && e.status != 0) {
		snprintf(reason_text, sizeof(reason_text), "%s", e.error);
		reason = reason_text;
	}
	return r;
}

static int exec(void)
{
	static const char *const argv[] = { "sh", "-c", "read a; echo $a $(id -un)", NULL };
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_process *p = NULL;
	char out[64];
	int r;

	o.argv = argv;
	o.user = "user"; /* which is not the box's */
	o.stdin_open = 1;
	r = boxlite_box_exec(box, &o, &p, &err);
	if (r < 0)
		return r;
	if (boxlite_process_write(p, "hello\n", 6) != 6) {
		reason = "the input is not taken"; /* which the number says */
		boxlite_process_close(p);
		return 0;
	}
	boxlite_process_close_stdin(p);
	r = collect(p, out, sizeof(out));
	boxlite_process_close(p);
	if (r == 0 && !reason && strcmp(out, "hello user\n") != 0)
		is_wrong("the output is '%s'", out);
	return r;
}

static int exec_wait(void)
{
	static const char *const argv[] = { "sh", "-c", "exit 7", NULL };
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_exit e = { .status = -1 };
	struct boxlite_process *p = NULL;
	int r;

	o.argv = argv;
	r = boxlite_box_exec(box, &o, &p, &err);
	if (r < 0)
		return r;
	r = boxlite_process_wait(p, &e, &err);
	if (r == 0 && e.kind != BOXLITE_EXITED) {
		snprintf(reason_text, sizeof(reason_text), "%s", e.error);
		reason = reason_text;
	} else if (r == 0 && e.status != 7) {
		is_wrong("status %d", e.status);
	}
	boxlite_process_close(p);
	return r;
}

static void on_process(struct boxlite_process *p, void *ud)
{
	(void)p;
	++*(int *)ud;
}

/* By the home's fd, with streams that are connected. What cannot be waited for is said before it is. */
static int loop(void)
{
	static const char *const argv[] = { "cat", NULL };
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_process *p = NULL;
	int calls = 0, r, null;
	char out[64];

	fault_pause();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	fault_resume();
	o.argv = argv;
	o.stdin_open = 1;
	r = boxlite_box_exec(box, &o, &p, &err);
	if (r == 0)
		r = boxlite_process_set_handler(p, on_process, &calls, &err);
	if (r == 0)
		r = boxlite_process_connect(p, null, null, null, &err);
	while (r >= 0 && !boxlite_process_ended(p, NULL)) {
		struct pollfd f = { boxlite_get_fd(home), POLLIN, 0 };

		fault_pause();
		poll(&f, 1, -1);
		fault_resume();
		r = boxlite_dispatch(home, &err);
	}
	close(null);
	if (r >= 0)
		r = collect(p, out, sizeof(out));
	boxlite_process_close(p);
	return r;
}

static int join(void)
{
	struct boxlite_process *p = NULL;
	int r = boxlite_box_attach(box, NULL, &p, &err);

	boxlite_process_close(p);
	return r;
}

/* What a function calls back with: as much as in the last call of it for which nothing failed. */
struct much {
	size_t n, full;
};

static void measure_up(struct much *m, int r, const char *what)
{
	if (at == 0)
		m->full = m->n;
	else if (r == 0 && m->n != m->full)
		is_wrong("%zu %s, not %zu", m->n, what, m->full);
}

static int on_log(const struct boxlite_log_entry *e, void *ud)
{
	((struct much *)ud)->n += e->len;
	return 0;
}

static int logs(void)
{
	static struct much bytes;
	int r;

	bytes.n = 0;
	r = boxlite_box_logs(box, NULL, on_log, &bytes, &err);
	measure_up(&bytes, r, "bytes");
	return r;
}

static int on_event(const struct boxlite_event *e, void *ud)
{
	(void)e;
	((struct much *)ud)->n++;
	return 0;
}

static int events(void)
{
	static struct much seen;
	int r;

	seen.n = 0;
	r = boxlite_events(home, NULL, on_event, &seen, &err);
	measure_up(&seen, r, "events");
	return r;
}

static int measure(void)
{
	struct boxlite_metrics m = { .size = sizeof(m) };
	int r = boxlite_box_metrics(box, &m, &err);

	if (r == 0)
		r = boxlite_metrics(home, &m, &err);
	/* jansson does not tell a lack of memory from what is no JSON, and a box that talks nonsense has no figures. */
	if (r == 0 && m.boxes != 1 && !fault_of_memory)
		is_wrong("the figures of %u boxes", m.boxes);
	return r;
}

static int on_task(const struct boxlite_task *t, void *ud)
{
	(void)t;
	++*(unsigned *)ud;
	return 0;
}

static int top(void)
{
	unsigned n = 0;
	int r = boxlite_box_top(box, on_task, &n, &err);

	if (r == 0 && n == 0)
		is_wrong("no process");
	return r;
}

static int send(void)
{
	return boxlite_box_signal(box, SIGWINCH, &err);
}

static int is_same(const char *one, const char *other)
{
	char a[16384], b[16384];
	FILE *f = fopen(one, "r"), *g = fopen(other, "r");
	size_t n = f ? fread(a, 1, sizeof(a), f) : 0, m = g ? fread(b, 1, sizeof(b), g) : 1;

	if (f)
		fclose(f);
	if (g)
		fclose(g);
	return n == m && memcmp(a, b, n) == 0;
}

static int copy(void)
{
	int r;

	unlink("copied");
	r = boxlite_box_copy_from_host(box, "/etc/passwd", "/passwd", NULL, &err);
	if (r == 0)
		r = boxlite_box_copy_to_host(box, "/passwd", "copied", NULL, &err);
	fault_pause();
	if (r == 0 && !is_same("/etc/passwd", "copied"))
		is_wrong("the copy is another");
	if (r < 0 && access("copied", F_OK) == 0 && !is_same("/etc/passwd", "copied"))
		printf("%s, %s %ld%s: half a file is left (%s)\n", now, fault_name, at, fault_what(), err.text);
	return r;
}

static int name_it(void)
{
	return boxlite_box_rename(box, "tortured", &err);
}

/* --- how ---------------------------------------------------------------------------------------------- */

static long count_fds(void)
{
	return count_in("/proc/self/fd");
}

static void show_fds(void)
{
	char path[64], to[256];
	ssize_t n;

	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, to, sizeof(to));
		if (n > 0)
			printf("  %d %.*s\n", fd, (int)n, to);
	}
}

static int count_children(void)
{
	char path[64], text[4096] = "";
	FILE *f;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "r");
	if (f && fgets(text, sizeof(text), f))
		for (const char *c = text; *c; c++)
			n += *c == ' ';
	if (f)
		fclose(f);
	return n;
}

static int on_any(const struct boxlite_box_info *i, void *ud)
{
	struct seen *s = ud;

	(void)i;
	s->n++;
	return 0;
}

static int call(int (*fn)(void), long number, int way)
{
	int r;

	err = (struct boxlite_error){ 0 };
	reason = NULL;
	*wrong = '\0';
	at = number;
	fault_begin(at, way);
	r = fn();
	return r;
}

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	va_list ap;

	printf("%s, %s %ld%s: ", now, fault_name, at, fault_what());
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
}

static void check(int r)
{
	const char *why = reason ? reason : err.text;

	if ((r < 0 || reason) && (!*why || (r < 0 && err.code != r)))
		complain("%d, and says %d '%s'", r, err.code, why);
	else if (r >= 0 && !reason && *wrong)
		complain("%s, and no error", wrong);
}

/* What it has left behind in the home, where nothing is but one box, and below this process. */
static void check_home(void)
{
	struct seen s = { 0 };
	struct boxlite *b;
	char boxes[4096];
	int i;

	/* A shim may be ending; and what could not be removed, the next open removes. */
	for (i = 0; i < 1000 && count_children() > (int)up; i++) {
		poll(NULL, 0, 10);
		boxlite_box_list(home, on_any, &s, NULL);
	}
	if (count_children() > (int)up)
		complain("%d children", count_children());
	if (boxlite_open(NULL, &b, &err) < 0) {
		complain("then the home cannot be opened: %s", err.text);
		return;
	}
	s.n = 0;
	*wrong = '\0';
	if (boxlite_box_list(b, on_box, &s, &err) < 0 || s.n != 1 || *wrong)
		complain("then there are %u boxes: %s%s", s.n, wrong, err.text);
	boxlite_close(b);
	snprintf(boxes, sizeof(boxes), "%s/boxes", getenv("BOXLITE_HOME"));
	if (count_in(boxes) != 1)
		complain("then there are the folders of %ld boxes", count_in(boxes));
}

/* `every`: one of so many; `spare`: fds that may be there for a shim that is just ending. */
static void torture(const char *name, int (*fn)(void), long every, int spare)
{
	int way, failures = 0, r;
	long n = 1, count, most, fds;

	if (only && strcmp(only, name) != 0)
		return;
	now = name;
	r = call(fn, 0, 0);
	most = fault_end();
	if (r < 0 || reason || *wrong) {
		printf("%s does not work: %s%s\n", name, reason ? reason : err.text, wrong);
		return;
	}
	check_home();
	fds = count_fds();
	for (way = 0; way < fault_ways(every == 1); way++)
		for (n = 1;; n += every) {
			alarm(90);
			r = call(fn, n, way);
			count = fault_end();
			check(r);
			failures += r < 0 || reason;
			if (count < n)
				break; /* it needs no more of them */
			if (!fault_of_memory && !*fault_what())
				complain("it has not failed");
			check_home();
			r = call(fn, 0, 0);
			fault_end();
			at = n;
			if (r < 0 || reason || *wrong)
				complain("then it does not work: %s%s", reason ? reason : err.text, wrong);
			if (count_fds() > fds + spare) {
				complain("%ld fds, not %ld", count_fds(), fds);
				show_fds();
				fds = count_fds();
			}
		}
	alarm(0);
	fprintf(stderr, "# %s: %ld %ss, %d failures\n", name, most, fault_name, failures);
	if (!failures && most > 0 && fault_of_memory)
		printf("%s never failed\n", name);
}

#define TORTURE(fn, every) torture(#fn, fn, every, 0)

static void wait_started(struct boxlite_process *p)
{
	const void *data;

	while (!boxlite_process_output(p, BOXLITE_STDOUT, &data) && !boxlite_process_ended(p, NULL)) {
		struct pollfd f = { boxlite_process_fd(p), boxlite_process_events(p), 0 };

		if (poll(&f, 1, -1) < 0 || boxlite_process_dispatch(p, &err) < 0)
			return;
	}
}

static void while_it_runs(long every)
{
	struct boxlite_process *p;

	if (boxlite_box_start(box, NULL, &p, &err) < 0) {
		printf("it does not start: %s\n", err.text);
		return;
	}
	up = 1;
	wait_started(p);
	TORTURE(is_there, 1);
	TORTURE(list, 1);
	TORTURE(open_box, 1);
	TORTURE(exec, every);
	TORTURE(exec_wait, every);
	TORTURE(loop, every);
	TORTURE(join, every);
	TORTURE(measure, every);
	TORTURE(top, every);
	TORTURE(send, every);
	TORTURE(logs, 1);
	TORTURE(copy, every);
	boxlite_process_close(p); /* which ends it */
	if (boxlite_box_wait(box, &err) < 0)
		printf("its end: %s\n", err.text);
	up = 0;
}

int main(int argc, char **argv)
{
	static const char *const command[] = { "sh", "-c", "echo hello; exec sleep 100000", NULL };
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	long every = argc > 1 ? strtol(argv[1], NULL, 10) : 1;

	only = argc > 2 ? argv[2] : NULL;

	signal(SIGSEGV, on_crash);
	signal(SIGBUS, on_crash);
	signal(SIGABRT, on_crash);
	signal(SIGALRM, on_crash);
	setvbuf(stdout, NULL, _IONBF, 0);
	o.image = "bb";
	o.command = command;
	if (boxlite_open(NULL, &home, &err) < 0 || boxlite_box_create(home, &o, &box, &err) < 0) {
		printf("%s\n", err.text);
		return 1;
	}
	torture("open_home", open_home, 1, 1); /* SQLite keeps one that it could not use again */
	TORTURE(make_home, every);
	TORTURE(list, 1);
	TORTURE(load, every);
	TORTURE(list_images, 1);
	TORTURE(tell, every);
	TORTURE(image_is_here, 1);
	TORTURE(create, every);
	TORTURE(name_it, 1);
	TORTURE(get_box, 1);
	TORTURE(open_box, 1);
	TORTURE(remove_it, every);
	/* Lines of events have numbers of 19 digits, and jansson (2.14) aborts when it lacks memory for one of 16 and
	 * more. */
	if (!fault_of_memory)
		TORTURE(events, 1);
	torture("start", start, every == 1 ? 1 : 4 * every, 1);
	while_it_runs(every);
	TORTURE(list, 1);
	if (boxlite_box_remove(box, 1, &err) < 0)
		printf("rm: %s\n", err.text);
	boxlite_box_close(box);
	boxlite_close(home);
	printf("done\n");
	return 0;
}

/*
 * An application that runs out of memory: each function of the library's main paths is called with the n-th
 * allocation failing, n = 1, 2, 3 ... until it needs no more of them; once with only that one failing, and once with
 * all from there on. It must fail with a reason or succeed, leave no fd open and no process behind, and work when there
 * is memory. Image bb is in the home.
 *
 * Left out is boxlite_events(): its lines have numbers of 19 digits, and jansson (2.14) aborts when it lacks memory for
 * one of 16 and more.
 *
 *	embed-torture EVERY   only each so many allocations, of what takes long
 *
 * malloc() of this program is what the library, SQLite and jansson get theirs from; helpers are programs of their own.
 */
#define _GNU_SOURCE
#include <boxlite.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static struct {
	int on, for_ever;
	long at, count;
} fault;

static int fails(void)
{
	if (!fault.on)
		return 0;
	fault.count++;
	if (fault.count != fault.at && !(fault.for_ever && fault.count > fault.at))
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}

static const char *volatile now = "the beginning";

static void on_crash(int signo)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "signal %d in %s, allocation %ld%s\n", signo, now, fault.at,
			 fault.for_ever ? " and all behind it" : "");

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

static int on_box(const struct boxlite_box_info *i, void *ud)
{
	(void)i, (void)ud;
	return 0;
}

static int on_image(const struct boxlite_image_info *i, void *ud)
{
	(void)i, (void)ud;
	return 0;
}

static int on_info(const struct boxlite_info *i, void *ud)
{
	(void)i, (void)ud;
	return 0;
}

static int on_log(const struct boxlite_log_entry *e, void *ud)
{
	(void)e, (void)ud;
	return 0;
}

static int on_task(const struct boxlite_task *t, void *ud)
{
	(void)t, (void)ud;
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

static int list(void)
{
	int r = boxlite_box_list(home, on_box, NULL, &err);

	return r < 0 ? r : boxlite_image_list(home, on_image, NULL, &err);
}

static int tell(void)
{
	return boxlite_info(home, on_info, NULL, &err);
}

static int image_is_here(void)
{
	return boxlite_image_exists(home, "bb", &err);
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
	fault.on = 0;
	if (boxlite_box_remove(made, 0, NULL) < 0)
		printf("%s: what was made cannot be removed\n", now);
	boxlite_box_close(made);
	return 0;
}

/* What has failed half-way is done by the next one. */
static int remove_it(void)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_box *made;
	int on = fault.on, r;

	o.image = "bb";
	o.idle = 1;
	fault.on = 0;
	r = boxlite_box_create(home, &o, &made, &err);
	fault.on = on;
	if (r < 0)
		return r;
	r = boxlite_box_remove(made, 0, &err);
	fault.on = 0;
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
	if (r == 0)
		boxlite_box_close(again);
	return r;
}

static int open_box(void)
{
	struct boxlite_box *again;
	int r = boxlite_box_open(home, boxlite_box_id(box), &again, &err);

	if (r < 0)
		return r;
	r = boxlite_box_info(again, on_box, NULL, &err);
	boxlite_box_close(again);
	return r;
}

static int is_there(void)
{
	return boxlite_box_is_running(box, &err);
}

/* Its start, and its end in order. */
static int start(void)
{
	struct boxlite_stop_options at_once = BOXLITE_OPTIONS(boxlite_stop_options);
	struct boxlite_process *p;
	struct boxlite_exit e;
	int r = boxlite_box_start(box, NULL, &p, &err);

	if (r < 0) {
		fault.on = 0;
		boxlite_box_wait(box, NULL); /* its shim sees that nobody wants it */
		return r;
	}
	at_once.at_once = 1;
	r = boxlite_box_stop(box, &at_once, &err);
	if (r == 0)
		r = boxlite_process_wait(p, &e, &err);
	fault.on = 0;
	boxlite_process_close(p);
	if (boxlite_box_stop(box, &at_once, NULL) < 0)
		printf("%s: it cannot be stopped afterwards\n", now);
	return r;
}

static int take(struct boxlite_process *p, int r)
{
	struct boxlite_exit e = { .kind = BOXLITE_EXITED };

	if (r == 0)
		r = boxlite_process_wait(p, &e, &err);
	if (r == 0 && e.status != 0) {
		snprintf(reason_text, sizeof(reason_text), "%s", e.error);
		reason = reason_text;
	}
	boxlite_process_close(p);
	return r;
}

static int exec(void)
{
	static const char *const argv[] = { "echo", "hello", NULL };
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_process *p = NULL;
	int r;

	o.argv = argv;
	r = boxlite_box_exec(box, &o, &p, &err);
	return r < 0 ? r : take(p, r);
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
	int calls = 0, r, null = open("/dev/null", O_RDWR | O_CLOEXEC);

	o.argv = argv;
	o.stdin_open = 1;
	r = boxlite_box_exec(box, &o, &p, &err);
	if (r == 0)
		r = boxlite_process_set_handler(p, on_process, &calls, &err);
	if (r == 0)
		r = boxlite_process_connect(p, null, null, null, &err);
	while (r >= 0 && !boxlite_process_ended(p, NULL)) {
		poll(&(struct pollfd){ .fd = boxlite_get_fd(home), .events = POLLIN }, 1, -1);
		r = boxlite_dispatch(home, &err);
	}
	close(null);
	return take(p, r < 0 ? r : 0);
}

static int join(void)
{
	struct boxlite_process *p = NULL;
	int r = boxlite_box_attach(box, NULL, &p, &err);

	boxlite_process_close(p);
	return r;
}

static int logs(void)
{
	return boxlite_box_logs(box, NULL, on_log, NULL, &err);
}

static int measure(void)
{
	struct boxlite_metrics m = { .size = sizeof(m) };
	int r = boxlite_box_metrics(box, &m, &err);

	if (r == 0)
		r = boxlite_metrics(home, &m, &err);
	return r < 0 ? r : boxlite_box_top(box, on_task, NULL, &err);
}

static int send(void)
{
	return boxlite_box_signal(box, SIGWINCH, &err);
}

static int copy(void)
{
	int r = boxlite_box_copy_from_host(box, "/etc/passwd", "/passwd", NULL, &err);

	return r < 0 ? r : boxlite_box_copy_to_host(box, "/passwd", "copied", NULL, &err);
}

static int name_it(void)
{
	return boxlite_box_rename(box, "tortured", &err);
}

/* --- how ---------------------------------------------------------------------------------------------- */

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

static int call(int (*fn)(void), long at, int for_ever)
{
	int r;

	err = (struct boxlite_error){ 0 };
	reason = NULL;
	fault.at = at;
	fault.count = 0;
	fault.for_ever = for_ever;
	fault.on = 1;
	r = fn();
	fault.on = 0;
	return r;
}

static void check(const char *name, int r)
{
	const char *why = reason ? reason : err.text;

	if ((r < 0 || reason) && (!*why || (r < 0 && err.code != r)))
		printf("%s, allocation %ld: %d, and says %d '%s'\n", name, fault.at, r, err.code, why);
}

/* `every`: one of so many allocations; `spare`: fds that may be there for a shim that is just ending. */
static void torture(const char *name, int (*fn)(void), long every, int spare)
{
	int fds, for_ever, failures = 0, r;
	long n;

	now = name;
	if (call(fn, 0, 0) < 0 || reason) {
		printf("%s does not work: %s\n", name, reason ? reason : err.text);
		return;
	}
	fds = count_fds();
	for (for_ever = 0; for_ever < 2; for_ever++)
		for (n = 1; n == 1 || fault.count >= fault.at; n += every) {
			alarm(60);
			r = call(fn, n, for_ever);
			check(name, r);
			failures += r < 0 || reason;
			if (fault.count < fault.at)
				break;
			if (call(fn, 0, 0) < 0 || reason)
				printf("%s, after allocation %ld: %s\n", name, n, reason ? reason : err.text);
			fault.count = fault.at = n;
			if (count_fds() > fds + spare) {
				printf("%s, allocation %ld: %d fds, not %d\n", name, n, count_fds(), fds);
				fds = count_fds();
			}
		}
	alarm(0);
	fprintf(stderr, "# %s: %ld allocations, %d failures\n", name, n, failures);
	if (!failures && n > 1)
		printf("%s never failed\n", name);
}

#define TORTURE(fn, every) torture(#fn, fn, every, 0)

static void while_it_runs(long every)
{
	struct boxlite_process *p;

	if (boxlite_box_start(box, NULL, &p, &err) < 0) {
		printf("it does not start: %s\n", err.text);
		return;
	}
	TORTURE(is_there, 1);
	TORTURE(open_box, 1);
	TORTURE(exec, every);
	TORTURE(loop, every);
	TORTURE(join, every);
	TORTURE(measure, every);
	TORTURE(send, every);
	TORTURE(logs, 1);
	TORTURE(copy, every);
	boxlite_process_close(p); /* which ends it */
	if (boxlite_box_wait(box, &err) < 0)
		printf("its end: %s\n", err.text);
}

int main(int argc, char **argv)
{
	static const char *const command[] = { "sh", "-c", "echo hello; exec sleep 100000", NULL };
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	long every = argc > 1 ? strtol(argv[1], NULL, 10) : 1;

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
	TORTURE(open_home, 1);
	TORTURE(list, 1);
	TORTURE(tell, every);
	TORTURE(image_is_here, 1);
	TORTURE(create, every);
	TORTURE(name_it, 1);
	TORTURE(get_box, 1);
	TORTURE(open_box, 1);
	TORTURE(remove_it, every);
	torture("start", start, 4 * every, 1);
	while_it_runs(every);
	if (boxlite_box_remove(box, 1, &err) < 0)
		printf("rm: %s\n", err.text);
	boxlite_box_close(box);
	boxlite_close(home);
	printf("done\n");
	return 0;
}

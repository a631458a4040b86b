/*
 * An application that calls every function of the library as it should not be called: with NULL, with options of every
 * size, with what is too long or makes no sense, and in the wrong order. Image bb is in the home. Prints what was not
 * answered as boxlite.h says, and at the end how many calls there were.
 */
#define _GNU_SOURCE /* memmem */
#include <boxlite.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *volatile at = "the beginning";
static struct boxlite_error err;
static int calls;

static void on_crash(int signo)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "signal %d in %s\n", signo, at);

	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		_exit(2);
	_exit(1);
}

static void begin(const char *what)
{
	at = what;
	calls++;
	err.code = 1;
	strcpy(err.text, "untouched");
}

/* A failure is described in one line; a success writes nothing. */
static void end(const char *what, long got, long wanted)
{
	int described = err.code == (int)got && *err.text && !strchr(err.text, '\n') && strcmp(err.text, "untouched") != 0;
	int untouched = err.code == 1 && strcmp(err.text, "untouched") == 0;

	if (got != wanted)
		printf("%s: %ld, not %ld (%s)\n", what, got, wanted, err.text);
	else if (got < 0 ? !described : !untouched)
		printf("%s: %ld, and it says %d '%s'\n", what, got, err.code, err.text);
}

/* The call's last argument is &err. */
#define WANT(wanted, call) \
	do { \
		begin(#call); \
		end(#call, (long)(call), (wanted)); \
	} while (0)

/* One that returns no error. */
#define IS(wanted, call) \
	do { \
		begin(#call); \
		long got_ = (long)(call); \
		if (got_ != (long)(wanted)) \
			printf("%s: %ld, not %ld\n", #call, got_, (long)(wanted)); \
	} while (0)

#define DO(call) \
	do { \
		begin(#call); \
		call; \
	} while (0)

static int on_image(const struct boxlite_image_info *i, void *ud)
{
	(void)i, (void)ud;
	return 0;
}

static int on_box(const struct boxlite_box_info *i, void *ud)
{
	(void)i, (void)ud;
	return 0;
}

static int on_info(const struct boxlite_info *i, void *ud)
{
	(void)i, (void)ud;
	return 7;
}

static int on_finding(const struct boxlite_finding *f, void *ud)
{
	(void)f, (void)ud;
	return 0;
}

static int on_log(const struct boxlite_log_entry *e, void *ud)
{
	(void)e, (void)ud;
	return 0;
}

static int on_event(const struct boxlite_event *e, void *ud)
{
	(void)e, (void)ud;
	return 0;
}

static void on_process(struct boxlite_process *p, void *ud)
{
	(void)p, (void)ud;
}

static int on_metrics(const struct boxlite_box_info *i, const struct boxlite_metrics *m, void *ud)
{
	(void)i, (void)m, (void)ud;
	return 0;
}

static int on_task(const struct boxlite_task *t, void *ud)
{
	(void)t, (void)ud;
	return 0;
}

#define UNTOUCHED ((void *)0x10)

/* --- NULL --------------------------------------------------------------------------------------- */

static void without_home(void)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_metrics m = { .size = sizeof(m) };
	struct boxlite_watch *watch = UNTOUCHED;
	struct boxlite_box *box = UNTOUCHED;

	int created = 7;

	o.image = "bb";
	WANT(-EINVAL, boxlite_open(NULL, NULL, &err));
	DO(boxlite_close(NULL));
	WANT(-EINVAL, boxlite_doctor(NULL, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_info(NULL, on_info, NULL, &err));
	WANT(-EINVAL, boxlite_image_pull(NULL, "bb", NULL, &err));
	WANT(-EINVAL, boxlite_image_load(NULL, 0, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_image_exists(NULL, "bb", &err));
	WANT(-EINVAL, boxlite_image_info(NULL, "bb", on_image, NULL, &err));
	WANT(-EINVAL, boxlite_image_list(NULL, on_image, NULL, &err));
	WANT(-EINVAL, boxlite_image_remove(NULL, "bb", &err));
	WANT(-EINVAL, boxlite_image_prune(NULL, NULL, &err));
	WANT(-EINVAL, boxlite_box_create(NULL, &o, &box, &err));
	WANT(-EINVAL, boxlite_box_open(NULL, "x", &box, &err));
	WANT(-EINVAL, boxlite_box_get_or_create(NULL, &o, &box, &created, &err));
	IS(7, created);
	WANT(-EINVAL, boxlite_box_list(NULL, on_box, NULL, &err));
	WANT(-EINVAL, boxlite_metrics(NULL, &m, &err));
	WANT(-EINVAL, boxlite_metrics_list(NULL, NULL, on_metrics, NULL, &err));
	WANT(-EINVAL, boxlite_events(NULL, NULL, on_event, NULL, &err));
	WANT(-EINVAL, boxlite_events_watch(NULL, NULL, on_event, NULL, &watch, &err));
	DO(boxlite_events_unwatch(NULL));
	IS(-EINVAL, boxlite_get_fd(NULL));
	WANT(-EINVAL, boxlite_dispatch(NULL, &err));
	IS(UNTOUCHED, watch);
	IS(UNTOUCHED, box);
}

static void with_home(struct boxlite *b)
{
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_watch *watch = UNTOUCHED;
	struct boxlite_box *box = UNTOUCHED;

	WANT(-EINVAL, boxlite_info(b, NULL, NULL, &err));
	WANT(7, boxlite_info(b, on_info, NULL, &err));
	IS(7, boxlite_info(b, on_info, NULL, NULL));
	WANT(-EINVAL, boxlite_image_pull(b, NULL, NULL, &err));
	IS(-EINVAL, boxlite_image_pull(b, NULL, NULL, NULL));
	WANT(-EINVAL, boxlite_image_exists(b, NULL, &err));
	WANT(-EINVAL, boxlite_image_info(b, NULL, on_image, NULL, &err));
	WANT(-EINVAL, boxlite_image_info(b, "bb", NULL, NULL, &err));
	WANT(-EINVAL, boxlite_image_list(b, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_image_remove(b, NULL, &err));
	WANT(-EINVAL, boxlite_box_create(b, NULL, &box, &err));
	WANT(-EINVAL, boxlite_box_create(b, &o, &box, &err)); /* no image */
	o.image = "bb";
	WANT(-EINVAL, boxlite_box_create(b, &o, NULL, &err));
	WANT(-EINVAL, boxlite_box_get_or_create(b, NULL, &box, NULL, &err));
	WANT(-EINVAL, boxlite_box_get_or_create(b, &o, &box, NULL, &err)); /* no name */
	o.name = "x";
	WANT(-EINVAL, boxlite_box_get_or_create(b, &o, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_box_open(b, NULL, &box, &err));
	WANT(-EINVAL, boxlite_box_open(b, "x", NULL, &err));
	WANT(-EINVAL, boxlite_box_list(b, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_metrics(b, NULL, &err));
	WANT(-EINVAL, boxlite_metrics_list(b, NULL, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_events(b, NULL, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_events_watch(b, NULL, NULL, NULL, &watch, &err));
	WANT(-EINVAL, boxlite_events_watch(b, NULL, on_event, NULL, NULL, &err));
	WANT(0, boxlite_dispatch(b, &err)); /* before there is an fd, and with it */
	IS(1, boxlite_get_fd(b) >= 0);
	IS(boxlite_get_fd(b), boxlite_get_fd(b));
	WANT(0, boxlite_dispatch(b, &err));
	IS(0, boxlite_dispatch(b, NULL));
	IS(UNTOUCHED, watch);
	IS(UNTOUCHED, box);
}

static void without_box(void)
{
	static const char *const argv[] = { "true", NULL };
	struct boxlite_copy_stream_options c = BOXLITE_OPTIONS(boxlite_copy_stream_options);
	struct boxlite_exec_options e = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_metrics m = { .size = sizeof(m) };
	struct boxlite_process *p = UNTOUCHED;

	e.argv = argv;
	c.path = "/";
	DO(boxlite_box_close(NULL));
	IS(NULL, boxlite_box_id(NULL));
	IS(NULL, boxlite_box_folder(NULL));
	IS(0, boxlite_box_has_tty(NULL));
	IS(0, boxlite_box_is_idle(NULL));
	WANT(-EINVAL, boxlite_box_start(NULL, NULL, &p, &err));
	WANT(-EINVAL, boxlite_box_is_running(NULL, &err));
	WANT(-EINVAL, boxlite_box_wait(NULL, &err));
	WANT(-EINVAL, boxlite_box_stop(NULL, NULL, &err));
	WANT(-EINVAL, boxlite_box_signal(NULL, SIGTERM, &err));
	WANT(-EINVAL, boxlite_box_rename(NULL, "x", &err));
	WANT(-EINVAL, boxlite_box_logs(NULL, NULL, on_log, NULL, &err));
	WANT(-EINVAL, boxlite_box_remove(NULL, 1, &err));
	WANT(-EINVAL, boxlite_box_info(NULL, on_box, NULL, &err));
	WANT(-EINVAL, boxlite_box_metrics(NULL, &m, &err));
	WANT(-EINVAL, boxlite_box_top(NULL, on_task, NULL, &err));
	WANT(-EINVAL, boxlite_box_exec(NULL, &e, &p, &err));
	WANT(-EINVAL, boxlite_box_attach(NULL, NULL, &p, &err));
	WANT(-EINVAL, boxlite_box_copy_out(NULL, &c, &p, &err));
	WANT(-EINVAL, boxlite_box_copy_in(NULL, &c, &p, &err));
	WANT(-EINVAL, boxlite_box_copy_from_host(NULL, "/", "/", NULL, &err));
	WANT(-EINVAL, boxlite_box_copy_to_host(NULL, "/", "/", NULL, &err));
	IS(UNTOUCHED, p);
}

static void without_process(void)
{
	struct boxlite_timing t = { .size = sizeof(t) };
	struct boxlite_exit e;
	const void *data;

	IS(-1, boxlite_process_fd(NULL));
	IS(0, boxlite_process_events(NULL));
	WANT(-EINVAL, boxlite_process_dispatch(NULL, &err));
	IS(0, boxlite_process_output(NULL, BOXLITE_STDOUT, &data));
	DO(boxlite_process_consume(NULL, BOXLITE_STDOUT, 1));
	DO(boxlite_process_close_output(NULL, BOXLITE_STDOUT));
	IS(0, boxlite_process_write(NULL, "x", 1));
	IS(0, boxlite_process_write_room(NULL));
	DO(boxlite_process_close_stdin(NULL));
	DO(boxlite_process_signal(NULL, SIGTERM));
	DO(boxlite_process_resize(NULL, 1, 1));
	IS(0, boxlite_process_started(NULL));
	IS(0, boxlite_process_exec(NULL));
	IS(0, boxlite_process_has_tty(NULL));
	IS(-EINVAL, boxlite_process_timing(NULL, &t));
	IS(-EINVAL, boxlite_process_ended(NULL, &e));
	WANT(-EINVAL, boxlite_process_wait(NULL, &e, &err));
	WANT(-EINVAL, boxlite_process_set_handler(NULL, on_process, NULL, &err));
	WANT(-EINVAL, boxlite_process_connect(NULL, 0, 1, 2, &err));
	WANT(-EINVAL, boxlite_process_connect_status(NULL, &err));
	DO(boxlite_process_close(NULL));
}

/* --- options -------------------------------------------------------------------------------------- */

/* Every size that an older or newer program, or a wrong one, may say. `open` is a function with options alone. */
static void sizes_of_options(struct boxlite *b)
{
	struct {
		struct boxlite_box_options o;
		unsigned char more[4096];
	} big;
	struct boxlite_doctor_options d = { .size = 0 };
	struct boxlite_box *box = UNTOUCHED;
	size_t size;

	for (size = 0; size < sizeof(size_t); size++) {
		memset(&big, 0, sizeof(big));
		big.o.size = size;
		big.o.image = "bb";
		WANT(-EINVAL, boxlite_box_create(b, &big.o, &box, &err));
	}
	IS(UNTOUCHED, box);
	big.o.size = sizeof(size_t); /* and no field */
	WANT(-EINVAL, boxlite_box_create(b, &big.o, &box, &err));
	/* An old program, whose structure ends in the middle of this one: what is behind its end is not read. */
	memset(&big, 0xa5, sizeof(big));
	big.o = (struct boxlite_box_options){ .size = offsetof(struct boxlite_box_options, disk_bytes), .image = "bb" };
	big.o.disk_bytes = 1;
	big.o.restart = 99;
	WANT(0, boxlite_box_create(b, &big.o, &box, &err));
	WANT(0, boxlite_box_remove(box, 0, &err));
	DO(boxlite_box_close(box));
	/* A new one, with fields that nobody knows here. */
	memset(&big, 0xa5, sizeof(big));
	big.o = (struct boxlite_box_options){ .size = sizeof(big), .image = "bb" };
	WANT(0, boxlite_box_create(b, &big.o, &box, &err));
	WANT(0, boxlite_box_remove(box, 0, &err));
	DO(boxlite_box_close(box));
	big.o.size = SIZE_MAX;
	WANT(0, boxlite_box_create(b, &big.o, &box, &err));
	WANT(0, boxlite_box_remove(box, 0, &err));
	DO(boxlite_box_close(box));
	WANT(-EINVAL, boxlite_doctor(&d, on_finding, NULL, &err));
}

static void sizes_of_others(struct boxlite *b, struct boxlite_box *box)
{
	struct boxlite_copy_stream_options cs = { .path = "/" };
	struct boxlite_attach_options a = { .size = 1 };
	struct boxlite_metrics_options mo = { .size = 2 };
	struct boxlite_exec_options e = { .size = 3 };
	struct boxlite_start_options s = { .size = 4 };
	struct boxlite_copy_options c = { .size = 5 };
	struct boxlite_logs_options l = { .size = 6 };
	struct boxlite_stop_options t = { .size = 7 };
	struct boxlite_pull_options u = { .size = 0 };
	struct boxlite_events_options v = { .size = 3 };
	struct boxlite_watch *watch = UNTOUCHED;
	struct boxlite_process *p = UNTOUCHED;
	struct boxlite_metrics m = { .size = 0 };

	WANT(-EINVAL, boxlite_image_pull(b, "bb", &u, &err));
	WANT(-EINVAL, boxlite_image_load(b, 0, NULL, &u, &err));
	WANT(-EINVAL, boxlite_events(b, &v, on_event, NULL, &err));
	WANT(-EINVAL, boxlite_events_watch(b, &v, on_event, NULL, &watch, &err));
	IS(UNTOUCHED, watch);
	WANT(-EINVAL, boxlite_metrics(b, &m, &err));
	WANT(-EINVAL, boxlite_metrics_list(b, &mo, on_metrics, NULL, &err));
	WANT(-EINVAL, boxlite_box_start(box, &s, &p, &err));
	WANT(-EINVAL, boxlite_box_stop(box, &t, &err));
	WANT(-EINVAL, boxlite_box_logs(box, &l, on_log, NULL, &err));
	WANT(-EINVAL, boxlite_box_exec(box, &e, &p, &err));
	WANT(-EINVAL, boxlite_box_exec(box, NULL, &p, &err));
	WANT(-EINVAL, boxlite_box_attach(box, &a, &p, &err));
	WANT(-EINVAL, boxlite_box_copy_out(box, &cs, &p, &err));
	WANT(-EINVAL, boxlite_box_copy_in(box, &cs, &p, &err));
	WANT(-EINVAL, boxlite_box_copy_out(box, NULL, &p, &err));
	WANT(-EINVAL, boxlite_box_copy_from_host(box, "/", "/", &c, &err));
	WANT(-EINVAL, boxlite_box_copy_to_host(box, "/", "/", &c, &err));
	WANT(-EINVAL, boxlite_box_metrics(box, &m, &err));
	IS(UNTOUCHED, p);
}

/* --- what makes no sense ---------------------------------------------------------------------------- */

static char *text(size_t n, char c)
{
	char *s = malloc(n + 1);

	if (!s)
		exit(3);
	memset(s, c, n);
	s[n] = 0;
	return s;
}

static void refused(struct boxlite *b, const char *what, int wanted, struct boxlite_box_options o)
{
	struct boxlite_box *box = UNTOUCHED;

	o.image = o.image ? o.image : "bb";
	begin(what);
	end(what, boxlite_box_create(b, &o, &box, &err), wanted);
	if (box != UNTOUCHED)
		printf("%s: there is a box\n", what);
}

#define REFUSED(wanted, ...) \
	refused(b, #__VA_ARGS__, wanted, \
		(struct boxlite_box_options){ .size = sizeof(struct boxlite_box_options), __VA_ARGS__ })

static void nonsense(struct boxlite *b)
{
	static const char *const one[] = { "true", NULL }, *const bad_env[] = { "=x", NULL }, *const none[] = { "", NULL };
	char *mega = text(1000000, 'a'), *name64 = text(64, 'a'), *pair = text(5000000, '=');
	const char *const huge[] = { mega, mega, mega, mega, mega, NULL }, *const huge_env[] = { pair, NULL };
	static const char *const not_utf8[] = { "true", "\xff", NULL };
	struct boxlite_box *box = UNTOUCHED;

	*pair = 'a';
	REFUSED(-EINVAL, .image = "");
	REFUSED(-EINVAL, .image = mega);
	REFUSED(-EINVAL, .image = "\xff\xfe");
	REFUSED(-EINVAL, .image = "UPPER");
	REFUSED(-ENOENT, .image = "nothere");
	REFUSED(-EINVAL, .name = "");
	REFUSED(-EINVAL, .name = mega);
	REFUSED(-EINVAL, .name = name64);
	REFUSED(-EINVAL, .name = "a\nb");
	REFUSED(-EINVAL, .name = "\xc3\xa4");
	REFUSED(-EINVAL, .engine = "");
	REFUSED(-EINVAL, .engine = mega);
	REFUSED(-EINVAL, .cpus = 33);
	REFUSED(-EINVAL, .cpus = 0xffffffff);
	REFUSED(-EINVAL, .memory_bytes = 1);
	REFUSED(-EINVAL, .memory_bytes = UINT64_MAX);
	REFUSED(-EINVAL, .disk_bytes = 1);
	REFUSED(-EINVAL, .disk_bytes = UINT64_MAX);
	REFUSED(-EINVAL, .disk_bytes = (uint64_t)1 << 62);
	REFUSED(-EINVAL, .restart = -1);
	REFUSED(-EINVAL, .restart = 3);
	REFUSED(-EINVAL, .restart = 1, .auto_remove = 1);
	REFUSED(-EINVAL, .stop_signal = -1);
	REFUSED(-EINVAL, .stop_signal = 65);
	REFUSED(-EINVAL, .idle = 1, .command = one);
	REFUSED(-EINVAL, .env = bad_env);
	REFUSED(-EINVAL, .env = none);
	REFUSED(-EINVAL, .health = not_utf8);
	REFUSED(-EINVAL, .command = not_utf8);
	REFUSED(-E2BIG, .command = huge);
	REFUSED(-E2BIG, .entrypoint = huge);
	REFUSED(-E2BIG, .health = huge);
	REFUSED(-E2BIG, .env = huge_env);
	REFUSED(-EINVAL, .workdir = "\xff");
	REFUSED(-EINVAL, .user = "\xff");
	WANT(-ENOENT, boxlite_box_open(b, "", &box, &err));
	WANT(-ENOENT, boxlite_box_open(b, mega, &box, &err));
	WANT(-ENOENT, boxlite_box_open(b, "\xff%s%n'; DROP TABLE boxes; --", &box, &err));
	WANT(-EINVAL, boxlite_image_exists(b, mega, &err));
	WANT(-EINVAL, boxlite_image_pull(b, "\n", NULL, &err));
	WANT(-EBADF, boxlite_image_load(b, -1, NULL, NULL, &err));
	WANT(-EBADF, boxlite_image_load(b, 1000000, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_image_load(b, 0, mega, NULL, &err));
	WANT(-EINVAL, boxlite_image_remove(b, "", &err));
	free(mega);
	free(pair);
	free(name64);
}

/* --- the wrong order ------------------------------------------------------------------------------------- */

/* A box that does not run: never started, ended, or removed. */
static void not_running(struct boxlite_box *box, const char *which)
{
	static const char *const argv[] = { "true", NULL };
	struct boxlite_exec_options e = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_metrics m = { .size = sizeof(m) };
	struct boxlite_process *p = UNTOUCHED;

	e.argv = argv;
	WANT(0, boxlite_box_is_running(box, &err));
	WANT(0, boxlite_box_wait(box, &err));
	WANT(0, boxlite_box_stop(box, NULL, &err));
	WANT(-ENOTCONN, boxlite_box_signal(box, SIGTERM, &err));
	WANT(-EINVAL, boxlite_box_signal(box, 0, &err));
	WANT(-EINVAL, boxlite_box_signal(box, -1, &err));
	WANT(-EINVAL, boxlite_box_signal(box, 65, &err));
	WANT(-ENOTCONN, boxlite_box_metrics(box, &m, &err));
	WANT(-ENOTCONN, boxlite_box_top(box, on_task, NULL, &err));
	WANT(-ENOTCONN, boxlite_box_exec(box, &e, &p, &err));
	WANT(-ENOTCONN, boxlite_box_attach(box, NULL, &p, &err));
	if (p != UNTOUCHED)
		printf("%s: there is a process\n", which);
}

static void of_box(struct boxlite_box *box)
{
	char *mega = text(1000000, 'a');
	struct boxlite_copy_stream_options c = BOXLITE_OPTIONS(boxlite_copy_stream_options);
	struct boxlite_process *p = UNTOUCHED;

	WANT(-EINVAL, boxlite_box_start(box, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_box_rename(box, NULL, &err));
	WANT(-EINVAL, boxlite_box_rename(box, "", &err));
	WANT(-EINVAL, boxlite_box_rename(box, mega, &err));
	WANT(-EINVAL, boxlite_box_logs(box, NULL, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_box_info(box, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_box_metrics(box, NULL, &err));
	WANT(-EINVAL, boxlite_box_top(box, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_box_exec(box, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_box_attach(box, NULL, NULL, &err));
	WANT(-EINVAL, boxlite_box_copy_out(box, &c, &p, &err)); /* no path */
	WANT(-EINVAL, boxlite_box_copy_in(box, &c, &p, &err));
	c.path = "/";
	WANT(-EINVAL, boxlite_box_copy_out(box, &c, NULL, &err));
	WANT(-EINVAL, boxlite_box_copy_from_host(box, NULL, "/", NULL, &err));
	WANT(-EINVAL, boxlite_box_copy_from_host(box, "/", NULL, NULL, &err));
	WANT(-EINVAL, boxlite_box_copy_to_host(box, NULL, "/", NULL, &err));
	WANT(-EINVAL, boxlite_box_copy_to_host(box, "/", "", NULL, &err));
	WANT(-ENAMETOOLONG, boxlite_box_copy_from_host(box, mega, "/", NULL, &err));
	WANT(-ENAMETOOLONG, boxlite_box_copy_to_host(box, "/etc", mega, NULL, &err));
	IS(UNTOUCHED, p);
	free(mega);
}

/* Its main process, while it goes on and once it has ended. */
static void of_process(struct boxlite_process *p)
{
	struct boxlite_timing t = { .size = 3 };
	const void *data = UNTOUCHED;

	IS(0, boxlite_process_output(p, 0, &data));
	IS(0, boxlite_process_output(p, -1, &data));
	IS(0, boxlite_process_output(p, 3, &data));
	IS(0, boxlite_process_output(p, BOXLITE_STDOUT, NULL));
	DO(boxlite_process_consume(p, 0, 1));
	DO(boxlite_process_consume(p, BOXLITE_STDOUT, SIZE_MAX));
	DO(boxlite_process_close_output(p, 17));
	IS(0, boxlite_process_write(p, NULL, 10));
	IS(0, boxlite_process_write(p, "", 0));
	DO(boxlite_process_signal(p, 0));
	DO(boxlite_process_signal(p, -1));
	DO(boxlite_process_signal(p, 100000));
	DO(boxlite_process_resize(p, 0, 0));
	DO(boxlite_process_resize(p, 65535, 65535));
	IS(-EINVAL, boxlite_process_timing(p, NULL));
	IS(-EINVAL, boxlite_process_timing(p, &t));
	WANT(-EBADF, boxlite_process_connect(p, 1000000, -1, -1, &err));
	WANT(-EBADF, boxlite_process_connect(p, -1, 1000000, -1, &err));
	WANT(0, boxlite_process_connect(p, -1, INT_MIN, -1, &err));
	WANT(0, boxlite_process_connect_status(p, &err));
	WANT(0, boxlite_process_set_handler(p, NULL, NULL, &err));
	WANT(0, boxlite_process_set_handler(p, on_process, NULL, &err));
	WANT(0, boxlite_process_set_handler(p, NULL, on_process, &err));
}

/* Whether EXIT is among the frames (src/wire/frame.h): a length of four bytes, a type, seven bytes more. */
static int has_exit(const uint8_t *p, ssize_t n)
{
	uint32_t len;

	for (; n >= 12; p += 12 + len, n -= 12 + (ssize_t)len) {
		memcpy(&len, p, sizeof(len));
		if (p[4] == 22)
			return 1;
	}
	return 0;
}

/* An exec of which both the output and the end have come before anybody looks; nothing more will. */
static void late(struct boxlite_box *box)
{
	static const char *const argv[] = { "echo", "x", NULL };
	struct boxlite_exec_options e = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_process *p = NULL;
	struct boxlite_exit end_ = { .status = -1 };
	uint8_t arrived[4096];
	ssize_t n = 0;

	e.argv = argv;
	WANT(0, boxlite_box_exec(box, &e, &p, &err));
	while (!has_exit(arrived, n)) {
		poll(NULL, 0, 1);
		n = recv(boxlite_process_fd(p), arrived, sizeof(arrived), MSG_PEEK);
	}
	WANT(0, boxlite_process_wait(p, &end_, &err));
	IS(0, end_.status);
	DO(boxlite_process_close(p));
}

static void running(struct boxlite_box *box)
{
	static const char *const argv[] = { "echo", "x", NULL }, *const empty[] = { NULL }, *const bad_env[] = { "=", NULL };
	char *mega = text(1000000, 'a');
	const char *const huge[] = { mega, mega, mega, mega, mega, NULL };
	struct boxlite_exec_options e = BOXLITE_OPTIONS(boxlite_exec_options);
	struct boxlite_process *p = UNTOUCHED, *x;
	struct boxlite_exit end_ = { 0 };

	WANT(1, boxlite_box_is_running(box, &err));
	WANT(-EALREADY, boxlite_box_start(box, NULL, &p, &err));
	WANT(-EBUSY, boxlite_box_remove(box, 0, &err));
	e.argv = empty;
	WANT(-EINVAL, boxlite_box_exec(box, &e, &p, &err));
	e.argv = huge;
	WANT(-E2BIG, boxlite_box_exec(box, &e, &p, &err));
	e.argv = argv;
	e.env = bad_env;
	WANT(-EINVAL, boxlite_box_exec(box, &e, &p, &err));
	e.env = NULL;
	IS(UNTOUCHED, p);
	WANT(0, boxlite_box_exec(box, &e, &x, &err));
	of_process(x);
	WANT(0, boxlite_process_wait(x, &end_, &err));
	IS(0, end_.status);
	WANT(0, boxlite_process_wait(x, NULL, &err)); /* again */
	IS(1, boxlite_process_ended(x, NULL));
	of_process(x);
	IS(0, boxlite_process_write(x, "x", 1));
	DO(boxlite_process_close_stdin(x));
	DO(boxlite_process_close_stdin(x));
	DO(boxlite_process_close_output(x, BOXLITE_STDOUT));
	DO(boxlite_process_close_output(x, BOXLITE_STDOUT));
	WANT(0, boxlite_process_dispatch(x, &err));
	DO(boxlite_process_close(x));
	free(mega);
	late(box);
}

static void wrong_order(struct boxlite *b)
{
	static const char *const command[] = { "sleep", "100000", NULL };
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_stop_options now = BOXLITE_OPTIONS(boxlite_stop_options);
	struct boxlite_process *p = UNTOUCHED;
	struct boxlite_box *box, *other;
	struct boxlite_exit end_;

	o.image = "bb";
	o.name = "bad";
	o.command = command;
	now.at_once = 1;
	WANT(0, boxlite_box_create(b, &o, &box, &err));
	REFUSED(-EEXIST, .name = "bad");
	WANT(-EBUSY, boxlite_image_remove(b, "bb", &err));
	not_running(box, "a box that was never started");
	of_box(box);
	sizes_of_others(b, box);
	WANT(0, boxlite_box_start(box, NULL, &p, &err));
	running(box);
	of_process(p);
	WANT(0, boxlite_box_stop(box, &now, &err));
	WANT(0, boxlite_process_wait(p, &end_, &err));
	IS(137, end_.status);
	of_process(p);
	DO(boxlite_process_close(p));
	not_running(box, "a box that has ended");
	WANT(0, boxlite_box_open(b, "bad", &other, &err));
	WANT(0, boxlite_box_remove(box, 0, &err));
	not_running(box, "a box that was removed");
	not_running(other, "a box that another one has removed");
	p = UNTOUCHED;
	WANT(-ENOENT, boxlite_box_start(other, NULL, &p, &err));
	WANT(-ENOENT, boxlite_box_info(other, on_box, NULL, &err));
	WANT(-ENOENT, boxlite_box_rename(other, "late", &err));
	WANT(-ENOENT, boxlite_box_logs(other, NULL, on_log, NULL, &err));
	WANT(-ENOENT, boxlite_box_copy_to_host(other, "/etc", "/nowhere", NULL, &err));
	WANT(0, boxlite_box_remove(other, 1, &err));
	WANT(-ENOENT, boxlite_box_open(b, "bad", &other, &err));
	IS(UNTOUCHED, p);
	DO(boxlite_box_close(box));
	DO(boxlite_box_close(other));
}

/* --- what is large and right ---------------------------------------------------------------------------- */

#define NENV 10000
#define NARGS 19

/* All of the environment arrives, and 1.9 MB of arguments; Linux takes no more than 2 MB of both. */
static void large(struct boxlite *b)
{
	static const char *env[NENV + 1], *few[] = { "A=b", NULL }, *argv[NARGS + 5] = { "sh", "-c", "echo $# ${#1}", "sh" };
	static const char *const count[] = { "sh", "-c", "env | grep -c ^VAR", NULL };
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	const char **commands[] = { (const char **)count, argv }, **envs[] = { env, few };
	const char *answers[] = { "10000\n", "19 100000\n" };
	char *arg = text(100000, 'x');
	int i;

	for (i = 0; i < NENV; i++) {
		char *s = text(40, 'v');

		snprintf(s, 40, "VAR%d=value of %d", i, i);
		env[i] = s;
	}
	for (i = 0; i < NARGS; i++)
		argv[4 + i] = arg;
	o.image = "bb";
	for (i = 0; i < 2; i++) {
		struct boxlite_process *p = NULL;
		struct boxlite_box *box;
		struct boxlite_exit end_;
		const void *data = "";
		size_t n;

		o.command = commands[i];
		o.env = envs[i];
		WANT(0, boxlite_box_create(b, &o, &box, &err));
		WANT(0, boxlite_box_start(box, NULL, &p, &err));
		while (!(n = boxlite_process_output(p, BOXLITE_STDOUT, &data)) && !boxlite_process_ended(p, &end_)) {
			struct pollfd f = { .fd = boxlite_process_fd(p), .events = boxlite_process_events(p) };

			if (poll(&f, 1, 60000) != 1 || boxlite_process_dispatch(p, &err) < 0)
				break;
		}
		if (n != strlen(answers[i]) || memcmp(data, answers[i], n) != 0)
			printf("a large %s: %.*s\n", i ? "command" : "environment", (int)n, (const char *)data);
		DO(boxlite_process_close(p));
		WANT(0, boxlite_box_remove(box, 1, &err));
		DO(boxlite_box_close(box));
	}
	for (i = 0; i < NENV; i++)
		free((void *)(size_t)env[i]);
	free(arg);
}

int main(void)
{
	struct boxlite *b;

	signal(SIGSEGV, on_crash);
	signal(SIGBUS, on_crash);
	signal(SIGABRT, on_crash);
	signal(SIGTERM, on_crash); /* the test's patience is at its end */
	setvbuf(stdout, NULL, _IONBF, 0);
	without_home();
	without_box();
	without_process();
	WANT(0, boxlite_open(NULL, &b, &err));
	with_home(b);
	sizes_of_options(b);
	nonsense(b);
	wrong_order(b);
	large(b);
	boxlite_close(b);
	printf("%d calls\n", calls);
	return 0;
}

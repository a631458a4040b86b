/*
 * An application with one loop on the home's one fd: boxlite_get_fd(), boxlite_dispatch(), handlers. Image bb is in the
 * home.
 *
 *	embed-loop SCENE...   prints what is not as it should be, and then the scenes' names
 *
 * A box that idles is there for the scenes that need one. tests/lib/embed-connect.c has streams.
 */
#define _GNU_SOURCE
#include "embed-scenes.h"

#include <sys/epoll.h>
#include <sys/socket.h>

/* --- many at once ---------------------------------------------------------------------------------- */

#define MANY 40

struct one {
	int number, calls;
	size_t bytes;
	struct boxlite_exit end;
};

static int going;

static void on_one(struct boxlite_process *p, void *ud)
{
	struct one *o = ud;

	o->calls++;
	o->bytes += swallow(p, BOXLITE_STDOUT) + swallow(p, BOXLITE_STDERR);
	if (!boxlite_process_ended(p, &o->end))
		return;
	boxlite_process_close(p);
	going--;
}

/* Each writes 30000 and some bytes, and ends as its number says. The loop is a foreign epoll that has other things to
 * wait for. */
static void many(void)
{
	static struct one all[MANY];
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC), i, n, calls = 0;
	struct epoll_event e = { .events = EPOLLIN };
	char command[100];

	CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, boxlite_get_fd(home), &e) == 0);
	for (i = 0; i < MANY; i++) {
		snprintf(command, sizeof(command), "head -c 30000 /dev/zero; echo %d; exit %d", i, i);
		all[i] = (struct one){ .number = i };
		OK(boxlite_process_set_handler(shell(command, 0), on_one, &all[i], &err));
		going++;
	}
	while (going && epoll_wait(epoll_fd, &e, 1, 60000) == 1) {
		n = boxlite_dispatch(home, &err);
		CHECK(n >= 0);
		calls += n;
	}
	CHECK(going == 0);
	for (i = 0; i < MANY; i++) {
		CHECK(all[i].end.kind == BOXLITE_EXITED && all[i].end.code == i);
		CHECK(all[i].bytes == 30000 + (i < 10 ? 2 : 3));
		calls -= all[i].calls;
	}
	CHECK(calls == 0); /* boxlite_dispatch() has counted them */
	CHECK(boxlite_dispatch(home, &err) == 0);
	CHECK(epoll_wait(epoll_fd, &e, 1, 100) == 0);
	close(epoll_fd);
}

/* --- a consumer that stops ---------------------------------------------------------------------------- */

static size_t waiting(struct boxlite_process *p)
{
	const void *data;

	return boxlite_process_output(p, BOXLITE_STDOUT, &data);
}

static void on_ignored(struct boxlite_process *p, void *ud)
{
	(void)p;
	++*(int *)ud;
}

/* Until so much waits, and nothing happens any more: how often the fd was readable. */
static int wakeups_until(struct boxlite_process *p, size_t wanted)
{
	int n = 0;

	while (turn(waiting(p) < wanted ? 60000 : 500))
		n++;
	return n;
}

static void backpressure(void)
{
	int calls = 0, calls_beside = 0, wakeups;
	struct boxlite_process *p = shell("cat /dev/zero", 0), *beside;
	struct boxlite_exit end;
	size_t n, more;

	OK(boxlite_process_set_handler(p, on_ignored, &calls, &err));
	wakeups = wakeups_until(p, 256 * 1024);
	n = waiting(p);
	CHECK(n >= 256 * 1024 && n <= (256 + 128) * 1024);
	CHECK(wakeups < 200);
	CHECK(calls > 0 && calls <= wakeups);
	/* What it leaves there is not told again, also when another one keeps the loop busy. */
	calls = 0;
	beside = shell("for i in 1 2 3 4 5 6 7 8 9; do echo $i; done", 0);
	OK(boxlite_process_set_handler(beside, on_ignored, &calls_beside, &err));
	while (boxlite_process_output(beside, BOXLITE_STDOUT, &(const void *){ NULL }) < 18 && turn(60000))
		;
	CHECK(calls == 0 && calls_beside > 0 && waiting(p) == n);
	boxlite_process_close(beside);
	/* A little, outside: not worth a frame to the other side, so there is silence. Then all: it goes on. */
	boxlite_process_consume(p, BOXLITE_STDOUT, 1);
	CHECK(!turn(500));
	swallow(p, BOXLITE_STDOUT);
	wakeups = wakeups_until(p, 200 * 1024);
	more = waiting(p);
	CHECK(wakeups > 0 && wakeups < 200 && calls > 0 && more <= (256 + 128) * 1024);
	boxlite_process_signal(p, SIGKILL);
	while (boxlite_process_close_output(p, BOXLITE_STDOUT), !boxlite_process_ended(p, &end) && turn(60000))
		;
	CHECK(end.kind == BOXLITE_SIGNALLED && end.signal == SIGKILL);
	boxlite_process_close(p);
	CHECK(!turn(200));
}

/* The last output is consumed outside of the handler: that it has ended is told then. */
static void late(void)
{
	int calls = 0;
	struct boxlite_process *p = shell("echo late; exit 4", 0);
	struct boxlite_exit end = { 0 };

	OK(boxlite_process_set_handler(p, on_ignored, &calls, &err));
	while ((waiting(p) < 5 || boxlite_process_write_room(p)) && turn(60000)) /* it has no room once it has ended */
		;
	CHECK(calls > 0 && waiting(p) == 5 && !boxlite_process_ended(p, NULL));
	calls = 0;
	swallow(p, BOXLITE_STDOUT);
	CHECK(turn(0) && calls == 1 && boxlite_process_ended(p, &end) && end.code == 4);
	CHECK(!turn(200));
	/* One that comes late is told at once what there is. */
	OK(boxlite_process_set_handler(p, on_ignored, &calls, &err));
	CHECK(turn(0) && calls == 2 && !turn(200));
	OK(boxlite_process_set_handler(p, NULL, NULL, &err));
	CHECK(!turn(0));
	boxlite_process_close(p);
}

/* Room comes back: 1 MiB through a cat, by handlers alone. */
struct through {
	size_t put, got;
};

static void on_through(struct boxlite_process *p, void *ud)
{
	static const char zeros[65536];
	struct through *t = ud;
	size_t n = 1;

	t->got += swallow(p, BOXLITE_STDOUT);
	while (n && t->put < (1 << 20))
		t->put += n = boxlite_process_write(p, zeros, MIN(sizeof(zeros), (1 << 20) - t->put));
	if (t->put == (1 << 20))
		boxlite_process_close_stdin(p);
}

static void room(void)
{
	struct boxlite_process *p = shell("cat", 1);
	struct through t = { 0, 0 };
	struct boxlite_exit end = { .code = -1 };

	OK(boxlite_process_set_handler(p, on_through, &t, &err));
	while (!boxlite_process_ended(p, &end) && turn(60000))
		;
	CHECK(end.code == 0 && t.put == (1 << 20) && t.got == (1 << 20));
	boxlite_process_close(p);
}

/* --- closing in a handler -------------------------------------------------------------------------------- */

#define SEVERAL 8

static struct boxlite_process *several[SEVERAL];
static int closer_calls;

/* Who is called first closes all, itself too, and starts another one. */
static void on_closer(struct boxlite_process *p, void *ud)
{
	struct one *next = ud;
	int i;

	(void)p;
	closer_calls++;
	CHECK(boxlite_dispatch(home, &err) == -EBUSY);
	for (i = 0; i < SEVERAL; i++)
		boxlite_process_close(several[i]);
	OK(boxlite_process_set_handler(shell("echo next", 0), on_one, next, &err));
	going++;
}

static void closing(void)
{
	struct one next = { 0 };
	char arrived[1000];
	int i;

	for (i = 0; i < SEVERAL; i++) {
		several[i] = shell("echo x; exec sleep 1000", 0);
		OK(boxlite_process_set_handler(several[i], on_closer, &next, &err));
	}
	/* All have something to say when the loop looks: the greeting is not yet that it runs. */
	for (i = 0; i < SEVERAL; i++)
		while (recv(boxlite_process_fd(several[i]), arrived, sizeof(arrived), MSG_PEEK) < 50)
			poll(NULL, 0, 1);
	while ((closer_calls == 0 || going) && turn(60000))
		;
	CHECK(closer_calls == 1 && going == 0 && next.bytes == 5 && next.end.code == 0);
	CHECK(!turn(200));
}

/* --- beside the old way ------------------------------------------------------------------------------------ */

static void alone(void)
{
	struct boxlite_process *p = shell("echo alone", 0), *q = shell("echo other; exit 2", 0);
	struct pollfd pfd = { .fd = boxlite_process_fd(p), .events = POLLIN };
	struct boxlite_exit end = { 0 };
	int calls = 0;

	CHECK(poll(&pfd, 1, 60000) == 1);
	CHECK(!turn(0) && boxlite_dispatch(home, &err) == 0);
	while (!waiting(p) && poll(&pfd, 1, 60000) == 1)
		OK(boxlite_process_dispatch(p, &err));
	CHECK(waiting(p) == 6);
	OK(boxlite_process_wait(p, &end, &err));
	CHECK(end.code == 0);
	boxlite_process_close(p);
	/* Waiting for one with a handler does not call that; it hears of the end afterwards. */
	OK(boxlite_process_set_handler(q, on_ignored, &calls, &err));
	OK(boxlite_process_wait(q, &end, &err));
	CHECK(end.code == 2 && calls == 0);
	CHECK(turn(0) && calls == 1 && !turn(100));
	boxlite_process_close(q);
}

/* --- a stop that is not waited for --------------------------------------------------------------------------- */

static void stop(void)
{
	static const char *const command[] = { "sh", "-c", "trap 'sleep 1; exit 9' TERM; echo up; while :; do sleep 0.1; done", NULL };
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_stop_options s = BOXLITE_OPTIONS(boxlite_stop_options);
	struct boxlite_process *p;
	struct one seen = { 0 };
	struct boxlite_box *b;

	o.image = "bb";
	o.command = command;
	s.no_wait = 1;
	OK(boxlite_box_create(home, &o, &b, &err));
	OK(boxlite_box_stop(b, &s, &err)); /* one that does not run */
	OK(boxlite_box_start(b, NULL, &p, &err));
	OK(boxlite_process_set_handler(p, on_one, &seen, &err));
	going = 1;
	while (!seen.bytes && turn(60000))
		;
	OK(boxlite_box_stop(b, &s, &err));
	CHECK(boxlite_box_is_running(b, &err) == 1 && going == 1);
	OK(boxlite_box_stop(b, &s, &err)); /* once more */
	while (going && turn(60000))
		;
	CHECK(going == 0 && seen.end.kind == BOXLITE_EXITED && seen.end.code == 9);
	OK(boxlite_box_remove(b, 0, &err));
	boxlite_box_close(b);
}

/* --- events --------------------------------------------------------------------------------------------------- */

static int on_event(const struct boxlite_event *e, void *ud)
{
	int *left = ud;

	if (strcmp(e->type, "box") == 0 && e->name && strcmp(e->name, "watched") == 0) {
		printf("%s\n", e->action);
		fflush(stdout);
		if (strcmp(e->action, "remove") == 0)
			*left = 0;
	}
	return 0;
}

/* Prints what another process does with box "watched", until it removes it. */
static void events(void)
{
	struct boxlite_watch *w;
	int left = 1;

	OK(boxlite_events_watch(home, NULL, on_event, &left, &w, &err));
	printf("watching\n");
	fflush(stdout);
	while (left && turn(60000))
		;
	boxlite_events_unwatch(w);
	CHECK(!turn(100));
}

static struct boxlite_watch *first, *second;
static int events_seen[3];

static int on_first(const struct boxlite_event *e, void *ud)
{
	(void)e, (void)ud;
	events_seen[0]++;
	boxlite_events_unwatch(first); /* itself */
	boxlite_events_unwatch(second);
	return 0;
}

static int on_second(const struct boxlite_event *e, void *ud)
{
	(void)e, (void)ud;
	events_seen[1]++;
	return 0;
}

static int on_third(const struct boxlite_event *e, void *ud)
{
	(void)e, (void)ud;
	events_seen[2]++;
	return 1; /* enough */
}

/* What is there already, ends of watches in all ways, and one that is left to boxlite_close(). */
static void watches(void)
{
	struct boxlite_events_options all = BOXLITE_OPTIONS(boxlite_events_options);
	struct boxlite_watch *third, *fourth;
	int kept = 0;

	all.since_ns = 1;
	CHECK(boxlite_events(home, &all, on_second, NULL, &err) == 0);
	kept = events_seen[1];
	events_seen[1] = 0;
	CHECK(kept > 1); /* the image was loaded, the box created */
	OK(boxlite_events_watch(home, &all, on_first, NULL, &first, &err));
	OK(boxlite_events_watch(home, &all, on_second, NULL, &second, &err));
	OK(boxlite_events_watch(home, &all, on_third, NULL, &third, &err));
	CHECK(boxlite_dispatch(home, &err) == 2);
	CHECK(events_seen[0] == 1 && events_seen[1] == 0 && events_seen[2] == 1);
	OK(boxlite_events_watch(home, &all, on_second, NULL, &fourth, &err));
	CHECK(boxlite_dispatch(home, &err) == kept && events_seen[1] == kept);
	boxlite_events_unwatch(fourth);
	OK(boxlite_events_watch(home, NULL, on_second, NULL, &fourth, &err));
	OK(boxlite_box_rename(box, "renamed", &err));
	CHECK(turn(0) && events_seen[1] == kept + 1 && events_seen[2] == 1);
	boxlite_events_unwatch(third);
	OK(boxlite_events_watch(home, NULL, on_second, NULL, &second, &err));
}

static const struct scene scenes[] = {
	{ "many", many, 1 },       { "backpressure", backpressure, 1 }, { "late", late, 1 },
	{ "room", room, 1 },       { "closing", closing, 1 },           { "alone", alone, 1 },
	{ "stop", stop, 0 },       { "events", events, 0 },             { "watches", watches, 1 },
};

int main(int argc, char **argv)
{
	return play(scenes, sizeof(scenes) / sizeof(*scenes), argc, argv);
}

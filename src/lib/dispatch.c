/*
 * One fd and one call for all that goes on in a home.
 *
 * Theory of operation. A struct boxlite has a dispatcher: an epoll, which is the fd that an application polls, and a
 * ring of what is due. In the epoll is what was asked for: the connection of each process that has a handler or
 * connected streams, the fds of those streams (connect.c), an inotify for each watch of events. A process without all
 * that is none of the dispatcher's business: its owner polls it by itself, and would miss what was read here.
 *
 * boxlite_dispatch() first looks at the fds that are ready. Bytes are moved then, and the application is not called:
 * who has news for it becomes due. Then it calls those that are due. So a handler may do with any process or watch what
 * it likes, even close it: the only list that it can be in is a ring, whose links leave it by themselves.
 *
 * What becomes due outside of boxlite_dispatch() - when an application takes the last output of a process which has
 * ended, say - makes an eventfd in the epoll readable. What becomes due in a handler waits for the next call, so that
 * no handler can keep boxlite_dispatch() from returning.
 *
 * Everything is level-triggered and nothing spins: a connection is read until it is empty, into buffers that the credit
 * of the wire bounds, and output that nobody takes brings no more of it. A stream's fd is armed (EPOLLONESHOT) only
 * while something waits for it.
 */
#include "lib/dispatch.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clean.h"
#include "lib/lib.h"

/* --- rings --------------------------------------------------------------------------------------- */

static void ring_init(struct due *head)
{
	head->next = head->prev = head;
}

void due_link(struct due *head, struct due *x)
{
	x->next = head;
	x->prev = head->prev;
	head->prev->next = x;
	head->prev = x;
}

void due_remove(struct due *x)
{
	if (!x->next)
		return;
	x->prev->next = x->next;
	x->next->prev = x->prev;
	x->next = x->prev = NULL;
}

static void kick(struct dispatcher *d)
{
	const uint64_t one = 1;

	(void)!write(d->kick.fd, &one, sizeof(one)); /* it can only fail by being readable already */
}

void due_add(struct dispatcher *d, struct due *x)
{
	if (x->next)
		return;
	due_link(&d->due, x);
	if (!d->running)
		kick(d);
}

/* --- the dispatcher ------------------------------------------------------------------------------- */

void dispatch_init(struct dispatcher *d)
{
	*d = (struct dispatcher){ .loop.epfd = -1, .kick = WATCH_NONE };
	ring_init(&d->due);
	ring_init(&d->watches);
}

void dispatch_fini(struct dispatcher *d)
{
	int fd = d->kick.fd;

	if (d->loop.epfd < 0)
		return;
	dispatch_unwatch(d, &d->kick);
	close_fd(&fd);
	loop_fini(&d->loop);
}

int dispatch_watch(struct dispatcher *d, struct watch *w, int fd, uint32_t events, watch_fn *fn)
{
	int r = loop_add(&d->loop, w, fd, events, fn);

	if (r == 0)
		d->watched++;
	return r;
}

void dispatch_unwatch(struct dispatcher *d, struct watch *w)
{
	if (w->fd < 0)
		return;
	loop_remove(&d->loop, w);
	d->watched--;
}

static void on_kick(struct watch *w, uint32_t events)
{
	uint64_t n;

	(void)events;
	(void)!read(w->fd, &n, sizeof(n));
}

int dispatch_need(struct dispatcher *d, struct error *err)
{
	int fd, r;

	if (d->loop.epfd >= 0)
		return 0;
	r = loop_init(&d->loop);
	if (r < 0)
		return error_code(err, r, "cannot make an epoll");
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = fd < 0 ? -errno : dispatch_watch(d, &d->kick, fd, EPOLLIN, on_kick);
	if (r < 0) {
		close_fd(&fd);
		loop_fini(&d->loop);
		return error_code(err, r, "cannot make an eventfd");
	}
	return 0;
}

/* Those that are due now, and not what becomes so meanwhile. */
static void run_due(struct dispatcher *d)
{
	struct due now, *x;

	ring_init(&now);
	while ((x = d->due.next) != &d->due) {
		due_remove(x);
		due_link(&now, x);
	}
	while ((x = now.next) != &now) {
		due_remove(x);
		x->fn(x);
	}
}

PUBLIC int boxlite_get_fd(struct boxlite *b)
{
	int r = b ? dispatch_need(&b->d, NULL) : -EINVAL;

	return r < 0 ? r : b->d.loop.epfd;
}

/* One call gives each fd a turn, but for those that are added meanwhile: they are ready at the next. */
static int take_turns(struct dispatcher *d)
{
	int left = d->watched, r = 0;

	for (; r == 0 && left > 0; left -= LOOP_BATCH)
		r = loop_once(&d->loop, 0);
	return r;
}

PUBLIC int boxlite_dispatch(struct boxlite *b, struct boxlite_error *err)
{
	struct dispatcher *d = b ? &b->d : NULL;
	struct error e = { 0 };
	int r = 0;

	if (!b)
		r = lib_missing(&e);
	else if (d->running)
		r = error_set(&e, -EBUSY, "boxlite_dispatch() was called within one of its own calls");
	if (r < 0)
		return lib_fail(err, &e, r);
	if (d->loop.epfd < 0)
		return 0;
	d->running = true;
	d->called = 0;
	d->error.code = 0;
	r = take_turns(d);
	run_due(d);
	d->running = false;
	if (d->due.next != &d->due)
		kick(d);
	if (r < 0)
		error_code(&d->error, r, "cannot wait for events");
	return d->error.code ? lib_fail(err, &d->error, d->error.code) : d->called;
}

/* --- processes ------------------------------------------------------------------------------------ */

/* What a handler is called for if there is more of it than before. */
struct sight {
	size_t output[CHANNELS];
	size_t room;
	int started;
};

static struct sight look(const struct driven *v)
{
	struct sight s = { .started = boxlite_process_started(v->p) };
	const void *data;
	int ch;

	for (ch = CHANNEL_STDOUT; ch < CHANNELS; ch++)
		if (!streams_has(v, ch))
			s.output[ch] = boxlite_process_output(v->p, ch, &data);
	if (!streams_has(v, CHANNEL_STDIN))
		s.room = boxlite_process_write_room(v->p);
	return s;
}

static bool is_news(const struct sight *was, const struct sight *is)
{
	return is->output[CHANNEL_STDOUT] > was->output[CHANNEL_STDOUT] ||
	       is->output[CHANNEL_STDERR] > was->output[CHANNEL_STDERR] || is->room > was->room ||
	       is->started > was->started;
}

static void tell(struct driven *v)
{
	if (!v->fn)
		return;
	v->tell = true;
	due_add(v->d, &v->due);
}

/* The process may be closed when fn returns. */
static void on_due(struct due *x)
{
	struct driven *v = container_of(x, struct driven, due);

	if (v->streams) {
		v->busy = true;
		streams_turn(v);
		driven_settle(v);
	}
	if (!v->fn || !v->tell)
		return;
	v->tell = false;
	v->told_end = boxlite_process_ended(v->p, NULL) == 1;
	due_remove(&v->due); /* that it has ended may just have come out */
	v->d->called++;
	v->fn(v->p, v->ud);
}

static void on_connection(struct watch *w, uint32_t events)
{
	struct driven *v = container_of(w, struct driven, watch);
	struct sight before = look(v), after;

	(void)events;
	v->busy = true;
	(void)boxlite_process_dispatch(v->p, NULL); /* what goes wrong is told by the process's end */
	streams_turn(v);
	after = look(v);
	if (is_news(&before, &after))
		tell(v);
	driven_settle(v);
}

void driven_init(struct driven *v, struct boxlite_process *p, struct dispatcher *d)
{
	*v = (struct driven){ .p = p, .d = d, .watch = WATCH_NONE, .due.fn = on_due };
}

void driven_lose_fd(struct driven *v)
{
	dispatch_unwatch(v->d, &v->watch);
}

void driven_fini(struct driven *v)
{
	driven_lose_fd(v);
	due_remove(&v->due);
	streams_close(v->streams);
}

int driven_begin(struct driven *v, struct error *err)
{
	int fd = boxlite_process_fd(v->p), r = dispatch_need(v->d, err);

	if (r < 0 || v->watch.fd >= 0 || fd < 0)
		return r;
	r = dispatch_watch(v->d, &v->watch, fd, (uint32_t)boxlite_process_events(v->p), on_connection);
	return r < 0 ? error_code(err, r, "cannot wait for a process") : 0;
}

void driven_end(struct driven *v)
{
	if (v->fn || v->streams)
		return;
	driven_lose_fd(v);
	due_remove(&v->due);
}

void driven_changed(struct driven *v)
{
	if (v->busy || (!v->fn && !v->streams))
		return;
	loop_change(&v->d->loop, &v->watch, (uint32_t)boxlite_process_events(v->p)); /* EPOLLIN is POLLIN */
	streams_changed(v);
	if (!v->told_end && boxlite_process_ended(v->p, NULL) == 1)
		tell(v);
}

void driven_settle(struct driven *v)
{
	v->busy = false;
	driven_changed(v);
}

void driven_tell(struct driven *v)
{
	/* There is room from the beginning. */
	const struct sight nothing = { .room = SIZE_MAX }, now = look(v);

	if (is_news(&nothing, &now))
		tell(v);
}

PUBLIC int boxlite_process_set_handler(struct boxlite_process *p, boxlite_process_fn *fn, void *ud,
				       struct boxlite_error *err)
{
	struct driven *v = p ? lib_process_driven(p) : NULL;
	struct error e = { 0 };
	int r = !p ? lib_missing(&e) : fn ? driven_begin(v, &e) : 0;

	if (r < 0)
		return lib_fail(err, &e, r);
	v->fn = fn;
	v->ud = ud;
	v->tell = v->told_end = false;
	driven_end(v);
	driven_tell(v);
	driven_changed(v);
	return 0;
}

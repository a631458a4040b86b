#include "box/events.h"

#include <stdlib.h>

#include "base/clean.h"
#include "lib/lib.h"

struct watcher {
	boxlite_event_fn *fn;
	void *ud;
};

static int on_event(const struct event *e, void *ud)
{
	const struct watcher *w = ud;
	const struct boxlite_event out = {
		.time_ns = (int64_t)e->time_ns,
		.type = e->type,
		.action = e->action,
		.id = e->id ? e->id : "",
		.name = e->name,
		.image = e->image,
		.exec = e->exec,
		.status = e->status,
		.signal = e->signal,
		.detail = e->detail,
	};

	return w->fn(&out, w->ud);
}

PUBLIC int boxlite_events(struct boxlite *b, const struct boxlite_events_options *opts, boxlite_event_fn *fn, void *ud,
			  struct boxlite_error *err)
{
	struct boxlite_events_options none = BOXLITE_OPTIONS(boxlite_events_options), o;
	struct watcher w = { fn, ud };
	struct events_query q;
	struct error e = { 0 };
	int said = 0, r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);

	if (r < 0)
		return r;
	q = (struct events_query){
		.follow = o.follow != 0,
		.since_ns = o.since_ns > 0 ? (uint64_t)o.since_ns : 0,
		.until_ns = o.until_ns > 0 ? (uint64_t)o.until_ns : 0,
		.cancel_fd = o.cancel_fd > 0 ? o.cancel_fd : -1,
	};
	r = b && fn ? events_read(b->home, &q, on_event, &w, &said, &e) : lib_missing(&e);
	return r < 0 ? lib_fail(err, &e, r) : said;
}

/* --- as they happen ------------------------------------------------------------------------------ */

struct boxlite_watch {
	struct dispatcher *d; /* borrowed */
	struct events_reader *reader; /* owned; NULL: nothing more will come */
	struct watch watch;   /* of the reader's fd */
	struct due due;
	struct due link;      /* in dispatcher.watches */
	struct watcher to;
	bool running, closed; /* closed while fn runs: it goes when that has returned */
};

static void stop_watching(struct boxlite_watch *w)
{
	dispatch_unwatch(w->d, &w->watch);
	due_remove(&w->due);
	events_reader_close(w->reader);
	w->reader = NULL;
}

static void free_watch(struct boxlite_watch *w)
{
	stop_watching(w);
	due_remove(&w->link);
	free(w);
}

static int on_watched(const struct event *e, void *ud)
{
	struct boxlite_watch *w = ud;
	int said;

	w->d->called++;
	said = on_event(e, &w->to);
	return w->closed ? 1 : said;
}

static void on_due(struct due *x)
{
	struct boxlite_watch *w = container_of(x, struct boxlite_watch, due);
	int r;

	w->running = true;
	r = events_reader_more(w->reader);
	w->running = false;
	if (r < 0)
		error_code(&w->d->error, r, "cannot read the events of a home");
	if (w->closed)
		free_watch(w);
	else if (r <= 0)
		stop_watching(w);
}

static void on_change(struct watch *watch, uint32_t events)
{
	struct boxlite_watch *w = container_of(watch, struct boxlite_watch, watch);

	(void)events;
	due_add(w->d, &w->due);
}

PUBLIC int boxlite_events_watch(struct boxlite *b, const struct boxlite_events_options *opts, boxlite_event_fn *fn,
				void *ud, struct boxlite_watch **out, struct boxlite_error *err)
{
	struct boxlite_events_options none = BOXLITE_OPTIONS(boxlite_events_options), o;
	struct boxlite_watch *w = NULL;
	struct events_query q;
	struct error e = { 0 };
	int r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);

	if (r < 0)
		return r;
	q = (struct events_query){
		.from_now = o.since_ns <= 0,
		.since_ns = o.since_ns > 0 ? (uint64_t)o.since_ns : 0,
		.until_ns = o.until_ns > 0 ? (uint64_t)o.until_ns : 0,
	};
	r = b && fn && out ? dispatch_need(&b->d, &e) : lib_missing(&e);
	if (r == 0 && !(w = calloc(1, sizeof(*w))))
		r = error_nomem(&e);
	if (r < 0)
		return lib_fail(err, &e, r);
	*w = (struct boxlite_watch){ .d = &b->d, .watch = WATCH_NONE, .due.fn = on_due, .to = { fn, ud } };
	r = events_reader_open(b->home, &q, on_watched, w, &w->reader, &e);
	if (r == 0 && (r = dispatch_watch(w->d, &w->watch, events_reader_fd(w->reader), EPOLLIN, on_change)) < 0)
		error_code(&e, r, "cannot wait for events");
	if (r < 0) {
		free_watch(w);
		return lib_fail(err, &e, r);
	}
	due_link(&b->d.watches, &w->link);
	due_add(w->d, &w->due); /* for what is there already */
	*out = w;
	return 0;
}

PUBLIC void boxlite_events_unwatch(struct boxlite_watch *w)
{
	if (w && w->running)
		w->closed = true;
	else if (w)
		free_watch(w);
}

void lib_close_watches(struct boxlite *b)
{
	while (b->d.watches.next != &b->d.watches)
		free_watch(container_of(b->d.watches.next, struct boxlite_watch, link));
}

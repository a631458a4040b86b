#include "box/events.h"

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

#include "net/duct.h"

#include <errno.h>

static size_t held; /* bytes of memory, by all */

bool ducts_are_many(void)
{
	return held > DUCTS_MANY;
}

static void give_back(struct ring *r)
{
	held -= r->cap;
	ring_fini(r);
}

void duct_trim(struct duct *d)
{
	if (!d->in.len)
		give_back(&d->in);
	if (d->peer && !d->peer->in.len)
		give_back(&d->peer->in);
}

static void on_later(struct later *t)
{
	struct duct *d = container_of(t, struct duct, later);

	d->fn(d);
}

static void open_end(struct duct *d, duct_fn *fn, struct duct *peer, struct loop *l, size_t max)
{
	*d = (struct duct){ .peer = peer, .loop = l, .later.fn = on_later, .fn = fn, .in = RING_INIT(max) };
}

void duct_pair(struct duct *a, duct_fn *on_a, struct duct *b, duct_fn *on_b, struct loop *l, size_t max)
{
	open_end(a, on_a, b, l, max);
	open_end(b, on_b, a, l, max);
}

void duct_close(struct duct *d)
{
	struct duct *peer = d->peer;

	if (!d->loop)
		return;
	loop_never(d->loop, &d->later);
	if (peer) {
		peer->eof = true;
		peer->reset |= d->in.len > 0;
		peer->peer = NULL;
		duct_wake(peer);
	}
	give_back(&d->in);
	*d = (struct duct){ .peer = NULL };
}

void duct_wake(struct duct *d)
{
	loop_later(d->loop, &d->later);
}

/* Memory that is there may be filled at all times: who hears that there is no room will hear of some. */
static size_t room_in(const struct ring *r)
{
	return ducts_are_many() ? MAX(r->cap, MIN(DUCT_POOR, r->max)) - r->len : ring_room(r);
}

ssize_t duct_send(struct duct *d, const void *p, size_t n)
{
	struct duct *to = d->peer;
	size_t room = to ? MIN(n, room_in(&to->in)) : 0, had = to ? to->in.cap : 0;

	if (!to)
		return -EPIPE;
	d->full = room < n;
	if (ring_put(&to->in, p, room) < 0)
		return -ENOMEM;
	held += to->in.cap - had;
	if (room)
		duct_wake(to);
	return (ssize_t)room;
}

void duct_drop(struct duct *d, size_t n)
{
	ring_drop(&d->in, n);
	if (!n || !d->peer || (!d->peer->full && d->in.len))
		return;
	d->peer->full = false;
	duct_wake(d->peer);
}

size_t duct_recv(struct duct *d, void *to, size_t n)
{
	n = MIN(n, d->in.len);
	ring_copy(&d->in, to, n);
	duct_drop(d, n);
	return n;
}

void duct_abort(struct duct *d)
{
	if (d->peer)
		d->peer->reset = true;
}

void duct_shut(struct duct *d)
{
	if (!d->peer)
		return;
	d->peer->eof = true;
	duct_wake(d->peer);
}

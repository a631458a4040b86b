/*
 * What was refused is counted and told: as an event and a line in a log, by way of the shim. A guest that knocks
 * without end may neither fill a log nor cost much, so the same refusal is told once in TELL_MS with how often it
 * happened, and of different ones at most TELL_MOST in that time. The counters know them all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "net/net.h"

#define TELL_MS 1000
#define TELL_MOST 16

struct denials {
	struct {
		struct net_denied what;
		uint32_t more; /* since it was told */
	} last[TELL_MOST];
	unsigned n;
	struct watch timer;
	bool ticking;
	struct net *net;
};

static bool same(const struct net_denied *a, const struct net_denied *b)
{
	return a->proto == b->proto && a->port == b->port && ip_eq(&a->addr, &b->addr) && str_eq(a->name, b->name) &&
	       str_eq(a->reason, b->reason);
}

/* The time is over: what has come since is told, and what nobody has tried again is forgotten. */
static void on_timer(struct watch *w, uint32_t events)
{
	struct denials *d = container_of(w, struct denials, timer);
	unsigned i, kept = 0;
	uint64_t expired;

	(void)events;
	if (read(w->fd, &expired, sizeof(expired)) != sizeof(expired))
		return;
	for (i = 0; i < d->n; i++) {
		if (!d->last[i].more)
			continue;
		d->last[i].what.count = d->last[i].more;
		d->last[i].more = 0;
		control_denied(d->net, &d->last[i].what);
		d->last[kept++] = d->last[i];
	}
	d->n = kept;
	d->ticking = kept > 0;
	if (d->ticking)
		loop_timer_set(w->fd, TELL_MS);
}

void denied(struct net *n, enum net_proto proto, const struct ip_addr *addr, uint16_t port, const char *name,
	    const char *reason)
{
	struct net_denied what = { .proto = proto, .port = port, .count = 1 };
	enum net_reason why = net_reason_find(reason);
	struct denials *d = n->denials;
	unsigned i;

	n->stats.denied++;
	if (why < NET_REASONS)
		n->stats.denied_for[why]++;
	if (addr)
		what.addr = *addr;
	snprintf(what.name, sizeof(what.name), "%s", name ? name : "");
	snprintf(what.reason, sizeof(what.reason), "%s", reason);
	for (i = 0; i < d->n; i++)
		if (same(&d->last[i].what, &what)) {
			d->last[i].more++;
			return;
		}
	if (d->n == TELL_MOST)
		return;
	d->last[d->n].more = 0;
	d->last[d->n++].what = what;
	control_denied(n, &what);
	if (!d->ticking)
		loop_timer_set(d->timer.fd, TELL_MS);
	d->ticking = true;
}

int denied_open(struct net *n)
{
	struct denials *d = calloc(1, sizeof(*d));
	int fd = loop_timer_fd(), r = fd < 0 ? fd : -ENOMEM;

	if (d && fd >= 0) {
		d->net = n;
		r = loop_add(&n->loop, &d->timer, fd, EPOLLIN, on_timer);
	}
	if (r < 0) {
		close_fd(&fd);
		free(d);
		return r;
	}
	n->denials = d;
	return 0;
}

void denied_close(struct net *n)
{
	int fd;

	if (!n->denials)
		return;
	fd = n->denials->timer.fd;
	loop_remove(&n->loop, &n->denials->timer);
	close_fd(&fd);
	free(take_ptr(&n->denials));
}

/*
 * Theory of operation. A flow is in the table from flow_add() to flow_end(). Those that wait for time to pass are in
 * the list `timed`, which one timer goes through every FLOWS_TICK_MS while it is not empty: a box whose network rests
 * wakes nobody. Those that have something for the guest and found no room in the link are in `stuck`, in turn.
 */
#include "net/flow.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "net/net.h"

static size_t hash(const struct flows *t, const struct flow_key *k)
{
	uint64_t a, b, h;

	memcpy(&a, k->remote.b, 8);
	memcpy(&b, k->remote.b + 8, 8);
	h = (a ^ t->seed) * 0x9e3779b97f4a7c15U;
	h = (h ^ (h >> 29) ^ b) * 0xbf58476d1ce4e5b9U;
	h ^= (uint64_t)k->remote_port << 32 | (uint64_t)k->guest_port << 8 | k->proto;
	h = (h ^ (h >> 32)) * (t->seed | 1);
	return (h >> 40) % NET_FLOWS_MAX;
}

static bool same(const struct flow_key *a, const struct flow_key *b)
{
	return a->guest_port == b->guest_port && a->remote_port == b->remote_port && a->proto == b->proto &&
	       ip_eq(&a->remote, &b->remote);
}

struct flow *flow_find(const struct flows *t, const struct flow_key *k)
{
	struct flow *f = t->bucket[hash(t, k)];

	while (f && !same(&f->key, k))
		f = f->next;
	return f;
}

static unsigned most(const struct net *n)
{
	return n->start.spec.flows ? n->start.spec.flows : NET_FLOWS_MAX;
}

bool flows_full(const struct net *n)
{
	return n->flows.n >= most(n);
}

bool flows_full_outside(const struct net *n)
{
	return flows_full(n) || n->flows.noutside >= most(n) - most(n) / 4;
}

void flow_from_outside(struct flow *f)
{
	f->net->flows.noutside += !f->is_outside;
	f->is_outside = true;
}

bool flow_add(struct net *n, struct flow *f, const struct flow_ops *ops, const struct flow_key *k)
{
	struct flow **at = &n->flows.bucket[hash(&n->flows, k)];

	if (flows_full(n))
		return false;
	f->ops = ops;
	f->net = n;
	f->key = *k;
	f->since_ms = clock_ms();
	f->next = *at;
	*at = f;
	n->stats.flows = ++n->flows.n;
	return true;
}

void flow_end(struct flow *f)
{
	struct flows *t = &f->net->flows;
	struct flow **at = &t->bucket[hash(t, &f->key)];

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	f->net->stats.flows = --t->n;
	t->noutside -= f->is_outside;
	flow_time(f, false);
	if (f->is_stuck)
		TAILQ_REMOVE(&t->stuck, f, stuck);
	loop_remove(&f->net->loop, &f->watch);
	close_fd(&f->fd);
	f->ops->end(f);
}

void flow_time(struct flow *f, bool on)
{
	struct flows *t = &f->net->flows;

	if (f->is_timed == on)
		return;
	f->is_timed = on;
	if (!on) {
		TAILQ_REMOVE(&t->timed, f, timed);
		t->ntimed--;
		return;
	}
	TAILQ_INSERT_TAIL(&t->timed, f, timed);
	t->ntimed++;
	if (!t->ticking)
		loop_timer_set(t->tick.fd, FLOWS_TICK_MS);
	t->ticking = true;
}

void flow_stick(struct flow *f)
{
	if (f->is_stuck)
		return;
	f->is_stuck = true;
	TAILQ_INSERT_TAIL(&f->net->flows.stuck, f, stuck);
}

void flows_resume(struct net *n)
{
	struct flow *f;

	/* One that gets stuck once more goes to the end, and there is no room by then. */
	while (!n->link.blocked && (f = TAILQ_FIRST(&n->flows.stuck))) {
		TAILQ_REMOVE(&n->flows.stuck, f, stuck);
		f->is_stuck = false;
		f->ops->resume(f);
	}
}

void flows_recheck(struct net *n)
{
	struct flow *f, *next;
	size_t i;

	for (i = 0; i < NET_FLOWS_MAX; i++)
		for (f = n->flows.bucket[i]; f; f = next) {
			next = f->next;
			f->ops->recheck(f);
		}
}

static void on_tick(struct watch *w, uint32_t events)
{
	struct flows *t = container_of(w, struct flows, tick);
	uint64_t expired;
	struct flow *f;
	unsigned n;

	(void)events;
	if (read(w->fd, &expired, sizeof(expired)) != sizeof(expired))
		return;
	t->net->now_ms = clock_ms();
	t->ticking = true; /* whoever comes in meanwhile has its turn with the next one */
	for (n = t->ntimed; n && (f = TAILQ_FIRST(&t->timed)); n--) {
		TAILQ_REMOVE(&t->timed, f, timed);
		TAILQ_INSERT_TAIL(&t->timed, f, timed);
		f->ops->tick(f);
	}
	t->ticking = t->ntimed > 0;
	if (t->ticking)
		loop_timer_set(w->fd, FLOWS_TICK_MS);
}

int flows_open(struct net *n, struct error *err)
{
	struct flows *t = &n->flows;
	int fd, r;

	TAILQ_INIT(&t->timed);
	TAILQ_INIT(&t->stuck);
	t->net = n;
	t->bucket = calloc(NET_FLOWS_MAX, sizeof(struct flow *));
	if (!t->bucket)
		return error_nomem(err);
	if (getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed))
		return error_sys(err, "cannot get random numbers");
	fd = loop_timer_fd();
	r = fd < 0 ? fd : loop_add(&n->loop, &t->tick, fd, EPOLLIN, on_tick);
	return r < 0 ? error_code(err, r, "cannot make a timer") : 0;
}

void flows_close(struct net *n)
{
	struct flows *t = &n->flows;
	int tick = t->tick.fd;
	size_t i;

	for (i = 0; t->bucket && i < NET_FLOWS_MAX; i++)
		while (t->bucket[i])
			flow_end(t->bucket[i]);
	free(take_ptr(&t->bucket));
	loop_remove(&n->loop, &t->tick);
	close_fd(&tick);
}

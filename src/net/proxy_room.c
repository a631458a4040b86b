/*
 * Memory of the proxy.
 *
 * What all of them hold is counted at each step. When it is more than HELD_MOST, who has more than HELD_SHARE
 * reads no more until there is room again; who has less goes on, for it can read a head and answer it with that. It
 * does so a piece at a time, lest one step of each be many shares. HTTP/2 must read at all times, as frames that give
 * room to one stream come behind the data of others: what it may hold is given away as windows, and counted as held
 * from the beginning. So nobody needs more of others than that they are there. The ducts are not counted: who has
 * stopped to read could not empty its own, and they have a bound of theirs (duct.h). Beyond that, main.c has a limit
 * for all.
 */
#include "base/clock.h"
#include "net/proxy_impl.h"

#define HELD_MOST (64 * MIB)
#define HELD_LOW (HELD_MOST / 4 * 3) /* there is room again */
#define HELD_SHARE (192 * KIB)
#define WIDE_MOST (HELD_MOST / 2) /* while there is less, HTTP/2 gets wide windows */
#define TRIM_MS 100 /* what is empty is given back so often, when there is no room */
#define TICK_MS 1000 /* who waits looks again so often, and limits are looked at */

void proxy_yield(struct proxy *p)
{
	duct_wake(&p->guest.duct);
}

void proxy_tick(struct proxies *all)
{
	if (!all->ticking)
		loop_timer_set(all->tick.fd, TICK_MS);
	all->ticking = true;
}

void proxy_set_waits(struct proxy *p, bool waits)
{
	p->all->nwaiting += (unsigned)waits - (unsigned)p->waits;
	p->waits = waits;
	if (waits)
		proxy_tick(p->all);
}

void proxy_count(struct proxy *p)
{
	size_t now = end_held(&p->guest) + end_held(&p->server);

	now += (p->http1 ? http1_held(p->http1) : 0) + (p->http2 ? http2_held(p->http2) : 0);
	p->all->held += now - p->held;
	p->held = now;
}

/* Gives back what is empty. */
static void trim(struct proxy *p)
{
	end_trim(&p->guest);
	end_trim(&p->server);
	if (p->http1)
		http1_trim(p->http1);
	proxy_count(p);
}

static void trim_all(struct proxies *all)
{
	uint64_t now = clock_ms();
	struct proxy *p;

	if (now < all->trimmed_ms + TRIM_MS)
		return;
	all->trimmed_ms = now;
	LIST_FOREACH(p, &all->list, link)
		trim(p);
}

static bool is_full(const struct proxies *all)
{
	return all->held > HELD_MOST;
}

/* HTTP/2 has more than its share from the beginning: see above. */
static bool is_greedy(const struct proxy *p)
{
	return is_full(p->all) && p->held > HELD_SHARE && !p->http2;
}

/* May it read more? If not, it is woken when it may. */
bool proxy_has_room(struct proxy *p)
{
	proxy_count(p);
	if (is_greedy(p))
		trim(p);
	if (is_greedy(p) || ducts_are_many())
		trim_all(p->all);
	proxy_set_waits(p, is_greedy(p));
	return !p->waits;
}

size_t proxy_round(const struct proxy *p)
{
	return is_full(p->all) ? TLS_PIECE : SIZE_MAX;
}

/* Who waits looks again. */
void proxies_wake(struct proxies *all)
{
	struct proxy *p;

	if (all->nwaiting)
		LIST_FOREACH(p, &all->list, link)
			if (p->waits) {
				proxy_set_waits(p, false);
				proxy_yield(p);
			}
}

void proxies_wake_if_room(struct proxies *all)
{
	if (all->held <= HELD_LOW)
		proxies_wake(all);
}

bool proxies_is_wide(const struct proxies *all)
{
	return all->held < WIDE_MOST;
}

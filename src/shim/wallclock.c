/*
 * The guest has no clock of its own but a counter of ticks, which stands still while the host sleeps, and which knows
 * nothing of a host whose clock was set. A timer that never comes tells of both (timerfd_create(2),
 * TFD_TIMER_CANCEL_ON_SET); then the agent hears what time it is. Otherwise a box would take certificates for not yet
 * valid after a night, and its files would be of yesterday.
 */
#include "shim/shim.h"

#include <errno.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "wire/boot.h"

#define NEVER ((time_t)INT32_MAX * 1000)

static int arm(int fd)
{
	const struct itimerspec never = { .it_value = { .tv_sec = NEVER } };

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0 ? -errno : 0;
}

static void on_set(struct watch *w, uint32_t events)
{
	struct shim *s = container_of(w, struct shim, clock_watch);
	uint64_t expired;

	(void)events;
	/* It fails with ECANCELED: that is the news. */
	(void)!read(w->fd, &expired, sizeof(expired));
	(void)arm(w->fd);
	/* Before BOOT it would be a break of the protocol, and BOOT has the time. */
	if (!s->opening_sent || s->agent_watch.fd < 0)
		return;
	log_info("the host's clock was set, or it has slept: the box is told the time");
	if (wire_put_clock(&s->agent.out, clock_wall_ns()) < 0)
		log_warn("the box could not be told the time");
	agent_flush(s);
}

int wallclock_open(struct shim *s)
{
	auto_fd int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	int r = fd < 0 ? -errno : arm(fd);

	if (r == 0)
		r = loop_add(&s->loop, &s->clock_watch, fd, EPOLLIN, on_set);
	if (r == 0)
		take_fd(&fd);
	return r;
}

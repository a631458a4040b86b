#include "base/loop.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clean.h"

int loop_init(struct loop *l)
{
	*l = (struct loop){ .epfd = epoll_create1(EPOLL_CLOEXEC) };
	TAILQ_INIT(&l->later);
	return l->epfd < 0 ? -errno : 0;
}

void loop_fini(struct loop *l)
{
	close_fd(&l->epfd);
}

int loop_add(struct loop *l, struct watch *w, int fd, uint32_t events, watch_fn *fn)
{
	struct epoll_event e = { .events = events, .data.ptr = w };

	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &e) < 0)
		return -errno;
	w->fd = fd;
	w->events = events;
	w->fn = fn;
	return 0;
}

void loop_change(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = w };

	if (w->fd < 0 || w->events == events)
		return;
	if (epoll_ctl(l->epfd, EPOLL_CTL_MOD, w->fd, &e) == 0)
		w->events = events;
}

void loop_remove(struct loop *l, struct watch *w)
{
	int i;

	if (w->fd < 0)
		return;
	epoll_ctl(l->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
	/* An event for it may wait later in the batch: its owner may be freed by then. */
	for (i = l->batch_at; i < l->batch_len; i++)
		if (l->batch[i].data.ptr == w)
			l->batch[i].data.ptr = NULL;
}

void loop_later(struct loop *l, struct later *t)
{
	if (t->queued)
		return;
	t->queued = true;
	TAILQ_INSERT_TAIL(&l->later, t, link);
	l->nlater++;
}

void loop_never(struct loop *l, struct later *t)
{
	if (!t->queued)
		return;
	t->queued = false;
	TAILQ_REMOVE(&l->later, t, link);
	l->nlater--;
}

/* Those that are there now. When one of them takes another one back, one that has come since may have its turn. */
static void run_later(struct loop *l)
{
	unsigned n;

	for (n = l->nlater; n && l->nlater; n--) {
		struct later *t = TAILQ_FIRST(&l->later);

		loop_never(l, t);
		t->fn(t);
	}
}

int loop_once(struct loop *l, int timeout_ms)
{
	int n = epoll_wait(l->epfd, l->batch, LOOP_BATCH, l->nlater ? 0 : timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	l->batch_len = n;
	for (l->batch_at = 0; l->batch_at < l->batch_len;) {
		struct epoll_event e = l->batch[l->batch_at++];
		struct watch *w = e.data.ptr;

		if (w)
			w->fn(w, e.events);
	}
	l->batch_len = l->batch_at = 0;
	run_later(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int r = 0;

	l->stop = false;
	while (!l->stop && r == 0)
		r = loop_once(l, -1);
	return r;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

int loop_signal_fd(const sigset_t *set)
{
	int fd;

	if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int loop_timer_fd(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void loop_timer_set(int fd, uint64_t ms)
{
	struct itimerspec t = {
		.it_value = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 },
	};

	timerfd_settime(fd, 0, &t, NULL);
}

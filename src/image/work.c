#include "image/work.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/clean.h"

static void *thread_main(void *arg)
{
	struct work *w = arg;

	w->result = w->run(w);
	eventfd_write(w->event, 1);
	return NULL;
}

static void on_end(struct watch *watch, uint32_t events)
{
	struct work *w = container_of(watch, struct work, watch);

	(void)events;
	loop_remove(w->loop, &w->watch);
	pthread_join(w->thread, NULL);
	close_fd(&w->event);
	w->done(w, w->result);
}

int work_start(struct work *w, struct loop *loop, int (*run)(struct work *),
	       void (*done)(struct work *, int result))
{
	int r;

	*w = (struct work){ .watch = WATCH_NONE, .loop = loop, .run = run, .done = done };
	w->event = eventfd(0, EFD_CLOEXEC);
	if (w->event < 0)
		return -errno;
	r = loop_add(loop, &w->watch, w->event, EPOLLIN, on_end);
	if (r == 0) {
		r = -pthread_create(&w->thread, NULL, thread_main, w);
		if (r < 0)
			loop_remove(loop, &w->watch);
	}
	if (r < 0)
		close_fd(&w->event);
	return r;
}

bool work_ended(struct work *w)
{
	struct pollfd p = { .fd = w->event, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && pthread_join(w->thread, NULL) == 0;
}

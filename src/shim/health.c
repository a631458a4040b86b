/*
 * Theory of operation.
 *
 * A box may have a command that tells whether it does its work: an exec that the shim starts by itself, interval after
 * interval. While it runs no other one does. Status 0 is health; `retries` other ends in a row are the lack of it, but
 * for those in the first `start_period_ms` of the main process, unless the box has been healthy before. What is known
 * stands in health.json of the box's folder, replaced at each change, for who looks; the file goes with the machine.
 *
 *	   main process runs --interval--> exec --EXIT--> judged --interval--> ...
 */
#include "shim/shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/newfile.h"
#include "wire/health.h"

struct health {
	struct shim *shim;
	struct watch timer;
	uint64_t since_ns; /* when the main process began to run */
	struct health_state state;
};

static void publish(struct shim *s)
{
	auto_json json_t *j = health_to_json(&s->health->state);
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	int r = text ? newfile_write(s->box_fd, HEALTH_FILE, text, strlen(text)) : -ENOMEM;

	free(text);
	if (r < 0)
		log_warn("cannot write " HEALTH_FILE ": %s", strerror(-r));
}

/* The box's own process, with another argv. */
static int put_command(struct shim *s, struct buf *out, uint32_t stream)
{
	const struct box_health *h = &s->spec.health;
	struct proc_spec p = s->spec.main; /* borrows all that it holds */

	p.argv = h->argv;
	p.tty = p.stdin_open = p.main = false;
	p.timeout_ms = h->timeout_ms;
	return wire_put_start(out, stream, &p);
}

static void on_timer(struct watch *w, uint32_t events)
{
	struct health *h = container_of(w, struct health, timer);
	struct shim *s = h->shim;
	struct stream *st;
	uint64_t expired;

	(void)events;
	if (read(w->fd, &expired, sizeof(expired)) != sizeof(expired) || s->life != LIFE_RUNNING)
		return;
	st = stream_add(s, &(struct proc_spec){ .main = false }, false);
	if (!st || put_command(s, agent_queue(s), st->agent_id) < 0) {
		log_warn("no memory for the health check");
		if (st)
			stream_end(st, s, &(struct proc_exit){ .kind = PROC_LOST });
		loop_timer_set(h->timer.fd, s->spec.health.interval_ms);
		return;
	}
	st->is_health = true;
	agent_flush(s);
}

/* What it printed, both channels, the end of it. */
static void keep_output(struct health_state *state, const struct buf *backlog)
{
	struct buf at = *backlog;
	struct frame f;
	size_t len = 0;

	while (frame_peek(&at, &f) == 1) {
		size_t n = MIN((size_t)f.len, sizeof(state->output) - 1);

		if (len + n >= sizeof(state->output)) {
			size_t drop = len + n - (sizeof(state->output) - 1);

			memmove(state->output, state->output + drop, len - drop);
			len -= drop;
		}
		memcpy(state->output + len, f.payload + (f.len - n), n);
		len += n;
		at.head += frame_size(&f);
	}
	state->output[len] = 0;
}

void health_result(struct shim *s, struct stream *st, const struct proc_exit *e)
{
	struct health *h = s->health;
	const struct box_health *c = &s->spec.health;
	enum health_status before = h->state.health;
	bool well = e->kind == PROC_EXITED && e->code == 0;
	bool grace = clock_ns() - h->since_ns < (uint64_t)c->start_period_ms * 1000000;

	h->state.checked_at = time(NULL);
	h->state.exit_status = proc_exit_status(e);
	keep_output(&h->state, &st->backlog);
	if (*e->error)
		memcpy(h->state.output, e->error, MIN(sizeof(h->state.output), sizeof(e->error)));
	if (well) {
		h->state.failing = 0;
		h->state.health = HEALTH_HEALTHY;
	} else if (!grace || h->state.health != HEALTH_STARTING) {
		h->state.failing++;
		if (h->state.failing >= c->retries)
			h->state.health = HEALTH_UNHEALTHY;
	}
	if (h->state.health != before)
		events_action(s, "health", health_name(h->state.health));
	publish(s);
	loop_timer_set(h->timer.fd, c->interval_ms);
}

void health_start(struct shim *s)
{
	struct health *h;
	int fd;

	if (s->spec.health.argv.n == 0 || s->health)
		return;
	h = calloc(1, sizeof(*h));
	fd = h ? loop_timer_fd() : -ENOMEM;
	if (fd < 0 || loop_add(&s->loop, &h->timer, fd, EPOLLIN, on_timer) < 0) {
		log_warn("no health checks: %s", strerror(fd < 0 ? -fd : EIO));
		if (fd >= 0)
			close(fd);
		free(h);
		return;
	}
	h->shim = s;
	h->since_ns = clock_ns();
	s->health = h;
	publish(s);
	loop_timer_set(fd, s->spec.health.interval_ms);
}

void health_stop(struct shim *s)
{
	int fd;

	if (!s->health)
		return;
	fd = s->health->timer.fd;
	loop_remove(&s->loop, &s->health->timer);
	close(fd);
	free(s->health);
	s->health = NULL;
	unlinkat(s->box_fd, HEALTH_FILE, 0);
}

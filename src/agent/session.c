/*
 * Theory of operation.
 *
 * The loop delivers a batch of events; the callbacks move bytes and append
 * frames; then, once per batch, settle() sends EXITs, writes the channel and
 * looks whether the session is over. Nothing else decides about the end.
 *
 *	 GREETING --HELLO--> BOOTING --BOOT--> SERVING --SHUTDOWN--> STOPPING --no process--> over
 *	     +-------------------+----------------+--the host is gone---^
 *
 * In STOPPING: the main process has had its signal (SIGTERM) and the timer runs; at its
 * end, or when the time is up, everything is killed. While there is time, what
 * the dying wrote is still delivered as the host gives credit; after it, EXIT
 * does not wait for that.
 *
 * A host that breaks the protocol ends the session: FAILED is sent by main.c.
 */
#include "agent/session.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "agent/dial.h"
#include "agent/metrics.h"
#include "agent/net.h"
#include "agent/park.h"
#include "agent/root.h"
#include "agent/top.h"
#include "agent/trust.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/log.h"
#include "wire/timing.h"

static int on_trust(struct session *s, const struct frame *f, struct error *err)
{
	free(s->trust);
	s->trust = NULL;
	return wire_get_trust(f, &s->trust, err);
}

static int set_clock(uint64_t ns, struct error *err)
{
	struct timespec now = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };

	return clock_settime(CLOCK_REALTIME, &now) < 0 ? error_sys(err, "cannot set the clock") : 0;
}

static int on_clock(const struct frame *f, struct error *err)
{
	uint64_t ns;
	int r = wire_get_clock(f, &ns, err);

	return r < 0 ? r : set_clock(ns, err);
}

static int on_boot(struct session *s, const struct frame *f, struct error *err)
{
	int r = wire_get_boot(f, &s->boot, err);

	if (r == 0 && s->boot.time_ns)
		r = set_clock(s->boot.time_ns, err);
	if (r == 0)
		r = park_reseed(s->boot.seed, err);
	if (r == 0)
		r = root_mount_box(err);
	if (r == 0)
		r = root_write_etc(s->boot.hostname, s->boot.network, err);
	if (r == 0 && s->boot.network)
		r = net_up_card(err);
	if (r < 0)
		return r;
	s->procs.hostname = s->boot.hostname;
	s->phase = SESSION_SERVING;
	log_debug("ready");
	r = wire_put_ready(&s->channel.out, clock_ns() - s->started_ns, &s->kernel);
	channel_settle(&s->channel); /* now, and not when the main process is on its way, too */
	return r;
}

static void stop(struct session *s, uint32_t grace_ms)
{
	struct procs *ps = &s->procs;

	log_debug("shutting down, grace %u ms", grace_ms);
	s->phase = SESSION_STOPPING;
	ps->refuse = true;
	if (grace_ms == 0) {
		ps->impatient = true;
		procs_kill_all(ps);
		return;
	}
	loop_timer_set(s->timer, grace_ms);
	if (procs_main_alive(ps))
		proc_signal(ps->main, ps->main->stop_signal);
}

static void timer_ready(struct watch *w, uint32_t events)
{
	struct session *s = container_of(w, struct session, timer_watch);
	uint64_t count;

	(void)events;
	if (read(s->timer, &count, sizeof(count)) == sizeof(count))
		stop(s, 0);
}

static int on_start(struct session *s, const struct frame *f, struct error *err)
{
	struct task t = TASK_INIT(TASK_RUN);
	int r = wire_get_start(f, &t.spec, err);

	if (r == 0 && t.spec.main && s->trust && !s->procs.had_main)
		trust_set(s->trust, strv_get_env(&t.spec.env, "JAVA_HOME"));
	if (r == 0)
		r = procs_start(&s->procs, f->stream, &t, err);
	task_fini(&t);
	return r;
}

static int on_copy(struct session *s, const struct frame *f, struct error *err)
{
	struct task t = TASK_INIT(TASK_COPY);
	int r = wire_get_copy(f, &t.copy, err);

	t.spec.stdin_open = t.copy.op == COPY_PUT;
	if (r == 0)
		r = procs_start(&s->procs, f->stream, &t, err);
	task_fini(&t);
	return r;
}

static int on_dial(struct session *s, const struct frame *f, struct error *err)
{
	struct task t = TASK_INIT(TASK_DIAL);
	int r = wire_get_dial_unix(f, &t.path);

	t.spec.timeout_ms = DIAL_UNIX_WAIT_MS;
	r = r < 0 ? error_set(err, r, "malformed DIAL_UNIX") : procs_start(&s->procs, f->stream, &t, err);
	task_fini(&t);
	return r;
}

/* A frame of a process stream. Its process may have ended while the frame was on its way. */
static int on_process(struct session *s, const struct frame *f, struct error *err)
{
	struct proc *p = procs_find(&s->procs, f->stream);
	enum frame_channel ch;
	uint16_t rows, cols;
	int signo;

	if (!p)
		return 0;
	switch (f->type) {
	case FRAME_DATA: return proc_input(p, f, err);
	case FRAME_CREDIT: return stream_credit(&p->stream, f, err);
	case FRAME_CLOSE:
		if (frame_get_close(f, &ch) < 0)
			return error_set(err, -EBADMSG, "malformed CLOSE");
		proc_close_output(p, ch);
		return 0;
	case FRAME_SIGNAL:
		if (wire_get_signal(f, &signo) < 0)
			return error_set(err, -EBADMSG, "malformed SIGNAL");
		proc_signal(p, signo);
		return 0;
	default: /* FRAME_RESIZE */
		if (wire_get_resize(f, &rows, &cols) < 0)
			return error_set(err, -EBADMSG, "malformed RESIZE");
		proc_resize(p, rows, cols);
		return 0;
	}
}

static int on_serving(struct session *s, const struct frame *f, struct error *err)
{
	uint32_t grace_ms;

	switch (f->type) {
	case FRAME_START: return on_start(s, f, err);
	case FRAME_COPY: return on_copy(s, f, err);
	case FRAME_DIAL_UNIX: return on_dial(s, f, err);
	case FRAME_DATA:
	case FRAME_CREDIT:
	case FRAME_CLOSE:
	case FRAME_SIGNAL:
	case FRAME_RESIZE: return on_process(s, f, err);
	case FRAME_METRICS: return metrics_answer(&s->channel.out);
	case FRAME_TOP: return top_answer(&s->channel.out);
	case FRAME_SHUTDOWN:
		if (wire_get_shutdown(f, &grace_ms) < 0)
			return error_set(err, -EBADMSG, "malformed SHUTDOWN");
		stop(s, grace_ms);
		return 0;
	case FRAME_TRUST: return on_trust(s, f, err);
	case FRAME_CLOCK: return on_clock(f, err);
	default: return error_set(err, -EPROTO, "unexpected %s from the host", frame_name(f->type));
	}
}

static int on_frame(struct session *s, const struct frame *f, struct error *err)
{
	int r;

	if (f->type == FRAME_SHUTDOWN)
		return on_serving(s, f, err); /* also of a box that has not been told to boot */
	switch (s->phase) {
	case SESSION_GREETING:
		r = wire_get_hello(f, err);
		if (r == 0)
			s->phase = SESSION_BOOTING;
		return r;
	case SESSION_BOOTING:
		if (f->type != FRAME_BOOT)
			return error_set(err, -EPROTO, "%s before BOOT", frame_name(f->type));
		return on_boot(s, f, err);
	default: return on_serving(s, f, err);
	}
}

static void channel_ready(struct watch *w, uint32_t events)
{
	struct session *s = container_of(w, struct session, channel.watch);
	struct channel *c = &s->channel;
	struct frame f;
	int r;

	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	channel_fill(c);
	while ((r = frame_peek(&c->in, &f)) > 0) {
		r = on_frame(s, &f, &s->failure);
		if (r < 0)
			break;
		buf_consume(&c->in, frame_size(&f));
	}
	if (r < 0 && !s->failure.code)
		error_code(&s->failure, r, "malformed frame from the host");
}

/*
 * An outlet that finds the channel busy waits for it to have room. If everything goes out at once no event will tell,
 * so the outlets are looked at again.
 */
static void settle_output(struct session *s)
{
	bool busy;

	do {
		procs_settle(&s->procs);
		busy = channel_busy(&s->channel);
		channel_settle(&s->channel);
	} while (busy && !channel_busy(&s->channel));
}

/* True when the session is over. */
static bool settle(struct session *s)
{
	struct procs *ps = &s->procs;

	settle_output(s);
	if (s->channel.lost && !ps->impatient) {
		log_warn("the host is gone");
		stop(s, 0);
		procs_settle(ps);
	}
	if (s->phase != SESSION_STOPPING)
		return false;
	/* What is left when the main process has ended is not worth waiting for. */
	if (ps->n && !procs_main_alive(ps)) {
		procs_kill_all(ps);
		settle_output(s); /* of the end of a connection no event will tell */
	}
	return ps->n == 0;
}

int session_init(struct session *s, struct error *err)
{
	int r = loop_init(&s->loop);

	if (r < 0)
		return error_code(err, r, "cannot make an event loop");
	s->timer = loop_timer_fd();
	s->timer_watch = WATCH_NONE;
	if (s->timer < 0 || (r = loop_add(&s->loop, &s->timer_watch, s->timer, EPOLLIN, timer_ready)) < 0)
		return error_code(err, r < 0 ? r : s->timer, "cannot make a timer");
	r = channel_watch(&s->channel, &s->loop, channel_ready);
	if (r < 0)
		return error_code(err, r, "cannot watch the channel");
	return procs_init(&s->procs, &s->loop, &s->channel, err);
}

int session_run(struct session *s, struct error *err)
{
	int r = 0;

	while (r == 0 && !s->failure.code && !settle(s))
		r = loop_once(&s->loop, channel_timeout(&s->channel));
	if (r < 0)
		return error_code(err, r, "the event loop failed");
	if (s->failure.code)
		*err = s->failure;
	return s->failure.code;
}

/*
 * The agent channel. The guest is hostile: each frame is decoded with bounds,
 * and whatever breaks the protocol ends the box, never the shim.
 */
#include "shim/shim.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "wire/boot.h"

/* Before HELLO of a machine that was to save time, another one is booted: it is the machine that is wrong. */
static void broken(struct shim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void broken(struct shim *s, const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (s->way != WAY_BOOT)
		machine_give_up(s, "the machine is not used", text);
	else
		life_fail(s, "%s", text);
}

static void greet(struct shim *s, const struct frame *f)
{
	struct error err = { 0 };

	if (s->agent_hello) {
		broken(s, "the guest broke the protocol: HELLO twice");
	} else if (wire_get_hello(f, &err) < 0) {
		broken(s, "%s", err.text);
	} else {
		log_debug("the agent says HELLO");
		s->agent_hello = true;
		machine_has_agent(s);
	}
}

static void frame_on_connection(struct shim *s, const struct frame *f)
{
	char text[ERROR_TEXT_MAX];
	uint64_t since_start;

	switch ((enum frame_type)f->type) {
	case FRAME_HELLO:
		greet(s, f);
		break;
	case FRAME_READY:
		if (wire_get_ready(f, &since_start, &s->timing.kernel) < 0)
			life_fail(s, "the guest broke the protocol: malformed READY");
		else
			life_ready(s, since_start);
		break;
	case FRAME_METRICS:
	case FRAME_TOP:
		query_from_agent(s, f);
		break;
	case FRAME_BYE:
	case FRAME_FAILED:
		if (wire_get_error(f, text) < 0)
			life_fail(s, "the guest broke the protocol: malformed %s", frame_name(f->type));
		else if (f->type == FRAME_BYE)
			life_bye(s, text);
		else
			broken(s, "the guest says: %s", text);
		break;
	default:
		life_fail(s, "the guest broke the protocol: %s on the connection", frame_name(f->type));
	}
}

static void handle_frame(struct shim *s, const struct frame *f)
{
	struct stream *st;

	if (f->type != FRAME_DATA && f->len > AGENT_CONTROL_MAX) {
		broken(s, "the guest broke the protocol: %s of %u bytes", frame_name(f->type), f->len);
		return;
	}
	if (!s->agent_hello && f->type == FRAME_PARKED) {
		machine_parked(s);
		return;
	}
	if (!s->agent_hello && f->type != FRAME_HELLO && f->type != FRAME_FAILED) {
		broken(s, "the guest broke the protocol: %s before HELLO", frame_name(f->type));
		return;
	}
	if (f->stream == 0) {
		frame_on_connection(s, f);
		return;
	}
	st = stream_of_agent(s, f->stream);
	if (st)
		stream_from_agent(st, s, f);
	else
		broken(s, "the guest broke the protocol: %s for a process that is not there",
			  frame_name(f->type));
}

static void handle_frames(struct shim *s)
{
	struct frame f;
	int r;

	while (s->life < LIFE_ENDING && !s->given_up && (r = conn_peek(&s->agent, &f)) != 0) {
		if (r < 0) {
			broken(s, "the guest broke the protocol: not a frame");
			break;
		}
		handle_frame(s, &f);
		conn_next(&s->agent, &f);
	}
}

static void on_agent(struct watch *w, uint32_t events)
{
	struct shim *s = container_of(w, struct shim, agent_watch);
	ssize_t got = 0;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		got = conn_read(&s->agent);
	handle_frames(s);
	if (got < 0)
		life_agent_gone(s);
	else
		agent_flush(s);
}

void agent_drain(struct shim *s)
{
	while (s->life < LIFE_ENDING && !s->given_up && s->agent_watch.fd >= 0 && conn_read(&s->agent) > 0)
		handle_frames(s);
}

void agent_flush(struct shim *s)
{
	if (s->agent_watch.fd < 0)
		return;
	if (conn_write(&s->agent) < 0) {
		life_agent_gone(s);
		return;
	}
	loop_change(&s->loop, &s->agent_watch, conn_wants_write(&s->agent) ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void agent_close(struct shim *s)
{
	loop_remove(&s->loop, &s->agent_watch);
	conn_fini(&s->agent);
}

static int put_opening(struct shim *s)
{
	struct boot_spec boot = {
		.hostname = s->spec.hostname, .disk_bytes = s->spec.disk_bytes, .network = net_is_wanted(s),
	};
	int r;

	if (getrandom(boot.seed, sizeof(boot.seed), 0) != sizeof(boot.seed))
		return -errno;
	boot.time_ns = clock_wall_ns();
	r = wire_put_hello(&s->agent.out, "shim");
	if (r == 0)
		r = wire_put_boot(&s->agent.out, &boot);
	return r;
}

struct buf *agent_queue(struct shim *s)
{
	return s->way == WAY_BOOT && s->main_sent ? &s->agent.out : &s->early;
}

void agent_release(struct shim *s)
{
	struct buf *early = &s->early;

	if (s->main_sent) {
		if (buf_len(early) && buf_append(&s->agent.out, buf_data(early), buf_len(early)) < 0)
			life_fail(s, "out of memory");
		buf_fini(early);
	}
	agent_flush(s);
}

/* HELLO, BOOT and the main process go out at once and wait in the socket: the agent finds them
 * there when it is up, and no round trip is spent. The main process waits for the network, which is there long before
 * the agent. */
void agent_send_opening(struct shim *s)
{
	int r = put_opening(s);

	if (r < 0)
		life_fail(s, "cannot tell the guest what to run: %s", strerror(-r));
	else
		s->opening_sent = true;
	agent_start_main(s);
}

void agent_start_main(struct shim *s)
{
	int r = 0;

	if (s->opening_sent && !s->main_sent && !net_is_awaited(s)) {
		if (net_certificate(s))
			r = wire_put_trust(&s->agent.out, net_certificate(s));
		if (r == 0 && !s->spec.no_main)
			r = wire_put_start(&s->agent.out, MAIN_STREAM, &s->spec.main);
		s->main_sent = true;
	}
	if (r < 0)
		life_fail(s, "cannot tell the guest what to run: %s", strerror(-r));
	else if (s->way == WAY_BOOT)
		agent_release(s);
	else
		agent_flush(s);
}

int agent_open(struct shim *s, int fd, struct error *err)
{
	int r = conn_init(&s->agent, fd, AGENT_OUT_MAX);

	s->opening_sent = s->main_sent = s->agent_ready = false;
	if (r == 0)
		r = loop_add(&s->loop, &s->agent_watch, s->agent.fd, EPOLLIN, on_agent);
	return r < 0 ? error_code(err, r, "cannot open the agent channel") : 0;
}

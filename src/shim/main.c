/*
 * boxlite-shim: one box.
 *
 * The library starts it with open fds (enum shim_fd) and sends SPEC on the
 * control socket. The shim starts the engine with what it was given, talks to
 * the agent in the guest, serves clients on box.sock, keeps the logs, and
 * writes exit.json when it is over.
 *
 *     control, box.sock        agent channel
 *   clients  <------>  shim  <------------>  agent (hostile)
 *                       |  console, stderr
 *                       +-----<----- engine (child; dies with the shim)
 *
 * Who holds the lock. The library locks boxes/<id>/lock and passes the open
 * file: the lock is the file description's, so it is held without a gap and
 * goes when the shim's last fd goes, whatever ends it. Liveness of a box is
 * this lock and nothing else.
 *
 * Who owns the box. The control connection is also the keepalive: unless the
 * box is detached, its end (exit, kill -9, out of memory) stops the box in order.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/sock.h"

static void on_timer(struct watch *w, uint32_t events)
{
	uint64_t expired;

	(void)events;
	if (read(w->fd, &expired, sizeof(expired)) == sizeof(expired))
		life_timeout(container_of(w, struct shim, timer_watch));
}

static void on_signal(struct watch *w, uint32_t events)
{
	struct shim *s = container_of(w, struct shim, signal_watch);
	char info[128];

	(void)events;
	if (read(w->fd, info, sizeof(info)) > 0)
		life_stop_for_good(s, s->spec.stop_grace_ms);
}

/* Reads from the control socket until SPEC is complete; whatever follows it stays in `in`. */
static int read_spec(struct buf *in, struct box_spec *ret, struct error *err)
{
	struct frame f;
	int r;

	while ((r = frame_peek(in, &f)) == 0) {
		ssize_t got = buf_read_fd(in, SHIM_FD_CONTROL, 64 * KIB);

		if (got <= 0)
			return error_code(err, got < 0 ? (int)got : -EPIPE, "no box description");
	}
	if (r == 1)
		r = wire_get_spec(&f, ret, err);
	if (r == 0)
		buf_consume(in, frame_size(&f));
	return r;
}

static int open_events(struct shim *s, struct error *err)
{
	sigset_t set;
	int timer, signals;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk, here and in QEMU */
	timer = loop_timer_fd();
	signals = loop_signal_fd(&set);
	if (timer < 0 || signals < 0 || loop_add(&s->loop, &s->timer_watch, timer, EPOLLIN, on_timer) < 0 ||
	    loop_add(&s->loop, &s->signal_watch, signals, EPOLLIN, on_signal) < 0 || wallclock_open(s) < 0)
		return error_set(err, -EIO, "cannot set up timers and signals");
	return 0;
}

/* The library's connection, with what it sent behind SPEC still to be handled. */
static struct client *adopt_control(struct shim *s, struct buf *in)
{
	struct client *c = client_add(s, SHIM_FD_CONTROL, true);

	if (!c)
		return NULL;
	if (buf_len(in) && buf_append(&c->conn.in, buf_data(in), buf_len(in)) < 0)
		return NULL;
	client_flush(c); /* an owner that is gone already is seen by that */
	return c;
}

/* The main process as a client sees it, from the start. */
static int add_main_stream(struct shim *s, struct client *creator)
{
	struct stream *st;

	if (s->spec.no_main)
		return 0;
	st = stream_add(s, &s->spec.main, s->spec.detached);
	if (!st)
		return -ENOMEM;
	return s->spec.attach && !creator->dropped ? stream_own(st, creator, SPEC_ATTACH_STREAM) : 0;
}

static int start_box(struct shim *s, struct client *creator, struct error *err)
{
	int r;

	/* It was dropped before there was a machine to stop: now none may start. */
	if (creator->dropped && (!s->spec.detached || s->spec.no_main))
		return error_set(err, -EPIPE, "the owner was gone before the start");
	r = client_listen(s, err);
	if (r == 0)
		r = net_lock_secrets(s, err);
	if (r < 0)
		return r;
	s->engine = engine_find(s->spec.engine, err);
	if (!s->engine)
		return -EINVAL;
	output_open(s);
	s->has_events = fcntl(SHIM_FD_EVENTS, F_GETFD) >= 0;
	if (add_main_stream(s, creator) < 0)
		return error_nomem(err);
	return machine_start(s, err);
}

int main(void)
{
	static struct shim s = {
		.box_fd = SHIM_FD_BOX,
		.lock_fd = SHIM_FD_LOCK,
		.machine = { .pidfd = -1 },
		.machine_watch = { .fd = -1 },
		.monitor = QMP_NONE,
		.memory_fd = -1,
		.state_fd = -1,
		.report_fd = -1,
		.vm_fd = -1,
		.output_fd = -1,
		.machine_proc = -1,
		.query_watch = { .fd = -1 },
		.agent = { .fd = -1 },
		.early = { .max = AGENT_OUT_MAX },
		.agent_watch = { .fd = -1 },
		.listen_watch = { .fd = -1 },
		.timer_watch = { .fd = -1 },
		.signal_watch = { .fd = -1 },
		.clock_watch = { .fd = -1 },
		.next_agent_id = MAIN_STREAM + 1,
	};
	struct buf in = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX + 64 * KIB);
	struct error err = { 0 };
	struct client *creator;

	log_init("boxlite-shim", LOG_INFO);
	/* Its memory holds the environment of the box: no core dump, no ptrace by others. */
	prctl(PR_SET_DUMPABLE, 0);
	s.spec = BOX_SPEC_INIT;
	if (read_spec(&in, &s.spec, &err) < 0 || loop_init(&s.loop) < 0 || open_events(&s, &err) < 0) {
		log_error("%s", err.text);
		return 1;
	}
	s.timing.at[TIMING_SHIM] = clock_ns();
	if (s.spec.debug)
		log_init("boxlite-shim", LOG_DEBUG);
	creator = adopt_control(&s, &in);
	buf_fini(&in);
	if (!creator)
		return 1;
	if (start_box(&s, creator, &err) < 0)
		life_failed_start(&s, &err);
	/* Only now: its frames may already be for the main process's stream. */
	client_handle_input(creator);
	do {
		clients_flush(&s);
		life_check_done(&s);
		clients_reap(&s);
	} while (!s.loop.stop && loop_once(&s.loop, -1) == 0);
	life_release(&s);
	return 0;
}

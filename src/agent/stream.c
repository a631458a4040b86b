/*
 * Theory of operation.
 *
 * Outlet. It reads from its fd only while the host has given credit for the
 * bytes and the channel is not busy; otherwise it leaves the epoll set (an fd
 * that stays in it without EPOLLIN would still report HUP, for ever). A read
 * goes straight into its place in the channel's buffer.
 *
 *	 alive     waits for epoll, reads a few frames per event: streams take turns
 *	 ended     the process is gone. What it wrote is in the pipe by now, so the
 *	           outlet reads until there is nothing left, then says EOF. A
 *	           background child may hold the pipe open, or write for ever: it
 *	           is not waited for, and at most DRAIN_MOST bytes are read.
 *	 closed    fd is -1; EOF is said when the process has ended, too
 *
 * Inlet. Bytes are written at once; what the process does not take is queued,
 * and the queue cannot pass FRAME_WINDOW because the host's credit cannot.
 * Credit goes back in quarters of a window: the host always has at least three
 * quarters minus what is queued, so it never stalls on a process that reads.
 * When nobody reads any more, bytes are dropped and credit still goes back,
 * so that a host that waits for credit learns of the end by EXIT.
 *
 * A socket has both, each with an fd of its own, and no process whose end would
 * be the end: either half ends by itself (shutdown(2)) and is told at once, and
 * the stream is over when both have. After the end of what the box says, its
 * inlet waits for the hang-up: then the box reads no more either.
 */
#include "agent/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/tty.h"
#include "base/clean.h"

#define DRAIN_MOST (1 * MIB) /* the largest pipe that a process may make without privilege */
#define CREDIT_STEP (FRAME_WINDOW / 4)

/* A process that fills its pipe gets a longer one: it and the agent then change places less often. */
#define LONG_PIPE (256 * KIB)
#define FRAMES_A_TURN (LONG_PIPE / FRAME_DATA_MAX)

static void outlet_ready(struct watch *w, uint32_t events);
static void inlet_ready(struct watch *w, uint32_t events);
static void inlet_break(struct stream *s);
static void inlet_adjust(struct stream *s);

void stream_init(struct stream *s, uint32_t id, struct channel *to, struct loop *l)
{
	int i;

	*s = (struct stream){ .id = id, .to = to, .loop = l };
	s->in = (struct inlet){ .fd = -1, .watch = WATCH_NONE, .queue = BUF_INIT(FRAME_WINDOW) };
	s->in.credit = FRAME_WINDOW;
	for (i = 0; i < 2; i++)
		s->out[i] = (struct outlet){
			.stream = s,
			.channel = i == 0 ? CHANNEL_STDOUT : CHANNEL_STDERR,
			.fd = -1,
			.watch = WATCH_NONE,
			.credit = FRAME_WINDOW,
			.drain = DRAIN_MOST,
		};
}

static void outlet_close(struct outlet *o)
{
	loop_remove(o->stream->loop, &o->watch);
	close_fd(&o->fd);
}

static void inlet_close(struct stream *s)
{
	loop_remove(s->loop, &s->in.watch);
	close_fd(&s->in.fd);
	buf_fini(&s->in.queue);
}

void stream_fini(struct stream *s)
{
	inlet_close(s);
	outlet_close(&s->out[0]);
	outlet_close(&s->out[1]);
}

/* --- process -> host ------------------------------------------------------------------------ */

/* Says that the channel's last byte has been sent. The channel has room for control frames. */
static void outlet_say_end(struct outlet *o)
{
	struct channel *to = o->stream->to;

	o->ends = false;
	if (frame_put(&to->out, FRAME_DATA, (uint8_t)o->channel | FRAME_EOF, o->stream->id, NULL, 0) < 0)
		to->lost = true;
}

/* Nothing more comes. Of a process that lives the host need not know yet: mostly it is just ending, and what is said
 * at once wakes the host once. */
static void outlet_finish(struct outlet *o)
{
	struct stream *s = o->stream;
	bool sock = s->kind == STREAM_SOCKET;

	if (o->fd < 0)
		return;
	if (sock && o->unwanted)
		shutdown(o->fd, SHUT_RD); /* the inlet has it open, too */
	outlet_close(o);
	o->ends = true;
	if (s->ended || sock)
		outlet_say_end(o);
	if (sock)
		inlet_adjust(s);
}

/* Moves at most one frame. False when there is nothing more to move now. */
static bool outlet_pump(struct outlet *o)
{
	struct stream *s = o->stream;
	size_t most = MIN(o->credit, s->to->frame_most);
	uint8_t *at;
	ssize_t got;

	if (s->ended)
		most = MIN(most, o->drain);
	at = frame_reserve(&s->to->out, most);
	if (!at)
		return false; /* no memory: the channel drains, then stream_resume() tries again */
	do
		got = read(o->fd, at, most);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		frame_commit(&s->to->out, FRAME_DATA, (uint8_t)o->channel, s->id, (size_t)got);
		o->credit -= (uint32_t)got;
		o->drain -= s->ended ? (uint32_t)got : 0;
		if (o->drain == 0)
			outlet_finish(o);
		else if ((size_t)got == s->to->frame_most && !o->is_long) {
			o->is_long = true;
			(void)fcntl(o->fd, F_SETPIPE_SZ, LONG_PIPE); /* of a terminal nothing happens */
		}
		return o->fd >= 0;
	}
	/* The master of a terminal says EIO once nobody has the other side open. */
	if (got == 0 || errno != EAGAIN || s->ended)
		outlet_finish(o);
	return false;
}

/* Without credit a read cannot tell; poll can, for pipes and for terminals. */
static bool outlet_empty(const struct outlet *o)
{
	struct pollfd p = { .fd = o->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 0 || !(p.revents & POLLIN);
}

/* Brings an outlet in line with its credit, the channel and the state of the process. */
static void outlet_adjust(struct outlet *o)
{
	struct stream *s = o->stream;

	if (o->fd < 0)
		return;
	if (o->unwanted) {
		outlet_finish(o);
		return;
	}
	if (s->ended) {
		loop_remove(s->loop, &o->watch);
		while (o->credit && !channel_busy(s->to) && outlet_pump(o))
			;
		if (o->fd >= 0 && o->credit == 0 && outlet_empty(o))
			outlet_finish(o);
		return;
	}
	if (o->credit == 0 || channel_busy(s->to))
		loop_remove(s->loop, &o->watch);
	else if (o->watch.fd < 0 && loop_add(s->loop, &o->watch, o->fd, EPOLLIN, outlet_ready) < 0)
		outlet_finish(o);
}

static void outlet_ready(struct watch *w, uint32_t events)
{
	struct outlet *o = container_of(w, struct outlet, watch);

	int turns = FRAMES_A_TURN;

	(void)events;
	while (turns-- && o->credit && !channel_busy(o->stream->to) && outlet_pump(o))
		;
	outlet_adjust(o);
}

int stream_credit(struct stream *s, const struct frame *f, struct error *err)
{
	int ch = f->flags & FRAME_CHANNEL_MASK;
	struct outlet *o;
	uint32_t more;

	if (ch == CHANNEL_STDIN || frame_get_credit(f, &more) < 0)
		return error_set(err, -EPROTO, "malformed CREDIT on stream %u", s->id);
	o = &s->out[ch - CHANNEL_STDOUT];
	if (more > FRAME_WINDOW - o->credit)
		return error_set(err, -EPROTO, "more credit than a window on stream %u", s->id);
	o->credit += more;
	outlet_adjust(o);
	return 0;
}

void stream_resume(struct stream *s)
{
	outlet_adjust(&s->out[0]);
	outlet_adjust(&s->out[1]);
}

void stream_end(struct stream *s)
{
	int i;

	s->ended = true;
	for (i = 0; i < 2; i++)
		if (s->out[i].ends)
			outlet_say_end(&s->out[i]);
	inlet_close(s);
	stream_resume(s);
}

void stream_abandon(struct stream *s)
{
	outlet_finish(&s->out[0]);
	outlet_finish(&s->out[1]);
}

bool stream_is_over(const struct stream *s)
{
	return s->kind == STREAM_SOCKET && s->attached && s->in.fd < 0 && s->out[0].fd < 0;
}

bool stream_drained(const struct stream *s)
{
	return s->out[0].fd < 0 && s->out[1].fd < 0;
}

void stream_close(struct stream *s, enum frame_channel ch)
{
	struct outlet *o = &s->out[ch - CHANNEL_STDOUT];

	o->unwanted = true;
	if (s->kind == STREAM_TTY)
		inlet_break(s);
	outlet_adjust(o);
}

/* --- host -> process ------------------------------------------------------------------------ */

/* n bytes have left the inlet, into the process or nowhere. */
static void inlet_passed(struct stream *s, size_t n)
{
	s->in.owed += (uint32_t)n;
	if (s->in.eof || s->in.owed < CREDIT_STEP)
		return;
	if (frame_put_credit(&s->to->out, s->id, CHANNEL_STDIN, s->in.owed) < 0)
		s->to->lost = true;
	s->in.credit += s->in.owed;
	s->in.owed = 0;
}

/* Nobody reads any more: what is queued is dropped. */
static void inlet_break(struct stream *s)
{
	size_t n = buf_len(&s->in.queue);

	inlet_close(s);
	inlet_passed(s, n);
}

/*
 * Writes from p: the count taken, 0 if the process takes none now, -EPIPE if it never
 * will. The agent is pid 1, which SIGPIPE does not reach.
 */
static ssize_t inlet_write(struct stream *s, const uint8_t *p, size_t n)
{
	ssize_t put;

	do
		put = write(s->in.fd, p, n);
	while (put < 0 && errno == EINTR);
	if (put < 0)
		return errno == EAGAIN ? 0 : -EPIPE;
	inlet_passed(s, (size_t)put);
	return put;
}

/* All has been written, and nothing more will come. */
static void inlet_finish(struct stream *s)
{
	if (s->kind == STREAM_TTY)
		tty_send_eof(s->in.fd);
	if (s->kind == STREAM_SOCKET)
		shutdown(s->in.fd, SHUT_WR);
	inlet_close(s);
}

/* Passes the end on, or waits for room for the rest, or for a hang-up, which epoll tells of unasked. */
static void inlet_adjust(struct stream *s)
{
	struct inlet *in = &s->in;
	bool waits = buf_len(&in->queue);

	if (in->fd < 0)
		return;
	if (!waits && in->eof)
		inlet_finish(s);
	else if (!waits && !(s->kind == STREAM_SOCKET && s->out[0].fd < 0))
		loop_remove(s->loop, &in->watch);
	else if (in->watch.fd >= 0)
		loop_change(s->loop, &in->watch, waits ? EPOLLOUT : 0);
	else if (loop_add(s->loop, &in->watch, in->fd, waits ? EPOLLOUT : 0, inlet_ready) < 0)
		inlet_break(s);
}

static void inlet_ready(struct watch *w, uint32_t events)
{
	struct stream *s = container_of(w, struct stream, in.watch);
	size_t n = buf_len(&s->in.queue);
	ssize_t put = n ? inlet_write(s, buf_data(&s->in.queue), n) : -EPIPE;

	(void)events;
	if (put < 0) {
		inlet_break(s);
		return;
	}
	buf_consume(&s->in.queue, (size_t)put);
	inlet_adjust(s);
}

int stream_data(struct stream *s, const struct frame *f, struct error *err)
{
	struct inlet *in = &s->in;
	ssize_t put = 0;

	if ((f->flags & FRAME_CHANNEL_MASK) != CHANNEL_STDIN || in->eof || f->len > in->credit)
		return error_set(err, -EPROTO, "DATA against the rules on stream %u", s->id);
	in->credit -= f->len;
	in->eof = f->flags & FRAME_EOF;
	if (in->fd >= 0 && buf_len(&in->queue) == 0 && f->len)
		put = inlet_write(s, f->payload, f->len);
	if (put < 0)
		inlet_break(s);
	if (in->fd < 0 && (s->attached || s->ended)) {
		inlet_passed(s, f->len);
		return 0;
	}
	if ((size_t)put < f->len && buf_append(&in->queue, f->payload + put, f->len - (size_t)put) < 0)
		return error_nomem(err);
	inlet_adjust(s);
	return 0;
}

void stream_attach(struct stream *s, enum stream_kind kind, int in, int out, int err)
{
	s->kind = kind;
	s->attached = true;
	s->in.fd = in;
	s->out[0].fd = out;
	s->out[1].fd = err;
	stream_resume(s);
	if (in < 0)
		inlet_break(s);
	inlet_adjust(s);
}

/*
 * DIAL_UNIX of clients: connections to UNIX sockets in the box.
 *
 * Theory of operation. boxlite-net has no way to such a socket, and a box may have no network. So the agent connects,
 * and the connection is a stream of its channel, as the stdio of an exec is. The client's own connection to the shim
 * becomes the host's end of it, as with DIAL (netchange.c): the answer is written there, in front of the bytes, and the
 * client is none any more. What it then says and hears is not looked at.
 *
 *	client --read, as far as there is credit--> DATA of stdin --> agent --> socket in the box
 *	client <--`out`<-- DATA of stdout <-- agent;  CREDIT --> agent, once the client has taken that
 *
 * So neither side can make the shim hold more than a window for each connection, and who is slow stops nobody else.
 *
 * Ends. Each half ends by itself: FRAME_EOF here is the end of what is sent there. The agent's EXIT is the end of both;
 * what is in `out` still goes to the client. A client that takes nothing more is `deaf`: the agent is told by CLOSE.
 * Once it has neither anything to say the dial is over, and its stream ends by itself. What it has said before it left
 * is the box's: that stays until it is taken, or the box closes its end.
 *
 * A client may leave at any moment, while the agent connects, too. It is epoll that tells (EPOLLHUP, unasked, and again
 * and again: hence `hung`).
 */
#include "shim/shim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "wire/netchange.h"

#define ANSWER_MAX (8 * KIB)

struct dial {
	struct dial *next; /* of the shim's */
	struct shim *shim;
	struct stream *stream; /* NULL: it has ended */
	int fd;                /* owned; what was the client's connection */
	struct watch watch;
	struct buf out; /* the client has not taken it; at most the answer and a window */
	bool answered;  /* what the client says from now on is for the box */
	bool ends;      /* nothing comes behind `out` */
	bool told_end;  /* and the client knows */
	bool deaf;      /* the client takes nothing more */
	bool hung;      /* it has hung up: what it has said before may still be there */
};

size_t dial_debt(const struct dial *d)
{
	return buf_len(&d->out);
}

/* The client is gone, or has all that there was. */
static void dial_close(struct dial *d)
{
	struct shim *s = d->shim;
	struct dial **at = &s->dials;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	s->ndials--;
	loop_remove(&s->loop, &d->watch);
	close_fd(&d->fd);
	buf_fini(&d->out);
	if (d->stream) {
		d->stream->dial = NULL;
		stream_end_input(d->stream, s);
	}
	free(d);
}

void dials_close(struct shim *s)
{
	while (s->dials)
		dial_close(s->dials);
}

/* --- to the client -------------------------------------------------------------------------------------- */

static void deafen(struct dial *d)
{
	const struct stream *st = d->stream;

	if (d->deaf)
		return;
	d->deaf = true;
	buf_consume(&d->out, buf_len(&d->out));
	if (st && !st->output_ended[CHANNEL_STDOUT] &&
	    frame_put_close(agent_queue(d->shim), st->agent_id, CHANNEL_STDOUT) < 0)
		log_warn("stream %u: cannot close its output", st->agent_id);
}

/* How much the client has taken. */
static size_t give(struct dial *d, const void *data, size_t n)
{
	ssize_t put;

	do
		put = send(d->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (put < 0 && errno == EINTR);
	if (put < 0 && errno != EAGAIN)
		deafen(d);
	return put > 0 ? (size_t)put : 0;
}

static void give_out(struct dial *d)
{
	size_t put = buf_len(&d->out) ? give(d, buf_data(&d->out), buf_len(&d->out)) : 0;

	if (!d->deaf)
		buf_consume(&d->out, put);
	if (d->stream)
		stream_taken(d->stream, d->shim);
}

/* --- from the client ------------------------------------------------------------------------------------ */

static bool takes_input(const struct dial *d)
{
	return d->stream && d->answered && !d->stream->stdin_ended && d->stream->credit[CHANNEL_STDIN];
}

/* At most a frame, so that others have their turn. False: the dial must end. */
static bool take(struct dial *d)
{
	struct stream *st = d->stream;
	struct buf *to = agent_queue(d->shim);
	size_t most = MIN(st->credit[CHANNEL_STDIN], (uint32_t)FRAME_DATA_MAX);
	uint8_t *at = frame_reserve(to, most);
	ssize_t got;

	if (!at)
		return false;
	do
		got = recv(d->fd, at, most, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		frame_commit(to, FRAME_DATA, CHANNEL_STDIN, st->agent_id, (size_t)got);
		st->credit[CHANNEL_STDIN] -= (uint32_t)got;
		d->shim->counts.input_bytes += (uint64_t)got;
	} else if (got == 0 || errno != EAGAIN) {
		st->stdin_ended = true;
		return frame_put(to, FRAME_DATA, CHANNEL_STDIN | FRAME_EOF, st->agent_id, NULL, 0) == 0;
	}
	return true;
}

/* --- events --------------------------------------------------------------------------------------------- */

static void on_dial(struct watch *w, uint32_t events);

static bool is_over(const struct dial *d)
{
	if (!d->stream)
		return !buf_len(&d->out);
	return d->deaf && (d->stream->stdin_ended || (d->hung && !d->answered));
}

/* Brings it in line with what has happened, and lets it go if it is over. */
static void settle(struct dial *d)
{
	struct loop *l = &d->shim->loop;
	uint32_t events = (takes_input(d) ? EPOLLIN : 0) | (buf_len(&d->out) ? EPOLLOUT : 0);

	if (d->ends && !d->told_end && !buf_len(&d->out)) {
		d->told_end = true;
		shutdown(d->fd, SHUT_WR);
	}
	if (is_over(d))
		dial_close(d);
	else if (d->hung && !events)
		loop_remove(l, &d->watch);
	else if (d->watch.fd >= 0)
		loop_change(l, &d->watch, events);
	else if (loop_add(l, &d->watch, d->fd, events, on_dial) < 0)
		dial_close(d);
}

static void on_dial(struct watch *w, uint32_t events)
{
	struct dial *d = container_of(w, struct dial, watch);
	struct shim *s = d->shim;
	bool sound = true;

	if (events & (EPOLLHUP | EPOLLERR)) {
		d->hung = true;
		deafen(d);
	}
	if (events & EPOLLOUT)
		give_out(d);
	if (takes_input(d) && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		sound = take(d);
	if (sound) {
		settle(d);
	} else {
		log_warn("a connection to a socket in the box is cut: too much waits for the agent");
		dial_close(d);
	}
	agent_flush(s);
}

/* --- the agent says ------------------------------------------------------------------------------------- */

/* Code 0, or why there is no connection. */
static void answer(struct dial *d, int code, const char *why)
{
	struct net_done done = { .code = code };

	d->answered = true;
	snprintf(done.error, sizeof(done.error), "%s", why);
	if (!d->deaf && wire_put_net_done(&d->out, FRAME_DIAL_UNIX, &done) < 0)
		deafen(d);
	give_out(d);
}

void dial_connected(struct stream *st)
{
	answer(st->dial, 0, "");
	settle(st->dial);
}

void dial_data(struct stream *st, const struct frame *f)
{
	struct dial *d = st->dial;
	size_t put = 0;

	d->ends |= !!(f->flags & FRAME_EOF);
	if (f->len && !d->deaf && !buf_len(&d->out))
		put = give(d, f->payload, f->len);
	if (f->len > put && !d->deaf && buf_append(&d->out, f->payload + put, f->len - put) < 0)
		dial_close(d);
	else
		settle(d);
}

void dial_credit(struct stream *st)
{
	settle(st->dial);
}

static int code_of(const struct proc_exit *e, const char **ret_why)
{
	*ret_why = *e->error ? e->error : "the connection was not made";
	if (e->timed_out) {
		*ret_why = "nobody has accepted the connection in time";
		return -ETIMEDOUT;
	}
	switch (e->kind) {
	case PROC_EXITED: return e->code ? -e->code : -EPROTO;
	case PROC_LOST: return -ENOTCONN;
	case PROC_CANNOT_RUN: return -EBUSY;
	default: return -ECONNABORTED;
	}
}

void dial_ended(struct stream *st, const struct proc_exit *e)
{
	struct dial *d = st->dial;
	const char *why;
	int code = code_of(e, &why);

	st->dial = NULL;
	d->stream = NULL;
	d->ends = true;
	if (!d->answered)
		answer(d, code, why);
	settle(d);
}

/* --- the client asks ------------------------------------------------------------------------------------ */

/* With a stream that is asked for. The fd is still the client's. */
static struct dial *dial_new(struct shim *s, const char *path)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	*d = (struct dial){ .shim = s, .fd = -1, .watch = WATCH_NONE, .out = BUF_INIT(FRAME_WINDOW + ANSWER_MAX) };
	d->stream = stream_add(s, &(struct proc_spec){ .stdin_open = true }, false);
	if (!d->stream) {
		free(d);
		return NULL;
	}
	d->stream->connects = true;
	if (wire_put_dial_unix(agent_queue(s), d->stream->agent_id, path) < 0) {
		stream_end(d->stream, s, &(struct proc_exit){ .kind = PROC_CANNOT_RUN });
		free(d);
		return NULL;
	}
	d->stream->dial = d;
	d->next = s->dials;
	s->dials = d;
	s->ndials++;
	return d;
}

static const char *refusal(const struct shim *s)
{
	if (s->spec.no_main)
		return "the box does not run";
	if (s->life != LIFE_RUNNING)
		return s->life == LIFE_BOOTING ? "the box is just starting" : "the box is just ending";
	return NULL;
}

int dial_unix_from_client(struct client *c, const struct frame *f)
{
	struct shim *s = c->shim;
	auto_free char *path = NULL;
	struct dial *d;

	if (!client_only_asks(c, f) || wire_get_dial_unix(f, &path) < 0)
		return -EBADMSG;
	if (refusal(s))
		return change_refuse(c, f->type, -ENOTCONN, refusal(s));
	/* What it is still to hear goes first; there is no more than a greeting. */
	if (conn_write(&c->conn) < 0 || conn_wants_write(&c->conn)) {
		client_drop(c);
		return 0;
	}
	d = s->ndials < DIALS_MAX ? dial_new(s, path) : NULL;
	if (!d)
		return change_refuse(c, f->type, -EBUSY, "as many connections to its sockets as it may have");
	client_drop(c);
	d->fd = take_fd(&c->conn.fd);
	settle(d);
	agent_flush(s);
	return 0;
}

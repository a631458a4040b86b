/*
 * Streams: processes, as the agent on one side and any number of clients on the other see them.
 *
 * An attachment joins a client to a stream, under an id of the client's. All output goes to each attachment; the input
 * comes from one of them at most. The credit of output that the agent has is a window less what the slowest
 * attachment owes, so no attachment loses a byte, and neither peer can make the shim hold more than a window (and the
 * backlog) for a channel and client: whoever sends more than it was given is cut off. Without an attachment output is
 * dropped, and its credit goes back: a process must not hang because its watcher left.
 *
 *	agent --DATA--> backlog, log of the main process, attachments --CREDIT--> (the slowest) --CREDIT--> agent
 *
 * A connection to a socket in the box has a dial (dial.c) in place of attachments, and neither backlog nor stderr.
 *
 * The backlog are the last frames of output, for who attaches later. A stream ends with the agent's EXIT. One that was
 * started detached, and that nobody but its starter was attached to, is kept until somebody has asked for it, or
 * ENDED_MAX have ended after it.
 */
#include "shim/shim.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#define ENDED_MAX 64

struct stream *stream_add(struct shim *s, const struct proc_spec *p, bool detached)
{
	struct stream *st;
	int ch;

	if (s->nstreams >= STREAMS_MAX)
		return NULL;
	st = calloc(1, sizeof(*st));
	if (!st)
		return NULL;
	st->agent_id = p->main ? MAIN_STREAM : s->next_agent_id++;
	st->started = (struct proc_started){ .exec = st->agent_id, .tty = p->tty, .stdin_open = p->stdin_open };
	st->detached = detached;
	buf_init(&st->backlog, FRAME_BACKLOG + FRAME_HEADER);
	for (ch = 0; ch < CHANNELS; ch++)
		st->credit[ch] = FRAME_WINDOW;
	st->next = s->streams;
	s->streams = st;
	s->nstreams++;
	return st;
}

static void stream_free(struct stream *st, struct shim *s)
{
	struct stream **at = &s->streams;

	while (*at != st)
		at = &(*at)->next;
	*at = st->next;
	s->nstreams--;
	buf_fini(&st->backlog);
	free(st);
}

struct stream *stream_find(struct shim *s, uint32_t agent_id)
{
	struct stream *st = s->streams;

	while (st && st->agent_id != agent_id)
		st = st->next;
	return st;
}

struct stream *stream_of_agent(struct shim *s, uint32_t agent_id)
{
	struct stream *st = stream_find(s, agent_id);

	return st && !st->ended ? st : NULL;
}

struct attachment *attachment_of(struct client *c, uint32_t id)
{
	struct attachment *a;
	struct stream *st;

	for (st = c->shim->streams; st; st = st->next)
		for (a = st->attachments; a; a = a->next)
			if (a->client == c && a->id == id)
				return a;
	return NULL;
}

/* --- credit of output -------------------------------------------------------------------------- */

/* Gives the agent what a window has more than the slowest attachment owes, once it is worth a frame: `least`. */
static void credit_agent(struct stream *st, struct shim *s, enum frame_channel ch, uint32_t least)
{
	uint32_t used = FRAME_WINDOW - st->credit[ch], most = 0;
	const struct attachment *a;

	if (st->ended)
		return;
	for (a = st->attachments; a; a = a->next)
		most = MAX(most, a->debt[ch]);
	if (st->dial)
		most = (uint32_t)dial_debt(st->dial);
	if (used <= most || used - most < least)
		return;
	if (frame_put_credit(agent_queue(s), st->agent_id, ch, used - most) < 0)
		life_fail(s, "out of memory");
	st->credit[ch] = FRAME_WINDOW - most;
}

void stream_taken(struct stream *st, struct shim *s)
{
	credit_agent(st, s, CHANNEL_STDOUT, FRAME_WINDOW / 2);
}

/* --- attachments ------------------------------------------------------------------------------- */

static struct attachment *attachment_new(struct stream *st, struct client *c, uint32_t id, bool input)
{
	struct attachment *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->stream = st;
	a->client = c;
	a->id = id;
	a->next = st->attachments;
	st->attachments = a;
	if (input)
		st->input = a;
	return a;
}

int stream_own(struct stream *st, struct client *c, uint32_t id)
{
	struct attachment *a = attachment_new(st, c, id, true);

	if (!a)
		return -ENOMEM;
	a->owner = true;
	return 0;
}

/* The backlog is within what the client holds beyond its window, so it waits for no credit. */
static int replay(struct stream *st, struct attachment *a)
{
	struct buf at = st->backlog;
	struct frame f;
	int r = 0;

	while (r == 0 && frame_peek(&at, &f) == 1) {
		r = frame_put(&a->client->conn.out, FRAME_DATA, f.flags, a->id, f.payload, f.len);
		a->debt[f.flags & FRAME_CHANNEL_MASK] += f.len;
		at.head += frame_size(&f);
	}
	return r;
}

int stream_attach(struct stream *st, struct client *c, uint32_t id, bool input)
{
	struct attachment *a = attachment_new(st, c, id, input);
	struct buf *out = &c->conn.out;
	int r = a ? replay(st, a) : -ENOMEM;

	if (r == 0 && st->started.pid)
		r = wire_put_started(out, id, &st->started);
	if (r == 0 && input && st->credit[CHANNEL_STDIN] && !st->stdin_ended)
		r = frame_put_credit(out, id, CHANNEL_STDIN, st->credit[CHANNEL_STDIN]);
	if (r == 0 && st->ended)
		r = wire_put_exit(out, id, &st->exit);
	if (r == 0 && st->ended) {
		stream_detach(a, c->shim);
		stream_free(st, c->shim);
		c->shim->nended--;
	}
	return r;
}

/* Nobody gives an input any more: its end, unless another client may come for that. */
void stream_end_input(struct stream *st, struct shim *s)
{
	/* Nobody is there for whom the rest would have to be read. */
	if ((st->copies || st->connects) && !st->ended &&
	    frame_put_close(agent_queue(s), st->agent_id, CHANNEL_STDOUT) < 0)
		log_warn("stream %u: cannot close its output", st->agent_id);
	if (st->detached || st->stdin_ended || st->ended)
		return;
	if (frame_put(agent_queue(s), FRAME_DATA, CHANNEL_STDIN | FRAME_EOF, st->agent_id, NULL, 0) < 0)
		log_warn("stream %u: cannot end its stdin", st->agent_id);
	st->stdin_ended = true;
}

void stream_detach(struct attachment *a, struct shim *s)
{
	struct stream *st = a->stream;
	struct attachment **at = &st->attachments;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	if (st->input == a) {
		st->input = NULL;
		stream_end_input(st, s);
	}
	free(a);
	/* What it owed holds up nobody. */
	credit_agent(st, s, CHANNEL_STDOUT, 1);
	credit_agent(st, s, CHANNEL_STDERR, 1);
	agent_flush(s);
}

void stream_detach_all(struct client *c)
{
	struct attachment *a, *next;
	struct stream *st;

	for (st = c->shim->streams; st; st = st->next)
		for (a = st->attachments; a; a = next) {
			next = a->next;
			if (a->client == c)
				stream_detach(a, c->shim);
		}
}

/* --- from the agent ---------------------------------------------------------------------------- */

static void remember(struct stream *st, const struct frame *f)
{
	struct frame old;

	if (f->len == 0)
		return;
	while (buf_room(&st->backlog) < frame_size(f) && frame_peek(&st->backlog, &old) == 1)
		buf_consume(&st->backlog, frame_size(&old));
	if (frame_put(&st->backlog, FRAME_DATA, f->flags & FRAME_CHANNEL_MASK, 0, f->payload, f->len) < 0)
		log_debug("stream %u: no memory for its backlog", st->agent_id);
}

/* What costs no credit comes once: an end, STARTED. Else a guest could fill the buffers of clients that do not read. */
static const char *wrong_data(const struct stream *st, const struct frame *f)
{
	enum frame_channel ch = f->flags & FRAME_CHANNEL_MASK;

	if (ch == CHANNEL_STDIN || f->len > st->credit[ch])
		return "beyond its credit";
	if (st->connects && (ch != CHANNEL_STDOUT || !st->started.pid))
		return "that is a connection, and has no such output, or none yet";
	if (st->output_ended[ch])
		return "behind its end";
	return f->len || f->flags & FRAME_EOF ? NULL : "without any";
}

/* A client whose buffer is full, or for which there is no memory, is dropped: `next` was read before. */
static void data_from_agent(struct stream *st, struct shim *s, const struct frame *f)
{
	enum frame_channel ch = f->flags & FRAME_CHANNEL_MASK;
	const char *wrong = wrong_data(st, f);
	struct attachment *a, *next;

	if (wrong) {
		life_fail(s, "the guest broke the protocol: %s on stream %u %s", frame_name(f->type), st->agent_id, wrong);
		return;
	}
	st->output_ended[ch] = f->flags & FRAME_EOF;
	st->credit[ch] -= f->len;
	s->counts.output_bytes += f->len;
	if (st->agent_id == MAIN_STREAM)
		output_add(s, ch, f->payload, f->len);
	if (st->dial)
		dial_data(st, f);
	if (!st->connects)
		remember(st, f);
	for (a = st->attachments; a; a = next) {
		next = a->next;
		if (a->closed[ch])
			continue;
		a->debt[ch] += f->len;
		if (conn_put_data(&a->client->conn, f->flags, a->id, f->payload, f->len) < 0)
			client_drop(a->client);
	}
	credit_agent(st, s, ch, FRAME_WINDOW / 2);
}

static void credit_from_agent(struct stream *st, struct shim *s, const struct frame *f)
{
	uint32_t more;

	if ((f->flags & FRAME_CHANNEL_MASK) != CHANNEL_STDIN || frame_get_credit(f, &more) < 0 ||
	    more > FRAME_WINDOW - st->credit[CHANNEL_STDIN]) {
		life_fail(s, "the guest broke the protocol: wrong CREDIT");
		return;
	}
	st->credit[CHANNEL_STDIN] += more;
	if (st->dial)
		dial_credit(st);
	if (st->input && !st->stdin_ended &&
	    frame_put_credit(&st->input->client->conn.out, st->input->id, CHANNEL_STDIN, more) < 0)
		client_drop(st->input->client);
}

static void started_from_agent(struct stream *st, struct shim *s, const struct frame *f)
{
	struct attachment *a, *next;
	struct proc_started said;

	if (st->started.pid || wire_get_started(f, &said) < 0) {
		life_fail(s, "the guest broke the protocol: %s", st->started.pid ? "STARTED twice" : "malformed STARTED");
		return;
	}
	st->started.pid = said.pid;
	if (st->dial)
		dial_connected(st);
	events_exec(s, st, NULL);
	if (st->agent_id == MAIN_STREAM) {
		events_action(s, s->restarts ? "restart" : "start", NULL);
		health_start(s);
	}
	if (st->agent_id == MAIN_STREAM && !s->timing.at[TIMING_MAIN])
		s->timing.at[TIMING_MAIN] = clock_ns();
	for (a = st->attachments; a; a = next) {
		next = a->next;
		if (wire_put_started(&a->client->conn.out, a->id, &st->started) < 0)
			client_drop(a->client);
	}
}

static void exit_from_agent(struct stream *st, struct shim *s, const struct frame *f)
{
	bool is_main = st->agent_id == MAIN_STREAM;
	struct proc_exit e;

	if (wire_get_exit(f, &e) < 0) {
		life_fail(s, "the guest broke the protocol: malformed EXIT");
		return;
	}
	if (!is_main && !st->copies && !st->connects && !st->is_health && e.kind != PROC_EXITED &&
	    e.kind != PROC_SIGNALLED)
		s->counts.execs_failed++;
	e.again = is_main && restart_wanted(s, &e);
	events_exec(s, st, &e);
	if (st->is_health)
		health_result(s, st, &e);
	stream_end(st, s, &e);
	if (is_main)
		life_main_ended(s, &e);
}

void stream_from_agent(struct stream *st, struct shim *s, const struct frame *f)
{
	switch ((enum frame_type)f->type) {
	case FRAME_DATA: data_from_agent(st, s, f); break;
	case FRAME_CREDIT: credit_from_agent(st, s, f); break;
	case FRAME_STARTED: started_from_agent(st, s, f); break;
	case FRAME_EXIT: exit_from_agent(st, s, f); return; /* st is gone */
	default: life_fail(s, "the guest broke the protocol: %s on a stream", frame_name(f->type)); return;
	}
}

/* --- from a client ----------------------------------------------------------------------------- */

static bool ends_by_default(int signo)
{
	return signo == SIGINT || signo == SIGTERM || signo == SIGHUP || signo == SIGQUIT || signo == SIGKILL;
}

/* A frame that means the same to the agent; only the id differs. */
static int forward(struct stream *st, struct shim *s, const struct frame *f)
{
	int r = frame_put(agent_queue(s), f->type, f->flags, st->agent_id, f->payload, f->len);

	agent_flush(s);
	return r;
}

int stream_signal(struct stream *st, struct shim *s, const struct frame *f)
{
	int signo;

	if (wire_get_signal(f, &signo) < 0)
		return -EBADMSG;
	if (st->agent_id == MAIN_STREAM) {
		s->stop_asked = s->stop_asked || life_is_end(s, signo);
		events_signal(s, signo);
	}
	if (s->life == LIFE_BOOTING && st->agent_id == MAIN_STREAM && ends_by_default(signo)) {
		life_interrupt(s, st, signo);
		return 0;
	}
	return forward(st, s, f);
}

static int data_from_client(struct attachment *a, struct shim *s, const struct frame *f)
{
	struct stream *st = a->stream;

	if ((f->flags & FRAME_CHANNEL_MASK) != CHANNEL_STDIN || st->input != a || f->len > st->credit[CHANNEL_STDIN])
		return -EBADMSG;
	/* Another one may have said so before; then this one was given no credit. */
	if (st->stdin_ended)
		return f->len ? -EBADMSG : 0;
	st->credit[CHANNEL_STDIN] -= f->len;
	s->counts.input_bytes += f->len;
	st->stdin_ended = f->flags & FRAME_EOF;
	return forward(st, s, f);
}

static int credit_from_client(struct attachment *a, struct shim *s, const struct frame *f)
{
	enum frame_channel ch = f->flags & FRAME_CHANNEL_MASK;
	uint32_t more;

	if (ch == CHANNEL_STDIN || frame_get_credit(f, &more) < 0 || more > a->debt[ch])
		return -EBADMSG;
	a->debt[ch] -= more;
	/* A client pays in quarters of a window, so this much comes before the agent has none left. */
	credit_agent(a->stream, s, ch, FRAME_WINDOW / 2);
	agent_flush(s);
	return 0;
}

/* The process meets a broken pipe only if who started it was the only one to read. */
static int close_from_client(struct attachment *a, struct shim *s, const struct frame *f)
{
	enum frame_channel ch;

	if (frame_get_close(f, &ch) < 0)
		return -EBADMSG;
	if (a->owner && a->stream->attachments == a && !a->next)
		return forward(a->stream, s, f);
	a->closed[ch] = true;
	a->debt[ch] = 0;
	credit_agent(a->stream, s, ch, 1);
	agent_flush(s);
	return 0;
}

int stream_from_client(struct attachment *a, struct shim *s, const struct frame *f)
{
	uint16_t rows, cols;

	switch ((enum frame_type)f->type) {
	case FRAME_DATA: return data_from_client(a, s, f);
	case FRAME_CREDIT: return credit_from_client(a, s, f);
	case FRAME_CLOSE: return close_from_client(a, s, f);
	case FRAME_SIGNAL: return stream_signal(a->stream, s, f);
	case FRAME_RESIZE: return wire_get_resize(f, &rows, &cols) < 0 ? -EBADMSG : forward(a->stream, s, f);
	default: return -EBADMSG;
	}
}

/* --- the end ----------------------------------------------------------------------------------- */

/* The oldest of those that nobody has asked for. */
static void forget_ended(struct shim *s)
{
	struct stream *st, *oldest = NULL;

	for (st = s->streams; st; st = st->next)
		if (st->ended)
			oldest = st; /* the newest are first */
	if (oldest && s->nended > ENDED_MAX) {
		stream_free(oldest, s);
		s->nended--;
	}
}

void stream_end(struct stream *st, struct shim *s, const struct proc_exit *e)
{
	bool keep = st->detached && st->agent_id != MAIN_STREAM;
	struct attachment *a;

	st->ended = true;
	st->exit = *e;
	st->exit.again &= st->agent_id == MAIN_STREAM;
	if (st->dial)
		dial_ended(st, &st->exit);
	while ((a = st->attachments)) {
		struct client *c = a->client;
		int r = wire_put_exit(&c->conn.out, a->id, &st->exit);

		keep = keep && a->owner;
		stream_detach(a, s);
		if (r < 0)
			client_drop(c);
	}
	if (keep) {
		s->nended++;
		forget_ended(s);
	} else {
		stream_free(st, s);
	}
	if (s->spec.no_main && !s->streams)
		life_stop(s, 0);
}

void streams_end(struct shim *s, const struct proc_exit *e)
{
	struct stream *st;

	while ((st = s->streams)) {
		if (!st->ended) {
			st->detached = false; /* nobody can ask for it any more */
			stream_end(st, s, e);
		} else {
			stream_free(st, s);
		}
	}
	s->nended = 0;
}

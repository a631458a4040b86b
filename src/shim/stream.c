/*
 * Streams: a process as its client and the agent see it, with the ids of both
 * sides translated and the credit of every channel checked. Neither peer can
 * make the shim hold more than FRAME_WINDOW bytes of a channel: whoever sends
 * more than it was given is cut off.
 */
#include "shim/shim.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

struct stream *stream_add(struct shim *s, struct client *c, uint32_t client_id)
{
	struct stream *st;
	int ch;

	if (s->nstreams >= STREAMS_MAX)
		return NULL;
	st = calloc(1, sizeof(*st));
	if (!st)
		return NULL;
	st->agent_id = s->next_agent_id++;
	st->client = c;
	st->client_id = client_id;
	for (ch = 0; ch < CHANNELS; ch++)
		st->credit[ch] = FRAME_WINDOW;
	st->next = s->streams;
	s->streams = st;
	s->nstreams++;
	return st;
}

static void stream_remove(struct stream *st, struct shim *s)
{
	struct stream **at = &s->streams;

	while (*at != st)
		at = &(*at)->next;
	*at = st->next;
	s->nstreams--;
	free(st);
}

struct stream *stream_of_agent(struct shim *s, uint32_t agent_id)
{
	struct stream *st = s->streams;

	while (st && st->agent_id != agent_id)
		st = st->next;
	return st;
}

struct stream *stream_of_client(struct client *c, uint32_t client_id)
{
	struct stream *st = c->shim->streams;

	while (st && (st->client != c || st->client_id != client_id))
		st = st->next;
	return st;
}

/* Bytes that nobody will read are dropped and credited: a process must not hang because its
 * watcher left. */
static void credit_dropped(struct stream *st, struct shim *s, enum frame_channel ch)
{
	uint32_t owed = FRAME_WINDOW - st->credit[ch];

	if (owed < FRAME_WINDOW / 2)
		return;
	st->credit[ch] = FRAME_WINDOW;
	if (frame_put_credit(agent_queue(s), st->agent_id, ch, owed) < 0)
		life_fail(s, "out of memory");
}

static void data_from_agent(struct stream *st, struct shim *s, const struct frame *f)
{
	enum frame_channel ch = f->flags & FRAME_CHANNEL_MASK;

	if (ch == CHANNEL_STDIN || f->len > st->credit[ch]) {
		life_fail(s, "the guest broke the protocol: %s on stream %u beyond its credit",
			  frame_name(f->type), st->agent_id);
		return;
	}
	st->credit[ch] -= f->len;
	if (st->agent_id == MAIN_STREAM)
		output_add(s, ch, f->payload, f->len);
	if (!st->client)
		credit_dropped(st, s, ch);
	else if (frame_put(&st->client->conn.out, f->type, f->flags, st->client_id, f->payload, f->len) < 0)
		client_drop(st->client);
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
	if (st->client && frame_put_credit(&st->client->conn.out, st->client_id, CHANNEL_STDIN, more) < 0)
		client_drop(st->client);
}

static void exit_from_agent(struct stream *st, struct shim *s, const struct frame *f)
{
	bool is_main = st->agent_id == MAIN_STREAM;
	struct proc_exit e;

	if (wire_get_exit(f, &e) < 0) {
		life_fail(s, "the guest broke the protocol: malformed EXIT");
		return;
	}
	stream_end(st, s, &e);
	if (is_main)
		life_main_ended(s, &e);
}

void stream_from_agent(struct stream *st, struct shim *s, const struct frame *f)
{
	int pid;

	switch ((enum frame_type)f->type) {
	case FRAME_DATA:
		data_from_agent(st, s, f);
		break;
	case FRAME_CREDIT:
		credit_from_agent(st, s, f);
		break;
	case FRAME_EXIT:
		exit_from_agent(st, s, f);
		return; /* st is gone */
	case FRAME_STARTED:
		if (wire_get_started(f, &pid) < 0) {
			life_fail(s, "the guest broke the protocol: malformed STARTED");
			break;
		}
		if (st->agent_id == MAIN_STREAM && !s->timing.at[TIMING_MAIN])
			s->timing.at[TIMING_MAIN] = clock_ns();
		if (st->client && wire_put_started(&st->client->conn.out, st->client_id, pid) < 0)
			client_drop(st->client);
		break;
	default:
		life_fail(s, "the guest broke the protocol: %s on a stream", frame_name(f->type));
		return;
	}
	if (st->client)
		client_flush(st->client);
}

static bool ends_by_default(int signo)
{
	return signo == SIGINT || signo == SIGTERM || signo == SIGHUP || signo == SIGQUIT || signo == SIGKILL;
}

int stream_from_client(struct stream *st, struct shim *s, const struct frame *f)
{
	enum frame_channel ch = f->flags & FRAME_CHANNEL_MASK;
	uint16_t rows, cols;
	uint32_t more;
	int signo, r;

	switch ((enum frame_type)f->type) {
	case FRAME_DATA:
		if (ch != CHANNEL_STDIN || f->len > st->credit[ch] || st->stdin_ended)
			return -EBADMSG;
		st->credit[ch] -= f->len;
		st->stdin_ended = f->flags & FRAME_EOF;
		break;
	case FRAME_CREDIT:
		if (ch == CHANNEL_STDIN || frame_get_credit(f, &more) < 0 ||
		    more > FRAME_WINDOW - st->credit[ch])
			return -EBADMSG;
		st->credit[ch] += more;
		break;
	case FRAME_SIGNAL:
		if (wire_get_signal(f, &signo) < 0)
			return -EBADMSG;
		if (s->life == LIFE_BOOTING && st->agent_id == MAIN_STREAM && ends_by_default(signo)) {
			life_interrupt(s, st, signo);
			return 0;
		}
		break;
	case FRAME_CLOSE:
		if (frame_get_close(f, &ch) < 0)
			return -EBADMSG;
		break;
	case FRAME_RESIZE:
		if (wire_get_resize(f, &rows, &cols) < 0)
			return -EBADMSG;
		break;
	default:
		return -EBADMSG;
	}
	/* All of these mean the same to the agent; only the id differs. */
	r = frame_put(agent_queue(s), f->type, f->flags, st->agent_id, f->payload, f->len);
	agent_flush(s);
	return r;
}

void stream_orphan(struct stream *st, struct shim *s)
{
	int ch;

	st->client = NULL;
	/* Give back what the lost client had not credited, so that the process goes on. */
	for (ch = CHANNEL_STDOUT; ch < CHANNELS; ch++) {
		uint32_t owed = FRAME_WINDOW - st->credit[ch];

		if (owed && frame_put_credit(agent_queue(s), st->agent_id, (enum frame_channel)ch, owed) == 0)
			st->credit[ch] = FRAME_WINDOW;
	}
	if (!st->stdin_ended &&
	    frame_put(agent_queue(s), FRAME_DATA, CHANNEL_STDIN | FRAME_EOF, st->agent_id, NULL, 0) < 0)
		log_warn("stream %u: cannot end its stdin", st->agent_id);
	st->stdin_ended = true;
	agent_flush(s);
}

void stream_end(struct stream *st, struct shim *s, const struct proc_exit *e)
{
	struct client *c = st->client;

	if (c && wire_put_exit(&c->conn.out, st->client_id, e) < 0) {
		client_drop(c);
		c = NULL;
	}
	stream_remove(st, s);
	if (c)
		client_flush(c);
}

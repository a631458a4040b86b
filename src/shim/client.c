/*
 * Clients: the control connection that created the box, and any number of
 * others on box.sock. All of them speak the same protocol; the creator's end
 * stops a box that was not detached.
 *
 * A client may be dropped while a frame of its own is being handled (its
 * socket broke, a buffer is full), so dropping only takes it out of every
 * list; clients_reap() frees it when no callback is on the stack.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/sock.h"

void client_drop(struct client *c)
{
	struct shim *s = c->shim;
	struct client **at = &s->clients;

	if (c->dropped)
		return;
	c->dropped = true;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	s->nclients--;
	loop_remove(&s->loop, &c->watch);
	stream_detach_all(c);
	change_forget(c);
	c->next = s->dropped_clients;
	s->dropped_clients = c;
	if (s->spec.no_main)
		life_unwatched(s);
	else if (c->creator && !s->spec.detached) {
		log_info("the owner is gone: stopping");
		life_stop_for_good(s, s->spec.stop_grace_ms);
	}
}

bool client_only_asks(const struct client *c, const struct frame *f)
{
	const struct attachment *a;
	const struct stream *st;

	for (st = c->shim->streams; st; st = st->next)
		for (a = st->attachments; a; a = a->next)
			if (a->client == c)
				return false;
	return f->stream == 0 && !c->creator && !c->changing && buf_len(&c->conn.in) == frame_size(f);
}

void clients_reap(struct shim *s)
{
	while (s->dropped_clients) {
		struct client *c = s->dropped_clients;

		s->dropped_clients = c->next;
		conn_fini(&c->conn);
		free(c);
	}
}

void client_flush(struct client *c)
{
	/* HELLO alone wakes nobody who waits for something else. */
	if (c->dropped || (c->expects && buf_len(&c->conn.out) == c->hello_len))
		return;
	c->expects = false;
	if (conn_write(&c->conn) < 0) {
		client_drop(c);
		return;
	}
	loop_change(&c->shim->loop, &c->watch, conn_wants_write(&c->conn) ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static const struct proc_exit busy = { .kind = PROC_CANNOT_RUN, .error = "the box has too much to do" };

/* Between two machines, or after the last. */
static int refuse_start(struct client *c, uint32_t id)
{
	const struct proc_exit over = { .kind = PROC_LOST, .error = "the box is not running now" };

	return wire_put_exit(&c->conn.out, id, &over);
}

/* What the events of a batch have put there goes out at once: a client is woken once. */
void clients_flush(struct shim *s)
{
	struct client *c, *next;

	for (c = s->clients; c; c = next) {
		next = c->next;
		if (conn_wants_write(&c->conn) && !(c->watch.events & EPOLLOUT))
			client_flush(c);
	}
}

/* A new process in a running box. */
static int start_process(struct client *c, const struct frame *f)
{
	struct shim *s = c->shim;
	struct proc_spec spec;
	struct stream *st;
	int r;

	if (f->stream == 0 || attachment_of(c, f->stream) || wire_get_start(f, &spec, NULL) < 0)
		return -EBADMSG;
	if (s->life > LIFE_STOPPING) {
		proc_spec_fini(&spec);
		return refuse_start(c, f->stream);
	}
	spec.main = false;
	s->counts.execs_started++;
	c->expects = true;
	st = stream_add(s, &spec, spec.detached);
	r = st ? stream_own(st, c, f->stream) : -ENOMEM;
	if (st && (r < 0 || wire_put_start(agent_queue(s), st->agent_id, &spec) < 0)) {
		st->detached = false;
		stream_end(st, s, &busy); /* or nobody hears it */
	}
	proc_spec_fini(&spec);
	agent_flush(s);
	return r;
}

/* Files of the box, or into it. */
static int start_copy(struct client *c, const struct frame *f)
{
	struct shim *s = c->shim;
	struct copy_spec spec;
	struct stream *st;
	int r;

	if (f->stream == 0 || attachment_of(c, f->stream) || wire_get_copy(f, &spec, NULL) < 0)
		return -EBADMSG;
	if (s->life > LIFE_STOPPING) {
		copy_spec_fini(&spec);
		return refuse_start(c, f->stream);
	}
	st = stream_add(s, &(struct proc_spec){ .stdin_open = spec.op == COPY_PUT }, false);
	r = st ? stream_own(st, c, f->stream) : -ENOMEM;
	if (st)
		st->copies = true;
	if (st && (r < 0 || wire_put_copy(agent_queue(s), st->agent_id, &spec) < 0))
		stream_end(st, s, &busy);
	copy_spec_fini(&spec);
	agent_flush(s);
	return r;
}

/* What there is to be said of a process that nobody can be attached to. */
static int refuse_attach(struct client *c, uint32_t id, uint32_t exec, const char *why)
{
	const struct shim *s = c->shim;
	struct proc_exit e = { .kind = PROC_LOST };

	if (!why && exec == 0 && s->main_ended)
		e = s->main_exit;
	else if (why)
		snprintf(e.error, sizeof(e.error), "%s", why);
	else if (exec == 0 && s->life == LIFE_RESTING)
		snprintf(e.error, sizeof(e.error), "%.300s; in a moment it is started again", s->last_end.error);
	else if (exec == 0)
		snprintf(e.error, sizeof(e.error), "the box has ended");
	else
		snprintf(e.error, sizeof(e.error), "there is no exec %u in the box (any more)", exec);
	return wire_put_exit(&c->conn.out, id, &e);
}

static int attach(struct client *c, const struct frame *f)
{
	const struct attachment *a;
	struct stream *st;
	uint32_t exec;
	bool input;

	if (f->stream == 0 || attachment_of(c, f->stream) || wire_get_attach(f, &exec, &input) < 0)
		return -EBADMSG;
	st = stream_find(c->shim, exec ? exec : MAIN_STREAM);
	for (a = st ? st->attachments : NULL; a; a = a->next)
		if (a->client == c)
			return -EBADMSG;
	if (!st || st->connects)
		return refuse_attach(c, f->stream, exec, NULL);
	if (input && st->input)
		return refuse_attach(c, f->stream, exec, "another client gives its input; attach without one");
	return stream_attach(st, c, f->stream, input);
}

/* For the main process; between two of them there is none, but the signal may be meant for the next one, too. */
static int signal_main(struct shim *s, const struct frame *f)
{
	struct stream *st = stream_of_agent(s, MAIN_STREAM);
	int signo;

	if (st)
		return stream_signal(st, s, f);
	if (wire_get_signal(f, &signo) < 0)
		return -EBADMSG;
	if (life_is_end(s, signo) && !s->spec.no_main)
		life_stop_for_good(s, s->spec.stop_grace_ms);
	return 0;
}

static int rename_box(struct shim *s, const struct frame *f)
{
	char *name;
	int r = wire_get_rename(f, &name);

	if (r < 0)
		return r;
	free(s->spec.name);
	s->spec.name = name;
	return 0;
}

static int handle_frame(struct client *c, const struct frame *f)
{
	struct error err = { 0 };
	struct attachment *a;
	uint32_t grace;

	if (!c->hello) {
		int r = f->type == FRAME_HELLO ? wire_get_hello(f, &err) : -EBADMSG;

		c->hello = r == 0;
		return r;
	}
	switch ((enum frame_type)f->type) {
	case FRAME_START:
		return start_process(c, f);
	case FRAME_COPY:
		return start_copy(c, f);
	case FRAME_ATTACH:
		return attach(c, f);
	case FRAME_METRICS:
	case FRAME_TOP:
		return query_from_client(c, f);
	case FRAME_PUBLISH:
	case FRAME_UNPUBLISH:
	case FRAME_RULES:
		return change_from_client(c, f);
	case FRAME_DIAL:
		return dial_from_client(c, f);
	case FRAME_DIAL_UNIX:
		return dial_unix_from_client(c, f);
	case FRAME_RENAME:
		return rename_box(c->shim, f);
	case FRAME_SHUTDOWN:
		if (wire_get_shutdown(f, &grace) < 0)
			return -EBADMSG;
		life_stop_for_good(c->shim, grace);
		return 0;
	case FRAME_SIGNAL:
		if (!f->stream)
			return signal_main(c->shim, f);
		/* fall through */
	default:
		a = f->stream ? attachment_of(c, f->stream) : NULL;
		/* Frames for a process that has just ended cross its EXIT on the way: not an error. */
		return a ? stream_from_client(a, c->shim, f) : 0;
	}
}

void client_handle_input(struct client *c)
{
	struct frame f;
	int r = 0;

	while (!c->dropped && (r = conn_peek(&c->conn, &f)) == 1) {
		r = handle_frame(c, &f);
		if (r < 0)
			break;
		conn_next(&c->conn, &f);
	}
	if (c->dropped)
		return;
	if (r < 0) {
		log_warn("a client broke the protocol: %s", r == -EBADMSG ? "malformed frame" : "refused");
		(void)conn_write(&c->conn); /* our HELLO says why, if it is of another generation */
		client_drop(c);
	} else {
		client_flush(c);
	}
}

static void on_client(struct watch *w, uint32_t events)
{
	struct client *c = container_of(w, struct client, watch);
	ssize_t got = 0;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		got = conn_read(&c->conn);
	client_handle_input(c);
	if (got < 0)
		client_drop(c);
}

struct client *client_add(struct shim *s, int fd, bool creator)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	c->shim = s;
	c->creator = creator;
	c->watch = WATCH_NONE;
	if (conn_init(&c->conn, fd, CLIENT_OUT_MAX) < 0 || wire_put_hello(&c->conn.out, "shim") < 0 ||
	    loop_add(&s->loop, &c->watch, c->conn.fd, EPOLLIN, on_client) < 0) {
		conn_fini(&c->conn);
		free(c);
		return NULL;
	}
	c->next = s->clients;
	s->clients = c;
	s->nclients++;
	c->hello_len = buf_len(&c->conn.out);
	return c;
}

static void on_listen(struct watch *w, uint32_t events)
{
	struct shim *s = container_of(w, struct shim, listen_watch);
	struct client *c;
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	uid_t uid;

	(void)events;
	if (fd < 0)
		return;
	/* The folder is 0700 already; this is for a home on a file system without permissions. */
	if (sock_peer_uid(fd, &uid) < 0 || (uid != geteuid() && uid != 0) || s->nclients >= CLIENTS_MAX) {
		close(fd);
		return;
	}
	c = client_add(s, fd, false);
	if (c) /* mostly it has said already what it wants */
		on_client(&c->watch, EPOLLIN);
}

int client_listen(struct shim *s, struct error *err)
{
	auto_fd int dir = openat(s->box_fd, "run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd, r;

	if (dir < 0)
		return error_sys(err, "cannot open the box's run folder");
	fd = sock_listen_at(dir, "box.sock");
	if (fd < 0)
		return error_code(err, fd, "cannot listen on box.sock");
	r = loop_add(&s->loop, &s->listen_watch, fd, EPOLLIN, on_listen);
	if (r < 0)
		close(fd);
	return r < 0 ? error_code(err, r, "cannot watch box.sock") : 0;
}

/*
 * A process in a box, from outside: one connection to the box's shim with one
 * stream on it. Output waits in two bounded buffers until the caller consumes
 * it; consuming gives the credit back to the sender, so a caller that does not
 * read stops the process in the box and nothing grows.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "lib/lib.h"
#include "wire/timing.h"

#define STREAM SPEC_ATTACH_STREAM

/* Credit goes back in quarters of the window: few frames, and the sender never runs dry, because with
 * nothing waiting here it has at least three quarters left. */
#define CREDIT_STEP (FRAME_WINDOW / 4)

struct boxlite_process {
	struct conn conn;
	struct child shim;          /* the box's shim if this process started it; pidfd -1 otherwise */
	struct home *home;          /* borrowed */
	char *remove_id;            /* owned; the box to remove once its shim has ended, or NULL */
	bool keep_failed;           /* ... unless the box failed */
	struct buf output[CHANNELS]; /* stdout and stderr; [0] is unused */
	bool unwanted[CHANNELS];    /* boxlite_process_close_output() */
	uint32_t owed[CHANNELS];    /* consumed and not yet credited */
	uint32_t stdin_credit;
	bool hello, stdin_closed;
	struct proc_started started; /* .pid is 0 until it runs */
	uint64_t start_ns;     /* of the box's start, if this process started it */
	struct timing timing;
	struct boxlite_timing_part parts[TIMING_PARTS_MAX]; /* those of `timing` */
	bool detached;         /* the box goes on without us */
	bool copy_in;          /* takes input, and never says that it has started */
	bool needs_end;        /* what it has done is only there if the box ends in order */
	bool joined_main;      /* a main process that was there before */
	bool over;             /* the connection has ended */
	bool box_ended;        /* the shim says so: it has given back the box */
	bool ended;            /* exit is known */
	struct proc_exit exit;
	struct driven driven;  /* what boxlite_dispatch() does for it */
};

int lib_process_new(struct boxlite *b, int sock, struct child *shim, struct buf *opening, struct boxlite_process **out,
		    struct error *err)
{
	struct boxlite_process *p = calloc(1, sizeof(*p));
	int ch, r;

	if (!p) {
		close(sock);
		spawn_reap(shim);
		return error_nomem(err);
	}
	p->home = b->home;
	driven_init(&p->driven, p, &b->d);
	p->shim = *shim;
	p->stdin_credit = FRAME_WINDOW;
	for (ch = 0; ch < CHANNELS; ch++)
		buf_init(&p->output[ch], FRAME_WINDOW + FRAME_BACKLOG);
	/* What may wait to be sent: the opening, a window of input, a few signals. */
	r = conn_init(&p->conn, sock, 2 * (FRAME_HEADER + FRAME_PAYLOAD_MAX));
	if (r == 0)
		r = buf_append(&p->conn.out, buf_data(opening), buf_len(opening));
	if (r < 0) {
		boxlite_process_close(p);
		return error_code(err, r, "cannot talk to the box");
	}
	(void)conn_write(&p->conn); /* a closed peer is seen by the next read */
	*out = p;
	return 0;
}

static int on_data(struct boxlite_process *p, const struct frame *f)
{
	enum frame_channel ch = f->flags & FRAME_CHANNEL_MASK;

	if (ch == CHANNEL_STDIN)
		return -EBADMSG;
	if (p->unwanted[ch])
		return 0;
	return buf_append(&p->output[ch], f->payload, f->len); /* -ENOBUFS: more than its credit */
}

static int on_timing(struct boxlite_process *p, const struct frame *f)
{
	const struct timing_parts *k = &p->timing.kernel;
	int r = wire_get_timing(f, &p->timing);

	for (unsigned i = 0; r == 0 && i < k->n; i++)
		p->parts[i] = (struct boxlite_timing_part){ k->part[i].name, k->part[i].ns };
	return r;
}

static bool succeeded_in_vain(const struct boxlite_process *p)
{
	return p->needs_end && p->exit.kind == PROC_EXITED && p->exit.code == 0;
}

static int on_frame(struct boxlite_process *p, const struct frame *f, struct error *err)
{
	uint32_t more;

	if (!p->hello) {
		p->hello = true;
		return wire_get_hello(f, err);
	}
	switch ((enum frame_type)f->type) {
	case FRAME_DATA:
		return on_data(p, f);
	case FRAME_CREDIT:
		if (frame_get_credit(f, &more) < 0 || more > FRAME_WINDOW - p->stdin_credit)
			return -EBADMSG;
		p->stdin_credit += more;
		return 0;
	case FRAME_EXIT:
		p->ended = true;
		return wire_get_exit(f, &p->exit);
	case FRAME_FAILED:
		/* The box failed. Keep the reason unless the process ended before. */
		if (!p->ended || p->exit.kind == PROC_LOST || succeeded_in_vain(p)) {
			p->exit.kind = PROC_LOST;
			return wire_get_error(f, p->exit.error);
		}
		return 0;
	case FRAME_STARTED:
		return wire_get_started(f, &p->started);
	case FRAME_TIMING: /* the last frame to the owner */
		p->box_ended = true;
		return on_timing(p, f);
	default:
		return 0; /* READY: nothing to do here */
	}
}

void lib_process_removes(struct boxlite_process *p, const char *id, bool keep_failed)
{
	p->keep_failed = keep_failed;
	p->remove_id = strdup(id); /* without memory for it the next boxlite_open() removes the box */
}

/* Of a box that goes with its main process. What fails here, the next boxlite_open() tries again. */
static void remove_box(struct boxlite_process *p)
{
	if (p->keep_failed && p->exit.kind == PROC_LOST)
		return;
	if (p->remove_id && box_remove(p->home, p->remove_id, false, NULL) == 0) {
		free(p->remove_id);
		p->remove_id = NULL;
	}
}

static void close_connection(struct boxlite_process *p)
{
	driven_lose_fd(&p->driven);
	close_fd(&p->conn.fd);
}

/* status: the shim's, or 0. code: -errno of the connection, if not the shim has closed it; or 0. */
static void say_lost(struct boxlite_process *p, int status, int code)
{
	const char *remedy = p->remove_id ? "--debug shows its log" : "see its log/shim.log";

	p->ended = true;
	p->exit.kind = PROC_LOST;
	if (p->exit.error[0])
		return;
	if (code)
		snprintf(p->exit.error, sizeof(p->exit.error), "the connection to the box broke: %s", strerror(-code));
	else if (status > 128)
		snprintf(p->exit.error, sizeof(p->exit.error), "the box's shim was killed by signal %d; %s", status - 128,
			 remedy);
	else
		snprintf(p->exit.error, sizeof(p->exit.error), "the box's shim ended without a word; %s", remedy);
}

/*
 * The connection is over. After its last frame the box is nobody's, and the shim only has the end of the VM to wait
 * for. A shim that has closed it without that frame has died: once it is gone, so are its locks. (Or it does not want
 * us any more; the one of a detached box, which goes on then, is not waited for.) If it did not say how the process
 * ended, nobody can.
 */
static void on_over(struct boxlite_process *p, bool closed_by_shim, int code)
{
	int status = 0;

	p->over = true;
	close_connection(p);
	if (!p->box_ended && closed_by_shim && !p->detached && p->shim.pidfd >= 0)
		(void)spawn_wait(&p->shim, &status);
	else
		home_leave(p->home, &p->shim);
	if (!p->ended || (!p->box_ended && succeeded_in_vain(p)))
		say_lost(p, status, code);
	remove_box(p);
}

PUBLIC int boxlite_process_fd(const struct boxlite_process *p)
{
	return p ? p->conn.fd : -1;
}

PUBLIC short boxlite_process_events(const struct boxlite_process *p)
{
	return !p ? 0 : (short)(POLLIN | (conn_wants_write(&p->conn) ? POLLOUT : 0));
}

/* Sends what is queued, as far as it goes now. A closed peer is seen by the next read. */
static void flush(struct boxlite_process *p)
{
	(void)conn_write(&p->conn);
	driven_changed(&p->driven);
}

PUBLIC int boxlite_process_dispatch(struct boxlite_process *p, struct boxlite_error *err)
{
	struct error e = { 0 };
	struct frame f;
	ssize_t got;
	int r;

	if (!p)
		return lib_fail(err, &e, lib_missing(&e));
	if (p->over)
		return 0;
	(void)conn_write(&p->conn);
	got = conn_read(&p->conn);
	while ((r = conn_peek(&p->conn, &f)) == 1) {
		r = on_frame(p, &f, &e);
		if (r < 0)
			break;
		conn_next(&p->conn, &f);
	}
	if (r < 0) {
		if (!e.code)
			error_set(&e, r, "the shim broke the protocol");
		on_over(p, false, r);
		driven_changed(&p->driven);
		return lib_fail(err, &e, r);
	}
	if (got < 0)
		on_over(p, true, got == -EPIPE || got == -ECONNRESET ? 0 : (int)got);
	driven_changed(&p->driven);
	return 0;
}

PUBLIC size_t boxlite_process_output(const struct boxlite_process *p, int channel, const void **data)
{
	if (!p || !data || (channel != BOXLITE_STDOUT && channel != BOXLITE_STDERR))
		return 0;
	*data = buf_data(&p->output[channel]);
	return buf_len(&p->output[channel]);
}

PUBLIC void boxlite_process_consume(struct boxlite_process *p, int channel, size_t n)
{
	if (!p || (channel != BOXLITE_STDOUT && channel != BOXLITE_STDERR))
		return;
	if (n > buf_len(&p->output[channel]) || n == 0)
		return;
	buf_consume(&p->output[channel], n);
	p->owed[channel] += (uint32_t)n;
	if (p->over || p->ended) {
		driven_changed(&p->driven); /* that may have been the last of it */
		return;
	}
	if (p->owed[channel] < CREDIT_STEP ||
	    frame_put_credit(&p->conn.out, STREAM, (enum frame_channel)channel, p->owed[channel]) < 0)
		return;
	p->owed[channel] = 0;
	flush(p);
}

PUBLIC void boxlite_process_close_output(struct boxlite_process *p, int channel)
{
	if (!p || (channel != BOXLITE_STDOUT && channel != BOXLITE_STDERR) || p->unwanted[channel])
		return;
	p->unwanted[channel] = true;
	buf_fini(&p->output[channel]);
	streams_drop(&p->driven, channel);
	if (p->over || frame_put_close(&p->conn.out, STREAM, (enum frame_channel)channel) < 0)
		driven_changed(&p->driven);
	else
		flush(p);
}

PUBLIC size_t boxlite_process_write_room(const struct boxlite_process *p)
{
	return !p || p->over || p->ended || p->stdin_closed ? 0 : p->stdin_credit;
}

PUBLIC size_t boxlite_process_write(struct boxlite_process *p, const void *data, size_t n)
{
	size_t done = 0, room = boxlite_process_write_room(p);

	if (!p || !data)
		return 0;
	n = MIN(n, room);
	while (done < n) {
		size_t part = MIN(n - done, (size_t)FRAME_DATA_MAX);

		if (frame_put(&p->conn.out, FRAME_DATA, CHANNEL_STDIN, STREAM, (const char *)data + done, part) < 0)
			break;
		p->stdin_credit -= (uint32_t)part;
		done += part;
	}
	flush(p);
	return done;
}

PUBLIC void boxlite_process_close_stdin(struct boxlite_process *p)
{
	if (!p || p->stdin_closed || p->over)
		return;
	p->stdin_closed = true;
	if (frame_put(&p->conn.out, FRAME_DATA, CHANNEL_STDIN | FRAME_EOF, STREAM, NULL, 0) == 0)
		flush(p);
}

PUBLIC void boxlite_process_signal(struct boxlite_process *p, int signo)
{
	if (p && signo >= 1 && signo <= SIGRTMAX && !p->over && wire_put_signal(&p->conn.out, STREAM, signo) == 0)
		flush(p);
}

PUBLIC void boxlite_process_resize(struct boxlite_process *p, unsigned short rows, unsigned short cols)
{
	if (p && !p->over && wire_put_resize(&p->conn.out, STREAM, rows, cols) == 0)
		flush(p);
}

PUBLIC unsigned boxlite_process_exec(const struct boxlite_process *p)
{
	return !p || p->started.exec == SPEC_MAIN_EXEC ? 0 : p->started.exec;
}

PUBLIC int boxlite_process_has_tty(const struct boxlite_process *p)
{
	return p && p->started.tty;
}

void lib_process_is_attached(struct boxlite_process *p, bool is_main, bool input)
{
	p->joined_main = is_main;
	p->stdin_credit = 0;
	p->stdin_closed = !input;
}

struct driven *lib_process_driven(struct boxlite_process *p)
{
	return &p->driven;
}

int lib_process_takes_input(const struct boxlite_process *p)
{
	if (p->stdin_closed || p->over || p->ended || (p->started.pid && !p->started.stdin_open))
		return -1;
	return p->copy_in || p->started.pid != 0;
}

PUBLIC int boxlite_process_started(const struct boxlite_process *p)
{
	return p && p->started.pid != 0;
}

void lib_process_is_copy_in(struct boxlite_process *p)
{
	p->copy_in = true;
	p->needs_end = p->shim.pidfd >= 0;
}

void lib_process_leave(struct boxlite_process *p)
{
	int status;

	p->over = true;
	close_connection(p);
	if (p->shim.pidfd >= 0)
		(void)spawn_wait(&p->shim, &status);
}

void lib_process_starts_box(struct boxlite_process *p, uint64_t start_ns, bool detached)
{
	p->start_ns = start_ns;
	p->detached = detached;
}

PUBLIC int boxlite_process_timing(const struct boxlite_process *p, struct boxlite_timing *out)
{
	struct boxlite_timing t = { .size = out ? out->size : 0 };

	if (!p || t.size < sizeof(size_t))
		return -EINVAL;
	if (!p->over)
		return -EAGAIN;
	if (!p->start_ns || !p->timing.at[TIMING_END])
		return -ENODATA;
	lib_timing(&p->timing, p->start_ns, &t);
	t.parts = p->parts;
	t.nparts = p->timing.kernel.n;
	memcpy(out, &t, MIN(out->size, sizeof(t)));
	return 0;
}

PUBLIC int boxlite_process_ended(const struct boxlite_process *p, struct boxlite_exit *out)
{
	/* For the main process the connection's end is the box's end: its files are in order by then. One that could
	 * not be joined is not waited for, nor a box that goes on with another one. */
	bool with_box = p && !p->exit.again && (p->shim.pidfd >= 0 || (p->joined_main && p->started.pid));

	if (!p)
		return -EINVAL;
	if (!p->ended || (with_box && !p->over) || buf_len(&p->output[CHANNEL_STDOUT]) ||
	    buf_len(&p->output[CHANNEL_STDERR]))
		return 0;
	if (out)
		lib_exit(&p->exit, out);
	return 1;
}

/* What nobody wants, that is all that is not connected, is thrown away. */
static void drop_output(struct boxlite_process *p)
{
	int ch;

	for (ch = CHANNEL_STDOUT; ch < CHANNELS; ch++)
		if (!streams_has(&p->driven, ch))
			boxlite_process_consume(p, ch, buf_len(&p->output[ch]));
}

static int wait_for_end(struct boxlite_process *p, struct boxlite_error *err)
{
	struct pollfd fds[1 + CHANNELS];
	int r = 0;

	while (r == 0 && !boxlite_process_ended(p, NULL)) {
		streams_turn(&p->driven);
		drop_output(p);
		/* Its last output may have come with its end: then nothing more will. */
		if (boxlite_process_ended(p, NULL))
			break;
		fds[0] = (struct pollfd){ .fd = p->conn.fd, .events = boxlite_process_events(p) };
		poll(fds, 1 + (nfds_t)streams_poll(&p->driven, fds + 1), -1);
		r = boxlite_process_dispatch(p, err);
	}
	return r;
}

PUBLIC int boxlite_process_wait(struct boxlite_process *p, struct boxlite_exit *out, struct boxlite_error *err)
{
	struct error e = { 0 };
	int r;

	if (!p)
		return lib_fail(err, &e, lib_missing(&e));
	p->driven.busy = true;
	r = wait_for_end(p, err);
	driven_settle(&p->driven);
	if (r < 0)
		return r;
	r = streams_status(&p->driven, &e);
	if (r < 0)
		return lib_fail(err, &e, r);
	(void)boxlite_process_ended(p, out);
	return 0;
}

PUBLIC void boxlite_process_close(struct boxlite_process *p)
{
	int ch;

	if (!p)
		return;
	driven_fini(&p->driven);
	conn_fini(&p->conn);
	/* The shim lives on until its box has stopped; its lock tells when. */
	home_leave(p->home, &p->shim);
	for (ch = 0; ch < CHANNELS; ch++)
		buf_fini(&p->output[ch]);
	free(p->remove_id);
	free(p);
}

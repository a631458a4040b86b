/*
 * Copying from and into a box.
 *
 * Theory of operation. A copy is a stream of the box's shim like a process, of
 * which one end is a tar. Its other end is the caller's (boxlite_box_copy_in,
 * _out), or boxlite-copy with files of this host; then this file moves the bytes
 * between the two, unread, and waits for both:
 *
 *	 into the box:  boxlite-copy --tar--> struct transfer --stdin--> the box
 *	 out of it:     the box --stdout--> struct transfer --tar--> boxlite-copy
 *
 * Who fails first has the reason; the other sees its tar cut off, takes back the
 * file that it was at, and fails with less to say.
 *
 * A box that does not run gets a machine without its command for the time of
 * the copy. Its end is waited for: afterwards the box is as it was.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/place.h"
#include "box/copier.h"
#include "lib/lib.h"

#define PROGRESS_NS 100000000ULL
#define PIECE (64 * KIB)

struct transfer {
	struct boxlite_process *p;
	struct copier copier;
	const struct boxlite_copy_options *o;
	bool into;          /* the box */
	const char *host_path; /* borrowed */
	bool tar_ended;     /* into: the archive is complete. out: boxlite-copy takes no more */
	bool stdin_closed;
	bool cancelled;
	uint64_t done, total;
	uint64_t told_ns;
};

/* --- the box's end --------------------------------------------------------------------------- */

/* A connection to the box's shim, which is started if there is none. */
static int reach(struct boxlite_box *box, int *ret_sock, struct child *ret_shim, struct error *err)
{
	const struct box_start how = { .no_main = true };
	const char *id = box->row.id;
	int fd, r;

	for (;;) {
		/* It runs, or is starting or ending, or another copy has started it. */
		fd = box_connect_locked(box->home, id);
		if (fd >= 0) {
			*ret_sock = fd;
			return 0;
		}
		if (fd != -ENOTCONN)
			return error_code(err, fd, "cannot reach box %s", id);
		r = box_start(box->home, &box->row, &how, ret_sock, ret_shim, err);
		if (r != -EALREADY)
			return r;
	}
}

static int begin(struct boxlite_box *box, const struct copy_spec *s, struct boxlite_process **out, struct error *err)
{
	auto_buf struct buf opening = BUF_INIT(64 * KIB);
	struct child shim = CHILD_NONE;
	int sock = -1, r = wire_put_hello(&opening, "library");

	if (r == 0)
		r = wire_put_copy(&opening, SPEC_ATTACH_STREAM, s);
	if (r < 0)
		return error_code(err, r, "cannot describe the copy");
	r = reach(box, &sock, &shim, err);
	if (r == 0)
		r = lib_process_new(box->b, sock, &shim, &opening, out, err);
	if (r == 0 && s->op == COPY_PUT)
		lib_process_is_copy_in(*out);
	return r;
}

static int copy_text(const char *text, char **ret, struct error *err)
{
	if (strlen(text) > COPY_NAME_MAX)
		return error_code(err, -ENAMETOOLONG, "cannot copy %.100s", text);
	*ret = strdup(text);
	return *ret ? 0 : error_nomem(err);
}

static int begin_stream(struct boxlite_box *box, enum copy_op op, const struct boxlite_copy_stream_options *opts,
			struct boxlite_process **out, struct boxlite_error *err)
{
	struct boxlite_copy_stream_options o;
	struct copy_spec s = { .op = op };
	struct error e = { 0 };
	int r = lib_copy_options(&o, sizeof(o), opts, err);

	if (r < 0)
		return r;
	s.follow = o.follow_link != 0;
	s.owners = !o.as_root;
	if (!box || !out)
		r = lib_missing(&e);
	else
		r = o.path && *o.path ? copy_text(o.path, &s.path, &e)
				      : error_set(&e, -EINVAL, "no path in the box was given");
	if (r == 0)
		r = begin(box, &s, out, &e);
	copy_spec_fini(&s);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

PUBLIC int boxlite_box_copy_out(struct boxlite_box *box, const struct boxlite_copy_stream_options *o,
				struct boxlite_process **out, struct boxlite_error *err)
{
	return begin_stream(box, COPY_GET, o, out, err);
}

PUBLIC int boxlite_box_copy_in(struct boxlite_box *box, const struct boxlite_copy_stream_options *o,
			       struct boxlite_process **out, struct boxlite_error *err)
{
	return begin_stream(box, COPY_PUT, o, out, err);
}

/* --- moving bytes ---------------------------------------------------------------------------- */

static void tell_progress(struct transfer *t, bool last)
{
	struct boxlite_progress p = { .phase = BOXLITE_COPYING, .digest = "", .total = t->total };
	uint64_t now = clock_ns();

	if (!t->o->progress || (!last && now - t->told_ns < PROGRESS_NS))
		return;
	t->told_ns = now;
	p.done = t->total ? MIN(t->done, t->total) : t->done; /* a tar is larger than the file in it */
	if (t->o->progress(&p, t->o->ud) != 0)
		t->cancelled = true;
}

static void discard(struct boxlite_process *p, int channel)
{
	const void *data;

	boxlite_process_consume(p, channel, boxlite_process_output(p, channel, &data));
}

/* From boxlite-copy to the box. */
static void move_in(struct transfer *t)
{
	char piece[PIECE];
	ssize_t got = recv(t->copier.tar, piece, MIN(sizeof(piece), boxlite_process_write_room(t->p)), MSG_DONTWAIT);

	if (got > 0) {
		t->done += boxlite_process_write(t->p, piece, (size_t)got);
		tell_progress(t, false);
	} else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
		t->tar_ended = true;
	}
}

/* From the box to boxlite-copy. */
static void move_out(struct transfer *t)
{
	const void *data;
	size_t n = boxlite_process_output(t->p, BOXLITE_STDOUT, &data);
	ssize_t put = send(t->copier.tar, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (put > 0) {
		boxlite_process_consume(t->p, BOXLITE_STDOUT, (size_t)put);
		t->done += (uint64_t)put;
		tell_progress(t, false);
	} else if (errno != EAGAIN && errno != EINTR) {
		t->tar_ended = true;
	}
}

/* What reads need not see to anything; what writes sees its tar cut off, and takes back the file that it was at. */
static void stop_copier(struct transfer *t)
{
	if (t->into)
		spawn_kill(&t->copier.child, SIGKILL);
	close_fd(&t->copier.tar);
}

/* What follows from how far it is. */
static void settle(struct transfer *t)
{
	bool failed = t->copier.answered && t->copier.exit.code;

	discard(t->p, BOXLITE_STDERR);
	if (t->into) {
		discard(t->p, BOXLITE_STDOUT);
		/* Cut off if it failed: the box then knows, and takes back the file that it was at. */
		if (!t->stdin_closed && (failed || t->cancelled || (t->tar_ended && t->copier.answered))) {
			boxlite_process_close_stdin(t->p);
			t->stdin_closed = true;
		}
	} else if (failed || t->cancelled || t->tar_ended) {
		boxlite_process_close_output(t->p, BOXLITE_STDOUT);
	}
	if (t->cancelled)
		stop_copier(t);
}

static int step(struct transfer *t, struct boxlite_error *err)
{
	const void *data;
	bool can_move = t->copier.tar >= 0 && !t->tar_ended && !t->stdin_closed &&
			(t->into ? boxlite_process_write_room(t->p) > 0
				 : boxlite_process_output(t->p, BOXLITE_STDOUT, &data) > 0);
	struct pollfd fds[] = {
		{ .fd = boxlite_process_fd(t->p), .events = boxlite_process_events(t->p) },
		{ .fd = can_move ? t->copier.tar : -1, .events = t->into ? POLLIN : POLLOUT },
		{ .fd = t->copier.answered ? -1 : t->copier.control.fd, .events = POLLIN },
		{ .fd = t->o->cancel_fd > 0 && !t->cancelled ? t->o->cancel_fd : -1, .events = POLLIN },
	};
	int r = 0;

	if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
		return -errno;
	if (fds[0].revents)
		r = boxlite_process_dispatch(t->p, err);
	if (fds[1].revents)
		t->into ? move_in(t) : move_out(t);
	if (fds[2].revents)
		copier_dispatch(&t->copier);
	if (fds[3].revents)
		t->cancelled = true;
	settle(t);
	return r;
}

/* All has been given to boxlite-copy, or will not be: it sees the end, and says how it went. */
static void await_answer(struct transfer *t)
{
	close_fd(&t->copier.tar);
	while (!t->copier.answered) {
		struct pollfd fds[] = {
			{ .fd = t->copier.control.fd, .events = POLLIN },
			{ .fd = t->o->cancel_fd > 0 && !t->cancelled ? t->o->cancel_fd : -1, .events = POLLIN },
		};

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
			if (errno == EINTR)
				continue;
			t->copier.answered = true;
			t->copier.exit = (struct proc_exit){ .kind = PROC_EXITED, .code = errno,
							     .error = "cannot wait for boxlite-copy" };
			return;
		}
		if (fds[1].revents) {
			t->cancelled = true;
			stop_copier(t);
		}
		if (fds[0].revents)
			copier_dispatch(&t->copier);
	}
}

/* What an end has failed with. That it was cancelled only the caller can say, and is asked about before. */
static int code_of(int said)
{
	return said == ECANCELED ? -EIO : -said;
}

/* How this host's end did. */
static int exit_error(const struct transfer *t, struct error *err)
{
	const struct proc_exit *e = &t->copier.exit;

	return error_set(err, code_of(e->code), "cannot copy %s%.200s: %s", t->into ? "" : "to ", t->host_path, e->error);
}

/* How the box's end ended, if it failed. */
static int box_error(const struct boxlite_exit *e, struct error *err)
{
	if (e->kind == BOXLITE_SIGNALLED)
		return error_set(err, -EINTR, "the copy was ended in the box by signal %d", e->signal);
	if (e->kind == BOXLITE_EXITED && e->code == 0)
		return 0;
	return error_set(err, e->kind == BOXLITE_EXITED ? code_of(e->code) : -EIO, "%s", e->error);
}

/* A tar that was cut off or not taken is what the other end's failure looks like. */
static bool is_consequence(int code)
{
	return code == ENODATA || code == EPIPE || code == ECONNRESET;
}

static int verdict(struct transfer *t, const struct boxlite_exit *e, struct error *err)
{
	const struct proc_exit *here = &t->copier.exit;
	int r;

	if (t->cancelled)
		return error_set(err, -ECANCELED, "cancelled");
	if (here->code && !is_consequence(here->code))
		return exit_error(t, err);
	r = box_error(e, err);
	if (r == 0 && here->code)
		r = exit_error(t, err);
	if (r == 0 && here->error[0] && t->o->warn)
		t->o->warn(here->error, t->o->ud);
	return r;
}

/* Moves everything, and ends both. Takes over t->p. */
static int run(struct transfer *t, struct error *err)
{
	struct boxlite_error failure = { 0 };
	struct boxlite_exit e = { 0 };
	int r = 0;

	while (r == 0 && !t->cancelled && !boxlite_process_ended(t->p, &e))
		r = step(t, &failure);
	/* The shim sees to what is left. One that is there for this copy only is waited for. */
	if (t->cancelled)
		lib_process_leave(t->p);
	await_answer(t);
	if (r < 0)
		r = error_set(err, r, "%s", failure.text[0] ? failure.text : strerror(-r));
	else
		r = verdict(t, &e, err);
	if (r == 0)
		tell_progress(t, true);
	if (!t->into) /* also if its answer could not be heard */
		copier_finish(&t->copier);
	boxlite_process_close(t->p);
	copier_close(&t->copier);
	return r;
}

/* --- files of this host ---------------------------------------------------------------------- */

static int check_paths(const char *host, const char *box, struct error *err)
{
	if (!host || !*host)
		return error_set(err, -EINVAL, "no path of this host was given");
	return box && *box ? 0 : error_set(err, -EINVAL, "no path in the box was given");
}

/* A name that says "what is in it" is none. */
static int take_name(const char *name, char **ret, struct error *err)
{
	return str_eq(name, ".") ? 0 : copy_text(name, ret, err);
}

/* Both ends are described, or r says why not: starts them, this host's on `fd`, and moves everything. The descriptions
 * are freed. */
static int transfer(struct boxlite_box *box, struct transfer *t, struct copy_spec *here, struct copy_spec *there,
		    int fd, int r, struct error *err)
{
	if (r == 0)
		r = copier_start(box->home, here, fd, &t->copier, err);
	if (r == 0)
		r = begin(box, there, &t->p, err);
	copy_spec_fini(here);
	copy_spec_fini(there);
	if (r == 0)
		return run(t, err);
	copier_close(&t->copier);
	return r;
}

static int into_box(struct boxlite_box *box, const char *host_path, const struct copy_source *from, const char *path,
		    const struct boxlite_copy_options *o, struct error *err)
{
	struct copy_spec there = { .op = COPY_PUT, .place = true, .owners = o->archive != 0 };
	struct copy_spec here = { .op = COPY_GET };
	struct transfer t = { .copier = COPIER_NONE, .o = o, .into = true, .host_path = host_path };
	int r = copy_text(path, &there.path, err);

	t.total = from->bytes;
	if (r == 0)
		r = take_name(from->name, &there.name, err);
	if (r == 0)
		r = take_name(from->name, &here.name, err);
	return transfer(box, &t, &here, &there, from->fd, r, err);
}

PUBLIC int boxlite_box_copy_from_host(struct boxlite_box *box, const char *host_path, const char *box_path,
				      const struct boxlite_copy_options *opts, struct boxlite_error *err)
{
	struct boxlite_copy_options none = BOXLITE_OPTIONS(boxlite_copy_options), o;
	struct copy_source from = { .fd = -1 };
	struct error e = { 0 };
	int r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);

	if (r < 0)
		return r;
	r = box ? check_paths(host_path, box_path, &e) : lib_missing(&e);
	if (r == 0)
		r = copy_source_open(host_path, o.follow_link != 0, &from, &e);
	if (r == 0)
		r = into_box(box, host_path, &from, box_path, &o, &e);
	close_fd(&from.fd);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

static int out_of_box(struct boxlite_box *box, const char *path, const char *host_path,
		      const struct copy_target *to, const struct boxlite_copy_options *o, struct error *err)
{
	struct copy_spec there = { .op = COPY_GET, .follow = o->follow_link != 0 };
	struct copy_spec here = {
		.op = COPY_PUT,
		.place = true,
		.owners = o->archive != 0,
		.leaf_is_folder = to->must_be_folder,
	};
	struct transfer t = { .copier = COPIER_NONE, .o = o, .host_path = host_path };
	char name[NAME_MAX + 1];
	int r = copy_text(path, &there.path, err);

	copy_source_name(path, name);
	if (r == 0)
		r = take_name(name, &here.name, err);
	if (r == 0 && *to->leaf)
		r = copy_text(to->leaf, &here.leaf, err);
	return transfer(box, &t, &here, &there, to->dir, r, err);
}

PUBLIC int boxlite_box_copy_to_host(struct boxlite_box *box, const char *box_path, const char *host_path,
				    const struct boxlite_copy_options *opts, struct boxlite_error *err)
{
	struct boxlite_copy_options none = BOXLITE_OPTIONS(boxlite_copy_options), o;
	struct copy_target to = { .dir = -1 };
	struct error e = { 0 };
	int r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);

	if (r < 0)
		return r;
	r = box ? check_paths(host_path, box_path, &e) : lib_missing(&e);
	if (r == 0)
		r = copy_target_open(host_path, &to, &e);
	if (r == 0)
		r = out_of_box(box, box_path, host_path, &to, &o, &e);
	close_fd(&to.dir);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

/* The parent's side; the child's is convert_child.c. */
#include "image/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "base/cursor.h"
#include "base/io.h"
#include "base/sock.h"

#define IN_MAX 4096 /* far more than the largest frame that the child may send */

int convert_start(struct convert *c, const char *self_path, int out_fd, int scratch_dirfd,
		  struct error *err)
{
	static const char *const argv[] = { "boxlite-image", "convert", NULL };
	int r, socks[2];

	*c = CONVERT_NONE;
	buf_init(&c->in, IN_MAX);
	r = sock_pair(socks);
	if (r < 0)
		return error_code(err, r, "cannot start the image converter");
	c->sock = socks[0];
	auto_fd int theirs = socks[1];
	const struct spawn_fd fds[] = { { theirs, 3 }, { out_fd, 4 }, { scratch_dirfd, 5 } };
	const struct spawn s = {
		.path = self_path,
		.argv = argv,
		.fds = fds,
		.nfds = ARRAY_SIZE(fds),
		.die_with_parent = true,
	};

	r = io_set_nonblock(c->sock, true);
	if (r < 0)
		error_code(err, r, "cannot start the image converter");
	else
		r = spawn_start(&s, &c->child, err);
	if (r < 0)
		convert_abort(c);
	return r;
}

/* Sends what the child is ready for. One message is outstanding at most, so the socket has room. */
static int pump(struct convert *c, struct error *err)
{
	uint8_t frame[FRAME_HEADER + 32];
	auto_buf struct buf out = BUF_INIT(sizeof(frame));
	struct convert_layer *l;
	int r;

	if (c->sent != c->done) /* at work, or at the end */
		return 0;
	if (c->sent < c->queued) {
		l = &c->layers[c->sent];
		r = frame_put(&out, CONVERT_LAYER, 0, 0, l->diff_id, sizeof(l->diff_id));
		if (r == 0)
			r = sock_send_fds(c->sock, buf_data(&out), buf_len(&out), &l->fd, 1);
		close_fd(&l->fd);
	} else if (c->ended) {
		r = frame_put(&out, CONVERT_END, 0, 0, NULL, 0);
		if (r == 0)
			r = sock_send_fds(c->sock, buf_data(&out), buf_len(&out), NULL, 0);
	} else {
		return 0;
	}
	c->sent++;
	/* If the child is gone, why is in the socket or in its exit status: convert_event() will say. */
	return r < 0 && r != -EPIPE ? error_code(err, r, "cannot reach the image converter") : 0;
}

int convert_layer(struct convert *c, int blob_fd, const uint8_t diff_id[32], struct error *err)
{
	struct convert_layer *l;

	if (c->ended)
		return error_set(err, -EINVAL, "a layer after the last");
	if (c->queued >= CONVERT_LAYERS_MAX)
		return error_set(err, -E2BIG, "the image has more than %d layers", CONVERT_LAYERS_MAX);
	l = &c->layers[c->queued];
	l->fd = fcntl(blob_fd, F_DUPFD_CLOEXEC, 0);
	if (l->fd < 0)
		return error_sys(err, "cannot queue a layer");
	memcpy(l->diff_id, diff_id, sizeof(l->diff_id));
	c->queued++;
	return pump(c, err);
}

int convert_end(struct convert *c, struct error *err)
{
	c->ended = true;
	return pump(c, err);
}

/* The child ended without a last word. */
static int died(struct convert *c, struct error *err)
{
	int status;

	/* It may have closed the socket and live on: it has nothing more to say. */
	spawn_kill(&c->child, SIGKILL);
	if (spawn_wait(&c->child, &status) < 0)
		return error_set(err, -ECHILD, "the image converter is gone");
	if (status == 128 + SIGKILL)
		return error_set(err, -ENOMEM, "the image converter was killed, perhaps for want of memory");
	if (status > 128)
		return error_set(err, -ECHILD, "the image converter crashed (signal %d)", status - 128);
	/* libarchive ends the process where it finds no memory. */
	return error_set(err, -ENOMEM,
			 "the image converter gave up (exit code %d), perhaps for want of memory", status);
}

static int take_frame(struct convert *c, const struct frame *f, struct convert_event *ret,
		      struct error *err)
{
	struct rd r = rd_over(f->payload, f->len);
	struct convert_event ev = { 0 };
	bool expected = false;

	switch (f->type) {
	case CONVERT_PROGRESS:
	case CONVERT_LAYER_DONE:
		ev.kind = f->type == CONVERT_PROGRESS ? CONVERT_AT_WORK : CONVERT_LAYER_READY;
		ev.layer = rd_u32(&r);
		ev.consumed = rd_u64(&r);
		expected = ev.layer == c->done && c->done < c->sent && c->done < c->queued;
		break;
	case CONVERT_DONE:
		ev.kind = CONVERT_FINISHED;
		ev.image_bytes = rd_u64(&r);
		ev.inodes = rd_u64(&r);
		expected = c->sent == c->queued + 1;
		break;
	case CONVERT_FAILED:
		ev.layer = rd_u32(&r); /* the errno */
		return error_set(err, ev.layer && ev.layer < 4096 ? -(int)ev.layer : -EIO, "%.*s",
				 (int)rd_left(&r), (const char *)r.p);
	}
	if (!expected || r.bad || rd_left(&r))
		return error_set(err, -EBADMSG, "the image converter sent nonsense");
	c->done += ev.kind == CONVERT_LAYER_READY;
	*ret = ev;
	return 0;
}

int convert_event(struct convert *c, struct convert_event *ret, struct error *err)
{
	for (;;) {
		struct frame f;
		ssize_t n;
		int r = frame_peek(&c->in, &f);

		if (r < 0)
			return error_set(err, r, "the image converter sent nonsense");
		if (r > 0) {
			r = take_frame(c, &f, ret, err);
			buf_consume(&c->in, frame_size(&f));
			if (r < 0)
				return r;
			r = pump(c, err);
			return r < 0 ? r : 1;
		}
		n = buf_read_fd(&c->in, c->sock, IN_MAX);
		if (n == -EAGAIN)
			return 0;
		if (n == 0 || n == -ECONNRESET)
			return died(c, err);
		if (n < 0)
			return error_code(err, (int)n, "cannot read from the image converter");
	}
}

int convert_finish(struct convert *c, struct error *err)
{
	int status, r = spawn_wait(&c->child, &status);

	if (r < 0)
		error_code(err, r, "cannot wait for the image converter");
	else if (status)
		r = error_set(err, -ECHILD, "the image converter ended with exit code %d", status);
	convert_abort(c);
	return r;
}

void convert_abort(struct convert *c)
{
	unsigned i;

	spawn_reap(&c->child);
	for (i = c->sent; i < c->queued; i++)
		close_fd(&c->layers[i].fd);
	close_fd(&c->sock);
	buf_fini(&c->in);
	*c = CONVERT_NONE;
}

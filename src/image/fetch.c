#include "image/fetch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/log.h"
#include "image/load.h"
#include "image/pull.h"

#define FD_SOCKET 3
#define FD_STORE 4
#define PROGRESS_MS 100                /* between reports on one thing */
#define PROGRESS_QUEUE_MAX (64 * KIB)  /* a library that does not read misses reports, nothing else */

void fetch_end(struct fetch *f, const struct error *err)
{
	if (f->ended)
		return;
	f->ended = true;
	if (err)
		f->err = *err;
	loop_stop(&f->loop);
}

/* Nobody wants the result any more. */
static void cancel(struct fetch *f)
{
	struct error err = { .code = -ECANCELED, .text = "cancelled" };

	fetch_end(f, &err);
}

static void send_now(struct fetch *f)
{
	if (conn_write(&f->conn) < 0)
		cancel(f);
	else
		loop_change(&f->loop, &f->conn_watch, EPOLLIN | (conn_wants_write(&f->conn) ? EPOLLOUT : 0U));
}

void fetch_short(char out[IMAGE_SHORT_DIGEST + 1], const char *hex)
{
	memcpy(out, hex, IMAGE_SHORT_DIGEST);
	out[IMAGE_SHORT_DIGEST] = 0;
}

void fetch_progress(struct fetch *f, const struct image_progress *p, uint64_t *last_ms)
{
	uint64_t now = clock_ms();

	if (f->req.quiet || f->ended || buf_len(&f->conn.out) > PROGRESS_QUEUE_MAX)
		return;
	if (*last_ms && p->done != p->total && now - *last_ms < PROGRESS_MS)
		return;
	*last_ms = now;
	if (wire_put_image_progress(&f->conn.out, p) == 0)
		send_now(f);
}

int fetch_check(struct fetch *f, int also_fd, struct error *err)
{
	for (;;) {
		struct pollfd p[] = {
			{ .fd = f->conn.fd, .events = (short)(POLLIN | (conn_wants_write(&f->conn) ? POLLOUT : 0)) },
			{ .fd = f->signal_fd, .events = POLLIN },
			{ .fd = also_fd, .events = POLLIN },
		};
		int n = poll(p, ARRAY_SIZE(p), also_fd < 0 ? 0 : -1);

		if (n < 0 && errno != EINTR)
			return error_sys(err, "poll");
		if (p[0].revents & POLLOUT)
			send_now(f);
		if (p[1].revents || (p[0].revents & ~POLLOUT && conn_read(&f->conn) < 0))
			cancel(f);
		if (f->ended)
			return error_set(err, -ECANCELED, "cancelled");
		if (also_fd < 0 || p[2].revents)
			return 0;
	}
}

static void start(struct fetch *f)
{
	struct error err = { 0 };
	int r;

	r = store_open(&f->store, FD_STORE, &err);
	if (r == 0) {
		store_sweep(&f->store);
		r = f->req.op == IMAGE_PULL ? pull_start(f, &err) : load_start(f, &err);
	}
	if (r < 0)
		fetch_end(f, &err);
}

static void on_request(struct fetch *f)
{
	struct error err = { 0 };
	struct frame frame;
	int r = conn_peek(&f->conn, &frame);

	if (r == 0)
		return;
	if (r > 0 && frame.type != FRAME_IMAGE_REQUEST)
		r = -EBADMSG;
	if (r > 0)
		r = wire_get_image_request(&frame, &f->req, &err);
	if (r < 0) {
		error_set(&err, -EBADMSG, "malformed image request");
		fetch_end(f, &err);
		return;
	}
	/* It may have held a password, and nothing else is to come. */
	explicit_bzero(f->conn.in.mem, f->conn.in.cap);
	buf_fini(&f->conn.in);
	f->requested = true;
	start(f);
}

static void on_conn(struct watch *w, uint32_t events)
{
	struct fetch *f = container_of(w, struct fetch, conn_watch);

	if (events & EPOLLOUT)
		send_now(f);
	if (!(events & ~(uint32_t)EPOLLOUT))
		return;
	if (conn_read(&f->conn) < 0)
		cancel(f);
	else if (f->requested && buf_len(&f->conn.in))
		cancel(f); /* one request per process: the peer is confused */
	else if (!f->requested)
		on_request(f);
}

static void on_signal(struct watch *w, uint32_t events)
{
	(void)events;
	cancel(container_of(w, struct fetch, signal_watch));
}

static int init(struct fetch *f, struct error *err)
{
	sigset_t stop;
	int r = conn_init(&f->conn, FD_SOCKET, FRAME_HEADER + FRAME_PAYLOAD_MAX + 2 * PROGRESS_QUEUE_MAX);

	if (r < 0)
		return error_code(err, r, "fd %d is not a socket", FD_SOCKET);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGHUP);
	f->signal_fd = loop_signal_fd(&stop);
	if (f->signal_fd < 0)
		return error_code(err, f->signal_fd, "signalfd");
	r = loop_init(&f->loop);
	if (r == 0)
		r = loop_add(&f->loop, &f->conn_watch, f->conn.fd, EPOLLIN, on_conn);
	if (r == 0)
		r = loop_add(&f->loop, &f->signal_watch, f->signal_fd, EPOLLIN, on_signal);
	return r < 0 ? error_code(err, r, "epoll") : 0;
}

/* Sends what is queued, waiting for the library to read it, unless it is gone or a signal says stop. */
static void flush(struct fetch *f)
{
	struct pollfd p[] = {
		{ .fd = f->conn.fd, .events = POLLOUT },
		{ .fd = f->signal_fd, .events = POLLIN },
	};

	while (conn_write(&f->conn) == 0 && conn_wants_write(&f->conn)) {
		poll(p, ARRAY_SIZE(p), -1);
		if (p[0].revents & (POLLERR | POLLHUP) || p[1].revents)
			break;
	}
}

/* Queues the answer: 0, or the failure in f->err. */
static int answer(struct fetch *f)
{
	int r;

	r = store_sync_names(&f->store, &f->err);
	if (r < 0)
		return r;
	r = wire_put_image_done(&f->conn.out, &f->result);
	if (r == -EMSGSIZE || r == -ENOBUFS)
		return error_set(&f->err, r, "the images' configurations are too large to report at once");
	return r < 0 ? error_code(&f->err, r, "cannot report the result") : 0;
}

int fetch_main(void)
{
	struct fetch f = {
		.store = STORE_NONE, .signal_fd = -1, .conn_watch = WATCH_NONE, .signal_watch = WATCH_NONE,
		.loop = { .epfd = -1 },
	};
	int r = init(&f, &f.err);

	if (r == 0 && loop_run(&f.loop) < 0)
		error_set(&f.err, -EIO, "epoll fails");
	if (f.err.code == 0 && answer(&f) == 0) {
		flush(&f);
		f.finish(&f);
		image_request_fini(&f.req);
		image_result_fini(&f.result);
		store_close(&f.store);
		loop_fini(&f.loop);
		close_fd(&f.signal_fd);
		conn_fini(&f.conn);
		return 0;
	}
	if (f.abandon)
		f.abandon(&f);
	if (f.err.code != -ECANCELED) {
		log_error("%s", f.err.text);
		if (f.conn.fd >= 0 && wire_put_image_failed(&f.conn.out, &f.err) == 0)
			flush(&f);
	}
	_exit(1);
}

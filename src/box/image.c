#include "box/image.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/sock.h"
#include "box/helper.h"
#include "wire/conn.h"

/* Environment that boxlite-image may see: the proxies and what its tests turn. */
static const char *const passed_on[] = {
	"http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "ALL_PROXY", "all_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "BOXLITE_PULL_STALL_SECONDS", "BOXLITE_PULL_ATTEMPTS",
	NULL,
};

static int start_program(struct home *h, int sock, int source_fd, struct child *ret, struct error *err)
{
	static const char *const argv[] = { "boxlite-image", "fetch", NULL };
	const struct spawn_fd fds[] = { { sock, 3 }, { h->images_fd, 4 }, { source_fd, 5 } };

	return helper_start(h, &(struct helper){ argv, passed_on, fds, source_fd >= 0 ? 3 : 2 }, ret, err);
}

static int64_t parse_time(const char *text)
{
	struct tm tm = { 0 };

	/* RFC 3339; fractions and zone are ignored: a day's precision is what people look at. */
	return strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) : 0;
}

static int add_image(struct home *h, const struct image_info *i, const struct image_job *job, struct error *err)
{
	/* A view of what boxlite-image reported; nothing here is owned. */
	struct db_image row = {
		.reference = i->reference,
		.manifest = i->manifest_digest,
		.config = i->config_digest,
		.rootfs = i->rootfs,
		.rootfs_bytes = i->rootfs_bytes,
		.blob_bytes = i->blob_bytes,
		.blobs = i->blobs,
		.config_json = i->config_json,
		.created_at = parse_time(i->created),
		.pulled_at = time(NULL),
	};
	int r = db_image_put(h->db, &row, err);

	if (r == 0 && job->added)
		job->added(&row, job->ud);
	return r;
}

/* One frame: 0 go on, 1 done, -errno. */
static int handle_frame(struct home *h, const struct frame *f, const struct image_job *job, struct error *err)
{
	struct image_progress p;
	struct image_result res = { 0 };
	struct error failure;
	size_t i;
	int r;

	switch (f->type) {
	case FRAME_IMAGE_PROGRESS:
		if (wire_get_image_progress(f, &p) < 0)
			break;
		if (job->progress && job->progress(&p, job->ud) != 0)
			return error_set(err, -ECANCELED, "cancelled");
		return 0;
	case FRAME_IMAGE_DONE:
		r = wire_get_image_done(f, &res, err);
		for (i = 0; r == 0 && i < res.n; i++)
			r = add_image(h, &res.images[i], job, err);
		image_result_fini(&res);
		return r < 0 ? r : 1;
	case FRAME_IMAGE_FAILED:
		if (wire_get_image_failed(f, &failure) < 0)
			break;
		return error_set(err, failure.code, "%s", failure.text);
	}
	return error_set(err, -EBADMSG, "boxlite-image sent a malformed %s", frame_name(f->type));
}

/* Waits for the socket or the cancel fd: 0 or -ECANCELED. */
static int wait_for_events(struct conn *c, int cancel_fd, struct error *err)
{
	struct pollfd fds[2] = {
		{ .fd = c->fd, .events = (short)(POLLIN | (conn_wants_write(c) ? POLLOUT : 0)) },
		{ .fd = cancel_fd, .events = POLLIN },
	};

	if (poll(fds, 2, -1) < 0 && errno != EINTR)
		return error_sys(err, "cannot wait for boxlite-image");
	if (fds[1].revents)
		return error_set(err, -ECANCELED, "cancelled");
	return 0;
}

static int talk(struct home *h, struct conn *c, const struct image_job *job, struct error *err)
{
	struct frame f;
	ssize_t got;
	int r;

	for (;;) {
		r = wait_for_events(c, job->cancel_fd, err);
		if (r < 0)
			return r;
		(void)conn_write(c); /* a broken pipe is seen by the read */
		got = conn_read(c);
		while ((r = conn_peek(c, &f)) == 1) {
			r = handle_frame(h, &f, job, err);
			if (r != 0)
				return r < 0 ? r : 0;
			conn_next(c, &f);
		}
		if (r < 0)
			return error_code(err, r, "boxlite-image sent nonsense");
		if (got < 0)
			return error_set(err, -EIO, "boxlite-image ended without an answer");
	}
}

int image_run(struct home *h, const struct image_request *req, const struct image_job *job, struct error *err)
{
	struct child child = CHILD_NONE;
	struct conn c = { .fd = -1 };
	int pair[2], status = 0, r;
	auto_fd int far = -1;
	/* Held until the rows are in: nothing that was just fetched can be collected before. */
	auto_fd int lock = home_lock_images(h, false, err);

	if (lock < 0)
		return lock;
	r = sock_pair(pair);
	if (r < 0)
		return error_code(err, r, "cannot start boxlite-image");
	far = pair[1];
	r = conn_init(&c, pair[0], FRAME_HEADER + FRAME_PAYLOAD_MAX);
	if (r == 0)
		r = wire_put_image_request(&c.out, req);
	if (r < 0)
		error_code(err, r, "cannot describe the request");
	if (r == 0)
		r = start_program(h, far, job->source_fd, &child, err);
	close_fd(&far);
	if (r == 0)
		r = talk(h, &c, job, err);
	/* Its end of file tells a boxlite-image that still works to put its things away and end. */
	conn_fini(&c);
	if (child.pidfd >= 0 && spawn_wait(&child, &status) == 0 && status > 128 && r == -EIO)
		return error_set(err, -EIO, "boxlite-image was killed by signal %d", status - 128);
	return r;
}

int image_find(struct home *h, const char *reference, struct db_image *ret, struct error *err)
{
	char full[IMAGE_REF_MAX + 1];
	struct image_ref ref;
	int r = image_ref_parse(reference, &ref, err);

	if (r < 0)
		return r;
	image_ref_format(&ref, full);
	return db_image_get(h->db, full, ret, err);
}

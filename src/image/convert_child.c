/* `boxlite-image convert`: the process that reads the archives. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/clean.h"
#include "base/cursor.h"
#include "base/sock.h"
#include "image/convert.h"
#include "image/heap.h"
#include "image/layer.h"

enum { FD_SOCK = 3, FD_OUT = 4, FD_SCRATCH = 5 };

struct job {
	struct erofs erofs;
	struct buf in;
	struct digest ids;   /* of all diff_ids: the image's uuid comes from it */
	uint64_t budget;     /* uncompressed bytes that may still come */
	uint32_t layer;
};

static int put(uint8_t type, const void *payload, size_t n, struct error *err)
{
	auto_buf struct buf out = BUF_INIT(FRAME_HEADER + n);
	int r = frame_put(&out, type, 0, 0, payload, n);

	if (r == 0)
		r = sock_send_fds(FD_SOCK, buf_data(&out), buf_len(&out), NULL, 0);
	return r < 0 ? error_code(err, r, "cannot reach the parent") : 0;
}

static int put_progress(uint8_t type, uint32_t layer, uint64_t consumed, struct error *err)
{
	uint8_t payload[12];
	struct wr w = wr_over(payload, sizeof(payload));

	wr_u32(&w, layer);
	wr_u64(&w, consumed);
	return put(type, payload, sizeof(payload), err);
}

static int progress(void *ctx, uint64_t consumed, struct error *err)
{
	const struct job *j = ctx;

	return put_progress(CONVERT_PROGRESS, j->layer, consumed, err);
}

static int do_layer(struct job *j, const struct frame *f, int fd, struct error *err)
{
	const struct layer l = {
		.fd = fd, .diff_id = f->payload, .budget = &j->budget, .progress = progress, .ctx = j,
	};
	struct stat st;
	int r;

	if (f->len != 32 || fd < 0)
		return error_set(err, -EBADMSG, "bad request to the image converter");
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	digest_add(&j->ids, f->payload, f->len);
	r = layer_apply(&j->erofs, &l, err);
	if (r < 0)
		return error_prefix(err, "layer %u", j->layer + 1);
	if (fstat(fd, &st) < 0)
		return error_sys(err, "cannot stat the blob");
	return put_progress(CONVERT_LAYER_DONE, j->layer++, (uint64_t)st.st_size, err);
}

/* A name for the file system that depends on the layers alone: a UUID of version 8, "custom". */
static void make_uuid(struct job *j, uint8_t uuid[16])
{
	char hex[DIGEST_HEX + 1];
	uint8_t sum[DIGEST_HEX / 2];

	digest_end(&j->ids, hex);
	digest_bytes(hex, sum);
	memcpy(uuid, sum, 16);
	uuid[6] = (uint8_t)(0x80 | (uuid[6] & 0x0f));
	uuid[8] = (uint8_t)(0x80 | (uuid[8] & 0x3f));
}

static int do_end(struct job *j, struct error *err)
{
	uint8_t uuid[16], payload[16];
	struct wr w = wr_over(payload, sizeof(payload));
	struct erofs_stats st;
	int r;

	make_uuid(j, uuid);
	r = erofs_finish(&j->erofs, uuid, &st, err);
	if (r < 0)
		return r;
	wr_u64(&w, st.bytes);
	wr_u64(&w, st.inodes);
	return put(CONVERT_DONE, payload, sizeof(payload), err);
}

/* Requests come one at a time: the next is only sent when this one was answered. 1 after the last. */
static int serve(struct job *j, struct error *err)
{
	auto_fd int blob = -1;
	struct frame f;
	int r;

	while ((r = frame_peek(&j->in, &f)) == 0) {
		uint8_t bytes[FRAME_HEADER + 32];
		size_t nfds = 0;
		ssize_t n = sock_recv_fds(FD_SOCK, bytes, sizeof(bytes), &blob, blob < 0 ? 1 : 0, &nfds);

		if (n == 0)
			return error_set(err, -ECANCELED, "the parent is gone");
		if (n < 0)
			return error_code(err, (int)n, "cannot read from the parent");
		r = buf_append(&j->in, bytes, (size_t)n);
		if (r < 0)
			return error_code(err, r, "bad request to the image converter");
	}
	if (r > 0 && f.type == CONVERT_LAYER)
		r = do_layer(j, &f, blob, err);
	else if (r > 0 && f.type == CONVERT_END)
		r = do_end(j, err) < 0 ? -EIO : 1;
	else
		r = error_set(err, -EBADMSG, "bad request to the image converter");
	buf_consume(&j->in, frame_size(&f));
	return r;
}

static int limit_self(struct error *err)
{
	const struct rlimit none = { 0, 0 };
	int r = heap_limit(CONVERT_HEAP_MAX, err);

	if (r < 0)
		return r;
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error, not a crash */
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_sys(err, "cannot restrict the image converter");
	return 0;
}

static int run(struct job *j, struct error *err)
{
	int r = limit_self(err);

	if (r == 0 && digest_begin(&j->ids) < 0)
		r = error_nomem(err);
	if (r == 0)
		r = erofs_open(&j->erofs, FD_OUT, FD_SCRATCH, err);
	if (r < 0)
		return r;
	while ((r = serve(j, err)) == 0)
		;
	erofs_close(&j->erofs);
	return r;
}

static void put_failed(const struct error *err)
{
	uint8_t payload[4 + ERROR_TEXT_MAX];
	struct wr w = wr_over(payload, sizeof(payload));
	size_t n = strlen(err->text);

	wr_u32(&w, (uint32_t)-err->code);
	wr_bytes(&w, err->text, n);
	(void)put(CONVERT_FAILED, payload, 4 + n, NULL);
}

int convert_main(void)
{
	struct job j = { .in = BUF_INIT(4096), .budget = UNPACK_MAX };
	struct error err = { 0 };
	int r = run(&j, &err);

	if (r < 0)
		put_failed(&err);
	buf_fini(&j.in);
	digest_fini(&j.ids);
	return r < 0;
}

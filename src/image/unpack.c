#include "image/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GZIP_MAGIC "\x1f\x8b"
#define ZSTD_MAGIC "\x28\xb5\x2f\xfd"

int unpack_open(struct unpack *u, int fd, uint64_t budget, struct error *err)
{
	*u = (struct unpack){ .fd = fd, .budget = budget };
	u->in = malloc(UNPACK_BUFFER);
	u->out = malloc(UNPACK_BUFFER);
	if (u->in && u->out && digest_begin(&u->digest) == 0)
		return 0;
	unpack_close(u);
	return error_nomem(err);
}

void unpack_close(struct unpack *u)
{
	free(u->in);
	free(u->out);
	if (u->begun && u->kind == UNPACK_GZIP)
		inflateEnd(&u->gzip);
	ZSTD_freeDCtx(u->zstd);
	digest_fini(&u->digest);
	*u = (struct unpack){ .fd = -1 };
}

/* Moves what is left to the front and reads behind it: bytes read, 0 at the end of the blob, or -errno. */
static ssize_t fill(struct unpack *u, struct error *err)
{
	ssize_t got;

	memmove(u->in, u->in + u->in_at, u->in_len);
	u->in_at = 0;
	do
		got = pread(u->fd, u->in + u->in_len, UNPACK_BUFFER - u->in_len, (off_t)u->offset);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return error_sys(err, "cannot read the blob");
	u->offset += (uint64_t)got;
	u->in_len += (size_t)got;
	return got;
}

/* Does `in` begin with a member of the blob's kind? Reads on if it is too short to tell. */
static int at_member(struct unpack *u, struct error *err)
{
	const uint8_t *p;

	while (u->in_len < 4) {
		ssize_t got = fill(u, err);

		if (got < 0)
			return (int)got;
		if (got == 0)
			break;
	}
	p = u->in + u->in_at;
	if (u->kind == UNPACK_GZIP)
		return u->in_len >= 2 && !memcmp(p, GZIP_MAGIC, 2);
	/* zstd: a frame, or a skippable one (0x184d2a50 to 5f) */
	return u->in_len >= 4 && (!memcmp(p, ZSTD_MAGIC, 4) ||
				  ((p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18));
}

static int begin(struct unpack *u, struct error *err)
{
	int r;

	u->kind = UNPACK_GZIP;
	r = at_member(u, err);
	if (r < 0)
		return r;
	if (r) {
		if (inflateInit2(&u->gzip, 15 + 16) != Z_OK)
			return error_nomem(err);
		/* The digest of the whole is stronger than the checksum of a member, and checked. */
		inflateValidate(&u->gzip, 0);
		u->begun = u->inside = true;
		return 0;
	}
	u->kind = UNPACK_ZSTD;
	r = at_member(u, err);
	if (r < 0)
		return r;
	if (r) {
		u->zstd = ZSTD_createDCtx();
		if (!u->zstd)
			return error_nomem(err);
		ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, UNPACK_WINDOW_LOG);
	} else {
		u->kind = UNPACK_PLAIN;
	}
	u->begun = u->inside = true;
	return 0;
}

static int corrupt(const char *what, const char *why, struct error *err)
{
	return error_set(err, -EBADMSG, "the blob is corrupt: %s: %s", what, why ? why : "bad data");
}

/* Each takes from `in`, gives into `out` and clears `inside` at the end of a member: bytes given. */
static ssize_t step_gzip(struct unpack *u, struct error *err)
{
	z_stream *z = &u->gzip;
	int r;

	z->next_in = u->in + u->in_at;
	z->avail_in = (uInt)u->in_len;
	z->next_out = u->out;
	z->avail_out = (uInt)UNPACK_BUFFER;
	r = inflate(z, Z_NO_FLUSH);
	u->in_at += u->in_len - z->avail_in;
	u->in_len = z->avail_in;
	if (r == Z_STREAM_END) {
		u->inside = false;
		inflateReset(z);
	} else if (r != Z_OK && r != Z_BUF_ERROR) {
		return corrupt("gzip", z->msg, err);
	}
	return (ssize_t)(UNPACK_BUFFER - z->avail_out);
}

static ssize_t step_zstd(struct unpack *u, struct error *err)
{
	ZSTD_inBuffer in = { .src = u->in + u->in_at, .size = u->in_len };
	ZSTD_outBuffer out = { .dst = u->out, .size = UNPACK_BUFFER };
	size_t r = ZSTD_decompressStream(u->zstd, &out, &in);

	u->in_at += in.pos;
	u->in_len -= in.pos;
	if (ZSTD_isError(r))
		return corrupt("zstd", ZSTD_getErrorName(r), err);
	u->inside = r != 0;
	return (ssize_t)out.pos;
}

static ssize_t step(struct unpack *u, struct error *err)
{
	size_t n = u->in_len;

	if (u->kind == UNPACK_GZIP)
		return step_gzip(u, err);
	if (u->kind == UNPACK_ZSTD)
		return step_zstd(u, err);
	memcpy(u->out, u->in + u->in_at, n);
	u->in_at += n;
	u->in_len = 0;
	return (ssize_t)n;
}

/* Between two members: is there another? */
static int next_member(struct unpack *u, struct error *err)
{
	int r = at_member(u, err);

	if (r <= 0)
		u->ended = r == 0;
	else
		u->inside = true;
	return r < 0 ? r : 0;
}

/* Until there is output or the end of the blob: bytes given. */
static ssize_t produce(struct unpack *u, struct error *err)
{
	while (!u->ended) {
		ssize_t given, got;
		size_t before = u->in_len;

		if (!u->inside) {
			int r = next_member(u, err);

			if (r < 0)
				return r;
			continue;
		}
		given = step(u, err);
		if (given != 0)
			return given;
		if (u->in_len < before || !u->inside)
			continue;
		/* Neither output nor progress: it wants more input. */
		got = fill(u, err);
		if (got < 0)
			return got;
		if (got == 0 && u->kind != UNPACK_PLAIN)
			return corrupt(u->kind == UNPACK_GZIP ? "gzip" : "zstd", "it is cut short", err);
		u->ended = got == 0;
	}
	return 0;
}

ssize_t unpack_read(struct unpack *u, const uint8_t **ret, struct error *err)
{
	ssize_t n;
	int r = u->begun ? 0 : begin(u, err);

	if (r < 0)
		return r;
	n = produce(u, err);
	if (n <= 0)
		return n;
	if ((uint64_t)n > u->budget)
		return error_set(err, -EFBIG, "the layers hold more than %llu GiB uncompressed",
				 UNPACK_MAX / GIB);
	u->budget -= (uint64_t)n;
	digest_add(&u->digest, u->out, (size_t)n);
	*ret = u->out;
	return n;
}

void unpack_digest(struct unpack *u, char hex[DIGEST_HEX + 1])
{
	digest_end(&u->digest, hex);
}

/*
 * A layer blob as the stream of its uncompressed bytes: gzip (any number of
 * members), zstd (any number of frames) or neither, told apart by the first
 * bytes, as media types lie. Every byte given out is hashed, so that the
 * layer's diff_id can be checked at the end.
 *
 * Hostile input: output is bounded by UNPACK_MAX over all layers, memory by
 * UNPACK_WINDOW_LOG. What follows the last member and is not a member itself
 * is ignored, as gzip(1) and docker's unpigz do; the digest decides.
 */
#ifndef IMAGE_UNPACK_H
#define IMAGE_UNPACK_H

#include <zlib.h>
#include <zstd.h>

#include "base/error.h"
#include "image/digest.h"

#define UNPACK_MAX (1ULL << 40)  /* uncompressed bytes of all layers of an image */
#define UNPACK_WINDOW_LOG 25     /* of zstd: 32 MiB, what the encoders of image builders use at most */
#define UNPACK_BUFFER (256 * KIB)

enum unpack_kind { UNPACK_PLAIN, UNPACK_GZIP, UNPACK_ZSTD };

struct unpack {
	int fd;                /* borrowed; read by position, so its offset does not matter */
	uint64_t offset;       /* bytes of the blob read */
	uint64_t budget;       /* uncompressed bytes that may still come */
	enum unpack_kind kind;
	bool begun, ended;     /* the kind is known; all output was given */
	bool inside;           /* within a member or frame: the end of the blob here is an error */
	uint8_t *in, *out;     /* owned, UNPACK_BUFFER bytes each */
	size_t in_at, in_len;  /* the part of `in` not yet used */
	z_stream gzip;
	ZSTD_DCtx *zstd;       /* owned */
	struct digest digest;
};

int unpack_open(struct unpack *u, int fd, uint64_t budget, struct error *err) MUST_CHECK;
void unpack_close(struct unpack *u);

/* The next bytes, good until the next call. Count, 0 at the end, -EBADMSG, -EFBIG past the budget. */
ssize_t unpack_read(struct unpack *u, const uint8_t **ret, struct error *err) MUST_CHECK;

/* After the end: the digest of all bytes given. */
void unpack_digest(struct unpack *u, char hex[DIGEST_HEX + 1]);

/* Bytes of the blob used so far. */
static inline uint64_t unpack_consumed(const struct unpack *u)
{
	return u->offset - u->in_len;
}

#endif

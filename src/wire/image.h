/*
 * Messages between the library and `boxlite-image fetch`: one request, any
 * number of progress reports, then DONE or FAILED. Encode and decode only.
 *
 * The fds of `boxlite-image fetch`:
 *     0, 1  nothing          2  log
 *     3     stream socket to the library, these frames on stream 0. Its end
 *           means: nobody wants the image any more; stop at once
 *     4     the folder $BOXLITE_HOME/images
 *     5     IMAGE_LOAD only: the source. A folder (OCI layout), or a file or
 *           pipe (tar of an OCI layout or of `docker save`, compressed or not)
 *
 * The library decodes replies of a process that parsed hostile bytes, so every
 * decoder bounds and checks what it returns, and *ret is untouched on failure.
 */
#ifndef WIRE_IMAGE_H
#define WIRE_IMAGE_H

#include "base/json.h"
#include "wire/frame.h"
#include "wire/ref.h"

enum {
	FRAME_IMAGE_REQUEST = 40,  /* library -> image: struct image_request */
	FRAME_IMAGE_PROGRESS = 41, /* image -> library: struct image_progress */
	FRAME_IMAGE_DONE = 42,     /* image -> library, last: struct image_result */
	FRAME_IMAGE_FAILED = 43,   /* or this, last: struct error. The library's caller gets its code */
};

#define IMAGE_SECRET_MAX (64 * 1024)       /* a password or token, bytes */
#define IMAGE_PARALLEL_MAX 32
#define IMAGE_LAYERS_MAX 512
#define IMAGE_BLOBS_MAX (IMAGE_LAYERS_MAX + 8) /* layers, config, manifest, indexes above it */
#define IMAGE_CONFIG_TEXT_MAX (1024 * 1024) /* image_info.config_json, bytes */
#define IMAGE_LIST_MAX 64                  /* images of one load */
#define IMAGE_WORD_MAX 64                  /* architecture, os, created */

enum image_op { IMAGE_PULL, IMAGE_LOAD };

struct image_request {
	enum image_op op;
	char *reference;      /* owned; pull: as typed. Load: the name to give, NULL = what the source says */
	char *username;       /* owned; NULL = anonymous */
	char *password;       /* owned; with username */
	char *identity_token; /* owned; instead of a password ("identitytoken" of docker's config) */
	bool plain_http;      /* pull: the registry speaks http, not https */
	char *architecture;   /* owned; "amd64", "arm64/v8"; NULL = "amd64" */
	uint32_t parallel;    /* layers downloaded at once; 0 = 4 */
	bool quiet;           /* no progress frames */
};

enum image_phase {
	IMAGE_RESOLVING,   /* reading manifest and config; load: reading the source */
	IMAGE_DOWNLOADING, /* layer `item` of `items`, bytes as stored */
	IMAGE_CONVERTING,  /* the root file system; layer `item` of `items` */
	IMAGE_WAITING,     /* another process is doing just this; it will not be done twice */
};

#define IMAGE_SHORT_DIGEST 12 /* hex digits */

struct image_progress {
	enum image_phase phase;
	uint32_t item, items; /* item counts from 1; 0 = not about one layer */
	char digest[IMAGE_SHORT_DIGEST + 1]; /* first hex digits of the layer, or "" */
	uint64_t done, total; /* bytes; total 0 = unknown */
};

/* One image that is now in the store. */
struct image_info {
	char *reference;       /* owned; normalised; a manifest digest if nothing names the image */
	char *manifest_digest; /* owned; "sha256:<hex>" */
	char *config_digest;   /* owned; "sha256:<hex>" */
	char *rootfs;          /* owned; "<64 hex>.erofs", a file in images/rootfs */
	uint64_t rootfs_bytes;
	uint64_t blob_bytes;   /* sum over blobs */
	struct strv blobs;     /* "sha256:<hex>": everything under images/blobs that the image needs, each once */
	char *config_json;     /* owned; the "config" object of the image's configuration, compact JSON */
	char *architecture;    /* owned; "amd64" */
	char *os;              /* owned; "linux" */
	char *created;         /* owned; RFC 3339 as the image says it, "" if it does not */
};

#define IMAGE_INFO_INIT ((struct image_info){ .blobs = STRV_INIT(IMAGE_BLOBS_MAX) })

struct image_result {
	struct image_info *images; /* owned */
	size_t n;                  /* pull: 1; load: 1 to IMAGE_LIST_MAX */
};

void image_request_fini(struct image_request *r); /* secrets are overwritten */
void image_info_fini(struct image_info *i);
void image_result_fini(struct image_result *r);

/* Takes over *info, which is empty afterwards: 0; or -E2BIG past IMAGE_LIST_MAX, -ENOMEM, and it stays the caller's. */
int image_result_add(struct image_result *r, struct image_info *info) MUST_CHECK;

/* Each appends one frame to out: 0, -EMSGSIZE, -ENOBUFS, -ENOMEM (also for text that is not UTF-8). */
int wire_put_image_request(struct buf *out, const struct image_request *r) MUST_CHECK;
int wire_put_image_progress(struct buf *out, const struct image_progress *p) MUST_CHECK;
int wire_put_image_done(struct buf *out, const struct image_result *r) MUST_CHECK;
int wire_put_image_failed(struct buf *out, const struct error *e) MUST_CHECK;

/* Each decodes the payload of its frame: 0, -EBADMSG, -ENOMEM. Error texts quote nothing of the payload. */
int wire_get_image_request(const struct frame *f, struct image_request *ret, struct error *err) MUST_CHECK;
int wire_get_image_progress(const struct frame *f, struct image_progress *ret) MUST_CHECK;
int wire_get_image_done(const struct frame *f, struct image_result *ret, struct error *err) MUST_CHECK;
int wire_get_image_failed(const struct frame *f, struct error *ret) MUST_CHECK; /* its text is safe to print */

#endif

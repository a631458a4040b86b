/*
 * COPY: a tar out of a folder, or into one. Encode and decode only.
 *
 * Towards the agent it begins a stream as START does, of a box's path: with GET
 * the stream's stdout is a tar, with PUT its stdin takes one. It ends with EXIT:
 * code 0, or an errno with the reason in `error`.
 *
 * Of the library to boxlite-copy it is the only frame, about an open file and
 * with the tar on a socket of its own; the answer is an EXIT likewise.
 *
 * Names are bytes, and JSON holds only UTF-8: they travel in hex.
 */
#ifndef WIRE_COPY_H
#define WIRE_COPY_H

#include "base/error.h"
#include "wire/frame.h"

enum copy_op { COPY_GET, COPY_PUT };

enum copy_fd { COPY_FD_CONTROL = 3, COPY_FD_FILE = 4, COPY_FD_TAR = 5 }; /* those of boxlite-copy */

struct copy_spec {
	enum copy_op op;
	char *path;   /* owned; in the box. NULL to boxlite-copy */
	char *name;   /* owned; of the source. GET by boxlite-copy: what the archive calls it. PUT: see tar/unpack.h */
	char *leaf;   /* owned; to boxlite-copy: see tar/unpack.h */
	bool follow;  /* GET: a link at the end of path is followed */
	bool place;   /* PUT: the archive is of one thing, which is copied to path as by docker cp. Else its
		         entries come into the folder that path is */
	bool owners;  /* PUT: as the archive says */
	bool leaf_is_folder;
};

#define COPY_NAME_MAX 4096

void copy_spec_fini(struct copy_spec *s);
int wire_put_copy(struct buf *out, uint32_t stream, const struct copy_spec *s) MUST_CHECK;
int wire_get_copy(const struct frame *f, struct copy_spec *ret, struct error *err) MUST_CHECK;

#endif

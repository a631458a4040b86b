/*
 * Layers to one EROFS image, in a process of its own: `boxlite-image convert`.
 * Archives are hostile, so what reads them holds no network connection, no
 * credentials and no path, only open files, and dies with its parent.
 *
 * In the child: fd 3 the control socket, fd 4 the image (empty, regular, open
 * for reading and writing), fd 5 a folder for unlinked scratch files.
 *
 * The protocol is wire/frame.h's framing with the types below; it is private
 * to this program, both ends being the same file. Integers are little-endian.
 * The parent sends a layer, bottom first, when the child has done the one
 * before: so neither ever waits for a full socket. Both bound what they take.
 */
#ifndef IMAGE_CONVERT_H
#define IMAGE_CONVERT_H

#include "base/spawn.h"
#include "wire/frame.h"

enum convert_frame {
	CONVERT_LAYER = 64,      /* to the child: diff_id, 32 bytes; the blob's fd is attached */
	CONVERT_END = 65,        /* to the child: all layers were sent */
	CONVERT_PROGRESS = 66,   /* back: u32 layer, u64 bytes of its blob used so far */
	CONVERT_LAYER_DONE = 67, /* back: the same */
	CONVERT_DONE = 68,       /* back, last: u64 bytes of the image, u64 inodes */
	CONVERT_FAILED = 69,     /* back, last: u32 errno, one line of text */
};

#define CONVERT_LAYERS_MAX 512
#define CONVERT_HEAP_MAX (40 * MIB) /* RLIMIT_DATA of the child; the arena's window comes on top */

struct convert_layer {
	int fd; /* owned until it is sent */
	uint8_t diff_id[32];
};

struct convert {
	int sock;           /* owned, non-blocking */
	struct child child;
	struct buf in;
	struct convert_layer layers[CONVERT_LAYERS_MAX];
	unsigned queued, sent, done; /* numbers of layers */
	bool ended;         /* convert_end() was called */
};

#define CONVERT_NONE ((struct convert){ .sock = -1, .child = { .pidfd = -1 } })

enum convert_kind { CONVERT_AT_WORK, CONVERT_LAYER_READY, CONVERT_FINISHED };

struct convert_event {
	enum convert_kind kind;
	unsigned layer;       /* AT_WORK, LAYER_READY: from 0 */
	uint64_t consumed;    /* AT_WORK, LAYER_READY: bytes of its blob */
	uint64_t image_bytes; /* FINISHED: size of the file; not synced */
	uint64_t inodes;      /* FINISHED */
};

/* The child: never returns an error to a person but through the socket. The exit code. */
int convert_main(void);

/* Starts self_path (/proc/self/exe) as the child. out_fd and scratch_dirfd stay the caller's. */
int convert_start(struct convert *c, const char *self_path, int out_fd, int scratch_dirfd,
		  struct error *err) MUST_CHECK;

/* Readable when convert_event() has something to do. */
static inline int convert_fd(const struct convert *c)
{
	return c->sock;
}

/* Queues the next layer, bottom first: a whole blob, open for reading. blob_fd stays the caller's;
 * its offset does not matter. */
int convert_layer(struct convert *c, int blob_fd, const uint8_t diff_id[32], struct error *err) MUST_CHECK;

/* No more layers. */
int convert_end(struct convert *c, struct error *err) MUST_CHECK;

/* Reads without waiting. 1: *ret is an event, call again. 0: nothing for now. Negative: it failed. */
int convert_event(struct convert *c, struct convert_event *ret, struct error *err) MUST_CHECK;

/* After CONVERT_FINISHED: waits for the child's end, which is imminent, and releases everything. */
int convert_finish(struct convert *c, struct error *err) MUST_CHECK;

/* Kills the child if there is one and releases everything. */
void convert_abort(struct convert *c);

#endif

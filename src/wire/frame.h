/*
 * The framing of box.sock and of the agent channel, and the meaning of each
 * message. Encode and decode only; no I/O. The decoder is fuzzed.
 *
 * A connection is a stream of bytes each way. A frame is a header of 12 bytes,
 * little-endian, and a payload:
 *
 *      0   u32  payload length, at most FRAME_PAYLOAD_MAX
 *      4   u8   type (enum frame_type)
 *      5   u8   flags: the channel of DATA and CREDIT, FRAME_EOF
 *      6   u16  zero
 *      8   u32  stream id; 0 is the connection itself
 *
 * Payloads are JSON objects, but for DATA (raw bytes), CREDIT (u32) and what is sent for each process: wire/proc.h.
 *
 * Streams. A stream is one process in the box, one copy of files (COPY), or one connection to a socket in the box
 * (DIAL_UNIX). The side that starts it chooses the id, never 0 and never one still in use: the shim towards the agent,
 * the client towards the shim (which translates). A stream lives from START, COPY, DIAL_UNIX or ATTACH until EXIT,
 * which is the last frame of its id.
 *
 * Any number of clients may be attached to one process. Who attaches to it later is first sent the last of what it has
 * written, up to FRAME_BACKLOG bytes beyond the credit; and begins without credit for stdin, if it asked to give that:
 * CREDIT says how much there is.
 *
 * Flow control. Each stream has three channels: stdin towards the agent,
 * stdout and stderr from it. A sender begins with FRAME_WINDOW bytes of credit
 * on each channel; DATA spends it, CREDIT (u32, more bytes) gives it back once
 * the receiver has passed the bytes on. A reader that stalls stops only its
 * own channel, and no buffer ever holds more than FRAME_WINDOW bytes of a
 * channel. DATA beyond the credit is a protocol error: the connection ends.
 * DATA with FRAME_EOF is the last on its channel (its payload may be empty).
 * DATA may cross a CLOSE of its channel on the way: it is dropped, without credit.
 *
 * Both sides send HELLO first and refuse another protocol generation.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "base/base.h"
#include "base/buf.h"
#include "base/error.h"

#define WIRE_PROTOCOL 2 /* generation; both ends must say the same */

#define FRAME_HEADER 12
#define FRAME_PAYLOAD_MAX (4 * 1024 * 1024) /* a process with 2 MB of argv and a large environment */
#define FRAME_DATA_MAX (64 * 1024)          /* payload of one DATA frame */
#define FRAME_WINDOW (256 * 1024)           /* initial credit of a channel, bytes */
#define FRAME_BACKLOG (129 * 1024)          /* of output, for who attaches later; with the headers of its frames */

enum frame_type {
	/* on stream 0 */
	FRAME_HELLO = 1,    /* both ways: generation and role */
	FRAME_BOOT = 2,     /* shim -> agent: {hostname, ...} see wire/boot.h */
	FRAME_READY = 3,    /* agent -> shim: the root is mounted, see wire/timing.h; shim -> client: {} */
	FRAME_SHUTDOWN = 4, /* shim -> agent, client -> shim: end all processes, sync, unmount */
	FRAME_BYE = 5,      /* agent -> shim: file systems are unmounted, the power may go */
	FRAME_FAILED = 6,   /* either way: what went wrong; the sender closes after it */
	FRAME_PARKED = 7,   /* agent -> shim, before HELLO, in a machine without a box: empty; it can be saved */
	FRAME_TIMING = 8,   /* shim -> the box's owner, last of all: see wire/timing.h */
	FRAME_METRICS = 9,  /* client -> shim -> agent, and back: what the box uses, see wire/metrics.h */
	FRAME_TOP = 10,     /* likewise: what runs in it */
	FRAME_RENAME = 11,  /* client -> shim: what the box is called from now on */
	FRAME_TRUST = 12,   /* shim -> agent, before the main process: {pem}, a certificate; see wire/boot.h */
	FRAME_CLOCK = 13,   /* shim -> agent: the host's wall clock was set; see wire/boot.h */

	/* on a process stream */
	FRAME_START = 16,   /* towards the agent: a process to start, see wire/proc.h */
	FRAME_STARTED = 17, /* back: that it runs, see wire/proc.h */
	FRAME_DATA = 18,    /* both ways: raw bytes of the channel in the flags */
	FRAME_CREDIT = 19,  /* both ways: u32, more bytes of the channel in the flags may be sent */
	FRAME_SIGNAL = 20,  /* towards the agent. Of a client on stream 0: for the main process */
	FRAME_RESIZE = 21,  /* towards the agent: the size of its terminal */
	FRAME_EXIT = 22,    /* back, last of the stream: see wire/proc.h */
	FRAME_ATTACH = 23,  /* client -> shim: join a process on this stream; exec 0: the main one */
	FRAME_CLOSE = 24,   /* towards the agent: nobody reads the channel in the flags any more; empty */

	/* towards the agent, begins a stream as START does; library -> boxlite-copy */
	FRAME_COPY = 28,    /* a tar out of the box, or into it: see wire/copy.h */
	/* shim -> agent, begins a stream as START does: connect to a UNIX socket in the box. STARTED says that it is,
	 * stdin and stdout are its bytes; EXIT of code 0, or of an errno. Of a client, and back: as DIAL */
	FRAME_DIAL_UNIX = 29,

	/* library -> shim, once, before all else */
	FRAME_SPEC = 32,    /* what to run, see wire/spec.h */

	/* shim -> boxlite-vmm, in a file */
	FRAME_MACHINE = 33, /* the machine, see wire/machine.h */

	/* between shim and boxlite-net: see wire/netmsg.h */
	FRAME_NET = 34,
	FRAME_NET_READY = 35,
	FRAME_NET_DENIED = 36,
	FRAME_NET_STATS = 37,
	FRAME_NET_RESOLV = 38,
	FRAME_NET_SECRETS = 39, /* in a file, packed; and FRAME_NET_CA: see wire/secret.h */
	FRAME_NET_CA = 44,

	/* client -> shim -> boxlite-net, and back: see wire/netchange.h */
	FRAME_PUBLISH = 40,
	FRAME_UNPUBLISH = 41,
	FRAME_RULES = 42,
	FRAME_DIAL = 43,
};

enum frame_channel { CHANNEL_STDIN = 0, CHANNEL_STDOUT = 1, CHANNEL_STDERR = 2, CHANNELS = 3 };

#define FRAME_CHANNEL_MASK 0x03
#define FRAME_EOF 0x80

struct frame {
	uint8_t type;
	uint8_t flags;
	uint32_t stream;
	const uint8_t *payload; /* borrowed from the buffer it was decoded from; NULL only if len is 0 */
	uint32_t len;
};

/*
 * Decodes the frame at the head of `in` without consuming it.
 * 1: *ret is complete; when done with it, buf_consume(in, frame_size(ret)).
 * 0: more bytes are needed (in->max must be at least FRAME_HEADER + FRAME_PAYLOAD_MAX to hold any frame).
 * -EBADMSG: not a frame: unknown flags, non-zero padding or too long; the connection is lost.
 */
int frame_peek(const struct buf *in, struct frame *ret) MUST_CHECK;

static inline size_t frame_size(const struct frame *f)
{
	return FRAME_HEADER + (size_t)f->len;
}

/* Appends a frame to an output buffer: 0, -ENOBUFS, -ENOMEM; all or nothing. */
int frame_put(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
	      size_t len) MUST_CHECK;
/*
 * A frame filled in place, for bytes that read(2) brings: frame_reserve() gives the
 * place of up to n payload bytes behind the tail of out (NULL: no room or no memory),
 * frame_commit() makes the first len of them a frame. Without the commit nothing happened.
 */
uint8_t *frame_reserve(struct buf *out, size_t n) MUST_CHECK;
void frame_commit(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, size_t len);

/* The header alone, of FRAME_HEADER bytes. */
void frame_head(void *to, uint8_t type, uint8_t flags, uint32_t stream, size_t len);

int frame_put_credit(struct buf *out, uint32_t stream, enum frame_channel ch, uint32_t bytes) MUST_CHECK;

/* The payload of a CREDIT frame: 0 or -EBADMSG. */
int frame_get_credit(const struct frame *f, uint32_t *ret) MUST_CHECK;

int frame_put_close(struct buf *out, uint32_t stream, enum frame_channel ch) MUST_CHECK;

/* The channel of a CLOSE frame, an output: 0 or -EBADMSG. */
int frame_get_close(const struct frame *f, enum frame_channel *ret) MUST_CHECK;

/* "START" and so on, for logs. */
const char *frame_name(uint8_t type);

#endif

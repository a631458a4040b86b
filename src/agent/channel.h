/*
 * The agent's one connection to the host: a virtio-serial port or a vsock
 * stream, with a bounded buffer each way. See channel.c for who may fill what.
 */
#ifndef AGENT_CHANNEL_H
#define AGENT_CHANNEL_H

#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"

#define CHANNEL_OUT_BUSY (256 * KIB) /* more than this waits: no process' output is read */
#define CHANNEL_OUT_FULL (1 * MIB)   /* more than this waits: no frame of the host is read */

struct channel {
	int fd; /* owned; -1 when the host is gone */
	struct loop *loop;
	struct watch watch;
	uint32_t frame_most; /* the payload of a frame that fills one write to the device */
	struct buf in;  /* whole frames are taken from its head */
	struct buf out; /* append frames, then channel_settle() */
	bool lost;      /* the host has closed its end, or the device failed */
	uint64_t hold_until_ns; /* `out` waits so long for more than hold_len bytes; 0: it does not wait */
	size_t hold_len;
};

/*
 * Opens `where`: a device ("/dev/vport0p1"; waits for it to appear) or "vsock:CID:PORT",
 * a stream socket of the host. 0 or -errno. The fd still blocks.
 */
int channel_open(struct channel *c, const char *where, struct error *err) MUST_CHECK;

/* For tests: over an open stream socket, which becomes the channel's. */
void channel_init(struct channel *c, int fd);

void channel_close(struct channel *c);

/*
 * Writes all that waits, blocking, however long the host takes: at the start, where a
 * virtio port makes the writer wait until the host's side is connected, and at the end.
 */
int channel_write_all(struct channel *c) MUST_CHECK;

/* Before the machine is turned off: returns when the host has all that was written, or takes too long. The channel may
 * be closed then. */
void channel_deliver(struct channel *c);

/* From here on fd does not block, and fn runs when there may be frames in `in` or c->lost is set. */
int channel_watch(struct channel *c, struct loop *l, watch_fn *fn) MUST_CHECK;

/* Reads what has arrived into c->in; sets c->lost at the end of the connection. */
void channel_fill(struct channel *c);

/* Writes what the host takes now and asks for the events that are wanted next. */
void channel_settle(struct channel *c);

/* Called before a frame is appended that can wait: if nothing else is there, it goes out with the next, or after ms. */
void channel_hold(struct channel *c, unsigned ms);

/* ms until channel_settle() must be called although nothing has happened; -1: never. */
int channel_timeout(const struct channel *c);

static inline bool channel_busy(const struct channel *c)
{
	return buf_len(&c->out) > CHANNEL_OUT_BUSY;
}

#endif

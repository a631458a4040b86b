/*
 * The cable to the guest's network card: a seqpacket socket, one Ethernet frame a message, to the engine. With headers
 * (engine kvm) each has a struct virtio_net_hdr_v1 in front, and checksums of long frames are left to the guest.
 */
#ifndef NET_LINK_H
#define NET_LINK_H

#include <sys/uio.h>

#include "base/error.h"
#include "base/loop.h"

#define LINK_PIECES_MAX 8

struct link;

struct link_ops {
	/* A frame of the guest, hostile; the bytes are good until it returns. */
	void (*frame)(void *ud, const uint8_t *frame, size_t n);
	/* After frames: a batch is over. */
	void (*batch)(void *ud);
	/* There is room again, after link_send() has said that there was none. */
	void (*room)(void *ud);
	/* The other end has gone. */
	void (*gone)(void *ud);
};

/* How much may go one way: bytes that accumulate with time, up to a moment's worth. */
struct meter {
	uint64_t rate;  /* bytes a second; 0: no limit */
	int64_t tokens; /* below 0: more than allowed has gone */
	uint64_t at_ns; /* when they were counted */
};

struct link {
	struct loop *loop; /* borrowed */
	struct watch watch, timer;
	int fd; /* owned */
	bool headers;
	bool blocked; /* nothing can be sent now: the socket is full, or the meter says so */
	bool full, slow_out, slow_in; /* which of them; and that nothing is received because of the other meter */
	struct meter in, out; /* of the guest; to it */
	const struct link_ops *ops;
	void *ud;
};

/* Where the checksum of TCP, UDP or ICMP is to go. The field holds the sum of the pseudo header, not inverted; what it
 * is a checksum of is the frame from `start` to its end. */
struct link_sum {
	uint16_t start, offset; /* from the frame's beginning; from start */
};

/* Takes the fd. 0 or negative errno, with the fd closed. */
int link_open(struct link *l, struct loop *loop, int fd, bool headers, const struct link_ops *ops, void *ud,
	      struct error *err) MUST_CHECK;
void link_close(struct link *l);

/* At most so many bytes a second, each way; 0: no limit. */
int link_limit(struct link *l, uint64_t rate, struct error *err) MUST_CHECK;

/*
 * Sends a frame in pieces, at most LINK_PIECES_MAX; the checksum lies in the first one, which is written to. sum NULL:
 * the frame has none that is open. False: there is no room now, ops->room() follows.
 */
bool link_send(struct link *l, const struct iovec *v, unsigned n, const struct link_sum *sum);

#endif

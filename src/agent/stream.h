/*
 * The bytes of one process: its stdin from the host, its stdout and stderr to
 * the host, with the credit of wire/frame.h each way; or those of a connection
 * in the box, both ways. Knows fds and frames and nothing of processes.
 */
#ifndef AGENT_STREAM_H
#define AGENT_STREAM_H

#include "agent/channel.h"
#include "wire/frame.h"

struct stream;

enum stream_kind {
	STREAM_PIPES,
	STREAM_TTY,
	STREAM_SOCKET, /* stdin is what is sent on it, stdout what is received */
};

/* stdin: host -> process */
struct inlet {
	int fd;              /* owned, does not block; -1: nobody reads, bytes are dropped */
	struct watch watch;  /* while `queue` holds something; of a socket also after its outlet, for the hang-up */
	struct buf queue;    /* at most FRAME_WINDOW: what the process has not taken yet */
	uint32_t credit;     /* bytes the host may still send */
	uint32_t owed;       /* bytes passed on for which no CREDIT has been sent */
	bool eof;            /* the host has sent its last byte */
};

/* stdout or stderr: process -> host */
struct outlet {
	struct stream *stream;
	enum frame_channel channel;
	int fd;              /* owned, does not block; -1: it has ended */
	struct watch watch;  /* while bytes are wanted and the process lives */
	uint32_t credit;     /* bytes the host still takes */
	bool unwanted;       /* the host has closed the channel */
	bool ends;           /* its EOF is to be sent */
	bool is_long;        /* its pipe was made longer */
	uint32_t drain;      /* once the process has ended: bytes that are still read at most */
};

struct stream {
	uint32_t id;
	struct channel *to;
	struct loop *loop;
	enum stream_kind kind;
	bool attached; /* before it, input is queued */
	bool ended; /* the process has: read what is there, do not wait for more */
	struct inlet in;
	struct outlet out[2];
};

void stream_init(struct stream *s, uint32_t id, struct channel *to, struct loop *l);

/*
 * Gives the stream its fds, which become its own and do not block; -1 = there is none.
 * For a terminal `in` and `out` are two fds of the master, for a socket two of that.
 */
void stream_attach(struct stream *s, enum stream_kind kind, int in, int out, int err);
void stream_fini(struct stream *s);

/* DATA of the host: 0, -ENOMEM, or -EPROTO when it breaks the rules. */
int stream_data(struct stream *s, const struct frame *f, struct error *err) MUST_CHECK;

/* CREDIT of the host: 0 or -EPROTO. */
int stream_credit(struct stream *s, const struct frame *f, struct error *err) MUST_CHECK;

/* CLOSE of the host: the process meets a broken pipe, or the hang-up of its terminal. */
void stream_close(struct stream *s, enum frame_channel ch);

/* The channel may have room again. */
void stream_resume(struct stream *s);

/* The process has ended: no more input, and output only as far as it is there already. */
void stream_end(struct stream *s);

/* Of a socket: neither end has anything more to say, or the box has closed its own. */
bool stream_is_over(const struct stream *s);

/* Forgets output that the host did not take. */
void stream_abandon(struct stream *s);

/* After stream_end(): all output has been handed to the channel. */
bool stream_drained(const struct stream *s);

#endif

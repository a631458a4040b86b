/* What the files of HTTP/2 share. Theory of operation: http2.c. */
#ifndef NET_HTTP2_IMPL_H
#define NET_HTTP2_IMPL_H

#include <nghttp2/nghttp2.h>
#include <sys/queue.h>

#include "net/field.h"
#include "net/http1_body.h"
#include "net/http2.h"

#define STREAMS_MAX 100      /* of the guest at once */
#define STREAMS_ALL_MAX 256  /* with those that one side has given up already */
#define STREAM_WINDOW (512 * KIB)
#define NARROW_WINDOW (NGHTTP2_INITIAL_WINDOW_SIZE + 1)
#define HEADS_MAX (384 * KIB) /* of heads and trailers that one of both sides does not take: more streams are refused */
#define SESSION_WINDOW (1536 * KIB) /* what one side may have sent, of all streams, that the other one has not taken */

/* A body on its way from one session to the other. */
struct half {
	struct stream *stream;
	nghttp2_session *from, *to;    /* borrowed */
	const struct swaps *swaps;
	struct buf work, out;          /* received; changed */
	struct buf trailers;           /* packed fields; empty: none */
	size_t heads, nheads;          /* given to `to`, which has not sent them yet: what they cost, and how many */
	bool over;                     /* the last byte was received */
	bool waits;                    /* the session that sends is to be told when there is more */
	/* Of a request with a length; see http2_body.c. */
	uint64_t length;
	size_t hold;                   /* so much is awaited in `work` before it goes on; 0: it has gone */
	size_t head;                   /* of HEADS_MAX: its own, while it waits for that */
	size_t given;                  /* of `work`: for which the guest has got its window back */
	size_t whole;                  /* of BODY_WHOLE_ALL_MAX */
	size_t begin;                  /* of `work`: what is still changed, if it is */
	bool fixed;                    /* the length of the rest is told, and nothing can be replaced in it */
};

/* Fields as they come: each is its two lengths (u32) and its two texts. */
struct fields {
	struct buf b;
	size_t n;
};

struct stream {
	LIST_ENTRY(stream) link;
	struct http2 *h;
	int32_t guest_id, server_id; /* server_id -1: not asked yet */
	bool guest_closed, server_closed;
	bool refused;                /* it has had an answer of ours: its body goes nowhere */
	bool answered;               /* the answer's head has gone: what comes now are trailers */
	struct fields from_guest, from_server; /* of the head that is being received */
	struct half up, down;
};

struct http2 {
	const struct secret_set *set;
	const char *name;
	uint16_t port;
	nghttp2_session *guest, *server; /* owned; of the guest we are the server */
	LIST_HEAD(, stream) streams;
	unsigned n;
	size_t window; /* of each session */
	size_t heads; /* of HEADS_MAX: those of all, and trailers */
	bool guest_gone, server_gone, leaving;
	refusal_fn *refused;
	void *ud;
};

/* --- http2_head.c --- */

int fields_add(struct fields *f, const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len);
void fields_clear(struct fields *f);
int head_to_server(struct stream *s, bool last);  /* what from_guest has; 0 or an error of nghttp2 */
int head_to_guest(struct stream *s, bool last);
int head_go_on(struct stream *s);                 /* all is there that was to be held of its body */
int head_refuse(struct stream *s, unsigned status); /* an answer of ours, without a body; who calls tells of it */
int head_deny(struct stream *s, unsigned status);   /* the same, told by refusal_reason() */

/* --- http2_body.c --- */

void half_init(struct half *f, struct stream *s, nghttp2_session *from, nghttp2_session *to);
void half_fini(struct half *f);
int half_receive(struct half *f, const uint8_t *p, size_t n);
void half_queue(struct half *f, size_t bytes); /* a head is given to the session that sends */
void half_sent(struct half *f);                /* and goes, or never will */
void half_end(struct half *f); /* no more comes */
void half_drop(struct half *f); /* what is there goes nowhere: whoever sends it may go on */
nghttp2_data_provider half_source(struct half *f);

/* A request of this length, which may change: true if some of it is to be held before its head may go. */
bool half_hold(struct half *f, uint64_t length, bool may_hold);
int64_t half_release(struct half *f); /* how long it will be; -ERANGE: too long to be told; -1: it is not to be told */

/* Sends trailers that were kept in f->trailers. */
int trailers_send(struct half *f, int32_t id);

#endif

/* A TCP connection that ends here on both sides: what the files of TCP share. Theory of operation: tcp.c. */
#ifndef NET_TCP_H
#define NET_TCP_H

#include "net/duct.h"
#include "net/inspect.h"
#include "net/net.h"

enum tcp_state {
	TCP_CONNECTING, /* the host's connect(2) is under way; the guest waits for its SYN to be answered */
	TCP_ANSWERED,   /* SYN, ACK went to the guest */
	TCP_ASKED,      /* SYN went to the guest */
	TCP_OPEN,
};

/* Flags of a segment (RFC 9293, 3.1). */
#define SEG_FIN 0x01
#define SEG_SYN 0x02
#define SEG_RST 0x04
#define SEG_PSH 0x08
#define SEG_ACK 0x10

#define TCP_HEADER 20
#define TCP_SCALE 4 /* of our windows */
#define TCP_WINDOW (512 * KIB)
#define TCP_WINDOW_POOR (64 * KIB) /* when much is held already */
#define TCP_HELD_MAX (1 * MIB)      /* by one connection: more than any window */
#define TCP_HELD_ALL_MAX (16 * MIB) /* by all; what comes beyond it is dropped, and the guest sends it again */
#define TCP_RESEND_MS 200
#define TCP_RESEND_MOST_MS 10000
#define TCP_RETRIES 12     /* then the guest is taken for gone: about a minute and a half */
#define TCP_RETRIES_STARVED 6 /* not more are counted of a guest that answers, but has no room */
#define TCP_SYN_RETRIES 6

struct tcp {
	struct flow f;
	TAILQ_ENTRY(tcp) ack; /* the list of those who owe an acknowledgement */
	bool owes_ack;
	unsigned owes_since; /* tcp_ack.c */
	enum tcp_state state;

	/* To the guest (RFC 9293, 3.3.1): what lies between una and nxt is in the host socket's queue still. */
	uint32_t snd_una, snd_nxt;
	uint32_t recover;     /* something before this was lost (RFC 6582): each step towards it sends the next piece */
	bool recovering;
	uint32_t window;      /* the guest's, in bytes */
	uint8_t scale;        /* of it */
	bool scales;          /* both ends do */
	uint16_t mss;
	uint8_t dupacks, retries;
	uint64_t resend_ms;   /* when something is done about silence */

	/* From the guest. */
	uint32_t rcv_nxt, acked; /* the next byte that is wanted; what the last acknowledgement said */
	uint32_t edge;        /* of the window that was given, never taken back */
	struct buf held;      /* what the host's socket has no room for */

	bool guest_fin;       /* it came, in order */
	bool shut;            /* and the host was told */
	bool hup;             /* epoll says that the host sends no more */
	bool fin_sent;        /* the host has no more; FIN lies before snd_nxt */
	bool is_cut;          /* it has broken: what it has said goes on, and then a RST */
	bool drained;         /* nothing more to read until epoll says so */
	bool peeks_on;        /* SO_PEEK_OFF works */
	bool urgent;          /* the host's peer has sent such bytes: looking stops where they are */
	bool asked;           /* the guest is to say whether it still has this one */
	bool starved;         /* there is something to read, and no window for it */
	bool unchecked;       /* all is held until it is seen for which name it comes (inspect.h), and of TLS, */
	struct inspect_again again; /* once it has a claim, what may be for another one */
	bool internal;        /* the host's end is a socket pair, or a dialler's connection (change.c) */
	bool to_proxy;        /* once the host is reached it becomes the proxy's: */
	uint64_t proxy;       /* this one, and the duct is the host's end; 0: it is not */
	struct duct duct;
	bool inbound;         /* it began at the host: no rule is about it */
	bool inspected;       /* it was seen for which name it comes: */
	char *claim;          /* owned; NULL: its protocol has none */
	uint64_t dial_until_ms; /* somebody dials and waits until then for the guest to accept; 0: not so */
};

static inline struct tcp *tcp_of(struct flow *f)
{
	return container_of(f, struct tcp, f);
}

/* Numbers in a circle (RFC 9293, 3.4). */
static inline bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* --- tcp.c --- */

extern uint64_t tcp_held; /* bytes, by all connections */
extern const struct flow_ops tcp_flow_ops;
void tcp_host_event(struct watch *w, uint32_t events);
void tcp_duct_event(struct duct *d);
void tcp_options(struct tcp *t, const uint8_t *header, size_t header_len); /* those of a SYN */
void tcp_ask_for_all(struct net *n); /* the table is full: does the guest still have all of them? */
void tcp_reset(struct tcp *t); /* ends it, both ends with a RST */
bool tcp_end_if_over(struct tcp *t); /* true: it was over, and is gone */

/* --- tcp_open.c --- */

void tcp_open_out(struct net *n, const struct packet *p); /* a SYN for which there is no flow */
void tcp_connected(struct tcp *t);                         /* connect(2) is over */
void tcp_dialled(struct tcp *t, int code); /* what has come of it, to who waits for that, if anybody does */
void tcp_recheck(struct flow *f);
/* The connection to the host becomes the proxy's, and a duct that of the guest. False: all is gone. */
bool tcp_hand_over(struct tcp *t);

/* --- tcp_send.c --- */

/* A segment without data; of a SYN with its options. False: no room in the link. */
bool tcp_send(struct tcp *t, uint8_t flags, uint32_t seq);
void tcp_send_rst(struct net *n, const struct packet *p); /* the answer to a segment that belongs to nothing */
/* From the host's socket to the guest, as much as goes. False: the connection broke, and is gone; also of the next. */
bool tcp_pull(struct tcp *t);
void tcp_expect_ack(struct tcp *t); /* something is done about silence from here on */
bool tcp_resend(struct tcp *t); /* what lies at snd_una, once more */

/* --- tcp_host.c --- */

#define TCP_LOOK_MAX (8 * NET_LINK_MTU) /* so much is looked at at once */

/* Bytes of the host, where they lie until the next look. */
struct tcp_look {
	struct iovec v[2];
};

ssize_t tcp_host_put(struct tcp *t, const void *p, size_t n); /* how many it has taken; negative: it is broken */
/*
 * Looks at up to `most` bytes behind the first `seen`, most <= TCP_LOOK_MAX: how many, 0 the end, -errno. -EAGAIN:
 * there are none; -EBUSY: not to be said before the next acknowledgement.
 */
ssize_t tcp_host_look(struct tcp *t, uint32_t seen, size_t most, struct tcp_look *ret);
unsigned tcp_look_at(const struct tcp_look *l, size_t at, size_t n, struct iovec v[2]); /* those from `at` on: pieces */
void tcp_host_look_from(struct tcp *t, uint32_t behind); /* where the next look begins: behind what the guest has */
bool tcp_host_drop(struct tcp *t, uint32_t n); /* of its queue, what the guest has. False: it was not there */
void tcp_host_shut(struct tcp *t);             /* the guest says no more */
void tcp_host_abort(struct tcp *t);            /* it is to end with a RST, not as if all had been said */

/* --- tcp_ack.c: acknowledgements that wait a moment for company --- */

void tcp_owe_ack(struct tcp *t, bool now);
void tcp_forget_ack(struct tcp *t); /* it has gone with something else */

#endif

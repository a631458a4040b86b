/*
 * Flows: one for each connection, and for each pair of ends of datagrams, with its host socket. One table for all,
 * bounded, so that what a guest can take of the host is bounded.
 */
#ifndef NET_FLOW_H
#define NET_FLOW_H

#include <sys/queue.h>

#include "base/error.h"
#include "base/ip.h"
#include "base/loop.h"

#define FLOWS_TICK_MS 100

struct net;
struct flow;

struct flow_key {
	struct ip_addr remote; /* as the guest knows it */
	uint16_t remote_port;  /* 0 of an echo */
	uint16_t guest_port;   /* of an echo: its id */
	uint8_t proto;         /* IPPROTO_TCP, _UDP, _ICMP (also of IPv6) */
};

/* What a protocol does with a flow of its own. */
struct flow_ops {
	void (*tick)(struct flow *f);   /* while it is timed, every FLOWS_TICK_MS; may end it */
	void (*resume)(struct flow *f); /* the link has room again */
	void (*recheck)(struct flow *f); /* the rules are others: ends it, if they do not allow it */
	void (*end)(struct flow *f);    /* frees it; the table and the loop have forgotten it */
};

struct flow {
	struct flow *next;         /* in its bucket */
	TAILQ_ENTRY(flow) timed, stuck;
	bool is_timed, is_stuck;
	bool is_outside; /* somebody else than the guest has begun it */
	const struct flow_ops *ops;
	struct net *net; /* borrowed */
	struct flow_key key;
	uint64_t since_ms;  /* when it began */
	struct watch watch; /* of the host socket */
	int fd;             /* owned; -1: it has none */
};

TAILQ_HEAD(flow_list, flow);

struct flows {
	struct flow **bucket; /* owned; NET_FLOWS_MAX */
	uint64_t ask_ms;      /* when the guest may be asked again which of them it still has */
	uint64_t seed;        /* of the hash, so that the guest cannot fill one bucket */
	unsigned n, ntimed, noutside;
	struct flow_list timed, stuck;
	struct watch tick;
	bool ticking;
	struct net *net;
};

int flows_open(struct net *n, struct error *err) MUST_CHECK;
void flows_close(struct net *n);

bool flows_full(const struct net *n);
bool flows_full_outside(const struct net *n); /* for those that come from outside, which leave the guest a quarter */
struct flow *flow_find(const struct flows *t, const struct flow_key *k);

/* Puts one into the table; f->fd and what the protocol needs are set. False: the table is full. */
bool flow_add(struct net *n, struct flow *f, const struct flow_ops *ops, const struct flow_key *k);
void flow_from_outside(struct flow *f); /* counts it among those */
void flow_end(struct flow *f);

void flow_time(struct flow *f, bool on); /* ops->tick() */
void flow_stick(struct flow *f);         /* until ops->resume() */
void flows_resume(struct net *n);        /* all that are stuck, while there is room */

void flows_recheck(struct net *n);       /* all, by the rules as they are now */

#endif

/* What the files of the resolver share: see resolver.c. */
#ifndef NET_RESOLVER_IMPL_H
#define NET_RESOLVER_IMPL_H

#include "base/buf.h"
#include "net/dns.h"
#include "net/resolver.h"
#include "net/servers.h"

#define ASKS_MAX 256 /* questions that wait for the host's servers */
#define CONNS_MAX 64 /* connections of the guest */
#define MESSAGE_MAX 65535

/* A connection of the guest. */
struct conn {
	struct resolver *r;
	struct watch watch;
	struct buf in, out;
	unsigned pending; /* questions of it that are asked */
	bool over;        /* the guest sends no more */
	uint64_t until_ms; /* closed then, unless something happens */
};

/* A question that the host's servers are asked. */
struct ask {
	struct resolver *r;
	struct dns_question q;
	struct resolver_client client; /* who asked, by UDP */
	struct conn *conn;             /* or by TCP */
	unsigned attempt; /* counts servers, round and round */
	uint16_t id;      /* of this attempt */
	unsigned wrong;   /* answers to it, which are none */
	bool tcp;         /* the answer was too long for UDP */
	struct watch watch; /* the socket to the server */
	struct buf in, out; /* of tcp */
	uint64_t until_ms;  /* another attempt then */
};

struct resolver {
	struct loop *loop;
	struct policy *policy;
	const struct resolver_ops *ops;
	void *ud;
	struct server servers[SERVERS_MAX];
	size_t nservers;
	struct ask *asks[ASKS_MAX];    /* owned */
	struct conn *conns[CONNS_MAX]; /* owned */
	struct watch timer;
	uint64_t timer_ms;   /* when it is set to; 0: never */
	uint64_t stale_ms;   /* when ops->stale was called last */
	struct ip_addr host[2]; /* what NET_HOST_NAME is, IPv4 and IPv6 */
	uint8_t msg[MESSAGE_MAX]; /* one that is being looked at */
};

/* resolver.c */
void resolver_question(struct resolver *r, const struct resolver_client *c, struct conn *conn, const void *msg,
		       size_t n);
void resolver_answer(struct resolver *r, const struct resolver_client *c, struct conn *conn, const void *msg, size_t n);
void resolver_until(struct resolver *r, uint64_t ms); /* the timer goes no later */
void resolver_silent(struct resolver *r);             /* a server does not answer */

/* resolver_ask.c: an ask that is over is freed, and no longer in r->asks. */
int ask_start(struct resolver *r, const struct dns_question *q, const struct resolver_client *c, struct conn *conn);
void ask_late(struct ask *a); /* the time of its attempt is over */
void ask_free(struct ask *a);
void ask_refuse(struct ask *a); /* the guest hears that there is no such name */

/* resolver_tcp.c */
ssize_t conn_send(struct buf *out, int fd); /* as buf_write_fd(); a peer that is gone raises no signal */
void conn_free(struct conn *c); /* with its questions */
void conn_late(struct conn *c); /* nothing has happened for a while; c may be gone after it */
void conn_put(struct conn *c, const void *msg, size_t n);
void conn_settle(struct conn *c); /* reads, writes or ends as it should now; c may be gone after it */

#endif

/*
 * What UDP and ICMP echo have in common: a flow is a socket of the host that is connected to one peer, and ends when
 * nothing has gone either way for a while.
 */
#ifndef NET_DATAGRAM_H
#define NET_DATAGRAM_H

#include "net/net.h"

#define DATAGRAM_MAX 65536
#define DATAGRAM_TURN 16 /* received from one flow before others have their turn */

struct datagram {
	struct flow f;
	uint64_t until_ms;
	uint32_t idle_ms; /* so long without a datagram */
	struct udp_peer peer; /* of a published port: listener is not NULL, and f.fd is -1; else only its addr is set */
	/* Passes on what the socket has brought. */
	void (*deliver)(struct datagram *d, uint8_t *data, size_t n);
	void (*failed)(struct datagram *d, int error); /* of the host's socket; may be NULL */
};

/* A new flow; the fd (which may be -1) is taken. NULL: no memory, no room. */
struct datagram *datagram_add(struct net *n, int fd, const struct flow_key *k, uint32_t idle_ms,
			      void (*deliver)(struct datagram *d, uint8_t *data, size_t n));
/* For the guest's packet to k->remote, which has none yet, if it may. NULL: the guest was told why not. */
struct datagram *datagram_open(struct net *n, const struct packet *p, const struct flow_key *k, uint32_t idle_ms,
			       void (*deliver)(struct datagram *d, uint8_t *data, size_t n));
enum unreachable datagram_unreachable(int error); /* what the guest is told of an errno of its socket */
void datagram_used(struct datagram *d); /* it goes on living */

void datagrams_forget(struct net *n, const struct listener *l); /* those that came by it */

static inline struct datagram *datagram_of(struct flow *f)
{
	return container_of(f, struct datagram, f);
}

#endif

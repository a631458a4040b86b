/*
 * The DNS server that the guest sees at the gateway. It answers itself what it can (NET_HOST_NAME, names that are not
 * allowed) and asks the host's servers for the rest.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "base/loop.h"
#include "net/policy.h"

#define DNS_UDP_MAX 4096 /* longest question or answer by UDP; longer answers are truncated (TC) */

struct resolver; /* opaque */

/* Who asked by UDP: kept with the question and given back with the answer. */
struct resolver_client {
	struct ip_addr server; /* the gateway's address that was asked */
	uint16_t port;         /* the guest's */
};

struct resolver_ops {
	/* An answer to a question by UDP. */
	void (*answer)(void *ud, const struct resolver_client *c, const void *msg, size_t n);
	/* A name was refused. */
	void (*denied)(void *ud, const char *name, const char *reason);
	/* The host's servers do not answer, or some time has passed: there may be another resolv.conf. */
	void (*stale)(void *ud);
};

/* `resolv` is the text of a resolv.conf. All else is borrowed. */
struct resolver *resolver_new(struct loop *l, struct policy *p, const char *resolv, const struct resolver_ops *ops,
			      void *ud, struct error *err);
void resolver_free(struct resolver *r);
void resolver_recheck(struct resolver *r); /* the rules are others: what may not be asked any more is refused */
void resolver_set_servers(struct resolver *r, const char *resolv);

/* A question by UDP; hostile. */
void resolver_ask(struct resolver *r, const struct resolver_client *c, const void *msg, size_t n);

/* Serves DNS over TCP (RFC 7766) on this stream socket, until its end; the fd is the resolver's from here. */
void resolver_serve(struct resolver *r, int fd);

#endif

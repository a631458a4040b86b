/*
 * Connections of the guest to ports of hosts that have a secret: those that are for such a host, by the name in their
 * TLS, end here and are made anew, with the value in its place; all others pass unchanged.
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "base/ip.h"
#include "base/loop.h"
#include "net/inspect.h"
#include "net/secrets.h"

struct proxies; /* opaque */

struct proxy_ops {
	/* May it go on to its address, for what it is? name: for which it comes (inspect.h); of INSPECT_NAME only. */
	bool (*may)(void *ud, const struct ip_addr *to, uint16_t port, enum inspect what, const char *name);
	/* It came to nothing; reason is one of struct net_denied. */
	void (*denied)(void *ud, const struct ip_addr *to, uint16_t port, const char *name, const char *reason);
};

/* Before the file system is given up: what the host trusts is loaded. All but ops is borrowed. NULL: *err says why. */
struct proxies *proxies_new(struct loop *l, const struct secrets *s, const struct proxy_ops *ops, void *ud,
			    struct error *err);
void proxies_free(struct proxies *p); /* also NULL */

const char *proxies_ca(const struct proxies *p); /* the certificate that the guest is to trust, PEM */

/*
 * Serves the guest on this stream socket, whose other end has its bytes, until its end; the fd is taken. `to` is where
 * the guest has connected to, as the host's kernel is to reach it: the policy has allowed it.
 */
void proxies_serve(struct proxies *p, int fd, const struct ip_addr *to, uint16_t port);

#endif

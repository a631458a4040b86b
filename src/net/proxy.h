/*
 * Connections of the guest that end here, and are made anew. Those to ports of hosts that have a secret: if they are
 * for such a host, by the name in their TLS, with the value in its place; else they pass unchanged. And HTTP in the
 * clear, request by request, where the rules go by names.
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "base/ip.h"
#include "base/loop.h"
#include "net/duct.h"
#include "net/inspect.h"
#include "net/secrets.h"

struct proxies; /* opaque */

struct proxy_ops {
	/* May it go on to its address, where it has been since then, for what it is? INSPECT_MORE: that is not known
	 * yet. name: for which it comes (inspect.h); if it has one. */
	bool (*may)(void *ud, const struct ip_addr *to, uint16_t port, uint64_t since_ms, enum inspect what,
		    const char *name);
	/* It came to nothing; reason is one of struct net_denied. */
	void (*denied)(void *ud, const struct ip_addr *to, uint16_t port, const char *name, const char *reason);
};

/* Before the file system is given up: what the host trusts is loaded, if there are secrets (NULL: none). All but ops is
 * borrowed. NULL: *err says why. */
struct proxies *proxies_new(struct loop *l, struct secrets *s, const struct proxy_ops *ops, void *ud,
			    struct error *err);
void proxies_free(struct proxies *p); /* also NULL */

const char *proxies_ca(const struct proxies *p); /* with secrets: the certificate that the guest is to trust, PEM */

/*
 * Serves the guest over a duct, of which *guest becomes the end that has its bytes, with a socket that is connected to
 * the server, until their end; the fd is taken. `to` is where the guest has connected to, at since_ms: the policy has
 * allowed it. A number that no other connection has; 0: there are too many of them.
 */
uint64_t proxies_serve(struct proxies *p, struct duct *guest, duct_fn *on_guest, int server, const struct ip_addr *to,
		       uint16_t port, uint64_t since_ms);

/* The rules are others. May this connection go on? One that is over may. */
bool proxies_recheck(struct proxies *p, uint64_t number);

#endif

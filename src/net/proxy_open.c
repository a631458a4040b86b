/*
 * Which connections are the proxy's: those to the port of a secret, at an address that the resolver has answered for
 * its host; and where names have a say, HTTP in the clear, which tcp.c finds out. All others are tcp.c's. What the
 * proxy finds to be for another host goes on unchanged, if that may.
 */
#include <errno.h>

#include "net/net.h"

/* As tcp.c asks for all other connections: where names have a say, a claim is for a name that is allowed. */
static bool on_may(void *ud, const struct ip_addr *to, uint16_t port, uint64_t since_ms, enum inspect what,
		   const char *name)
{
	struct net *n = ud;
	struct ip_addr addr;
	bool by_name;

	if (!stack_may(n, NET_TCP, to, port, since_ms, &addr, &by_name))
		return false;
	if (by_name && what == INSPECT_BAD)
		denied(n, NET_TCP, to, port, NULL, "claim");
	if (!by_name || !inspect_has_name(what))
		return !by_name || what != INSPECT_BAD;
	return stack_may_claim(n, to, port, since_ms, name);
}

static void on_denied(void *ud, const struct ip_addr *to, uint16_t port, const char *name, const char *reason)
{
	denied(ud, NET_TCP, to, port, name, reason);
}

int proxy_start(struct net *n, struct error *err)
{
	static const struct proxy_ops ops = { .may = on_may, .denied = on_denied };

	n->proxies = proxies_new(&n->loop, n->secrets, &ops, n, err);
	return n->proxies ? 0 : -EINVAL;
}

void proxy_stop(struct net *n)
{
	proxies_free(n->proxies);
	secrets_free(n->secrets);
}

bool proxy_wants(struct net *n, const struct ip_addr *to, uint16_t port)
{
	return n->secrets && policy_has_secret(n->policy, to, port);
}

/*
 * Which connections are the proxy's: those to the port of a secret, at an address that the resolver has answered for
 * its host. All others are tcp_open.c's, as ever. What the proxy finds to be for another host goes on unchanged, if
 * that may.
 */
#include <errno.h>

#include "net/tcp.h"

/* As tcp.c asks for all other connections: where names have a say, a claim is for a name that is allowed. */
static bool on_may(void *ud, const struct ip_addr *to, uint16_t port, enum inspect what, const char *name)
{
	struct net *n = ud;
	struct policy_answer a = policy_check(n->policy, NET_TCP, to, port, false);

	if (a.allow && a.by_name && what == INSPECT_BAD)
		a = (struct policy_answer){ .reason = "claim" };
	else if (a.allow && a.by_name && what == INSPECT_NAME)
		a = policy_check_claim(n->policy, to, port, false, name);
	if (!a.allow)
		denied(n, NET_TCP, to, port, name, a.reason);
	return a.allow;
}

static void on_denied(void *ud, const struct ip_addr *to, uint16_t port, const char *name, const char *reason)
{
	denied(ud, NET_TCP, to, port, name, reason);
}

int proxy_start(struct net *n, struct error *err)
{
	static const struct proxy_ops ops = { .may = on_may, .denied = on_denied };

	if (!n->secrets)
		return 0;
	n->proxies = proxies_new(&n->loop, n->secrets, &ops, n, err);
	return n->proxies ? 0 : -EINVAL;
}

void proxy_stop(struct net *n)
{
	proxies_free(n->proxies);
	secrets_free(n->secrets);
}

bool proxy_open(struct net *n, const struct packet *p, const struct flow_key *k, const struct ip_addr *to)
{
	int fd;

	if (!n->proxies || !policy_has_secret(n->policy, to, k->remote_port))
		return false;
	fd = tcp_open_internal(n, p, k);
	if (fd >= 0)
		proxies_serve(n->proxies, fd, to, k->remote_port);
	return true;
}

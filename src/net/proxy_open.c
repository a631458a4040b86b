/*
 * Which connections are the proxy's: those to the port of a secret, at an address that the resolver has answered for
 * its host. All others are tcp_open.c's, as ever. What the proxy finds to be for another host goes on unchanged: the
 * policy has allowed the address.
 */
#include <errno.h>

#include "net/tcp.h"

static bool on_passthrough(void *ud, const struct ip_addr *to, uint16_t port, const struct hello *hello)
{
	(void)ud;
	(void)to;
	(void)port;
	(void)hello;
	return true;
}

static void on_denied(void *ud, const struct ip_addr *to, uint16_t port, const char *name, const char *reason)
{
	denied(ud, NET_TCP, to, port, name, reason);
}

int proxy_start(struct net *n, struct error *err)
{
	static const struct proxy_ops ops = { .passthrough = on_passthrough, .denied = on_denied };

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

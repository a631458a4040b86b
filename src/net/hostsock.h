/* Addresses as the host's sockets take them. */
#ifndef NET_HOSTSOCK_H
#define NET_HOSTSOCK_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/ip.h"

struct host_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
	int family;
};

static inline struct host_addr host_addr_of(const struct ip_addr *a, uint16_t port)
{
	struct host_addr h = { .len = sizeof(h.in), .family = AF_INET };

	if (ip_is_v4(a)) {
		h.in.sin_family = AF_INET;
		h.in.sin_port = htons(port);
		memcpy(&h.in.sin_addr, a->b + 12, 4);
		return h;
	}
	h.len = sizeof(h.in6);
	h.family = AF_INET6;
	h.in6.sin6_family = AF_INET6;
	h.in6.sin6_port = htons(port);
	memcpy(&h.in6.sin6_addr, a->b, 16);
	return h;
}

/* Back; false: neither family. */
static inline bool host_addr_get(const struct host_addr *h, struct ip_addr *addr, uint16_t *port)
{
	if (h->sa.sa_family == AF_INET) {
		*addr = ip_from_v4(&h->in.sin_addr);
		*port = ntohs(h->in.sin_port);
		return true;
	}
	if (h->sa.sa_family != AF_INET6)
		return false;
	memcpy(addr->b, &h->in6.sin6_addr, 16);
	*port = ntohs(h->in6.sin6_port);
	return true;
}

#endif

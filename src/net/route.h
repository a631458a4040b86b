/* What the host's kernel would do with a packet to an address. */
#ifndef NET_ROUTE_H
#define NET_ROUTE_H

#include "base/ip.h"

enum route_kind {
	ROUTE_AWAY,    /* out of a device, or nowhere */
	ROUTE_LOCAL,   /* to the host itself; also if the kernel cannot be asked */
	ROUTE_SPECIAL, /* broadcast, multicast, anycast */
};

int route_open(void) MUST_CHECK; /* fd or -errno */
enum route_kind route_ask(int fd, const struct ip_addr *a);

#endif

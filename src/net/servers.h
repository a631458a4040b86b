/* The DNS servers that a resolv.conf(5) names. */
#ifndef NET_SERVERS_H
#define NET_SERVERS_H

#include <netinet/in.h>

#include "base/base.h"

#define SERVERS_MAX 3 /* as libc */

struct server {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
};

/* How many there are: "nameserver ADDRESS" or "nameserver [ADDRESS]:PORT". None: 127.0.0.1, as libc does. */
size_t servers_parse(const char *resolv, struct server out[SERVERS_MAX]);

#endif

/* Classes of addresses that a guest does not reach unless it is let to: by their numbers alone. */
#ifndef NET_CLASS_H
#define NET_CLASS_H

#include "base/ip.h"

enum net_class {
	CLASS_PUBLIC,
	CLASS_HOST, /* never by number: which addresses the host has its kernel says (route.h) */
	CLASS_PRIVATE,
	CLASS_LINK_LOCAL,
	CLASS_METADATA,
	CLASS_SPECIAL, /* loopback, multicast, reserved ...: never reached */
};

const char *class_name(enum net_class c); /* as struct net_denied says it */

enum net_class class_of(const struct ip_addr *a);

/* Does the network lie wholly in one of the class's? (In none of CLASS_HOST.) */
bool class_has(enum net_class c, const struct ip_net *n);

bool class_loopback(const struct ip_addr *a);

#define CLASS_EMBEDDED_MAX 3

/* IPv4 addresses that an IPv6 address stands for where translators and tunnels are; how many. */
size_t class_embedded(const struct ip_addr *a, struct ip_addr out[CLASS_EMBEDDED_MAX]);

#endif

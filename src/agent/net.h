/*
 * The guest's network, by rtnetlink: the loopback, and the card, which is the link to boxlite-net (addresses:
 * wire/netspec.h). Nothing is asked for or waited for: no DHCP, no router advertisement, no search for duplicate
 * addresses.
 */
#ifndef AGENT_NET_H
#define AGENT_NET_H

#include "base/error.h"

int net_up_loopback(struct error *err) MUST_CHECK;

/* What a container may expect of its kernel's network: ping, and ports below 1024, for every user; as docker. */
int net_set_defaults(struct error *err) MUST_CHECK;

/* Addresses and routes of eth0. */
int net_up_card(struct error *err) MUST_CHECK;

#endif

/* The guest's network, of which there is only the loopback so far. */
#ifndef AGENT_NET_H
#define AGENT_NET_H

#include "base/error.h"

int net_up_loopback(struct error *err) MUST_CHECK;

#endif

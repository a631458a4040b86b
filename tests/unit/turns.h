/* Turns of an event loop, for devices that are served by one. */
#ifndef UNIT_TURNS_H
#define UNIT_TURNS_H

#include <poll.h>

#include "base/loop.h"

/* Gives a loop turns until nothing is to be done: false if that never comes. */
static inline bool loop_turns(struct loop *l)
{
	struct pollfd p = { .fd = l->epfd, .events = POLLIN };
	unsigned turns = 0;

	while (poll(&p, 1, 0) > 0)
		if (loop_once(l, 0) < 0 || ++turns > 100)
			return false;
	return true;
}

#endif

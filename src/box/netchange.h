/* The network of a box that is there: changed, in what it is now and in its description, and dialled. */
#ifndef BOX_NETCHANGE_H
#define BOX_NETCHANGE_H

#include "box/home.h"
#include "wire/netchange.h"

/* 1: it runs, and is changed, too; 0: it does not run, so its description is. *ret_ports (may be NULL): those of struct
 * net_done, of a box that runs. -EEXIST, -EADDRINUSE, -EACCES, -ENOENT, -EOPNOTSUPP (it has no network), -EAGAIN. */
int box_change_network(struct home *h, const char *id, const struct net_change *c, struct net_spec *ret_ports,
		       struct error *err) MUST_CHECK;

/* A connection to a port of the box, or with `path` to a UNIX socket in it: the fd, close-on-exec and blocking.
 * -ENOTCONN, -ECONNREFUSED, -ETIMEDOUT, -EBUSY, -EOPNOTSUPP; of a socket also what its path leads to. */
int box_dial(struct home *h, const char *id, uint16_t port, const char *path, struct error *err) MUST_CHECK;

#endif

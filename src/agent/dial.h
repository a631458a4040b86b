/*
 * DIAL_UNIX: a connection to a socket of the box. Made in a process of its own, whose root is the box's, as that of a
 * copy: no path and no link leads out of it, and a path that hangs (FUSE) hangs nobody else.
 */
#ifndef AGENT_DIAL_H
#define AGENT_DIAL_H

#include "base/error.h"

#define DIAL_UNIX_WAIT_MS 5000 /* so long a full queue of connections, or a path, may take */

/* A connected stream socket that does not block: fd, or -errno with the reason. Changes the current folder. */
int dial_unix(const char *path, struct error *err) MUST_CHECK;

#endif

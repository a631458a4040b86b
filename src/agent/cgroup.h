/*
 * Where each process is kept, so that it can be ended with all its children:
 *
 *	/cgroup          the root; the agent itself
 *	  box            the main process; the root that the box sees, as /sys/fs/cgroup
 *	    exec-<n>     one per exec that runs, n = 1, 2, ...; used again once it is empty
 *
 * Children of the box's own root, because that is where a process of the box
 * can exist by its view: a sibling would be called "/../exec-1" there.
 */
#ifndef AGENT_CGROUP_H
#define AGENT_CGROUP_H

#include "base/base.h"
#include "base/error.h"

#define CGROUP_BOX 0 /* the number of the main process' group */

/* Mounts the tree on /cgroup, with every controller available to the box, and makes "box". */
int cgroup_init(struct error *err) MUST_CHECK;

/* A group for an exec, with nothing in it: its number (> 0) in *ret. */
int cgroup_new(unsigned *ret, struct error *err) MUST_CHECK;

/* For CLONE_INTO_CGROUP: an fd, borrowed, or -errno. */
int cgroup_fd(unsigned n) MUST_CHECK;

/* SIGKILL to all in the group and below, atomically. 0 or -errno. */
int cgroup_kill(unsigned n);

/* An exec's process has ended. Children that it left behind stay, visible to the box and ended with it; the group is
 * used again once they are gone. */
void cgroup_release(unsigned n);

#endif

/*
 * What the box's main process sees around it: built by that process itself,
 * in its own mount namespace, before it runs anything of the image.
 */
#ifndef AGENT_CONTAINER_H
#define AGENT_CONTAINER_H

#include <sys/types.h>

#include "base/base.h"
#include "base/error.h"

/*
 * Makes the box's file system the root of the calling process, with the mounts that docker
 * makes, and drops every mount of the agent. In new mount, pid, ipc and cgroup namespaces.
 */
int container_build(struct error *err) MUST_CHECK;

/*
 * Of a copy from a box without a main process: the box's file system as it lies on its disk, with nothing mounted
 * on it. In a new mount namespace.
 */
int container_enter(struct error *err) MUST_CHECK;

/* The main process has a terminal: it is /dev/console too. `slave` is an fd of it. */
int container_bind_console(int slave, struct error *err) MUST_CHECK;

/* mkdir -p */
int container_make_dirs(const char *path, mode_t mode);

#endif

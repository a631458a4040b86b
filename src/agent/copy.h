/*
 * COPY: files of the box as a tar on stdout, or a tar on stdin into files of the box. Runs in a process of its own,
 * whose root is the box's: no path and no link leads out of it.
 */
#ifndef AGENT_COPY_H
#define AGENT_COPY_H

#include "base/error.h"
#include "wire/copy.h"

/* 0 or -errno with the reason. */
int copy_files(const struct copy_spec *s, struct error *err) MUST_CHECK;

#endif

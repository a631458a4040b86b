/* What runs in the box. */
#ifndef AGENT_TOP_H
#define AGENT_TOP_H

#include "base/buf.h"
#include "wire/metrics.h"

/* Appends the answer to TOP, in several frames: 0, -ENOBUFS, -ENOMEM. At most TOP_MAX processes. */
int top_answer(struct buf *out) MUST_CHECK;

/*
 * From the text of /proc/<pid>/status (NUL-terminated) as the agent reads it: false if the process is not in the box.
 * *ret has everything but CPU time, user and command (which is its short name); its ppid is *ret_parent, the agent's
 * number of it.
 */
bool top_parse_status(const char *status, struct top_process *ret, int *ret_parent);

/* User and system time of /proc/<pid>/stat, in clock ticks; 0 if it is malformed. */
uint64_t top_parse_ticks(const char *stat);

#endif

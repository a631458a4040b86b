/*
 * What a signal will do to the box's main process. It is pid 1 of its pid
 * namespace, and the kernel drops every signal that such a process has no
 * handler for. See docs/decisions/005-agent.md.
 */
#ifndef AGENT_SIGNALS_H
#define AGENT_SIGNALS_H

#include <sys/types.h>

#include "base/base.h"

/* The masks of /proc/<pid>/status: bit n - 1 is signal n. */
struct signal_masks {
	uint64_t blocked, ignored, caught;
};

/* From the NUL-terminated text of a status file: false when a mask is missing or malformed. */
bool signal_masks_parse(const char *status, struct signal_masks *ret);

/* Of a child that has not been reaped: false when it cannot be read. */
bool signal_masks_read(pid_t pid, struct signal_masks *ret);

/*
 * Whether an ordinary process with these masks would end by this signal where pid 1 of a
 * namespace goes on: it neither handles nor ignores it, nor does it wait for it with the
 * signal blocked (sigwait, signalfd), and the default is to end.
 */
bool signal_would_end(const struct signal_masks *m, int signo);

#endif

/* What the kernel's boot consisted of, by its own messages. */
#ifndef AGENT_INITCALLS_H
#define AGENT_INITCALLS_H

#include "base/base.h"
#include "wire/timing.h"

/* Adds one record of /dev/kmsg. Those that say nothing of an initcall are passed over. */
void initcalls_add(struct timing_parts *t, const char *record);

/* All records so far, of a kernel that was started with initcall_debug. Without the device there are no parts. */
void initcalls_read(struct timing_parts *t);

#endif

/* What the box uses, as its guest's kernel says. */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include "base/buf.h"
#include "wire/metrics.h"

/* Appends the answer to METRICS: 0, -ENOBUFS, -ENOMEM. What the kernel does not tell is 0. */
int metrics_answer(struct buf *out) MUST_CHECK;

/* The parts of it, from the text of the kernel's files (NUL-terminated); what is missing or malformed is 0. */
uint64_t metrics_value(const char *text, const char *name); /* of the line "name 123"; ':' may follow the name */
void metrics_add_io(const char *io_stat, struct guest_metrics *m);
void metrics_add_net(const char *net_dev, struct guest_metrics *m);

#endif

/* What a box is like now, by its folder: no row, no question to its shim. */
#ifndef BOX_LOOK_H
#define BOX_LOOK_H

#include "box/home.h"
#include "wire/health.h"
#include "wire/netspec.h"
#include "wire/record.h"

struct box_state {
	bool running;            /* its lock is held */
	bool ended;              /* it ran before, and `last` says how that ended */
	struct exit_record last; /* of one that runs: only started_at */
	bool again;              /* it runs, but its command has ended as `last` says, and is started again */
	bool has_health;
	struct health_state health;
	uint64_t disk_bytes;     /* what its disk takes of the host's */
};

/* 0: of one that cannot be looked at, `last` says why, and nothing else is known. -ENOENT: it has no folder (any more).
 * -EMFILE, -ENFILE, -ENOMEM: this process lacks what a look takes. */
int box_look(struct home *h, const char *id, struct box_state *ret) MUST_CHECK;

/* Of one that runs: the ports that the host listens at for it, in ret->ports; 0, -ENOENT: none, or not yet. */
int box_look_at_ports(struct home *h, const char *id, struct net_spec *ret) MUST_CHECK;

/* Adds up what the files in a folder and below take of the disk. What goes meanwhile is not there. 0 or -errno. */
int disk_usage(int dirfd, const char *path, uint64_t *ret_bytes) MUST_CHECK;

#endif

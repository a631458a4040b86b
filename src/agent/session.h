/* What the host asks for, from its HELLO to the agent's BYE. See session.c. */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include "agent/proc.h"
#include "wire/boot.h"
#include "wire/timing.h"

enum session_phase {
	SESSION_GREETING, /* HELLO has been sent, the host's has not come */
	SESSION_BOOTING,  /* HELLO has come, BOOT has not */
	SESSION_SERVING,  /* the box's root is mounted, READY has been sent */
	SESSION_STOPPING, /* nothing is started any more; ends when no process is left */
};

struct session {
	struct loop loop;
	struct channel channel;
	struct procs procs;
	enum session_phase phase;
	struct boot_spec boot;
	char *trust;              /* owned: PEM for the box to trust, once its main process comes; NULL: none */
	uint64_t started_ns;      /* the agent's first instruction, by the guest's CLOCK_MONOTONIC */
	struct timing_parts kernel; /* how long its parts took; n 0: nobody asked */
	int timer;                /* owned timerfd: the grace of SHUTDOWN */
	struct watch timer_watch;
	struct error failure;     /* what went wrong in a callback, which cannot return it */
};

/* With an open channel on which HELLO has been sent. */
int session_init(struct session *s, struct error *err) MUST_CHECK;

/* Serves until the box may be switched off: 0, or -errno with what the host is to be told. */
int session_run(struct session *s, struct error *err) MUST_CHECK;

#endif

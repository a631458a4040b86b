/*
 * The child's side of starting a process: from clone to exec. What it has to
 * say until then it says in reports over a socket that closes by exec.
 */
#ifndef AGENT_LAUNCH_H
#define AGENT_LAUNCH_H

#include "agent/known.h"
#include "wire/copy.h"
#include "wire/proc.h"

struct launch {
	struct proc_spec *spec; /* the child changes its copy */
	const char *hostname;   /* of a main process */
	int join;               /* else: pidfd of the main process, whose namespaces it joins; -1: there is none */
	const struct copy_spec *copy; /* it copies instead of running a program; NULL: it does not */
	const char *dial;       /* it connects to this socket instead; NULL: it does not */
	int stdio[3];           /* all -1 if a terminal is to be made */
	int reports;            /* socket to the agent */
	struct known_user *known; /* the agent's, of which the child changes its copy */
	int program;            /* the agent's own, for a main process without one, or -1; the child opens it */
};

/*
 * Whole structs, in this order: one with the pid (and the terminal's master as its fd, if there is one); one with
 * `has_user`, if it had to read who it runs as, or the same as the first with the connection as its fd; then, if it
 * fails, one with `failed`. Closed without that: it runs, has copied, or has connected.
 */
struct launch_report {
	int32_t pid;    /* as the box sees it */
	bool failed;
	enum proc_end kind;
	uint8_t code;   /* of PROC_EXITED: the errno of a copy or a connection */
	char error[ERROR_TEXT_MAX];
	bool has_user;
	struct known_user user;
};

/* Once, of the agent: takes what no process of a box may have from what an exec can give. */
int launch_bound_capabilities(struct error *err) MUST_CHECK;

/* Runs in the new process, and never returns. */
_Noreturn void launch_child(struct launch *l);

#endif

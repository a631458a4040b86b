/*
 * The processes of the box that the host has started: the main process and
 * execs; and its connections to sockets of the box, each of which was made by a
 * process. Each has a stream of frames until its EXIT. See proc.c.
 */
#ifndef AGENT_PROC_H
#define AGENT_PROC_H

#include <sys/types.h>

#include "agent/known.h"
#include "agent/stream.h"
#include "wire/copy.h"
#include "wire/proc.h"

#define PROCS_MAX 1024

enum task_kind { TASK_RUN, TASK_COPY, TASK_DIAL };

/* What is to be started. */
struct task {
	enum task_kind kind;
	struct proc_spec spec;
	struct copy_spec copy; /* of TASK_COPY */
	char *path;            /* owned; of TASK_DIAL: a UNIX socket in the box */
};

#define TASK_INIT(k) ((struct task){ .kind = (k), .spec = PROC_SPEC_INIT })

void task_fini(struct task *t);

struct proc {
	struct proc *next;
	struct procs *set;
	struct stream stream;
	bool is_main;
	bool dials;          /* it makes a connection, and is that once it has: `running`, without a process */
	int stop_signal;     /* what asks it to end */
	bool ended;          /* reaped; `exit` says how */
	bool running;        /* exec has succeeded and STARTED was sent */
	struct task *waits;  /* owned; of what came before the main process ran, else NULL */
	pid_t pid;           /* as the agent sees it */
	int box_pid;         /* as the box sees it; 0 until reported */
	int pidfd;           /* owned */
	unsigned cgroup;
	bool has_tty;        /* or will have */
	int reports;         /* owned; pipe or socket from the child, -1 after its exec */
	struct watch reports_watch;
	int terminal;        /* owned; the master of its terminal, -1 = none, or not made yet */
	int connection;      /* owned; between the report and the stream's start, else -1 */
	uint16_t rows, cols; /* what the host wants it to be, also before it is there */
	int killed_as;       /* signal that a SIGKILL stands for, 0 = none */
	int timer;           /* owned; until its time is up, -1 = it has as much as it wants */
	struct watch timer_watch;
	uint64_t started_ns; /* when it ran, 0 = not yet */
	struct proc_exit exit;
};

struct procs {
	struct loop *loop;
	struct channel *to;
	const char *hostname;  /* borrowed */
	struct proc *list;
	struct proc *main;     /* NULL before its start and after its EXIT */
	size_t n;
	bool had_main;
	bool refuse;           /* the box is going down: nothing is started any more */
	bool impatient;        /* output that the host has no credit for is dropped at a process' end */
	struct known_user known; /* of the last exec */
	int self;              /* owned pidfd of the agent: the way back from another pid namespace */
	int child_fd;          /* owned signalfd of SIGCHLD */
	struct watch child_watch;
};

int procs_init(struct procs *ps, struct loop *l, struct channel *to, struct error *err) MUST_CHECK;

/*
 * START of a stream that is not in use; or COPY, which runs beside the main process or in a box that never had one; or
 * DIAL_UNIX. What t has may be taken over, and is the caller's to free even so. What is wrong with it is told to the
 * host in its EXIT; negative only when the host broke the protocol.
 */
int procs_start(struct procs *ps, uint32_t stream, struct task *t, struct error *err) MUST_CHECK;

/* NULL if the stream has ended: frames may have crossed its EXIT. */
struct proc *procs_find(const struct procs *ps, uint32_t stream);

/* DATA for its stdin. ^C and ^\ on a terminal end a main process that they would end if it were not pid 1. */
int proc_input(struct proc *p, const struct frame *f, struct error *err) MUST_CHECK;

/* As an ordinary process would take it; SIGKILL to an exec ends its children too. */
void proc_signal(struct proc *p, int signo);

void proc_resize(struct proc *p, uint16_t rows, uint16_t cols);

/* CLOSE of the host: nobody reads that output any more. */
void proc_close_output(struct proc *p, enum frame_channel ch);

bool procs_main_alive(const struct procs *ps);

/* SIGKILL to every process of the box, also those that no stream knows. */
void procs_kill_all(struct procs *ps);

/* After each batch of events: output that waited for room, EXIT of those that are done. */
void procs_settle(struct procs *ps);

#endif

/* The main process of a box without a program: it waits for the end, and takes away the dead. */
#ifndef AGENT_IDLE_H
#define AGENT_IDLE_H

#define IDLE_NAME "boxlite-idle" /* as argv[0] of the agent's program, it means this */

/* Until a signal that asks for the end (SIGTERM, SIGINT, SIGHUP, SIGQUIT): then status 0. */
_Noreturn void idle_run(void);

#endif

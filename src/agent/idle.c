#include "agent/idle.h"

#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

static void on_end(int signo)
{
	(void)signo;
	_exit(0);
}

/*
 * Nobody's children become those of pid 1; with SIGCHLD ignored the kernel takes them away by itself. Signals with a
 * handler are those that pid 1 gets. (Not sigwait(): while it waits, what it waits for looks unblocked, and the agent
 * would take it for a process that the signal should kill.)
 */
_Noreturn void idle_run(void)
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	size_t i;

	prctl(PR_SET_NAME, IDLE_NAME);
	signal(SIGCHLD, SIG_IGN);
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		signal(ends[i], on_end);
	for (;;)
		pause();
}

#include "agent/signals.h"

#include <signal.h>
#include <unistd.h>

#include "lib/tap.h"

static const char status[] = "Name:\tSigBlk:\nState:\tS (sleeping)\nShdPnd:\t0000000000000000\n"
			     "SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"
			     "SigCgt:\t0000000180004002\nCapInh:\t0\n";

int main(void)
{
	struct signal_masks m = { 7, 7, 7 };
	sigset_t set;

	ok(!signal_masks_parse("SigBlk:\t0\nSigIgn:\t0\n", &m) && m.caught == 7, "a missing mask; result untouched");
	ok(!signal_masks_parse("SigBlk:\t0\nSigIgn:\tx\nSigCgt:\t0\n", &m), "a mask that is none");
	ok(!signal_masks_parse("", &m), "an empty file");
	ok(signal_masks_parse(status, &m), "a status file, of a process with a strange name");
	ok(m.blocked == 1 && m.ignored == 0x1000 && m.caught == 0x180004002, "its masks");

	ok(!signal_would_end(&m, SIGHUP), "blocked: somebody waits for it");
	ok(!signal_would_end(&m, SIGPIPE), "ignored");
	ok(!signal_would_end(&m, SIGINT) && !signal_would_end(&m, SIGTERM), "caught");
	ok(signal_would_end(&m, SIGQUIT) && signal_would_end(&m, SIGUSR1) && signal_would_end(&m, 64),
	   "ends by default");
	ok(!signal_would_end(&m, SIGCHLD) && !signal_would_end(&m, SIGWINCH) && !signal_would_end(&m, SIGTSTP),
	   "does not end by default");

	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ok(signal_masks_read(getpid(), &m) && (m.ignored & (1ULL << (SIGUSR1 - 1))) &&
		   (m.blocked & (1ULL << (SIGUSR2 - 1))),
	   "of a live process");
	ok(!signal_masks_read(-1, &m), "of none");
	return tap_done();
}

#include "agent/signals.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"

#define STATUS_MAX 8192 /* a status file has about 1.5 kB; long masks of CPUs make it 3 */

static bool parse_mask(const char *status, const char *name, uint64_t *ret)
{
	const char *at = strstr(status, name);
	char *end;

	if (!at || (at != status && at[-1] != '\n'))
		return false;
	at += strlen(name);
	*ret = strtoull(at, &end, 16);
	return end != at && *end == '\n';
}

bool signal_masks_parse(const char *status, struct signal_masks *ret)
{
	struct signal_masks m;

	if (!parse_mask(status, "SigBlk:\t", &m.blocked) || !parse_mask(status, "SigIgn:\t", &m.ignored) ||
	    !parse_mask(status, "SigCgt:\t", &m.caught))
		return false;
	*ret = m;
	return true;
}

bool signal_masks_read(pid_t pid, struct signal_masks *ret)
{
	auto_fd int fd = -1;
	char path[32], text[STATUS_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return false;
	text[n] = 0;
	return signal_masks_parse(text, ret);
}

/* signal(7): what each does to a process that says nothing about it. */
static bool ends_by_default(int signo)
{
	switch (signo) {
	case SIGCHLD:
	case SIGCONT:
	case SIGURG:
	case SIGWINCH:
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
		return false;
	default:
		return true;
	}
}

bool signal_would_end(const struct signal_masks *m, int signo)
{
	uint64_t bit = 1ULL << (signo - 1);

	return ends_by_default(signo) && !((m->blocked | m->ignored | m->caught) & bit);
}

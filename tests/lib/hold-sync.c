/* For LD_PRELOAD: a disk that never ends the sync of a file whose name ends in $HOLD_SYNC. With $HOLD_SYNC_CANCELS the
 * program is told to stop then. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fdatasync(int fd)
{
	const char *suffix = getenv("HOLD_SYNC");
	char link[64], path[4096] = "";
	size_t n, k;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (!suffix || readlink(link, path, sizeof(path) - 1) < 0)
		return fsync(fd);
	n = strlen(path);
	k = strlen(suffix);
	if (n < k || strcmp(path + n - k, suffix) != 0)
		return fsync(fd);
	if (getenv("HOLD_SYNC_CANCELS"))
		kill(getpid(), SIGTERM);
	for (;;)
		pause();
}

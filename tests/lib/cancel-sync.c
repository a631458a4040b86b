/* For LD_PRELOAD: cancels the program while it syncs a file named *.build, and lets the sync never end. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int fdatasync(int fd)
{
	char link[64], path[4096] = "";
	size_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0)
		return -1;
	n = strlen(path);
	if (n < 6 || strcmp(path + n - 6, ".build") != 0)
		return fsync(fd);
	kill(getpid(), SIGTERM);
	for (;;)
		pause();
}

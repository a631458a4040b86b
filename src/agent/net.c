#include "agent/net.h"

#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clean.h"

int net_up_loopback(struct error *err)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	auto_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* The flags that say what lo is cannot be changed, so they need not be read first. */
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		return error_sys(err, "cannot bring up the loopback");
	return 0;
}

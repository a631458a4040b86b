/* Datagrams while the guest does not read its link: nothing is done again and again for it. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clean.h"
#include "lib/tap.h"
#include "net/bytes.h"
#include "net/net.h"

static struct net n = { .start.spec.open = NET_OPEN_HOST, .control.fd = -1, .control_watch.fd = -1 };
static int guest;

static int serve(struct sockaddr_in *a)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*a);

	*a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0 || bind(fd, (struct sockaddr *)a, len) < 0 || getsockname(fd, (struct sockaddr *)a, &len) < 0)
		abort();
	return fd;
}

/* A byte from the guest to the host's loopback. */
static void ask(uint16_t port)
{
	uint8_t f[14 + 20 + 9] = { [12] = 8, [14] = 0x45 };

	put16(f + 16, sizeof(f) - 14);
	f[23] = IPPROTO_UDP;
	memcpy(f + 26, (uint8_t[]){ 192, 168, 127, 2, 192, 168, 127, 254 }, 8);
	put16(f + 34, 4000);
	put16(f + 36, port);
	put16(f + 38, 9);
	if (send(guest, f, sizeof(f), 0) < 0)
		abort();
}

/* Until nothing is to be done; false: there is always something. */
static bool rests(void)
{
	struct pollfd p = { .fd = n.loop.epfd, .events = POLLIN };
	unsigned turns;

	for (turns = 0; turns < 200 && poll(&p, 1, 20) > 0; turns++)
		if (loop_once(&n.loop, 0) < 0)
			abort();
	return turns < 200;
}

static void block(int server, const struct sockaddr_in *to)
{
	static const uint8_t bytes[8000];
	unsigned i;

	for (i = 0; i < 100 && !n.link.blocked; i++) {
		if (sendto(server, bytes, sizeof(bytes), 0, (const struct sockaddr *)to, sizeof(*to)) < 0)
			abort();
		rests();
	}
}

int main(void)
{
	int fds[2], small = 16384;
	struct sockaddr_in at, from;
	socklen_t len = sizeof(from);
	auto_fd int server = serve(&at);
	uint8_t byte;

	if (loop_init(&n.loop) < 0 || denied_open(&n) < 0 || !(n.policy = policy_new(&n.start.spec, NULL)) ||
	    flows_open(&n, NULL) < 0 || tcp_open(&n, NULL) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ||
	    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) < 0 ||
	    link_open(&n.link, &n.loop, fds[0], false, &stack_link_ops, &n, NULL) < 0)
		abort();
	guest = fds[1];
	ask(ntohs(at.sin_port));
	ok(rests() && recvfrom(server, &byte, 1, 0, (struct sockaddr *)&from, &len) == 1, "a datagram goes out");
	block(server, &from);
	ok(n.link.blocked, "and answers, until the link is full");
	close_fd(&server);
	ask(ntohs(at.sin_port));
	ok(rests(), "its peer has gone, the guest does not read: nothing is done about it");
	flows_close(&n);
	tcp_close(&n);
	link_close(&n.link);
	policy_free(n.policy);
	denied_close(&n);
	loop_fini(&n.loop);
	close(guest);
	return tap_done();
}

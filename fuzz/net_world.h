/*
 * A world without a network, for fuzz targets of boxlite-net: the program's own calls for sockets and time come here.
 * A socket of the host is one end of a socket pair, and the other end is the fuzzer's; time passes when it says so.
 */
#ifndef FUZZ_NET_WORLD_H
#define FUZZ_NET_WORLD_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clean.h"

#define TIMERS_MAX 8
#define PEERS_MAX 256

static struct world {
	bool on;
	uint64_t now_ms;
	struct {
		int fd;
		uint64_t at_ms; /* 0: it is not set */
	} timer[TIMERS_MAX];
	unsigned ntimers;
	const uint8_t *hello; /* what the other end has said, and that was all, when connect(2) returns; NULL */
	size_t nhello;
	int connects;       /* an errno: what connect(2) says */
	int fails;          /* and what SO_ERROR says then */
	bool no_files;      /* there are none left */
	bool no_peek_off;   /* an older kernel */
	int buffer;         /* bytes, of each end */
	struct sockaddr_storage peers[PEERS_MAX]; /* to whom the socket of this number is connected */
	int made;           /* the other end of the socket that was made last; -1: taken */
} world;

/* Says which of them does not hold. */
#define must(right) ((right) ? (void)0 : world_broken(__LINE__))

static inline void world_broken(int line)
{
	fprintf(stderr, "line %d does not hold\n", line);
	abort();
}

static int world_pair(int type, int fds[2])
{
	int i;

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	for (i = 0; i < 2; i++)
		syscall(SYS_setsockopt, fds[i], SOL_SOCKET, SO_SNDBUF, &world.buffer, sizeof(world.buffer));
	return 0;
}

int socket(int family, int type, int protocol)
{
	int fds[2];

	if (!world.on)
		return (int)syscall(SYS_socket, family, type, protocol);
	if (world.no_files) {
		errno = EMFILE;
		return -1;
	}
	must(world_pair(type & (SOCK_STREAM | SOCK_DGRAM) ? type & 3 : SOCK_DGRAM, fds) == 0);
	if (family == AF_INET || family == AF_INET6) {
		close_fd(&world.made);
		world.made = fds[1];
	} else {
		close(fds[1]); /* nobody answers for routes */
	}
	return fds[0];
}

int connect(int fd, const struct sockaddr *to, socklen_t len)
{
	if (!world.on)
		return (int)syscall(SYS_connect, fd, to, len);
	must(fd < PEERS_MAX && len <= sizeof(world.peers[fd]));
	memcpy(&world.peers[fd], to, len);
	if (world.hello) {
		must(send(world.made, world.hello, world.nhello, MSG_DONTWAIT) == (ssize_t)world.nhello);
		shutdown(world.made, SHUT_WR);
	}
	errno = world.connects;
	return errno ? -1 : 0;
}

int getsockopt(int fd, int level, int name, void *ret, socklen_t *len)
{
	if (world.on && level == SOL_SOCKET && name == SO_ERROR && world.fails) {
		memcpy(ret, &world.fails, sizeof(int));
		return 0;
	}
	return (int)syscall(SYS_getsockopt, fd, level, name, ret, len);
}

int setsockopt(int fd, int level, int name, const void *to, socklen_t len)
{
	if (world.on && level == SOL_SOCKET && name == SO_PEEK_OFF && world.no_peek_off) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, to, len);
}

/* TCP can throw bytes away unseen; the sockets of a pair cannot. */
ssize_t recv(int fd, void *to, size_t n, int flags)
{
	static uint8_t bin[64 * KIB];

	if (to || !(flags & MSG_TRUNC))
		return syscall(SYS_recvfrom, fd, to, n, flags, NULL, NULL);
	return syscall(SYS_recvfrom, fd, bin, MIN(n, sizeof(bin)), flags & ~MSG_TRUNC, NULL, NULL);
}

/* Whoever it was, it was who the socket is connected to. */
ssize_t recvfrom(int fd, void *to, size_t n, int flags, struct sockaddr *from, socklen_t *len)
{
	ssize_t r = syscall(SYS_recvfrom, fd, to, n, flags, NULL, NULL);

	if (r < 0 || !from)
		return r;
	must(fd < PEERS_MAX);
	memcpy(from, &world.peers[fd], MIN(*len, sizeof(world.peers[fd])));
	return r;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (!world.on || clock != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, clock, ret);
	*ret = (struct timespec){ (time_t)(world.now_ms / 1000), (long)(world.now_ms % 1000) * 1000000 };
	return 0;
}

int timerfd_create(clockid_t clock, int flags)
{
	if (!world.on)
		return (int)syscall(SYS_timerfd_create, clock, flags);
	must(world.ntimers < TIMERS_MAX);
	world.timer[world.ntimers].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	world.timer[world.ntimers].at_ms = 0;
	return world.timer[world.ntimers++].fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *old)
{
	unsigned i;

	if (!world.on)
		return (int)syscall(SYS_timerfd_settime, fd, flags, to, old);
	for (i = 0; i < world.ntimers; i++)
		if (world.timer[i].fd == fd)
			world.timer[i].at_ms = world.now_ms + (uint64_t)to->it_value.tv_sec * 1000 +
					       (uint64_t)to->it_value.tv_nsec / 1000000;
	return 0;
}

/* Up to the next timer, or ms. */
static inline void world_pass(uint64_t ms)
{
	uint64_t to = world.now_ms + ms, one = 1;
	unsigned i;

	for (i = 0; i < world.ntimers; i++)
		if (world.timer[i].at_ms && world.timer[i].at_ms < to)
			to = MAX(world.timer[i].at_ms, world.now_ms);
	world.now_ms = to;
	for (i = 0; i < world.ntimers; i++)
		if (world.timer[i].at_ms && world.timer[i].at_ms <= to) {
			world.timer[i].at_ms = 0;
			must(write(world.timer[i].fd, &one, sizeof(one)) == sizeof(one));
		}
}

static inline void world_begin(void)
{
	world = (struct world){ .on = true, .now_ms = 1000000, .buffer = 4096, .made = -1 };
}

static inline void world_end(void)
{
	close_fd(&world.made);
	world.on = false;
}

#endif

#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clean.h"

int sock_pair(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
}

int sock_pair_packets(int fds[2], int bytes)
{
	int i;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	/* The first is for root, who has no limit. What is on its way is charged to who sends. */
	for (i = 0; i < 2; i++)
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
			(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return 0;
}

/* sun_path holds 108 bytes; a home folder may be deeper. /proc/self/fd/N/name is short and
 * resolves to the same folder. */
static int address_at(int dirfd, const char *name, struct sockaddr_un *sa)
{
	int n;

	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	n = snprintf(sa->sun_path, sizeof(sa->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	return n < 0 || (size_t)n >= sizeof(sa->sun_path) ? -ENAMETOOLONG : 0;
}

int sock_listen_at(int dirfd, const char *name)
{
	struct sockaddr_un sa;
	char early[32];
	auto_fd int fd = -1;
	int r;

	if (snprintf(early, sizeof(early), "%s.new", name) >= (int)sizeof(early))
		return -ENAMETOOLONG;
	r = address_at(dirfd, early, &sa);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (unlinkat(dirfd, early, 0) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	/* The folder is 0700, so the moment between bind and chmod opens nothing. */
	if (fchmodat(dirfd, early, 0600, 0) < 0 || listen(fd, 64) < 0 || renameat(dirfd, early, dirfd, name) < 0)
		return -errno;
	return take_fd(&fd);
}

int sock_connect_at(int dirfd, const char *name)
{
	struct sockaddr_un sa;
	auto_fd int fd = -1;
	int r;

	r = address_at(dirfd, name, &sa);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		if (errno != EINTR)
			return -errno;
	return take_fd(&fd);
}

int sock_peer_uid(int fd, uid_t *ret_uid)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
		return -errno;
	*ret_uid = cred.uid;
	return 0;
}

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * SOCK_FDS_MAX)];
};

/* Like io_write_full(), but a closed peer is -EPIPE and no signal. */
static int send_rest(int sock, const char *p, size_t n)
{
	while (n) {
		ssize_t put = send(sock, p, n, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

static ssize_t send_once(int sock, const void *p, size_t n, const int *fds, size_t nfds, int flags)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	union fd_control control;
	ssize_t put;

	if (nfds) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	do
		put = sendmsg(sock, &m, MSG_NOSIGNAL | flags);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

ssize_t sock_send_fd(int sock, const void *p, size_t n, int fd)
{
	return n ? send_once(sock, p, n, &fd, 1, MSG_DONTWAIT) : -EINVAL;
}

int sock_send_fds(int sock, const void *p, size_t n, const int *fds, size_t nfds)
{
	ssize_t put;

	if (n == 0 || nfds > SOCK_FDS_MAX)
		return -EINVAL;
	put = send_once(sock, p, n, fds, nfds, 0);
	return put < 0 ? (int)put : send_rest(sock, (const char *)p + put, n - (size_t)put);
}

/* Takes the fds of a received message; closes those beyond `most`. Returns how many came. */
static size_t collect_fds(struct msghdr *m, int *fds, size_t most)
{
	struct cmsghdr *c;
	size_t n = 0;

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t i, count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count; i++, n++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n < most)
				fds[n] = fd;
			else
				close(fd);
		}
	}
	return n;
}

ssize_t sock_recv_fd(int sock, void *p, size_t n, int *ret_fd)
{
	struct iovec iov = { .iov_base = p, .iov_len = n };
	union fd_control control;
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(sizeof(int)),
	};
	ssize_t got;

	*ret_fd = -1;
	do
		got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	(void)collect_fds(&m, ret_fd, 1);
	return got;
}

ssize_t sock_recv_fds(int sock, void *p, size_t n, int *fds, size_t most, size_t *ret_nfds)
{
	struct iovec iov = { .iov_base = p, .iov_len = n };
	union fd_control control;
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	size_t i, count;
	ssize_t got;

	do
		got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	count = collect_fds(&m, fds, most);
	if (count > most || (m.msg_flags & MSG_CTRUNC)) {
		for (i = 0; i < MIN(count, most); i++)
			close(fds[i]);
		return -EMSGSIZE;
	}
	*ret_nfds = count;
	return got;
}

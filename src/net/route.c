/*
 * Addresses come and go on a host, and whole networks can be local to it ("ip route add local"): so nothing is
 * remembered, and the kernel is asked each time. It answers while the question is being sent; nothing waits here.
 *
 * Whether an address is the host's own decides what a guest may reach. So that there is no way to it counts only where
 * the kernel has said so; an error that says nothing of the address is no answer, and without one it is the host's.
 */
#include "net/route.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASK_TIMES 3

int route_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

struct question {
	struct nlmsghdr head;
	struct rtmsg route;
	struct rtattr attr;
	uint8_t addr[16];
};

static int send_question(int fd, uint32_t seq, const struct ip_addr *a)
{
	bool v4 = ip_is_v4(a);
	size_t n = v4 ? 4 : 16;
	struct question q = {
		.head = { .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = seq },
		.route = { .rtm_family = v4 ? AF_INET : AF_INET6, .rtm_dst_len = (uint8_t)(n * 8) },
		.attr = { .rta_type = RTA_DST },
	};

	memcpy(q.addr, a->b + 16 - n, n);
	q.attr.rta_len = (uint16_t)RTA_LENGTH(n);
	q.head.nlmsg_len = (uint32_t)(offsetof(struct question, addr) + n);
	return send(fd, &q, q.head.nlmsg_len, 0) < 0 ? -errno : 0;
}

static enum route_kind kind_of(uint8_t type)
{
	switch (type) {
	case RTN_LOCAL:
		return ROUTE_LOCAL;
	case RTN_BROADCAST:
	case RTN_MULTICAST:
	case RTN_ANYCAST:
		return ROUTE_SPECIAL;
	default:
		return ROUTE_AWAY;
	}
}

/* Does it mean that there is no way? Then a socket finds none either: no route, or one that is unreachable, prohibit or
 * blackhole; or a kernel without that family. */
static bool is_no_way(int error)
{
	return error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EACCES || error == -EINVAL ||
	       error == -EOPNOTSUPP || error == -EAFNOSUPPORT;
}

/* The kind, or -EAGAIN: it was not told. */
static int ask_once(int fd, const struct ip_addr *a)
{
	static uint32_t seq;
	union {
		struct nlmsghdr head;
		uint8_t bytes[4096];
	} u;
	ssize_t n;

	if (send_question(fd, ++seq, a) < 0)
		return -EAGAIN;
	/* What is left of a question that went wrong is passed by. */
	while ((n = recv(fd, &u, sizeof(u), 0)) > 0) {
		if (!NLMSG_OK(&u.head, (size_t)n) || u.head.nlmsg_seq != seq)
			continue;
		if (u.head.nlmsg_type == NLMSG_ERROR && u.head.nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
			return is_no_way(((struct nlmsgerr *)NLMSG_DATA(&u.head))->error) ? ROUTE_AWAY : -EAGAIN;
		if (u.head.nlmsg_type == RTM_NEWROUTE && u.head.nlmsg_len >= NLMSG_LENGTH(sizeof(struct rtmsg)))
			return kind_of(((struct rtmsg *)NLMSG_DATA(&u.head))->rtm_type);
	}
	return -EAGAIN;
}

/* Who had no memory or no room in a queue may have some at once; a moment later the guest asks again. */
enum route_kind route_ask(int fd, const struct ip_addr *a)
{
	int i, r = -EAGAIN;

	for (i = 0; i < ASK_TIMES && r < 0; i++)
		r = ask_once(fd, a);
	return r < 0 ? ROUTE_LOCAL : (enum route_kind)r;
}

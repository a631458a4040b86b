/*
 * All that is to be done is one message to the kernel, of several requests, and one answer: each request that fails is
 * answered in any case, and the last one also if it does not. The kernel works on them in order before sendmsg(2)
 * returns, so all answers are there then, and reading them never waits.
 */
#include "agent/net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/ip.h"
#include "wire/netspec.h"

#define CARD "eth0"
#define LOOPBACK_INDEX 1 /* the first of each network namespace */

struct batch {
	_Alignas(NLMSG_ALIGNTO) uint8_t b[KIB];
	size_t len;
	struct nlmsghdr *last;
};

/* Room behind what there is. What is sent is fixed, and fits. */
static void *grow(struct batch *b, size_t n)
{
	void *at = b->b + b->len;

	b->len += NLMSG_ALIGN(n);
	if (b->last)
		b->last->nlmsg_len = (uint32_t)(b->b + b->len - (uint8_t *)b->last);
	return at;
}

static void *add_request(struct batch *b, uint16_t type, uint16_t flags, size_t body)
{
	b->last = NULL;
	b->last = grow(b, NLMSG_HDRLEN);
	b->last->nlmsg_type = type;
	b->last->nlmsg_flags = NLM_F_REQUEST | flags;
	return grow(b, body);
}

static struct rtattr *add_attr(struct batch *b, uint16_t type, const void *p, size_t n)
{
	struct rtattr *a = grow(b, RTA_LENGTH(n));

	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(n);
	if (n)
		memcpy(RTA_DATA(a), p, n);
	return a;
}

/* It has all that was added since. */
static void end_nest(struct batch *b, struct rtattr *nest)
{
	nest->rta_len = (uint16_t)(b->b + b->len - (uint8_t *)nest);
}

/* The requests in order; err of the first that failed, with what it is about. */
static int run(int fd, struct batch *b, const char *const *what, struct error *err)
{
	union {
		struct nlmsghdr head;
		uint8_t b[4 * KIB];
	} answer;
	const struct nlmsgerr *e = NLMSG_DATA(&answer.head);
	uint32_t seq = 0;
	struct nlmsghdr *m;
	ssize_t got;

	for (m = (struct nlmsghdr *)(void *)b->b; (uint8_t *)m < b->b + b->len;
	     m = (struct nlmsghdr *)(void *)((uint8_t *)m + NLMSG_ALIGN(m->nlmsg_len)))
		m->nlmsg_seq = seq++;
	b->last->nlmsg_flags |= NLM_F_ACK;
	if (send(fd, b->b, b->len, 0) < 0)
		return error_sys(err, "cannot set up the network");
	do {
		got = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
		if (got < (ssize_t)NLMSG_LENGTH(sizeof(*e)) || answer.head.nlmsg_type != NLMSG_ERROR ||
		    answer.head.nlmsg_seq >= seq)
			return error_set(err, -EPROTO, "cannot set up the network: the kernel does not answer");
		if (e->error)
			return error_code(err, e->error, "cannot set up the network: %s", what[answer.head.nlmsg_seq]);
	} while (answer.head.nlmsg_seq != seq - 1);
	return 0;
}

static int open_netlink(struct error *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? error_sys(err, "cannot set up the network") : fd;
}

static void add_up(struct batch *b, int index)
{
	struct ifinfomsg *link = add_request(b, RTM_NEWLINK, 0, sizeof(*link));

	link->ifi_index = index;
	link->ifi_flags = link->ifi_change = IFF_UP;
}

int net_up_loopback(struct error *err)
{
	static const char *const what[] = { "the loopback" };
	struct batch b = { .len = 0 };
	auto_fd int fd = open_netlink(err);

	if (fd < 0)
		return fd;
	add_up(&b, LOOPBACK_INDEX);
	return run(fd, &b, what, err);
}

/* No link-local address: it would be looked for duplicates of, and then for routers, and nobody there has one. */
static void add_link(struct batch *b, int index)
{
	const uint8_t none = IN6_ADDR_GEN_MODE_NONE;
	const uint32_t mtu = NET_LINK_MTU;
	struct ifinfomsg *link = add_request(b, RTM_NEWLINK, 0, sizeof(*link));
	struct rtattr *families, *v6;

	link->ifi_index = index;
	add_attr(b, IFLA_MTU, &mtu, sizeof(mtu));
	families = add_attr(b, IFLA_AF_SPEC, NULL, 0);
	v6 = add_attr(b, AF_INET6, NULL, 0);
	add_attr(b, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof(none));
	end_nest(b, v6);
	end_nest(b, families);
}

/* The bytes of an address as the kernel takes them. */
static const uint8_t *bytes_of(const struct ip_addr *a, size_t *ret_len)
{
	*ret_len = ip_is_v4(a) ? 4 : 16;
	return a->b + 16 - *ret_len;
}

static void add_address(struct batch *b, int index, const struct ip_addr *a, uint8_t bits)
{
	struct ifaddrmsg *m = add_request(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*m));
	size_t n;
	const uint8_t *bytes = bytes_of(a, &n);

	m->ifa_family = n == 4 ? AF_INET : AF_INET6;
	m->ifa_prefixlen = bits;
	m->ifa_flags = n == 4 ? 0 : IFA_F_NODAD;
	m->ifa_index = (uint32_t)index;
	add_attr(b, IFA_LOCAL, bytes, n);
	add_attr(b, IFA_ADDRESS, bytes, n);
	if (n == 4) {
		uint8_t broadcast[4] = { bytes[0], bytes[1], bytes[2], 255 };

		_Static_assert(NET_V4_BITS == 24, "the broadcast address");
		add_attr(b, IFA_BROADCAST, broadcast, n);
	}
}

static void add_route(struct batch *b, int index, const struct ip_addr *gateway)
{
	struct rtmsg *m = add_request(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*m));
	size_t n;
	const uint8_t *bytes = bytes_of(gateway, &n);

	m->rtm_family = n == 4 ? AF_INET : AF_INET6;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_BOOT;
	m->rtm_scope = RT_SCOPE_UNIVERSE;
	m->rtm_type = RTN_UNICAST;
	add_attr(b, RTA_GATEWAY, bytes, n);
	add_attr(b, RTA_OIF, &index, sizeof(index));
}

static int add_card(struct batch *b, int index, struct error *err)
{
	struct ip_addr v4, v6, gateway4, gateway6;

	if (ip_parse(NET_V4_GUEST, &v4) < 0 || ip_parse(NET_V6_GUEST, &v6) < 0 ||
	    ip_parse(NET_V4_GATEWAY, &gateway4) < 0 || ip_parse(NET_V6_GATEWAY, &gateway6) < 0)
		return error_set(err, -EINVAL, "the network has no addresses");
	add_link(b, index);
	add_up(b, index); /* a request of its own: the kernel would bring it up before the modes of IPv6 are set */
	add_address(b, index, &v4, NET_V4_BITS);
	add_address(b, index, &v6, NET_V6_BITS);
	add_route(b, index, &gateway4);
	add_route(b, index, &gateway6);
	return 0;
}

int net_up_card(struct error *err)
{
	static const char *const what[] = { "the mtu of " CARD, CARD, "the address of IPv4", "the address of IPv6",
					    "the route of IPv4", "the route of IPv6" };
	struct batch b = { .len = 0 };
	struct ifreq card = { .ifr_name = CARD };
	auto_fd int fd = open_netlink(err);
	int r;

	if (fd < 0)
		return fd;
	/* Its number, by any socket: by netlink the answer would be a page of all that there is to know of it. */
	if (ioctl(fd, SIOCGIFINDEX, &card) < 0)
		return error_sys(err, "the machine has no network card");
	r = add_card(&b, card.ifr_ifindex, err);
	return r < 0 ? r : run(fd, &b, what, err);
}

static int set(const char *path, const char *value, struct error *err)
{
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || io_write_full(fd, value, strlen(value)) < 0)
		return error_sys(err, "cannot set %s", path);
	return 0;
}

int net_set_defaults(struct error *err)
{
	int r = set("/proc/sys/net/ipv4/ping_group_range", "0 2147483647", err);

	return r < 0 ? r : set("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0", err);
}

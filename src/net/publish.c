/*
 * Published ports: sockets that listen at the host and lead to a port of the guest.
 *
 * The guest sees who has connected, if that address means something to it: an address of the host's loopback, one of
 * the link's own network, or one that is good on another link only, is shown as the gateway. IPv4 leads to the guest's
 * IPv4 address, IPv6 to its IPv6 one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "net/datagram.h"
#include "net/hostsock.h"
#include "net/net.h"

#define PAUSE_MS 100
#define ACCEPT_TURN 16 /* accepted, or received, before others have their turn */

struct listener {
	struct listener *next;
	struct net *net; /* borrowed */
	struct watch watch;
	int fd;               /* owned */
	struct net_port port; /* with the number that it has */
	struct net_port asked;
};

static uint8_t inbox[65536];
static struct {
	struct watch timer;
	struct net *net; /* borrowed */
} later = { .timer = { .fd = -1 } };

/* As whom the guest sees the peer. */
static struct ip_addr shown(const struct ip_addr *a)
{
	static const struct ip_addr loopback6 = { { [15] = 1 } };
	static const struct ip_net link_local6 = { { { 0xfe, 0x80 } }, 10 };
	struct ip_addr gateway = stack_gateway(!ip_is_v4(a));
	size_t net = ip_is_v4(a) ? 12 + NET_V4_BITS / 8 : NET_V6_BITS / 8;

	if ((ip_is_v4(a) && a->b[12] == 127) || ip_eq(a, &loopback6) || ip_in(a, &link_local6) ||
	    memcmp(a, &gateway, net) == 0)
		return gateway;
	return *a;
}

static void watch_all(struct net *n, uint32_t events)
{
	struct listener *l;

	for (l = n->listeners; l; l = l->next)
		loop_change(&n->loop, &l->watch, events);
}

/* Out of files, or of memory: those in the queue wait for something to end, and nobody says when. Until then epoll
 * would tell of them again and again. */
static void pause_all(struct net *n)
{
	watch_all(n, 0);
	loop_timer_set(later.timer.fd, PAUSE_MS);
}

static void on_pause(struct watch *w, uint32_t events)
{
	uint64_t expired;

	(void)events;
	if (read(w->fd, &expired, sizeof(expired)) == sizeof(expired))
		watch_all(later.net, EPOLLIN);
}

static int open_pause(struct net *n)
{
	int fd = loop_timer_fd(), r = fd < 0 ? fd : loop_add(&n->loop, &later.timer, fd, EPOLLIN, on_pause);

	later.net = n;
	if (r < 0)
		close_fd(&fd);
	return r;
}

static void on_connection(struct watch *w, uint32_t events)
{
	struct listener *l = container_of(w, struct listener, watch);
	struct host_addr from = { .len = sizeof(from.in6) };
	struct ip_addr addr, as;
	uint16_t port;
	int i, fd;

	(void)events;
	l->net->now_ms = clock_ms();
	for (i = 0; i < ACCEPT_TURN; i++) {
		from.len = sizeof(from.in6);
		fd = accept4(w->fd, &from.sa, &from.len, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				pause_all(l->net);
			return;
		}
		if (!host_addr_get(&from, &addr, &port)) {
			close(fd);
			continue;
		}
		as = shown(&addr);
		tcp_accepted(l->net, fd, &as, port, l->port.guest_port);
	}
}

/* Room for what is said of a datagram's ways, in either family. */
union ways {
	struct cmsghdr head;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* Where it came to. Of many hosts the kernel would answer by another of its addresses, which nobody has asked. */
static void take_ways(struct msghdr *m, struct udp_peer *peer)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	struct in6_pktinfo six;
	struct in_pktinfo four;

	peer->device = 0;
	peer->to = (struct ip_addr){ 0 };
	if (c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		memcpy(&four, CMSG_DATA(c), sizeof(four));
		peer->to = ip_from_v4(&four.ipi_spec_dst);
	} else if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		memcpy(&six, CMSG_DATA(c), sizeof(six));
		if (IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)(const void *)peer->addr.b))
			peer->device = six.ipi6_ifindex;
		if (!IN6_IS_ADDR_MULTICAST(&six.ipi6_addr))
			memcpy(peer->to.b, &six.ipi6_addr, sizeof(peer->to.b));
	}
}

static void put_ways(struct msghdr *m, const struct udp_peer *peer)
{
	bool v4 = ip_is_v4(&peer->addr);
	struct cmsghdr *c = m->msg_control;
	struct in6_pktinfo six = { 0 };
	struct in_pktinfo four = { 0 };

	if (v4 && ip_is_v4(&peer->to))
		memcpy(&four.ipi_spec_dst, peer->to.b + 12, 4);
	else if (!v4)
		memcpy(&six.ipi6_addr, peer->to.b, sizeof(six.ipi6_addr));
	c->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
	c->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
	c->cmsg_len = v4 ? CMSG_LEN(sizeof(four)) : CMSG_LEN(sizeof(six));
	memcpy(CMSG_DATA(c), v4 ? (void *)&four : (void *)&six, v4 ? sizeof(four) : sizeof(six));
	m->msg_controllen = v4 ? CMSG_SPACE(sizeof(four)) : CMSG_SPACE(sizeof(six));
}

static ssize_t receive(int fd, struct udp_peer *peer)
{
	struct iovec v = { inbox, sizeof(inbox) };
	struct host_addr from = { 0 };
	union ways ways;
	struct msghdr m = { .msg_name = &from.sa, .msg_namelen = sizeof(from.in6), .msg_iov = &v, .msg_iovlen = 1,
			    .msg_control = &ways, .msg_controllen = sizeof(ways) };
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	if (!host_addr_get(&from, &peer->addr, &peer->port))
		return -EPROTO;
	take_ways(&m, peer);
	return n;
}

static void on_datagram(struct watch *w, uint32_t events)
{
	struct listener *l = container_of(w, struct listener, watch);
	struct udp_peer peer = { .listener = l };
	struct ip_addr as;
	ssize_t n;
	int i;

	(void)events;
	l->net->now_ms = clock_ms();
	for (i = 0; i < ACCEPT_TURN; i++) {
		n = receive(w->fd, &peer);
		if (n == -EPROTO)
			continue;
		if (n < 0)
			return;
		as = shown(&peer.addr);
		udp_from_host(l->net, &peer, &as, l->port.guest_port, inbox, (size_t)n);
	}
}

void publish_answer(const struct udp_peer *to, const void *data, size_t len)
{
	struct host_addr a = host_addr_of(&to->addr, to->port);
	struct iovec v = { (void *)(uintptr_t)data, len };
	union ways ways = { .bytes = { 0 } };
	struct msghdr m = { .msg_name = &a.sa, .msg_namelen = a.len, .msg_iov = &v, .msg_iovlen = 1,
			    .msg_control = &ways };

	if (a.family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a.in6.sin6_addr))
		a.in6.sin6_scope_id = to->device;
	put_ways(&m, to);
	(void)!sendmsg(to->listener->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A socket that listens: fd, with the number it has; or -errno. */
static int listen_at(struct net_port *p)
{
	struct host_addr a = host_addr_of(&p->host, p->host_port);
	int type = p->proto == NET_UDP ? SOCK_DGRAM : SOCK_STREAM, on = 1;
	auto_fd int fd = socket(a.family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ip_addr same;

	if (fd < 0)
		return -errno;
	/* A port whose last connections are in TIME-WAIT is free; of UDP it would let two share one. */
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a.family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (type == SOCK_DGRAM) /* take_ways() */
		setsockopt(fd, a.family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
			   a.family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, &on, sizeof(on));
	if (bind(fd, &a.sa, a.len) < 0 || (type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0) ||
	    getsockname(fd, &a.sa, &a.len) < 0)
		return -errno;
	if (!host_addr_get(&a, &same, &p->host_port))
		return -EINVAL;
	return take_fd(&fd);
}

/* What this host lets its user listen at. For what is said of a refusal: the kernel decides. */
static void look_at_rights(struct net *n)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[2] = { 0 };
	auto_buf struct buf text = BUF_INIT(64);
	uint64_t first;
	char *end;

	n->low_ports = syscall(SYS_capget, &head, have) == 0 && (have[0].effective & (1U << CAP_NET_BIND_SERVICE));
	n->first_port = IPPORT_RESERVED;
	if (io_read_file_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", &text) < 0 || !buf_str(&text))
		return;
	first = strtoull(buf_str(&text), &end, 10);
	if (*end == '\n' && first <= UINT16_MAX)
		n->first_port = (unsigned)first;
}

static void add_remedy(const struct net *n, const struct net_port *p, int code, char *out, size_t size)
{
	*out = 0;
	if (code == -EADDRINUSE)
		snprintf(out, size, ": a box or another program listens there; take another port, or 0 for one "
			 "that is free");
	else if (code == -EADDRNOTAVAIL)
		snprintf(out, size, ": this host has no such address");
	else if (code == -EACCES && p->host_port < n->first_port && n->low_ports)
		/* Its right to them went with the others. */
		snprintf(out, size, ": low ports can only be published by a start of the box, not later; take one from "
			 "%u on", n->first_port);
	else if (code == -EACCES && p->host_port < n->first_port)
		snprintf(out, size, ": ports below %u (net.ipv4.ip_unprivileged_port_start) need a right that this "
			 "user has not; take one from there on", n->first_port);
}

int publish_add(struct net *n, const struct net_port *p, struct net_port *ret, struct error *err)
{
	struct listener *l = calloc(1, sizeof(*l)), **end = &n->listeners;
	char text[NET_RULE_TEXT_MAX], remedy[200];
	int r;

	if (!l)
		return error_nomem(err);
	l->net = n;
	l->watch = WATCH_NONE;
	l->port = l->asked = *p;
	l->fd = listen_at(&l->port);
	r = l->fd;
	if (r >= 0)
		r = loop_add(&n->loop, &l->watch, l->fd, EPOLLIN, p->proto == NET_UDP ? on_datagram : on_connection);
	if (r < 0) {
		close_fd(&l->fd);
		free(l);
		add_remedy(n, p, r, remedy, sizeof(remedy));
		return error_set(err, r, "cannot publish %s: %s%s", net_port_format(p, text), strerror(-r), remedy);
	}
	while (*end)
		end = &(*end)->next;
	*end = l;
	*ret = l->port;
	return 0;
}

static void drop(struct net *n, struct listener *l)
{
	loop_remove(&n->loop, &l->watch);
	close_fd(&l->fd);
	free(l);
}

/* Connections have sockets of their own, and go on; the answers to datagrams go by the listener's. */
int publish_remove(struct net *n, const struct net_pick *k, struct error *err)
{
	struct listener **at = &n->listeners, *l;
	bool found = false;

	while ((l = *at)) {
		if (!net_pick_matches(k, &l->asked, &l->port)) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		datagrams_forget(n, l);
		drop(n, l);
		found = true;
	}
	return found ? 0 : error_set(err, -ENOENT, "no port like that is published");
}

int publish_open(struct net *n, struct error *err)
{
	struct net_port real;
	size_t i;
	int r = open_pause(n);

	if (r < 0)
		return error_code(err, r, "cannot make a timer");
	look_at_rights(n);
	for (i = 0; r == 0 && i < n->start.spec.nports; i++)
		r = publish_add(n, &n->start.spec.ports[i], &real, err);
	if (r < 0)
		publish_close(n);
	return r;
}

void publish_close(struct net *n)
{
	struct listener *l;
	int fd = later.timer.fd;

	loop_remove(&n->loop, &later.timer);
	close_fd(&fd);
	while ((l = n->listeners)) {
		n->listeners = l->next;
		drop(n, l);
	}
}

size_t publish_ports(const struct net *n, struct net_port *ret, size_t most)
{
	const struct listener *l;
	size_t i = 0;

	for (l = n->listeners; l && i < most; l = l->next)
		ret[i++] = l->port;
	return i;
}

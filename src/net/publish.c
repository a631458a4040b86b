/*
 * Published ports: sockets that listen at the host and lead to a port of the guest.
 *
 * The guest sees who has connected, if that address means something to it: an address of the host's loopback, or one of
 * the link's own network, is shown as the gateway. IPv4 leads to the guest's IPv4 address, IPv6 to its IPv6 one.
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
	struct ip_addr gateway = stack_gateway(!ip_is_v4(a));
	size_t net = ip_is_v4(a) ? 12 + NET_V4_BITS / 8 : NET_V6_BITS / 8;

	if ((ip_is_v4(a) && a->b[12] == 127) || ip_eq(a, &loopback6) || memcmp(a, &gateway, net) == 0)
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

static void on_datagram(struct watch *w, uint32_t events)
{
	struct listener *l = container_of(w, struct listener, watch);
	struct udp_peer peer = { .listener = l };
	struct host_addr from;
	struct ip_addr as;
	ssize_t n;
	int i;

	(void)events;
	l->net->now_ms = clock_ms();
	for (i = 0; i < ACCEPT_TURN; i++) {
		from.len = sizeof(from.in6);
		n = recvfrom(w->fd, inbox, sizeof(inbox), MSG_DONTWAIT, &from.sa, &from.len);
		if (n < 0)
			return;
		if (!host_addr_get(&from, &peer.addr, &peer.port))
			continue;
		as = shown(&peer.addr);
		udp_from_host(l->net, &peer, &as, l->port.guest_port, inbox, (size_t)n);
	}
}

void publish_answer(const struct udp_peer *to, const void *data, size_t len)
{
	struct host_addr a = host_addr_of(&to->addr, to->port);

	(void)!sendto(to->listener->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL, &a.sa, a.len);
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

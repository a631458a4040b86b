/*
 * Theory of operation. The socket is read until it is empty, its turn is over, or the link has no room. While it has
 * none, the flow is stuck and the socket not watched. What does not fit into the link is one datagram, and lost, as
 * datagrams are; the others wait in the socket.
 */
#include "net/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "base/clock.h"
#include "net/hostsock.h"
#include "net/tcp.h"

static uint8_t inbox[DATAGRAM_MAX];

void datagram_used(struct datagram *d)
{
	d->until_ms = d->f.net->now_ms + d->idle_ms;
}

/* To the kernel a ping socket that is connected is one that knows where to send: whoever guesses its id is heard. */
static bool is_of_peer(const struct datagram *d, const struct host_addr *from)
{
	struct ip_addr addr;
	uint16_t port;

	return host_addr_get(from, &addr, &port) && ip_eq(&addr, &d->peer.addr);
}

static void on_socket(struct watch *w, uint32_t events)
{
	struct datagram *d = container_of(w, struct datagram, f.watch);
	unsigned i;

	(void)events;
	d->f.net->now_ms = clock_ms();
	for (i = 0; i < DATAGRAM_TURN && !d->f.net->link.blocked; i++) {
		struct host_addr from = { .len = sizeof(from.in6) };
		ssize_t n = recvfrom(d->f.fd, inbox, sizeof(inbox), MSG_DONTWAIT, &from.sa, &from.len);

		if (n >= 0 && !is_of_peer(d, &from))
			continue;
		if (n >= 0) {
			datagram_used(d);
			d->deliver(d, inbox, (size_t)n);
		} else if (errno == EAGAIN) {
			return;
		} else if (d->failed) {
			d->failed(d, errno);
		}
	}
	if (d->f.net->link.blocked) {
		int error;
		socklen_t n = sizeof(error);

		/* Of an error epoll tells without being asked, again and again: this one is lost, too. */
		getsockopt(d->f.fd, SOL_SOCKET, SO_ERROR, &error, &n);
		loop_change(&d->f.net->loop, w, 0);
		flow_stick(&d->f);
	}
}

static void on_resume(struct flow *f)
{
	loop_change(&f->net->loop, &f->watch, EPOLLIN);
}

static void on_tick(struct flow *f)
{
	if (f->net->now_ms >= datagram_of(f)->until_ms)
		flow_end(f);
}

static enum net_proto proto_of(const struct flow_key *k)
{
	return k->proto == IPPROTO_UDP ? NET_UDP : NET_ICMP;
}

/* What came for a published port may be answered. */
static void on_recheck(struct flow *f)
{
	struct ip_addr to;

	if (!datagram_of(f)->peer.listener &&
	    !stack_may(f->net, proto_of(&f->key), &f->key.remote, f->key.remote_port, f->since_ms, &to, NULL))
		flow_end(f);
}

static void on_end(struct flow *f)
{
	free(datagram_of(f));
}

static const struct flow_ops datagram_ops = {
	.tick = on_tick, .resume = on_resume, .recheck = on_recheck, .end = on_end,
};

void datagrams_forget(struct net *n, const struct listener *l)
{
	struct flow *f, *next;
	size_t i;

	for (i = 0; i < NET_FLOWS_MAX; i++)
		for (f = n->flows.bucket[i]; f; f = next) {
			next = f->next;
			if (f->ops == &datagram_ops && datagram_of(f)->peer.listener == l)
				flow_end(f);
		}
}

struct datagram *datagram_add(struct net *n, int sock, const struct flow_key *k, uint32_t idle_ms,
			      void (*deliver)(struct datagram *d, uint8_t *data, size_t n))
{
	auto_fd int fd = sock;
	struct datagram *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->f.fd = -1;
	d->f.watch = WATCH_NONE;
	d->idle_ms = idle_ms;
	d->deliver = deliver;
	if (!flow_add(n, &d->f, &datagram_ops, k)) {
		free(d);
		return NULL;
	}
	d->f.fd = take_fd(&fd);
	if (d->f.fd >= 0 && loop_add(&n->loop, &d->f.watch, d->f.fd, EPOLLIN, on_socket) < 0) {
		flow_end(&d->f);
		return NULL;
	}
	datagram_used(d);
	flow_time(&d->f, true);
	return d;
}

enum unreachable datagram_unreachable(int error)
{
	return error == EACCES || error == EPERM ? UNREACHABLE_PROHIBITED : UNREACHABLE_HOST;
}

/* Of the kind that the flow's packets are: connected, or -errno. */
static int new_socket(const struct flow_key *k, const struct ip_addr *to)
{
	struct host_addr a = host_addr_of(to, k->remote_port);
	int echo = a.family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6, proto = k->proto == IPPROTO_UDP ? 0 : echo;
	auto_fd int fd = socket(a.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);

	if (fd < 0)
		return -errno;
	return connect(fd, &a.sa, a.len) < 0 ? -errno : take_fd(&fd);
}

struct datagram *datagram_open(struct net *n, const struct packet *p, const struct flow_key *k, uint32_t idle_ms,
			       void (*deliver)(struct datagram *d, uint8_t *data, size_t n))
{
	struct datagram *d;
	struct ip_addr to;
	int fd;

	if (flows_full(n)) {
		tcp_ask_for_all(n);
		denied(n, proto_of(k), &p->dst, k->remote_port, NULL, "limit");
		stack_unreachable(n, p, UNREACHABLE_PROHIBITED);
		return NULL;
	}
	if (!stack_may(n, proto_of(k), &p->dst, k->remote_port, POLICY_NOW, &to, NULL)) {
		stack_unreachable(n, p, UNREACHABLE_PROHIBITED);
		return NULL;
	}
	fd = new_socket(k, &to);
	if (fd < 0) {
		stack_unreachable(n, p, datagram_unreachable(-fd));
		return NULL;
	}
	d = datagram_add(n, fd, k, idle_ms, deliver);
	if (d)
		d->peer.addr = to;
	return d;
}

/* Connections of the guest that outlast the answer of DNS by which they are allowed; and how they end. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clean.h"
#include "lib/tap.h"
#include "net/bytes.h"
#include "net/net.h"

#define TCP_AT (14 + 20)
#define DATA_AT (TCP_AT + 20)

static struct net n = { .control.fd = -1, .control_watch.fd = -1 };
static int guest;
static time_t skew; /* seconds that have passed without waiting for them */
static struct sockaddr_in server; /* where all is that the guest connects to */

/* These are in the place of the C library's. */
int clock_gettime(clockid_t clock, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, clock, t);

	t->tv_sec += skew;
	return r;
}

int connect(int fd, const struct sockaddr *a, socklen_t len)
{
	(void)a, (void)len;
	return (int)syscall(SYS_connect, fd, &server, sizeof(server));
}

static int serve(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(server);

	server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0 || bind(fd, (struct sockaddr *)&server, len) < 0 || listen(fd, 8) < 0 ||
	    getsockname(fd, (struct sockaddr *)&server, &len) < 0)
		abort();
	return fd;
}

static void turns(void)
{
	struct pollfd p = { .fd = n.loop.epfd, .events = POLLIN };

	while (n.loop.nlater || poll(&p, 1, 50) > 0)
		if (loop_once(&n.loop, 0) < 0)
			abort();
}

/* --- the guest: one connection --- */

struct end {
	uint16_t port;
	uint32_t seq, ack;
	int fd; /* at the server */
};

static void put(struct end *e, uint8_t flags, const char *text)
{
	size_t len = strlen(text);
	uint8_t f[DATA_AT + 200] = { [12] = 8, [14] = 0x45 };

	put16(f + 16, (uint16_t)(DATA_AT - 14 + len));
	f[23] = IPPROTO_TCP;
	memcpy(f + 26, (uint8_t[]){ 192, 168, 127, 2, 203, 0, 113, 1 }, 8);
	put16(f + TCP_AT, e->port);
	put16(f + TCP_AT + 2, 80);
	put32(f + TCP_AT + 4, e->seq);
	put32(f + TCP_AT + 8, e->ack);
	f[TCP_AT + 12] = 5 << 4;
	f[TCP_AT + 13] = flags;
	put16(f + TCP_AT + 14, 60000);
	memcpy(f + DATA_AT, text, len);
	e->seq += (uint32_t)len + (flags & 2);
	if (send(guest, f, DATA_AT + len, 0) < 0)
		abort();
}

static void say(struct end *e, uint8_t flags, const char *text)
{
	put(e, flags, text);
	turns();
}

/* All that has come is acknowledged. */
static void hear(struct end *e)
{
	uint8_t f[2000];

	while (recv(guest, f, sizeof(f), MSG_DONTWAIT) > 0)
		if (f[TCP_AT + 13] & 2)
			e->ack = get32(f + TCP_AT + 4) + 1;
		else
			e->ack = get32(f + TCP_AT + 4) + get16(f + 16) - 20 - (f[TCP_AT + 12] >> 4) * 4U;
	say(e, 0x10, "");
}

static struct end begin(int listens, uint16_t port)
{
	struct end e = { .port = port, .seq = 1000 };

	say(&e, 2, "");
	e.seq = 1001;
	hear(&e);
	e.fd = accept4(listens, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return e;
}

static bool comes(const struct end *e, const char *text)
{
	char got[500];
	ssize_t len = recv(e->fd, got, sizeof(got) - 1, 0);

	got[MAX(len, 0)] = 0;
	return strstr(got, text) != NULL;
}

static void set_rules(const char *rule)
{
	struct net_spec now = { 0 };

	if (net_spec_add_rule(&now, rule, true, NULL) < 0 || policy_set_rules(n.policy, &n.start.spec, &now, NULL) < 0)
		abort();
	net_spec_fini(&now);
	flows_recheck(&n);
	turns();
}

/* What a server says before it goes away, without having read all, is there for who reads on. */
static void test_last_words(int listens, uint16_t port, const char *more)
{
	struct end e = begin(listens, port);
	uint8_t f[2000];
	ssize_t len;

	say(&e, 0x18, "too much");
	if (*more)
		put(&e, 0x18, more); /* which is to be heard first */
	if (send(e.fd, "no", 2, 0) < 0 || send(e.fd, "thanks", 6, 0) < 0)
		abort();
	close(e.fd); /* what it has not read makes that a reset */
	turns();
	while ((len = recv(guest, f, sizeof(f), MSG_DONTWAIT)) == DATA_AT)
		; /* acknowledgements */
	ok(len == DATA_AT + 8 && memcmp(f + DATA_AT, "nothanks", 8) == 0, "the last words of a server");
	ok(recv(guest, f, sizeof(f), MSG_DONTWAIT) == DATA_AT && f[TCP_AT + 13] == 0x14, "come before its reset");
	is_int(n.flows.n, 0, "which is the end");
}

static void test(int listens)
{
	struct ip_addr at = ip_v4(203, 0, 113, 1);
	struct end web, other, late;

	set_rules("a.example");
	policy_learn(n.policy, "a.example", &at, 60);
	web = begin(listens, 4000);
	other = begin(listens, 4001);
	say(&web, 0x18, "GET /one HTTP/1.1\r\nHost: a.example\r\n\r\n");
	say(&other, 0x18, "hello\r\n");
	ok(comes(&web, "/one") && comes(&other, "hello"), "two connections for a name");
	if (send(web.fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38, 0) < 0)
		abort();
	turns();
	hear(&web);
	skew += 3600;
	late = begin(listens, 4002);
	ok(late.fd < 0, "its answer is no longer valid: there is no other one");
	say(&web, 0x18, "GET /two HTTP/1.1\r\nHost: a.example\r\n\r\n");
	ok(comes(&web, "/two"), "the next request of one that is there goes on");
	set_rules("*.example");
	is_int(n.flows.n, 2, "and both, if other rules allow the name");
	say(&other, 0x18, "again\r\n");
	ok(comes(&other, "again"), "as before");
	set_rules("b.example");
	is_int(n.flows.n, 0, "and end, if they do not");
	close(web.fd);
	close(other.fd);
}

int main(void)
{
	auto_fd int listens = serve();
	int fds[2];

	if (loop_init(&n.loop) < 0 || denied_open(&n) < 0 || !(n.policy = policy_new(&n.start.spec, NULL)) ||
	    flows_open(&n, NULL) < 0 || tcp_open(&n, NULL) < 0 || proxy_start(&n, NULL) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ||
	    link_open(&n.link, &n.loop, fds[0], false, &stack_link_ops, &n, NULL) < 0)
		abort();
	guest = fds[1];
	test_last_words(listens, 5000, "");
	test_last_words(listens, 5001, "more");
	test(listens);
	flows_close(&n);
	tcp_close(&n);
	proxy_stop(&n);
	link_close(&n.link);
	policy_free(n.policy);
	net_spec_fini(&n.start.spec);
	denied_close(&n);
	loop_fini(&n.loop);
	close(guest);
	return tap_done();
}

/* What a guest may reach: classes, rules, names and their expiry. */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/tap.h"
#include "net/class.h"
#include "net/names.h"
#include "net/policy.h"
#include "net/route.h"

static time_t skew; /* seconds that have passed without waiting for them */

/* In the place of the C library's. */
int clock_gettime(clockid_t clock, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, clock, t);

	t->tv_sec += skew;
	return r;
}

static struct net_spec spec;

/* Rules as in JSON, up to NULL. */
static struct policy *policy(unsigned open, ...)
{
	const char *text;
	struct policy *p;
	va_list ap;
	int r = 0;

	net_spec_fini(&spec);
	spec.open = open;
	va_start(ap, open);
	while (r == 0 && (text = va_arg(ap, const char *)))
		r = net_spec_add_rule(&spec, strchr(text, ' ') + 1, text[0] == 'a', NULL);
	va_end(ap);
	p = policy_new(&spec, NULL);
	if (r < 0 || !p)
		abort();
	return p;
}

static struct ip_addr ip(const char *text)
{
	struct ip_addr a;

	if (ip_parse(text, &a) < 0)
		abort();
	return a;
}

/* "yes", or the reason. */
static const char *ask(struct policy *p, enum net_proto proto, const char *addr, uint16_t port)
{
	struct ip_addr a = ip(addr);
	struct policy_answer answer = policy_check(p, proto, &a, port, false, POLICY_NOW);

	return answer.allow ? "yes" : answer.reason;
}

/* For a connection that says that it comes for this name. */
static const char *ask_claim(struct policy *p, const char *addr, uint16_t port, const char *name)
{
	struct ip_addr a = ip(addr);
	struct policy_answer answer = policy_check(p, NET_TCP, &a, port, false, POLICY_NOW);

	if (answer.allow && answer.by_name)
		answer = policy_check_claim(p, &a, port, false, POLICY_NOW, name);
	return answer.allow ? "yes" : answer.reason;
}

static const char *ask_host(struct policy *p, const char *addr, uint16_t port)
{
	struct ip_addr a = ip(addr);
	struct policy_answer answer = policy_check(p, NET_TCP, &a, port, true, POLICY_NOW);

	return answer.allow ? "yes" : answer.reason;
}

static const char *ask_name(struct policy *p, const char *name)
{
	struct policy_answer answer = policy_check_name(p, name);

	return answer.allow ? "yes" : answer.reason;
}

static void learn(struct policy *p, const char *name, const char *addr, uint32_t ttl)
{
	struct ip_addr a = ip(addr);

	policy_learn(p, name, &a, ttl);
}

#define tcp(p, addr, port, want) is_str(ask(p, NET_TCP, addr, port), want, "tcp " addr " " #port ": " want)

static void test_classes(void)
{
	static const struct {
		const char *addr, *class;
	} t[] = {
		{ "8.8.8.8", "yes" }, { "2606:4700::1111", "yes" }, { "172.32.0.1", "yes" }, { "100.128.0.1", "yes" },
		{ "127.0.0.1", "special" }, { "127.9.9.9", "special" }, { "::1", "special" }, { "::", "special" },
		{ "0.0.0.0", "special" }, { "0.1.2.3", "special" }, { "224.0.0.251", "special" }, { "ff02::1", "special" },
		{ "255.255.255.255", "special" }, { "240.0.0.1", "special" }, { "192.168.127.254", "special" },
		{ "192.168.127.77", "special" }, { "fd62:6f78:6c69:7465::fe", "special" },
		{ "10.0.0.9", "private" }, { "172.31.255.9", "private" }, { "192.168.126.9", "private" },
		{ "100.64.0.9", "private" }, { "fd12::9", "private" }, { "fec0::9", "private" },
		{ "192.0.0.1", "private" }, { "192.0.0.9", "private" }, { "192.0.1.1", "yes" },
		{ "192.0.0.192", "metadata" }, { "2001:1::1", "private" }, { "5f00::9", "private" },
		{ "169.254.1.9", "link-local" }, { "fe80::9", "link-local" },
		{ "169.254.169.254", "metadata" }, { "100.100.100.200", "metadata" }, { "fd00:ec2::254", "metadata" },
		{ "168.63.129.16", "metadata" }, { "fe80::a9fe:a9fe", "metadata" },
		{ "fd00:c1::a9fe:a9fe", "metadata" }, { "fd00:a9fe:a9fe::1", "metadata" },
		{ "fd00:100::100:200", "metadata" },
		{ "::ffff:10.0.0.9", "private" }, { "::ffff:127.0.0.1", "special" },
		/* translated, tunnelled */
		{ "64:ff9b::8.8.8.8", "yes" }, { "64:ff9b::127.0.0.1", "special" }, { "64:ff9b::10.0.0.9", "private" },
		{ "64:ff9b::169.254.169.254", "metadata" }, { "64:ff9b:1::8.8.8.8", "private" },
		{ "2002:808:808::1", "yes" }, { "2002:a00:9::1", "private" }, { "2002:7f00:1::1", "special" },
		{ "2001:0:808:808::f7f7:f7f7", "yes" }, { "2001:0:a00:9::f7f7:f7f7", "private" },
		{ "2001:0:808:808::f5ff:fff6", "private" }, { "::8.8.8.8", "yes" }, { "::10.0.0.9", "private" },
		{ "::127.0.0.1", "special" }, { "::ffff:0:10.0.0.9", "private" },
		{ "2606:4700::5efe:10.0.0.9", "private" }, { "2606:4700::5efe:8.8.8.8", "yes" },
		{ "2606:4700::200:5efe:169.254.169.254", "metadata" }, { "64:ff9b::5efe:10.0.0.9", "private" },
	};
	struct policy *p = policy(0, NULL);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		is_str(ask(p, NET_TCP, t[i].addr, 80), t[i].class, t[i].addr);
	policy_free(p);
	p = policy(NET_OPEN_HOST | NET_OPEN_PRIVATE | NET_OPEN_LINK_LOCAL | NET_OPEN_METADATA, NULL);
	for (i = 0; i < ARRAY_SIZE(t); i++)
		ok(strcmp(ask(p, NET_UDP, t[i].addr, 80), strcmp(t[i].class, "special") == 0 ? "special" : "yes") == 0,
		   "all open: %s", t[i].addr);
	policy_free(p);
	p = policy(NET_OPEN_PRIVATE, NULL);
	tcp(p, "10.0.0.9", 1, "yes");
	tcp(p, "100.100.100.200", 1, "metadata");
	tcp(p, "64:ff9b::10.0.0.9", 1, "yes");
	policy_free(p);
}

static void test_opening_rules(void)
{
	struct policy *p = policy(0, "allow *", "allow 10.1.0.0/16:443", "allow 169.254.0.0/16", "allow 0.0.0.0/0",
				  "allow 127.0.0.1", "allow 100.100.100.200", NULL);

	tcp(p, "10.1.2.3", 443, "yes");
	tcp(p, "10.1.2.3", 80, "private");
	tcp(p, "10.2.2.3", 443, "private");
	is_str(ask(p, NET_ICMP, "10.1.2.3", 0), "private", "icmp has no port 443");
	tcp(p, "169.254.7.7", 80, "yes");
	tcp(p, "169.254.169.254", 80, "metadata");
	tcp(p, "100.100.100.200", 80, "yes");
	tcp(p, "127.0.0.1", 80, "special");
	policy_free(p);
	p = policy(NET_OPEN_PRIVATE, "deny 10.0.0.9", "allow 10.0.0.0/8", NULL);
	tcp(p, "10.0.0.9", 80, "rule");
	tcp(p, "10.0.0.8", 80, "yes");
	tcp(p, "64:ff9b::10.0.0.9", 80, "rule");
	tcp(p, "64:ff9b::10.0.0.8", 80, "not-allowed");
	tcp(p, "127.0.0.1", 80, "special");
	policy_free(p);
}

static void test_rules(void)
{
	struct policy *p = policy(0, "deny tcp:1.2.3.4:80-90", "deny icmp:*", NULL);

	tcp(p, "1.2.3.4", 79, "yes");
	tcp(p, "1.2.3.4", 80, "rule");
	tcp(p, "1.2.3.4", 90, "rule");
	tcp(p, "1.2.3.4", 91, "yes");
	is_str(ask(p, NET_UDP, "1.2.3.4", 80), "yes", "another protocol");
	is_str(ask(p, NET_ICMP, "1.2.3.5", 0), "rule", "icmp");
	policy_free(p);
	p = policy(0, "allow tcp:1.2.3.4:443", "deny *", "allow *", NULL);
	tcp(p, "1.2.3.4", 443, "yes");
	tcp(p, "1.2.3.4", 80, "rule");
	policy_free(p);
	p = policy(0, "allow 1.2.3.4", NULL);
	is_str(ask(p, NET_ICMP, "1.2.3.4", 0), "yes", "an address for all protocols");
	tcp(p, "8.8.8.8", 80, "not-allowed");
	tcp(p, "8.8.8.8", 53, "dns-server");
	tcp(p, "8.8.8.8", 853, "dns-server");
	is_str(ask(p, NET_UDP, "8.8.8.8", 53), "dns-server", "udp, too");
	is_str(ask(p, NET_ICMP, "8.8.8.8", 53), "not-allowed", "not icmp");
	policy_free(p);
}

static void test_host(void)
{
	struct policy *p = policy(0, NULL);

	ok(!policy_host_open(p), "the host is closed");
	is_str(ask_host(p, "127.0.0.1", 80), "host", "by its address");
	is_str(ask_host(p, "::1", 80), "host", "both");
	is_str(ask_host(p, "10.0.0.9", 80), "private", "what is no loopback is what it is");
	policy_free(p);
	p = policy(NET_OPEN_HOST, NULL);
	ok(policy_host_open(p), "it is opened by a switch");
	is_str(ask_host(p, "127.0.0.1", 80), "yes", "all");
	is_str(ask_host(p, "::1", 80), "yes", "of it");
	policy_free(p);
	p = policy(0, "allow 127.0.0.1:5432", NULL);
	ok(policy_host_open(p), "or by a rule");
	is_str(ask_host(p, "127.0.0.1", 5432), "yes", "with a port");
	is_str(ask_host(p, "127.0.0.1", 80), "host", "and no other");
	is_str(ask_host(p, "::1", 5432), "host", "or family");
	policy_free(p);
	p = policy(0, "allow 192.168.127.254", NULL);
	ok(policy_host_open(p), "or by the address that the guest sees");
	is_str(ask_host(p, "127.0.0.1", 80), "yes", "which is the same");
	policy_free(p);
	p = policy(0, "allow 127.0.0.0/8", "allow host.boxlite.internal", "allow *", NULL);
	ok(!policy_host_open(p), "not by a network or a name");
	is_str(ask_host(p, "127.0.0.1", 80), "host", "nor by all");
	policy_free(p);
	p = policy(NET_OPEN_HOST, "allow host.boxlite.internal:80", NULL);
	is_str(ask_host(p, "127.0.0.1", 80), "yes", "open, a name says how far");
	is_str(ask_host(p, "127.0.0.1", 81), "not-allowed", "and no further");
	policy_free(p);
}

/* A kernel, in a process of its own, that answers each question with the next error; 0: with a route. */
static pid_t kernel(int fd, int other, const int *errors, size_t n)
{
	struct {
		struct nlmsghdr head;
		union {
			struct nlmsgerr error;
			struct rtmsg route;
		};
	} a;
	uint8_t question[256];
	pid_t pid = fork();

	if (pid == 0)
		close(other);
	for (; pid == 0 && n; n--, errors++) {
		if (recv(fd, question, sizeof(question), 0) < (ssize_t)sizeof(a.head))
			_exit(1);
		memset(&a, 0, sizeof(a));
		a.head.nlmsg_seq = ((struct nlmsghdr *)(void *)question)->nlmsg_seq;
		a.head.nlmsg_type = *errors ? NLMSG_ERROR : RTM_NEWROUTE;
		a.head.nlmsg_len = sizeof(a);
		if (*errors)
			a.error.error = -*errors;
		else
			a.route.rtm_type = RTN_UNICAST;
		(void)!send(fd, &a, sizeof(a), 0);
	}
	if (pid == 0)
		_exit(0);
	return pid;
}

/* Of a kernel that answers like that: the kind, and how many times it was asked. */
#define IS_KIND(want, times, what, ...) \
	is_kind((const int[]){ __VA_ARGS__ }, sizeof((int[]){ __VA_ARGS__ }), want, times, what)
static void is_kind(const int *errors, size_t bytes, enum route_kind want, size_t times, const char *what)
{
	struct ip_addr a = ip("203.0.113.1");
	size_t n = bytes / sizeof(int);
	int pair[2], status = -1;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		exit(1);
	pid = kernel(pair[1], pair[0], errors, n);
	close(pair[1]);
	is_int(route_ask(pair[0], &a), want, what);
	close(pair[0]);
	waitpid(pid, &status, 0);
	ok((status == 0) == (n == times), "and it was asked %zu times of %zu", times, n);
}

/* That there is no way must have been said: else a guest could reach the host while its kernel has no memory. */
static void test_no_answer(void)
{
	IS_KIND(ROUTE_AWAY, 1, "a route", 0);
	IS_KIND(ROUTE_AWAY, 1, "no route", ENETUNREACH);
	IS_KIND(ROUTE_AWAY, 1, "an unreachable one", EHOSTUNREACH);
	IS_KIND(ROUTE_AWAY, 1, "a prohibited one", EACCES);
	IS_KIND(ROUTE_AWAY, 1, "a black hole", EINVAL);
	IS_KIND(ROUTE_AWAY, 2, "a route, after there was no memory", ENOMEM, 0);
	IS_KIND(ROUTE_AWAY, 3, "no route, after that and no room", ENOMEM, ENOBUFS, ENETUNREACH);
	IS_KIND(ROUTE_LOCAL, 3, "no memory is no answer", ENOMEM, ENOMEM, ENOMEM);
	IS_KIND(ROUTE_LOCAL, 3, "and it is asked no more", EINTR, ENOBUFS, ENOMEM, 0);
}

/* Each address that this host has is the host, whatever its number. */
static void test_own(void)
{
	struct policy *p = policy(NET_OPEN_PRIVATE | NET_OPEN_LINK_LOCAL, NULL);
	struct ifaddrs *all = NULL, *i;
	int fd = route_open();
	struct ip_addr a = ip("127.0.0.1");
	char text[IP_TEXT_MAX];

	is_int(route_ask(fd, &a), ROUTE_LOCAL, "the loopback is local");
	a = ip("255.255.255.255");
	ok(route_ask(fd, &a) != ROUTE_LOCAL, "a broadcast is not");
	is_int(route_ask(-1, &a), ROUTE_LOCAL, "what cannot be asked is");
	close(fd);
	if (getifaddrs(&all) < 0)
		all = NULL;
	for (i = all; i; i = i->ifa_next) {
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			a = ip_from_v4(&((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr);
		else if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
			memcpy(a.b, &((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr, sizeof(a.b));
		else
			continue;
		if (!class_loopback(&a) && class_of(&a) != CLASS_METADATA && class_of(&a) != CLASS_SPECIAL)
			is_str(ask(p, NET_TCP, ip_format(&a, text), 22), "host", text);
	}
	freeifaddrs(all);
	policy_free(p);
}

static void test_names(void)
{
	struct policy *p = policy(0, "deny bad.example.com", "deny *.example.com:25", "allow *.example.com:443",
				  "allow 203.0.113.1", NULL);

	is_str(ask_name(p, "www.example.com"), "yes", "below");
	is_str(ask_name(p, "a.b.example.com"), "yes", "at any depth");
	is_str(ask_name(p, "example.com"), "name", "not the name itself");
	is_str(ask_name(p, "wwwexample.com"), "name", "nor without the dot");
	is_str(ask_name(p, ".example.com"), "name", "nor without a label");
	is_str(ask_name(p, "bad.example.com"), "rule", "a name that is denied");
	is_str(ask_name(p, "example.org"), "name", "others");
	tcp(p, "203.0.113.2", 443, "not-allowed");
	learn(p, "www.example.com", "203.0.113.2", 300);
	tcp(p, "203.0.113.2", 443, "yes");
	tcp(p, "203.0.113.2", 80, "not-allowed");
	tcp(p, "203.0.113.2", 25, "rule");
	tcp(p, "203.0.113.3", 443, "not-allowed");
	learn(p, "www.example.com", "10.0.0.9", 300);
	tcp(p, "10.0.0.9", 443, "private");
	learn(p, "www.example.com", "127.0.0.1", 300);
	tcp(p, "127.0.0.1", 443, "special");
	learn(p, "example.org", "203.0.113.9", 300);
	tcp(p, "203.0.113.9", 443, "not-allowed");
	struct ip_addr a = ip("203.0.113.9");
	is_str(policy_check(p, NET_TCP, &a, 443, false, POLICY_NOW).name, "example.org", "a refusal tells the name");
	policy_free(p);
	p = policy(0, "allow 203.0.113.1", NULL);
	is_str(ask_name(p, "example.com"), "name", "who may reach addresses only may ask for no name");
	policy_free(p);
	p = policy(0, "deny tcp:*", "deny *:25", "deny 203.0.113.1", NULL);
	is_str(ask_name(p, "example.com"), "yes", "what denies ports denies no name");
	policy_free(p);
	p = policy(0, "deny *", NULL);
	is_str(ask_name(p, "example.com"), "rule", "what denies all does");
	policy_free(p);
}

/* What is written first decides, also of a name and an address. */
static void test_claims(void)
{
	struct policy *p = policy(0, "deny bad.example:443", "allow 203.0.113.0/24", "allow good.example", NULL);
	struct ip_addr a = ip("203.0.113.1");

	is_str(ask_claim(p, "203.0.113.1", 443, "bad.example"), "claim", "a name that is denied before its address");
	is_str(ask_claim(p, "203.0.113.1", 443, "other.example"), "yes", "another name there");
	is_str(ask_claim(p, "203.0.113.1", 80, "bad.example"), "yes", "another port");
	ok(!policy_check(p, NET_TCP, &a, 80, false, POLICY_NOW).by_name, "where nobody needs to look for names");
	learn(p, "good.example", "203.0.114.1", 600);
	is_str(ask_claim(p, "203.0.114.1", 80, "good.example"), "yes", "a name at its address");
	is_str(ask_claim(p, "203.0.114.1", 80, "other.example"), "claim", "another one there");
	policy_free(p);
	p = policy(0, "allow good.example", "allow 203.0.113.0/24", "deny bad.example", NULL);
	is_str(ask_claim(p, "203.0.113.1", 443, "bad.example"), "yes", "an address before all that is denied");
	ok(!policy_check(p, NET_TCP, &a, 443, false, POLICY_NOW).by_name, "and nobody looks there");
	policy_free(p);
}

static void test_expiry(void)
{
	struct policy *p = policy(0, "allow example.com", "allow long.example", NULL);

	learn(p, "example.com", "203.0.113.1", 0);
	learn(p, "long.example", "203.0.113.2", UINT32_MAX);
	tcp(p, "203.0.113.1", 80, "yes");
	skew += 55;
	tcp(p, "203.0.113.1", 80, "yes");
	skew += 10;
	tcp(p, "203.0.113.1", 80, "not-allowed");
	learn(p, "example.com", "203.0.113.1", 0);
	tcp(p, "203.0.113.1", 80, "yes");
	tcp(p, "203.0.113.2", 80, "yes");
	skew += 24 * 60 * 60;
	tcp(p, "203.0.113.2", 80, "not-allowed");
	policy_free(p);
}

static struct ip_addr number(unsigned i)
{
	return ip_v4(198, 18, (uint8_t)(i >> 8), (uint8_t)i);
}

static void test_memory(void)
{
	struct names *n = names_new();
	struct ip_addr a = ip("203.0.113.1");
	unsigned i, known = 0;

	names_learn(n, 0, "good.example", &a, 100000, 0);
	for (i = 0; i < 3 * NAMES_MAX; i++) {
		struct ip_addr b = number(i);

		names_learn(n, 1, "flood.example", &b, 5000000, 0);
	}
	names_learn(n, 2, "past.example", &a, 5, 6);
	ok(!names_find(n, 2, &a, 0), "what has expired takes no place of others");
	is_str(names_find(n, 0, &a, 99999), "good.example", "a flood for one rule leaves another's addresses alone");
	ok(!names_find(n, 1, &a, 0) && !names_find(n, 0, &a, 100000), "of that rule, for that time");
	for (i = 0; i < 3 * NAMES_MAX; i++) {
		struct ip_addr b = number(i);

		known += names_any(n, &b, 0) != NULL;
	}
	is_int(known, NAMES_MAX - 1, "and is bounded");
	names_learn(n, 0, "other.example", &a, 200000, 0);
	is_str(names_find(n, 0, &a, 150000), "other.example", "the latest name, for the longest time");
	a = ip("203.0.113.2");
	names_learn(n, 2, "later.example", &a, 400000, 300000);
	is_str(names_find(n, 2, &a, 300001), "later.example", "more");
	a = ip("203.0.113.1");
	ok(!names_any(n, &a, 0), "takes the place of what has expired");
	for (i = known = 0; i < 3 * NAMES_MAX; i++) {
		struct ip_addr b = number(i);

		known += names_any(n, &b, 0) != NULL;
	}
	is_int(known, NAMES_MAX - 1, "and of nothing else");
	names_free(n);
	names_free(NULL);
	policy_free(NULL);
}

/* Other rules, from a list as in JSON, up to NULL. */
static void set_rules(struct policy *p, unsigned open, ...)
{
	struct net_spec now = { .open = open };
	const char *text;
	va_list ap;

	va_start(ap, open);
	while ((text = va_arg(ap, const char *)))
		if (net_spec_add_rule(&now, strchr(text, ' ') + 1, text[0] == 'a', NULL) < 0)
			abort();
	va_end(ap);
	is_int(policy_set_rules(p, &spec, &now, NULL), 0, "other rules");
	net_spec_fini(&now);
}

static void test_other_rules(void)
{
	struct policy *p = policy(0, "allow a.example", "allow *.b.example", NULL);

	learn(p, "a.example", "203.0.114.1", 600);
	learn(p, "x.b.example", "203.0.114.2", 600);
	learn(p, "c.example", "203.0.114.3", 600);
	tcp(p, "203.0.114.1", 80, "yes");
	tcp(p, "203.0.114.3", 80, "not-allowed");
	set_rules(p, 0, "deny 203.0.114.9", "allow c.example", "allow *.b.example", NULL);
	tcp(p, "203.0.114.1", 80, "not-allowed");
	tcp(p, "203.0.114.2", 80, "yes");
	tcp(p, "203.0.114.3", 80, "yes");
	is_str(ask_name(p, "a.example"), "name", "a name is not asked for any more");
	set_rules(p, 0, "deny a.example", NULL);
	tcp(p, "203.0.114.1", 80, "rule");
	tcp(p, "203.0.114.2", 80, "yes");
	tcp(p, "10.0.0.1", 80, "private");
	set_rules(p, NET_OPEN_PRIVATE, NULL);
	tcp(p, "203.0.114.1", 80, "yes");
	tcp(p, "10.0.0.1", 80, "yes");
	skew += 300;
	set_rules(p, 0, "allow a.example", NULL);
	tcp(p, "203.0.114.1", 80, "yes");
	skew += 301;
	tcp(p, "203.0.114.1", 80, "not-allowed"); /* it does not become younger by that */
	policy_free(p);
}

/* Who keeps a connection does not ask for its name again. */
static void test_lasting(void)
{
	struct policy *p = policy(0, "allow a.example", NULL);
	struct ip_addr a = ip("203.0.113.1"), b = ip("203.0.113.2");
	uint64_t before, after;

	learn(p, "a.example", "203.0.113.1", 60);
	learn(p, "b.example", "203.0.113.2", 60);
	before = clock_ms();
	skew += 61;
	after = clock_ms();
	tcp(p, "203.0.113.1", 80, "not-allowed");
	ok(policy_check(p, NET_TCP, &a, 80, false, before).allow, "a connection from before may last");
	ok(policy_check_claim(p, &a, 80, false, before, "a.example").allow, "with the name that it has");
	ok(!policy_check_claim(p, &a, 80, false, before, "b.example").allow, "no other");
	ok(!policy_check(p, NET_TCP, &a, 80, false, after).allow, "not one that began later");
	ok(!policy_check(p, NET_TCP, &b, 80, false, before).allow, "nor one of another name");
	set_rules(p, 0, "deny 203.0.114.9", "allow a.example", NULL);
	ok(policy_check(p, NET_TCP, &a, 80, false, before).allow, "also by other rules that allow it");
	tcp(p, "203.0.113.1", 80, "not-allowed");
	set_rules(p, 0, "allow b.example", NULL);
	ok(!policy_check(p, NET_TCP, &a, 80, false, before).allow, "if they do");
	policy_free(p);
}

int main(void)
{
	test_classes();
	test_opening_rules();
	test_rules();
	test_host();
	test_own();
	test_no_answer();
	test_names();
	test_claims();
	test_expiry();
	test_lasting();
	test_memory();
	test_other_rules();
	net_spec_fini(&spec);
	return tap_done();
}

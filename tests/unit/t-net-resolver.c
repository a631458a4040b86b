/*
 * The resolver between a guest that this test plays, and servers on the loopback that it plays, too. Nothing waits for
 * a time to pass but for a server that is silent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "dns.h"
#include "lib/tap.h"
#include "net/dns.h"
#include "net/resolver.h"

#define PATIENCE_MS 10000

static struct loop loop;
static struct net_spec spec;

/* One resolver, what its guest was answered, and its servers. */
struct play {
	struct policy *policy;
	struct resolver *r;
	int servers[2]; /* UDP */
	uint16_t ports[2];
	unsigned answers, denials, stales;
	struct message answer; /* the last */
	char denied[300];
	struct resolver_client client;
};

static void on_answer(void *ud, const struct resolver_client *c, const void *msg, size_t n)
{
	struct play *p = ud;

	p->answers++;
	p->client = *c;
	p->answer.w = wr_over(p->answer.b, sizeof(p->answer.b));
	wr_bytes(&p->answer.w, msg, n);
}

static void on_denied(void *ud, const char *name, const char *reason)
{
	struct play *p = ud;

	p->denials++;
	snprintf(p->denied, sizeof(p->denied), "%s: %s", name, reason);
}

static void on_stale(void *ud)
{
	struct play *p = ud;

	p->stales++;
}

static const struct resolver_ops ops = { on_answer, on_denied, on_stale };

static int listen_at(int type, uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || (type == SOCK_STREAM && listen(fd, 8) < 0) ||
	    getsockname(fd, (struct sockaddr *)&at, &n) < 0)
		abort();
	*port = ntohs(at.sin_port);
	return fd;
}

/* Rules as in JSON; "" for none. */
static struct play *play(const char *rule, unsigned servers)
{
	struct play *p = calloc(1, sizeof(*p));
	char resolv[200] = "";
	size_t i;

	net_spec_fini(&spec);
	if (*rule && net_spec_add_rule(&spec, strchr(rule, ' ') + 1, rule[0] == 'a', NULL) < 0)
		abort();
	for (i = 0; i < ARRAY_SIZE(p->servers); i++) {
		size_t len = strlen(resolv);

		p->servers[i] = -1;
		if (i >= servers)
			continue;
		p->servers[i] = listen_at(SOCK_DGRAM, &p->ports[i]);
		snprintf(resolv + len, sizeof(resolv) - len, "nameserver [127.0.0.1]:%u\n", p->ports[i]);
	}
	p->policy = policy_new(&spec, NULL);
	p->r = resolver_new(&loop, p->policy, resolv, &ops, p, NULL);
	if (!p->r)
		abort();
	return p;
}

static void end(struct play *p)
{
	size_t i;

	resolver_free(p->r);
	policy_free(p->policy);
	for (i = 0; i < ARRAY_SIZE(p->servers); i++)
		if (p->servers[i] >= 0)
			close(p->servers[i]);
	free(p);
}

/* The guest asks; *q is its question. */
static struct dns_question ask(struct play *p, const char *name, uint16_t type, uint16_t edns)
{
	struct resolver_client c = { .server = ip_v4(192, 168, 127, 1), .port = 4444 };
	struct dns_question q;
	struct message m;

	put_head(&m, 0x4242, DNS_RD, 0, edns ? 1 : 0);
	put_question(&m, name, type);
	if (edns)
		put_edns(&m, edns);
	if (dns_parse_question(m.b, message_len(&m), &q) != 0)
		abort();
	resolver_ask(p->r, &c, m.b, message_len(&m));
	return q;
}

/* Until the guest has so many answers. */
static bool answered(struct play *p, unsigned answers)
{
	uint64_t until_ms = clock_ms() + PATIENCE_MS;

	while (p->answers < answers && clock_ms() < until_ms)
		if (loop_once(&loop, 100) < 0)
			return false;
	return p->answers == answers;
}

struct received {
	struct message m;
	uint16_t id;
	struct sockaddr_in from;
};

/* What a server has been asked, or false. */
static bool receive(int fd, struct received *ret)
{
	uint64_t until_ms = clock_ms() + PATIENCE_MS;
	socklen_t len = sizeof(ret->from);
	ssize_t n;

	while ((n = recvfrom(fd, ret->m.b, sizeof(ret->m.b), 0, (struct sockaddr *)&ret->from, &len)) < 0) {
		if (clock_ms() > until_ms || loop_once(&loop, 20) < 0)
			return false;
	}
	ret->m.w = wr_over(ret->m.b, sizeof(ret->m.b));
	ret->m.w.p += n;
	ret->id = (uint16_t)(ret->m.b[0] << 8 | ret->m.b[1]);
	return true;
}

static void reply(int fd, const struct received *to, const struct message *m)
{
	if (sendto(fd, m->b, message_len(m), 0, (const struct sockaddr *)&to->from, sizeof(to->from)) < 0)
		abort();
}

static void reply_a(int fd, const struct received *to, uint16_t id, const char *name, uint8_t last)
{
	struct message m;

	put_head(&m, id, DNS_QR | DNS_RA, 1, 0);
	put_question(&m, name, DNS_A);
	put_a(&m, name, 300, last);
	reply(fd, to, &m);
}

static void reply_rcode(int fd, const struct received *to, const char *name, uint16_t flags)
{
	struct message m;

	put_head(&m, to->id, DNS_QR | flags, 0, 0);
	put_question(&m, name, DNS_A);
	reply(fd, to, &m);
}

/* The last byte of the only address in what the guest was answered to q; 0: none. */
static unsigned address(const struct play *p, const struct dns_question *q)
{
	struct dns_addrs got;

	if (!dns_answers(p->answer.b, message_len(&p->answer), q->id, q))
		return 0;
	dns_addresses(p->answer.b, message_len(&p->answer), q, &got);
	return got.n == 1 ? got.v[0].b[15] : 0;
}

static bool allowed(struct play *p, uint8_t last)
{
	struct ip_addr a = ip_v4(198, 51, 100, last);

	return policy_check(p->policy, NET_TCP, &a, 443, false, POLICY_NOW).allow;
}

static unsigned rcode(const struct play *p)
{
	return dns_rcode(p->answer.b);
}

static void test_answer(void)
{
	struct play *p = play("allow *.example.com", 2);
	struct dns_question q = ask(p, "WWW.example.com", DNS_A, 0);
	struct received at;

	ok(receive(p->servers[0], &at), "the first server is asked");
	ok(!allowed(p, 7), "before the answer the address is not allowed");
	reply_a(p->servers[0], &at, at.id ^ 1, "www.example.com", 66);
	reply_a(p->servers[0], &at, at.id, "www.example.org", 66);
	reply_rcode(p->servers[0], &at, "www.example.com", 0x2800);
	reply_a(p->servers[0], &at, at.id, "www.example.com", 7);
	ok(answered(p, 1), "its answer is passed on");
	is_int(address(p, &q), 7, "not one with a wrong id, or to another question");
	ok(memcmp(p->answer.b + 12, q.raw, q.raw_len) == 0, "with the case that the guest has used");
	ok(p->client.port == 4444 && p->client.server.b[15] == 1, "to who has asked");
	ok(allowed(p, 7) && !allowed(p, 66), "and its address is allowed, no other");
	q = ask(p, "other.example.com", DNS_A, 0);
	ok(receive(p->servers[0], &at), "another question");
	reply_rcode(p->servers[0], &at, "other.example.com", DNS_NXDOMAIN);
	ok(answered(p, 2) && rcode(p) == DNS_NXDOMAIN, "the server's NXDOMAIN");
	is_int(p->denials, 0, "is no refusal");
	end(p);
}

/* Who has found the port of a question may not go on to guess its id. */
static void test_forgery(void)
{
	struct play *p = play("allow *.example.com", 1);
	struct dns_question q = ask(p, "www.example.com", DNS_A, 0);
	struct received at, again;
	int i;

	ok(receive(p->servers[0], &at), "a question");
	for (i = 1; i <= 16; i++)
		reply_a(p->servers[0], &at, (uint16_t)(at.id + i), "www.example.com", 66);
	reply_a(p->servers[0], &at, at.id, "www.example.com", 66);
	ok(receive(p->servers[0], &again), "is asked once more when many have guessed at it");
	ok(at.from.sin_port != again.from.sin_port && !p->answers, "from another port, and not one was heard");
	reply_a(p->servers[0], &again, again.id, "www.example.com", 7);
	ok(answered(p, 1) && address(p, &q) == 7 && allowed(p, 7) && !allowed(p, 66), "whose answer is passed on");
	end(p);
}

/* The rules change while servers think. */
static void test_other_rules(void)
{
	struct play *p = play("allow *.example.com", 1);
	struct dns_question q = ask(p, "www.example.com", DNS_A, 0);
	struct net_spec now = { 0 };
	struct received at, other;

	ok(receive(p->servers[0], &at), "a question");
	q = ask(p, "b.example.com", DNS_A, 0);
	ok(receive(p->servers[0], &other), "another one");
	if (net_spec_add_rule(&now, "b.example.com", true, NULL) < 0 ||
	    policy_set_rules(p->policy, &spec, &now, NULL) < 0)
		abort();
	net_spec_fini(&now);
	resolver_recheck(p->r);
	ok(p->answers == 1 && rcode(p) == DNS_NXDOMAIN, "what may not be asked any more has its answer");
	is_str(p->denied, "www.example.com: name", "which is told");
	reply_a(p->servers[0], &at, at.id, "www.example.com", 66);
	reply_a(p->servers[0], &other, other.id, "b.example.com", 7);
	ok(answered(p, 2) && address(p, &q) == 7 && allowed(p, 7) && !allowed(p, 66), "the other goes on");
	end(p);
}

static void test_chain(void)
{
	struct play *p = play("allow www.example.com", 1);
	struct received at;
	struct message m;

	ask(p, "www.example.com", DNS_A, 0);
	ok(receive(p->servers[0], &at), "asked");
	put_head(&m, at.id, DNS_QR, 3, 0);
	put_question(&m, "www.example.com", DNS_A);
	put_cname(&m, "www.example.com", 300, "cdn.example.net");
	put_a(&m, "cdn.example.net", 300, 8);
	put_a(&m, "evil.example.net", 300, 9);
	reply(p->servers[0], &at, &m);
	ok(answered(p, 1), "an answer by way of a CNAME");
	ok(allowed(p, 8), "its address is that of the name which was asked for");
	ok(!allowed(p, 9), "what does not belong to it is not");
	end(p);
}

static void test_refusals(void)
{
	struct play *p = play("allow example.com", 1);
	struct dns_question q = ask(p, "example.org", DNS_A, 1232);
	struct received at;

	ok(p->answers == 1 && rcode(p) == DNS_NXDOMAIN, "a name that is not allowed does not exist");
	ok(dns_answers(p->answer.b, message_len(&p->answer), q.id, &q), "in an answer to the question");
	is_str(p->denied, "example.org: name", "and that is told");
	ask(p, "example.com", DNS_ANY, 0);
	ok(p->answers == 2 && rcode(p) == DNS_REFUSED, "ANY is refused");
	ask(p, "example.com", 252, 0);
	ok(p->answers == 3 && rcode(p) == DNS_REFUSED, "a zone transfer, too");
	is_int(p->denials, 1, "which is not about the name");
	resolver_ask(p->r, &(struct resolver_client){ 0 }, "\1\2\1\0\0\2\0\0\0\0\0\0", 12);
	ok(p->answers == 4 && rcode(p) == DNS_FORMERR, "two questions are malformed");
	resolver_ask(p->r, &(struct resolver_client){ 0 }, "\1\2\201\0\0\1\0\0\0\0\0\0", 12);
	resolver_ask(p->r, &(struct resolver_client){ 0 }, "x", 1);
	is_int(p->answers, 4, "what is no question gets no answer");
	ask(p, "example.com", 65, 0);
	ok(receive(p->servers[0], &at), "any type of record can be asked for");
	end(p);
}

static void test_host(void)
{
	struct play *p = play("", 1);
	struct dns_question q;

	ask(p, NET_HOST_NAME, DNS_A, 0);
	ok(p->answers == 1 && rcode(p) == DNS_NXDOMAIN, "a host that is closed has no name");
	is_str(p->denied, "host.boxlite.internal: host", "which is told");
	spec.open = NET_OPEN_HOST;
	q = ask(p, "Host.BoxLite.internal", DNS_A, 0);
	ok(p->answers == 2 && address(p, &q) == 254, "one that is open has");
	ask(p, NET_HOST_NAME, DNS_AAAA, 0);
	ok(p->answers == 3 && p->answer.b[message_len(&p->answer) - 1] == 0xfe, "both its addresses");
	ask(p, NET_HOST_NAME, 16, 0);
	ok(p->answers == 4 && rcode(p) == DNS_NOERROR && p->answer.b[7] == 0, "and nothing else");
	ask(p, "x.boxlite.internal", DNS_A, 0);
	ok(p->answers == 5 && rcode(p) == DNS_NXDOMAIN, "no server is asked for names beside it");
	ask(p, "xboxlite.internal", DNS_A, 0);
	is_int(p->answers, 5, "but for others");
	end(p);
}

static void test_next_server(void)
{
	struct play *p = play("", 2);
	struct dns_question q = ask(p, "example.com", DNS_A, 0);
	struct received at;

	ok(receive(p->servers[0], &at), "the first");
	reply_rcode(p->servers[0], &at, "example.com", DNS_SERVFAIL);
	ok(receive(p->servers[1], &at), "SERVFAIL: the next");
	reply_rcode(p->servers[1], &at, "example.com", DNS_REFUSED);
	ok(receive(p->servers[0], &at), "REFUSED: the first again");
	reply_rcode(p->servers[0], &at, "example.com", DNS_SERVFAIL);
	ok(receive(p->servers[1], &at), "and the next");
	reply_a(p->servers[1], &at, at.id, "example.com", 3);
	ok(answered(p, 1) && address(p, &q) == 3, "which knows");
	ask(p, "example.org", DNS_A, 0);
	for (int i = 0; i < 4; i++)
		if (receive(p->servers[i % 2], &at))
			reply_rcode(p->servers[i % 2], &at, "example.org", DNS_SERVFAIL);
	ok(answered(p, 2) && rcode(p) == DNS_SERVFAIL, "when none knows: SERVFAIL");
	close(p->servers[0]);
	p->servers[0] = -1;
	q = ask(p, "example.net", DNS_A, 0);
	ok(receive(p->servers[1], &at), "nobody listens: the next at once");
	reply_a(p->servers[1], &at, at.id, "example.net", 4);
	ok(answered(p, 3) && address(p, &q) == 4, "which knows");
	end(p);
}

static void test_silence(void)
{
	uint64_t began_ms = clock_ms();
	struct play *p = play("", 1), *two = play("", 2);
	struct dns_question q = ask(two, "example.com", DNS_A, 0);
	struct received at;

	ask(p, "example.com", DNS_A, 0);
	ok(receive(two->servers[1], &at), "a silent server: the next");
	ok(clock_ms() - began_ms >= 1990 && clock_ms() - began_ms < 3500, "after two seconds");
	reply_a(two->servers[1], &at, at.id, "example.com", 5);
	ok(answered(two, 1) && address(two, &q) == 5, "which knows");
	is_int(two->stales, 1, "that there may be other servers is told");
	ok(answered(p, 1) && rcode(p) == DNS_SERVFAIL, "all silent: SERVFAIL");
	ok(clock_ms() - began_ms >= 3990 && clock_ms() - began_ms < 6000, "after two rounds");
	resolver_set_servers(p->r, "nameserver [127.0.0.1]:1\n");
	ask(p, "example.com", DNS_A, 0);
	ok(answered(p, 2) && rcode(p) == DNS_SERVFAIL, "other servers");
	end(p);
	end(two);
}

static void test_flood(void)
{
	struct play *p = play("", 1);
	int i;

	for (i = 0; i < 256; i++)
		ask(p, "example.com", DNS_A, 0);
	is_int(p->answers, 0, "so many questions wait");
	ask(p, "example.com", DNS_A, 0);
	ok(p->answers == 1 && rcode(p) == DNS_SERVFAIL, "and no more");
	end(p);
}

static void test_long(void)
{
	struct play *p = play("", 1);
	struct dns_question q = ask(p, "example.com", DNS_A, 0);
	struct received at;
	struct message m;
	int i;

	ok(receive(p->servers[0], &at), "asked");
	put_head(&m, at.id, DNS_QR, 30, 0);
	put_question(&m, "example.com", DNS_A);
	for (i = 0; i < 30; i++)
		put_a(&m, "example.com", 300, (uint8_t)i);
	reply(p->servers[0], &at, &m);
	ok(answered(p, 1) && dns_truncated(p->answer.b), "an answer that is too long is cut");
	is_int(message_len(&p->answer), 12 + q.raw_len, "to its question");
	q = ask(p, "example.com", DNS_A, 1232);
	ok(receive(p->servers[0], &at), "asked, with EDNS");
	m.b[0] = (uint8_t)(at.id >> 8);
	m.b[1] = (uint8_t)at.id;
	reply(p->servers[0], &at, &m);
	ok(answered(p, 2) && !dns_truncated(p->answer.b) && message_len(&p->answer) > 512, "there it has room");
	ask(p, "example.org", DNS_A, 0);
	ok(receive(p->servers[0], &at), "asked");
	reply_rcode(p->servers[0], &at, "example.org", DNS_TC);
	ok(answered(p, 3) && dns_truncated(p->answer.b), "one that the server has cut is passed on");
	end(p);
}

/* --- TCP -------------------------------------------------------------------------------------------------- */

static void put_framed(int fd, const struct message *m)
{
	uint8_t len[2] = { (uint8_t)(message_len(m) >> 8), (uint8_t)message_len(m) };

	if (write(fd, len, 2) != 2 || write(fd, m->b, message_len(m)) != (ssize_t)message_len(m))
		abort();
}

static bool read_some(int fd, uint8_t *to, size_t n)
{
	uint64_t until_ms = clock_ms() + PATIENCE_MS;
	ssize_t got;

	while (n) {
		got = recv(fd, to, n, MSG_DONTWAIT);
		if (got == 0 || clock_ms() > until_ms)
			return false;
		if (got > 0) {
			to += got;
			n -= (size_t)got;
		} else if (loop_once(&loop, 20) < 0) {
			return false;
		}
	}
	return true;
}

static bool get_framed(int fd, struct message *m)
{
	uint8_t len[2];
	size_t n;

	if (!read_some(fd, len, 2))
		return false;
	n = (size_t)len[0] << 8 | len[1];
	m->w = wr_over(m->b, sizeof(m->b));
	if (n > sizeof(m->b) || !read_some(fd, m->b, n))
		return false;
	m->w.p += n;
	return true;
}

/* Has the other side closed? */
static bool closed(int fd)
{
	uint64_t until_ms = clock_ms() + PATIENCE_MS;
	uint8_t c;
	ssize_t n;

	while ((n = recv(fd, &c, 1, MSG_DONTWAIT)) < 0 && errno == EAGAIN && clock_ms() < until_ms)
		if (loop_once(&loop, 20) < 0)
			return false;
	return n == 0;
}

static int connection(struct play *p)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	resolver_serve(p->r, fds[0]);
	return fds[1];
}

static void ask_framed(int fd, const char *name, uint16_t id)
{
	struct message m;

	put_head(&m, id, DNS_RD, 0, 0);
	put_question(&m, name, DNS_A);
	put_framed(fd, &m);
}

static void test_tcp(void)
{
	struct play *p = play("allow *.example.com", 1);
	int fd = connection(p), i, seen = 0;
	struct received at[6];
	struct message m;
	char name[40];

	for (i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "n%d.example.com", i);
		ask_framed(fd, name, (uint16_t)i);
	}
	ask_framed(fd, "example.org", 77);
	shutdown(fd, SHUT_WR);
	for (i = 0; i < 6; i++) {
		ok(receive(p->servers[0], &at[i]), "question %d behind another", i);
		snprintf(name, sizeof(name), "n%d.example.com", i);
		reply_a(p->servers[0], &at[i], at[i].id, name, (uint8_t)(i + 1));
	}
	for (i = 0; i < 7 && get_framed(fd, &m); i++)
		seen |= m.b[1] == 77 ? (dns_rcode(m.b) == DNS_NXDOMAIN) << 6 : m.b[7] << m.b[1];
	is_int(seen, 0x7f, "all are answered, in any order, one by policy");
	ok(closed(fd), "and the connection ends");
	close(fd);
	ok(allowed(p, 1) && allowed(p, 6), "addresses are allowed as by UDP");
	fd = connection(p);
	if (write(fd, "\0\5hello", 7) != 7)
		abort();
	ok(closed(fd), "what is no question ends a connection");
	close(fd);
	fd = connection(p);
	ask_framed(fd, "a.example.com", 1);
	ok(receive(p->servers[0], &at[0]), "a question");
	close(fd);
	loop_once(&loop, 100);
	reply_a(p->servers[0], &at[0], at[0].id, "a.example.com", 99);
	loop_once(&loop, 100);
	ok(!allowed(p, 99), "whose connection is gone is forgotten");
	end(p);
}

static int accepted(int fd)
{
	uint64_t until_ms = clock_ms() + PATIENCE_MS;
	int conn;

	while ((conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) < 0 && clock_ms() < until_ms)
		if (loop_once(&loop, 20) < 0)
			return -1;
	return conn;
}

static void test_truncated(void)
{
	struct play *p = play("", 1);
	int listener = listen_at(SOCK_STREAM, &p->ports[0]), fd = connection(p), conn;
	struct received at;
	struct message m, long_one;
	int i;

	ask_framed(fd, "example.com", 5);
	ok(receive(p->servers[0], &at), "asked by UDP first");
	reply_rcode(p->servers[0], &at, "example.com", DNS_TC);
	conn = accepted(listener);
	ok(conn >= 0 && get_framed(conn, &m), "then by TCP, as the answer was cut");
	put_head(&long_one, (uint16_t)(m.b[0] << 8 | m.b[1]), DNS_QR, 200, 0);
	put_question(&long_one, "example.com", DNS_A);
	for (i = 0; i < 200; i++)
		put_a(&long_one, "example.com", 300, (uint8_t)i);
	put_framed(conn, &long_one);
	ok(get_framed(fd, &m) && message_len(&m) == message_len(&long_one) && m.b[1] == 5, "and the guest has all of it");
	close(conn);
	ask_framed(fd, "example.com", 6);
	ok(receive(p->servers[0], &at), "another");
	reply_rcode(p->servers[0], &at, "example.com", DNS_TC);
	conn = accepted(listener);
	close(conn);
	ok(receive(p->servers[0], &at), "a server that hangs up is asked again");
	reply_a(p->servers[0], &at, at.id, "example.com", 9);
	ok(get_framed(fd, &m) && m.b[1] == 6 && m.b[7] == 1, "until it answers");
	close(fd);
	close(listener);
	end(p);
}

static void test_many_connections(void)
{
	struct play *p = play("", 1);
	int fds[65], i;

	for (i = 0; i < 65; i++)
		fds[i] = connection(p);
	ok(closed(fds[64]), "one connection more than there may be is closed");
	ok(recv(fds[63], &i, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "others are not");
	end(p);
	ok(recv(fds[0], &i, 1, MSG_DONTWAIT) == 0, "until the resolver ends");
	for (i = 0; i < 65; i++)
		close(fds[i]);
}

int main(void)
{
	if (loop_init(&loop) < 0)
		abort();
	test_answer();
	test_forgery();
	test_other_rules();
	test_chain();
	test_refusals();
	test_host();
	test_next_server();
	test_silence();
	test_flood();
	test_long();
	test_tcp();
	test_truncated();
	test_many_connections();
	net_spec_fini(&spec);
	loop_fini(&loop);
	return tap_done();
}

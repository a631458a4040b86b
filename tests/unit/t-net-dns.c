/* Messages of DNS: questions, answers, and those who lie about them. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "dns.h"
#include "lib/tap.h"
#include "net/dns.h"
#include "net/servers.h"

static int parse(const struct message *m, struct dns_question *q)
{
	/* A copy of exactly this size, so that a sanitizer sees a read past the end. */
	size_t n = message_len(m);
	uint8_t *exact = malloc(n ? n : 1);
	int r;

	memcpy(exact, m->b, n);
	r = dns_parse_question(exact, n, q);
	free(exact);
	return r;
}

static void question(struct message *m, const char *name, uint16_t type)
{
	put_head(m, 0x1234, DNS_RD, 0, 0);
	put_question(m, name, type);
}

static void test_questions(void)
{
	struct message m;
	struct dns_question q;
	size_t n, i;
	int bad = 0;

	question(&m, "WWW.Example.com", DNS_AAAA);
	is_int(parse(&m, &q), 0, "a question");
	is_str(q.name, "www.example.com", "its name is in lower case");
	ok(q.id == 0x1234 && q.type == DNS_AAAA && q.class == DNS_IN && !q.edns && q.udp_max == 512, "and all else");
	ok(q.raw_len == 21 && q.raw[1] == 'W', "with the bytes that it was written in");
	n = message_len(&m);
	for (i = 0; i < n; i++) {
		m.w.p = m.b + i;
		bad += parse(&m, &q) == 0;
	}
	is_int(bad, 0, "cut anywhere it is none");
	m.w.p = m.b + 11;
	is_int(parse(&m, &q), -EBADMSG, "without a header there is nothing to answer");
	question(&m, "a.b", DNS_A);
	m.b[2] |= 0x80;
	is_int(parse(&m, &q), -EBADMSG, "nor is an answer a question");
	question(&m, "a.b", DNS_A);
	m.b[2] |= 0x28;
	ok(parse(&m, &q) == DNS_NOTIMP && q.raw_len == 0 && q.id == 0x1234, "UPDATE is not implemented");
	question(&m, "a.b", DNS_A);
	m.b[5] = 2;
	is_int(parse(&m, &q), DNS_FORMERR, "two questions");
	m.b[5] = 0;
	is_int(parse(&m, &q), DNS_FORMERR, "no question");
	m.b[5] = 1;
	m.b[7] = 1;
	is_int(parse(&m, &q), DNS_FORMERR, "a question with an answer");
	put_head(&m, 1, DNS_RD, 0, 1);
	put_question(&m, "a.b", DNS_A);
	put_edns(&m, 100);
	ok(parse(&m, &q) == 0 && q.edns && q.udp_max == 512, "EDNS, never less than 512");
	m.b[11] = 2;
	put_edns(&m, 1232);
	is_int(parse(&m, &q), DNS_FORMERR, "twice");
	question(&m, "", 2);
	ok(parse(&m, &q) == 0 && !q.name[0], "the root");
}

static void test_names(void)
{
	static const char label[] = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
	struct message m;
	struct dns_question q;
	char name[300];

	put_head(&m, 1, DNS_RD, 0, 0);
	wr_bytes(&m.w, "\003a.b\003\\\0\377\001 \000\000\001\000\001", 15);
	is_int(parse(&m, &q), 0, "a name of any bytes");
	is_str(q.name, "a\\046b.\\092\\000\\255.\\032", "looks like no other");
	put_head(&m, 1, DNS_RD, 0, 0);
	wr_bytes(&m.w, "\xc0\x0c\000\001\000\001", 6);
	is_int(parse(&m, &q), DNS_FORMERR, "a pointer to itself");
	put_head(&m, 1, DNS_RD, 0, 0);
	wr_bytes(&m.w, "\001a\xc0\x0c\000\001\000\001", 8);
	is_int(parse(&m, &q), DNS_FORMERR, "to its own start");
	put_head(&m, 1, DNS_RD, 0, 0);
	wr_bytes(&m.w, "\001a\xc0\x00\000\001\000\001", 8);
	is_int(parse(&m, &q), DNS_FORMERR, "into the header");
	put_head(&m, 1, DNS_RD, 0, 0);
	wr_bytes(&m.w, "\x41" "a\000\000\001\000\001", 7);
	is_int(parse(&m, &q), DNS_FORMERR, "a label of another kind");
	snprintf(name, sizeof(name), "%s.%s.%s.%.61s", label, label, label, label);
	question(&m, name, DNS_A);
	ok(parse(&m, &q) == 0 && strlen(q.name) == 253 && q.raw_len == DNS_QUESTION_MAX, "the longest name");
	snprintf(name, sizeof(name), "%s.%s.%s.%.62s", label, label, label, label);
	question(&m, name, DNS_A);
	is_int(parse(&m, &q), DNS_FORMERR, "longer than any");
}

static void test_building(void)
{
	struct ip_addr v4 = ip_v4(198, 51, 100, 1), v6 = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	uint8_t out[DNS_BUILD_MAX];
	struct message m;
	struct dns_question q, again;
	struct dns_addrs got;
	size_t n;

	put_head(&m, 0x1234, DNS_RD | 0x0400 | DNS_CD, 0, 1);
	put_question(&m, "Foo.example", DNS_A);
	put_edns(&m, 9000);
	is_int(parse(&m, &q), 0, "a question");
	n = dns_build_query(&q, 0x5678, 4096, out);
	is_int(dns_parse_question(out, n, &again), 0, "is passed on");
	ok(again.id == 0x5678 && again.flags == DNS_RD && again.udp_max == 4096 && again.edns &&
		   memcmp(again.raw, q.raw, q.raw_len) == 0, "with an id of ours, and its flags, but not that nothing is to be validated");
	n = dns_build_reply(&q, DNS_NXDOMAIN, out);
	ok(dns_answers(out, n, 0x1234, &q) && dns_rcode(out) == DNS_NXDOMAIN && (out[3] & DNS_RA), "NXDOMAIN");
	ok(out[11] == 1 && out[5] == 1 && out[7] == 0, "with EDNS as it was asked");
	n = dns_build_address(&q, &v4, 60, out);
	dns_addresses(out, n, &q, &got);
	ok(dns_answers(out, n, 0x1234, &q) && got.n == 1 && ip_eq(&got.v[0], &v4) && got.ttl == 60, "an IPv4 address");
	n = dns_build_address(&q, &v6, 60, out);
	dns_addresses(out, n, &q, &got);
	ok(got.n == 1 && ip_eq(&got.v[0], &v6), "an IPv6 address");
	out[2] |= 2;
	ok(dns_truncated(out), "TC is seen");
	n = dns_build_address(&q, &v4, 60, out);
	n = dns_cut(out, &q);
	ok(n == 12 + q.raw_len && dns_truncated(out) && dns_answers(out, n, 0x1234, &q) && out[7] == 0, "and made");
	q = (struct dns_question){ .id = 7, .flags = 0x2800 };
	n = dns_build_reply(&q, DNS_NOTIMP, out);
	ok(n == 12 && out[1] == 7 && out[5] == 0 && dns_rcode(out) == DNS_NOTIMP && (out[2] & 0x28), "no question to repeat");
}

static void asked(struct dns_question *q, const char *name)
{
	struct message m;

	question(&m, name, DNS_A);
	ok(parse(&m, q) == 0, "asked for %s", name);
}

/* How many addresses an answer gives. */
static size_t addresses(const struct message *m, const struct dns_question *q, struct dns_addrs *got)
{
	size_t n = message_len(m);
	uint8_t *exact = malloc(n);

	memcpy(exact, m->b, n);
	dns_addresses(exact, n, q, got);
	free(exact);
	return got->n;
}

static void test_answers(void)
{
	struct dns_question q, other;
	struct dns_addrs got;
	struct message m;
	size_t i;

	asked(&q, "www.example.com");
	asked(&other, "www.example.org");
	put_head(&m, 9, DNS_QR, 4, 0);
	put_question(&m, "WWW.example.com", DNS_A);
	put_a(&m, "cdn.example.net", 300, 1);
	put_cname(&m, "www.example.com", 20, "b.example.net");
	put_cname(&m, "b.example.net", 900, "CDN.example.net");
	put_a(&m, "evil.example", 1, 66);
	ok(dns_answers(m.b, message_len(&m), 9, &q), "an answer, whatever its case");
	ok(!dns_answers(m.b, message_len(&m), 8, &q), "not with another id");
	ok(!dns_answers(m.b, message_len(&m), 9, &other), "nor to another question");
	ok(!dns_answers(m.b, 30, 9, &q), "nor cut");
	is_int(addresses(&m, &q, &got), 1, "CNAMEs are followed in any order");
	ok(got.v[0].b[15] == 1 && got.ttl == 20, "for the least of their times, to no address of another name");
	put_head(&m, 9, DNS_QR | DNS_NXDOMAIN, 1, 0);
	put_question(&m, "www.example.com", DNS_A);
	put_a(&m, "www.example.com", 300, 1);
	is_int(addresses(&m, &q, &got), 0, "NXDOMAIN has no addresses");
	put_head(&m, 9, DNS_QR, 2, 0);
	put_question(&m, "www.example.com", DNS_A);
	put_cname(&m, "www.example.com", 300, "b.example.com");
	put_cname(&m, "b.example.com", 300, "www.example.com");
	is_int(addresses(&m, &q, &got), 0, "round and round comes to an end");
	put_head(&m, 9, DNS_QR, 200, 0);
	put_question(&m, "www.example.com", DNS_A);
	for (i = 0; i < 200; i++)
		put_a(&m, "www.example.com", 300, (uint8_t)i);
	is_int(addresses(&m, &q, &got), DNS_ADDRS_MAX, "as many as there is room for");
	m.w.p = m.b + 12 + q.raw_len + 2 * 31 + 30;
	is_int(addresses(&m, &q, &got), 2, "those before it is cut");
	put_head(&m, 9, DNS_QR, 1, 0);
	put_question(&m, "www.example.com", DNS_A);
	put_name(&m, "www.example.com");
	put_data(&m, DNS_A, 1, "123", 3);
	is_int(addresses(&m, &q, &got), 0, "an address of three bytes is none");
}

static void test_servers(void)
{
	struct server s[SERVERS_MAX];

	is_int(servers_parse("", s), 1, "no server");
	ok(s[0].v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && s[0].v4.sin_port == htons(53), "is this host");
	is_int(servers_parse("# nameserver 192.0.2.9\nnameserver\t192.0.2.1 # one\r\nnameserverx 192.0.2.3\nsearch a\n"
			     "nameserver [127.0.0.1]:5353\nnameserver fe80::1%eth0\nnameserver 2001:db8::1", s), 3, "servers");
	ok(s[0].v4.sin_addr.s_addr == htonl(0xc0000201), "the first");
	ok(s[1].v4.sin_port == htons(5353), "one with a port");
	ok(s[2].any.sa_family == AF_INET6 && s[2].len == sizeof(s[2].v6), "one of IPv6; one whose interface is unknown is not");
	is_int(servers_parse("nameserver 127.1\nnameserver [::1\nnameserver [::1]:0\nnameserver [::1]x\nnameserver \n", s), 1,
	       "what is none");
	ok(s[0].v4.sin_port == htons(53), "counts as none");
	is_int(servers_parse("nameserver ::1\nnameserver ::2\nnameserver ::3\nnameserver ::4\n", s), 3, "three at most");
	is_int(servers_parse("nameserver fe80::1%3\n", s), 1, "an interface by its number");
	is_int(s[0].v6.sin6_scope_id, 3, "is used");
}

int main(void)
{
	test_questions();
	test_names();
	test_building();
	test_answers();
	test_servers();
	return tap_done();
}

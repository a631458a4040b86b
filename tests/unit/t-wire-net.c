/* What a network is described by: rules, ports, JSON; and the messages about it. */
#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "lib/tap.h"
#include "wire/netchange.h"
#include "wire/netmsg.h"

static void rule(const char *text, const char *want)
{
	char out[NET_RULE_TEXT_MAX] = "";
	struct error err = { 0 };
	struct net_rule r = { 0 };

	ok(net_rule_parse(text, true, &r, &err) == 0 && r.allow, "rule '%s' %s", text, err.text);
	is_str(r.name || r.target == TARGET_ALL || r.target == TARGET_NET ? net_rule_format(&r, out) : "", want,
	       "has its spelling");
	free(r.name);
}

static void no_rule(const char *text, const char *why)
{
	struct net_rule r = { .first_port = 7 };
	struct error err = { 0 };

	ok(net_rule_parse(text, true, &r, &err) == -EINVAL && r.first_port == 7, "rule '%s' is refused", text);
	ok(strstr(err.text, why), "as it should: %s", err.text);
}

static void test_rules(void)
{
	rule("*", "*");
	rule("*:443", "*:443");
	rule("TCP:*", "tcp:*");
	rule("tcp:Example.COM.:443", "tcp:example.com:443");
	rule("*.example.com:1-65535", "*.example.com:1-65535");
	rule("_x-1.example:80-80", "_x-1.example:80");
	rule("localhost", "localhost");
	rule("tcp", "tcp.");
	rule("tcp.:80", "tcp.:80");
	rule("icmp:10.0.0.0/8", "icmp:10.0.0.0/8");
	rule("10.1.2.3/32:53", "10.1.2.3:53");
	rule("udp:2001:DB8::/32", "udp:2001:db8::/32");
	rule("[2001:db8::/32]:443", "[2001:db8::/32]:443");
	rule("[2001:db8::1]", "2001:db8::1");
	rule("::ffff:10.0.0.0/104", "10.0.0.0/8");
	rule("::", "::");
	rule("1e100.net", "1e100.net");
	rule("0x7g.example", "0x7g.example");
}

static void test_bad_rules(void)
{
	char text[700];

	no_rule("tcp:foo:99999", "rule 'tcp:foo:99999': port 99999 at character 9 is not 1 to 65535");
	no_rule("", "a target is missing at character 1");
	no_rule("tcp:", "a target is missing at character 5");
	no_rule("tcp::80", "is missing at character 5");
	no_rule("foo:", "a port is missing at character 5");
	no_rule("foo:0", "not 1 to 65535");
	no_rule("foo:8x", "port 8x at character 5 is not a number");
	no_rule("foo:000080", "not 1 to 65535");
	no_rule("foo:80-", "a port is missing at character 8");
	no_rule("foo:90-80", "not in order");
	no_rule("icmp:*:1", "icmp has no ports");
	no_rule("foo..bar", "before the dot at character 5");
	no_rule(".", "is missing");
	no_rule("*.", "is missing at character 3");
	no_rule("foo bar", "cannot have ' ', as at character 4");
	no_rule("foo*.bar", "the '*' at character 4");
	no_rule("*foo", "the '*' at character 1");
	no_rule("*.*.foo", "the '*' at character 3");
	no_rule("b\303\274cher.example", "xn--");
	no_rule("tcp:443", "neither a name nor a whole IP address");
	no_rule("127.1", "neither a name nor");
	no_rule("0x7f.1", "neither a name nor");
	no_rule("0x7f000001", "neither a name nor");
	no_rule("0X7F.0X1:80", "neither a name nor");
	no_rule("2130706433", "neither a name nor");
	no_rule("010.0.0.1", "neither a name nor");
	no_rule("127.0.0.1.", "neither a name nor");
	no_rule("*.1", "neither a name nor");
	no_rule("10.0.0.1/8", "has none beyond");
	no_rule("10.0.0.0/33", "network 10.0.0.0/33 at character 1");
	no_rule("foo/8", "not an IP address");
	no_rule("1:2:3", "not an IP address");
	no_rule("[::1", "belong behind it");
	no_rule("[10.0.0.1]:80", "an IPv6 address");
	no_rule("[::1]80", "behind the ']'");
	no_rule("[::1]:", "a port is missing at character 7");
	memset(text, 'a', sizeof(text));
	text[64] = 0;
	no_rule(text, "longer than 63 at character 64");
	text[64] = 'a';
	text[600] = 0;
	no_rule(text, "at most 511");
}

static void port(const char *text, const char *want)
{
	char out[NET_RULE_TEXT_MAX] = "";
	struct error err = { 0 };
	struct net_port p = { 0 };

	ok(net_port_parse(text, &p, &err) == 0, "port '%s' %s", text, err.text);
	is_str(net_port_format(&p, out), want, "has its spelling");
}

static void no_port(const char *text, const char *why)
{
	struct error err = { 0 };
	struct net_port p;

	ok(net_port_parse(text, &p, &err) == -EINVAL, "port '%s' is refused", text);
	ok(strstr(err.text, why), "as it should: %s", err.text);
}

static void test_ports(void)
{
	port("8080:80", "127.0.0.1:8080:80/tcp");
	port(":80", "127.0.0.1:0:80/tcp");
	port("0:80/UDP", "127.0.0.1:0:80/udp");
	port("0.0.0.0:8080:80", "0.0.0.0:8080:80/tcp");
	port("127.0.0.1::53/udp", "127.0.0.1:0:53/udp");
	port("[::1]:8080:80", "[::1]:8080:80/tcp");
	no_port("80", "HOST:GUEST is expected at character 1");
	no_port("", "HOST:GUEST");
	no_port("8080:", "a port is missing at character 6");
	no_port("8080:80/sctp", "/sctp at character 8 is not /tcp or /udp");
	no_port("8080:80/icmp", "not /tcp or /udp");
	no_port("8080:0", "port 0 at character 6");
	no_port("70000:80", "port 70000 at character 1");
	no_port("foo:8080:80", "foo at character 1 is not an IP address");
	no_port("10.0.0.0/8:8080:80", "not an IP address");
	no_port("::1:8080:80", "brackets");
	no_port("[::1]8080:80", "belong behind it");
}

static void test_open(void)
{
	struct error err = { 0 };
	unsigned open = 0;

	ok(net_open_parse("host", &open, &err) == 0 && net_open_parse("metadata", &open, &err) == 0, "switches");
	is_int(open, NET_OPEN_HOST | NET_OPEN_METADATA, "add up");
	is_int(net_open_parse("Host", &open, &err), -EINVAL, "others are refused");
	ok(strstr(err.text, "'Host'"), "by name: %s", err.text);
}

static void test_json(void)
{
	static const char text[] = "{\"none\":false,\"rate\":1000000,\"flows\":7,\"open\":[\"private\"],\"rules\":["
				   "\"deny tcp:10.0.0.1\",\"allow *.example.com:443\"],"
				   "\"ports\":[\"127.0.0.1:8080:80/tcp\"],\"secrets\":[]}";
	static const char *const no[] = { "[]", "{\"none\":1}", "{\"open\":[\"x\"]}", "{\"rules\":[\"permit *\"]}",
					  "{\"rules\":[\"allow 127.1\"]}", "{\"rules\":\"x\"}", "{\"ports\":[80]}",
					  "{\"none\":true,\"ports\":[\"1:1\"]}", "{\"rate\":1}",
					  "{\"flows\":4097}" };
	struct net_spec s = { .open = 77 };
	struct error err = { 0 };
	json_t *j = json_parse(text, strlen(text), "x", &err), *back;
	size_t i;

	is_int(net_spec_from_json(NULL, &s, &err), 0, "no description");
	ok(!s.none && !s.open && !s.nrules && !s.nports, "is the default");
	is_int(net_spec_from_json(j, &s, &err), 0, "a description");
	ok(s.nrules == 2 && !s.rules[0].allow && s.rules[1].allow && s.nports == 1 && s.open == NET_OPEN_PRIVATE, "is read");
	ok(s.rate == 1000000 && s.flows == 7, "with its limits");
	back = net_spec_to_json(&s);
	ok(back && json_equal(j, back), "and written");
	json_decref(j);
	json_decref(back);
	net_spec_fini(&s);
	s.open = 77;
	for (i = 0; i < ARRAY_SIZE(no); i++) {
		j = json_parse(no[i], strlen(no[i]), "x", &err);
		ok(net_spec_from_json(j, &s, &err) == -EBADMSG && err.code == -EBADMSG && s.open == 77, "%s: %s", no[i],
		   err.text);
		json_decref(j);
	}
}

static void test_limits(void)
{
	struct net_spec s = { 0 };
	int i, r = 0;

	for (i = 0; r == 0 && i < NET_RULES_MAX; i++)
		r = net_spec_add_rule(&s, "a.example", true, NULL);
	is_int(r, 0, "so many rules");
	is_int(net_spec_add_rule(&s, "a.example", true, NULL), -E2BIG, "and no more");
	for (i = 0; r == 0 && i < NET_PORTS_MAX; i++)
		r = net_spec_add_port(&s, ":80", NULL);
	is_int(r, 0, "so many ports");
	is_int(net_spec_add_port(&s, ":80", NULL), -E2BIG, "and no more");
	net_spec_fini(&s);
}

/* The frame in a buffer, which must be all of it. */
static struct frame framed(const struct buf *b, uint8_t type)
{
	struct frame f = { 0 };

	ok(frame_peek(b, &f) == 1 && f.type == type && f.stream == 0, "a frame %s", frame_name(type));
	return f;
}

static struct frame said(uint8_t type, const char *text)
{
	return (struct frame){ .type = type, .payload = (const uint8_t *)text, .len = (uint32_t)strlen(text) };
}

static void test_start(void)
{
	struct buf b = BUF_INIT(1 * MIB);
	char resolv[] = "nameserver 192.0.2.1\n# caf\351\n", *longer = calloc(1, NET_RESOLV_MAX + 2);
	struct net_start s = { .headers = true, .resolv = resolv }, got = { 0 };
	struct frame f;

	is_int(net_spec_add_rule(&s.spec, "*.example.com:443", true, NULL), 0, "a rule");
	is_int(wire_put_net(&b, &s), 0, "is sent");
	f = framed(&b, FRAME_NET);
	is_int(wire_get_net(&f, &got, NULL), 0, "and understood");
	ok(got.headers && !got.debug && got.spec.nrules == 1, "as it was");
	is_str(got.resolv, "nameserver 192.0.2.1\n# caf?\n", "with a text that is not UTF-8 made so");
	net_start_fini(&got);
	f = said(FRAME_NET, "{\"headers\":true}");
	is_int(wire_get_net(&f, &got, NULL), -EBADMSG, "no network: refused");
	f = said(FRAME_NET, "{\"network\":{\"rules\":[\"allow 1.2\"]}}");
	is_int(wire_get_net(&f, &got, NULL), -EBADMSG, "a bad rule: refused");
	memset(longer, 'x', NET_RESOLV_MAX + 1);
	s.resolv = longer;
	is_int(wire_put_net(&b, &s), -EMSGSIZE, "a resolv.conf has a limit");
	is_int(wire_put_net_resolv(&b, longer), -EMSGSIZE, "always");
	net_spec_fini(&s.spec);
	free(longer);
	buf_fini(&b);
}

static void test_ready(void)
{
	struct buf b = BUF_INIT(1 * MIB);
	struct net_port ports[2] = { { NET_TCP, ip_v4(127, 0, 0, 1), 40000, 80 }, { NET_UDP, { { 0 } }, 53, 53 } };
	struct net_spec got = { 0 };
	struct frame f;

	is_int(wire_put_net_ready(&b, ports, 2), 0, "ports are said");
	f = framed(&b, FRAME_NET_READY);
	is_int(wire_get_net_ready(&f, &got, NULL), 0, "and understood");
	ok(got.nports == 2 && got.ports[0].host_port == 40000 && got.ports[1].proto == NET_UDP, "in order");
	net_spec_fini(&got);
	f = said(FRAME_NET_READY, "{\"ports\":[\"127.0.0.1:0:80/tcp\"]}");
	is_int(wire_get_net_ready(&f, &got, NULL), -EBADMSG, "a port that is not known yet is refused");
	f = said(FRAME_NET_READY, "{\"rules\":[\"allow *\"]}");
	is_int(wire_get_net_ready(&f, &got, NULL), -EBADMSG, "and so are rules");
	buf_fini(&b);
}

static void test_denied(void)
{
	static const char *const no[] = {
		"{}",
		"{\"reason\":\"x\"}",
		"{\"reason\":\"X\",\"count\":1}",
		"{\"reason\":\"x\",\"count\":1,\"addr\":\"127.1\"}",
		"{\"reason\":\"x\",\"count\":1,\"proto\":\"sctp\"}",
		"{\"reason\":\"x\",\"count\":1,\"port\":65536}",
		"{\"reason\":\"x\",\"count\":4294967296}",
		"{\"reason\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"count\":1}",
	};
	struct net_denied d = { .proto = NET_TCP, .addr = ip_v4(10, 0, 0, 1), .port = 80, .reason = "private", .count = 3 };
	struct buf b = BUF_INIT(1 * MIB);
	struct net_denied got;
	struct frame f;
	size_t i;

	is_int(wire_put_net_denied(&b, &d), 0, "a refusal");
	f = framed(&b, FRAME_NET_DENIED);
	is_int(wire_get_net_denied(&f, &got, NULL), 0, "is understood");
	ok(got.proto == NET_TCP && ip_eq(&got.addr, &d.addr) && got.port == 80 && got.count == 3, "as it was");
	is_str(got.reason, "private", "with its reason");
	buf_fini(&b);
	d = (struct net_denied){ .name = "a\033\377", .reason = "name", .count = 1 };
	is_int(wire_put_net_denied(&b, &d), 0, "a refusal of a name");
	f = framed(&b, FRAME_NET_DENIED);
	is_int(wire_get_net_denied(&f, &got, NULL), 0, "is understood");
	is_str(got.name, "a??", "and safe to print");
	ok(ip_eq(&got.addr, &d.addr), "has no address");
	buf_fini(&b);
	for (i = 0; i < ARRAY_SIZE(no); i++) {
		f = said(FRAME_NET_DENIED, no[i]);
		is_int(wire_get_net_denied(&f, &got, NULL), -EBADMSG, no[i]);
	}
}

static void test_stats(void)
{
	struct net_stats s = { 1, 2, 3, 4, 5, 6, UINT64_MAX, .denied_for = { [NET_REASON_LIMIT] = 8 } }, got;
	enum net_reason i;
	struct buf b = BUF_INIT(1 * MIB);
	char *text = NULL;
	struct frame f;

	is_int(wire_put_net_stats(&b, &s), 0, "counters");
	f = framed(&b, FRAME_NET_STATS);
	is_int(wire_get_net_stats(&f, &got, NULL), 0, "are understood");
	ok(got.sent_bytes == 1 && got.flows == 6 && got.denied == INT64_MAX, "as JSON can say them");
	for (i = 0; i < NET_REASONS && got.denied_for[i] == (i == NET_REASON_LIMIT ? 8 : 0); i++)
		;
	ok(i == NET_REASONS, "by their reasons");
	buf_fini(&b);
	is_int(wire_put_net_stats(&b, NULL), 0, "a question for them");
	f = framed(&b, FRAME_NET_STATS);
	ok(f.len == 2, "is empty");
	f = said(FRAME_NET_STATS, "{\"flows\":-1}");
	is_int(wire_get_net_stats(&f, &got, NULL), -EBADMSG, "negative ones are refused");
	f = said(FRAME_NET_STATS, "{\"denied_for\":{\"limit\":\"x\"}}");
	is_int(wire_get_net_stats(&f, &got, NULL), -EBADMSG, "and such of a reason");
	f = said(FRAME_NET_STATS, "{\"denied_for\":{\"what-will-come\":3}}");
	is_int(wire_get_net_stats(&f, &got, NULL), 0, "a reason that is not known is passed by");
	ok(net_reason_find("rule") == NET_REASON_RULE && net_reason_find("secret-late") == NET_REASON_SECRET_LATE &&
	   net_reason_find("ruler") == NET_REASONS, "reasons are found by their words");
	buf_fini(&b);
	is_int(wire_put_net_resolv(&b, "nameserver ::1\n"), 0, "another resolv.conf");
	f = framed(&b, FRAME_NET_RESOLV);
	is_int(wire_get_net_resolv(&f, &text, NULL), 0, "is understood");
	is_str(text, "nameserver ::1\n", "as it was");
	free(text);
	f = said(FRAME_NET_RESOLV, "{}");
	is_int(wire_get_net_resolv(&f, &text, NULL), -EBADMSG, "a question is not an answer");
	buf_fini(&b);
}

/* --- changes --- */

static void test_picks(void)
{
	static const char *const no[] = { "", "x", "80/", "80/icmp", "0", "65536", "127.0.0.1:80", "1:2:3:4", "80 " };
	struct net_spec asked = { 0 }, real = { 0 }, gone = { 0 };
	struct error err = { 0 };
	struct net_pick k;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(no); i++)
		ok(net_pick_parse(no[i], &k, &err) == -EINVAL, "no port: '%s'", no[i]);
	ok(net_spec_add_port(&asked, "0:80", NULL) == 0 && net_spec_add_port(&asked, "8080:80", NULL) == 0 &&
		   net_spec_add_port(&asked, "0:53/udp", NULL) == 0 && net_spec_add_port(&asked, "81:81", NULL) == 0,
	   "ports as asked for");
	ok(net_spec_add_port(&real, "4000:80", NULL) == 0 && net_spec_add_port(&real, "8080:80", NULL) == 0 &&
		   net_spec_add_port(&real, "4001:53/udp", NULL) == 0 && net_spec_add_port(&real, "81:81", NULL) == 0,
	   "and as they are");
	is_int(net_pick_parse("53", &k, NULL), 0, "TCP is meant");
	is_int(net_spec_take_ports(&asked, &real, &k, &gone, &err), -ENOENT, "which is not there");
	ok(asked.nports == 4 && gone.nports == 0, "and nothing is changed");
	is_int(net_pick_parse("127.0.0.1:4000:80", &k, NULL), 0, "one in full");
	is_int(net_spec_take_ports(&asked, &real, &k, &gone, NULL), 0, "by its real number");
	ok(asked.nports == 3 && real.nports == 3 && gone.nports == 1 && gone.ports[0].host_port == 0, "is taken out");
	ok(asked.ports[0].host_port == 8080 && real.ports[1].host_port == 4001, "of both, which keep their order");
	net_spec_fini(&gone);
	is_int(net_pick_parse("[::1]:8080:80", &k, NULL), 0, "another address");
	is_int(net_spec_take_ports(&asked, &real, &k, &gone, NULL), -ENOENT, "is another port");
	is_int(net_pick_parse("53/udp", &k, NULL), 0, "all of a port");
	is_int(net_spec_take_ports(&asked, NULL, &k, &gone, NULL), 0, "of a description alone");
	net_spec_fini(&gone);
	net_spec_fini(&asked);
	net_spec_fini(&real);
}

/* What the host can listen for at a time. */
static void test_beside(void)
{
	static const struct {
		const char *port;
		bool can;
	} all[] = {
		{ "8123:80", false }, { "8123:81", false }, { "0.0.0.0:8123:81", false }, { "8123:80/udp", true },
		{ "8124:80", true }, { "127.0.0.2:8123:80", true }, { "[::1]:8123:80", true }, { "[::]:8123:80", true },
		{ "0:80", true }, { "[::1]:9000:80", false }, { "[::2]:9000:80", false }, { "127.0.0.1:9000:80", true },
		{ "0.0.0.0:9000:80", true }, { "9053:1/udp", false }, { "9053:1", true },
	};
	struct net_spec s = { 0 };
	struct error err = { 0 };
	struct net_port p;
	size_t i;

	ok(net_spec_add_port(&s, "8123:80", NULL) == 0 && net_spec_add_port(&s, "0:80", NULL) == 0 &&
		   net_spec_add_port(&s, "[::]:9000:80", NULL) == 0 && net_spec_add_port(&s, "0.0.0.0:9053:53/udp", NULL) == 0,
	   "ports, two with all addresses");
	for (i = 0; i < ARRAY_SIZE(all); i++)
		ok(net_port_parse(all[i].port, &p, NULL) == 0 &&
			   net_spec_check_port(&s, &p, NULL) == (all[i].can ? 0 : -EEXIST),
		   "%s %s", all[i].port, all[i].can ? "goes beside them" : "does not");
	ok(net_port_parse("0.0.0.0:8123:81", &p, NULL) == 0 && net_spec_check_port(&s, &p, &err) == -EEXIST &&
		   strstr(err.text, "0.0.0.0:8123:81/tcp cannot be published: 127.0.0.1:8123:80/tcp is published already"),
	   "with both: %s", err.text);
	net_spec_fini(&s);
}

static void test_changes(void)
{
	static const struct {
		uint8_t type;
		const char *json;
	} no[] = {
		{ FRAME_PUBLISH, "{}" }, { FRAME_PUBLISH, "{\"port\":80}" }, { FRAME_UNPUBLISH, "{\"port\":\"80\"}" },
		{ FRAME_RULES, "{\"rules\":[\"all\"]}" }, { FRAME_RULES, "{\"ports\":[\"1:1\"]}" },
		{ FRAME_RULES, "{\"none\":true}" }, { FRAME_RULES, "{\"rate\":100000}" }, { FRAME_DIAL, "{}" },
		{ FRAME_DIAL, "{\"port\":0}" }, { FRAME_DIAL, "{\"port\":65536}" }, { FRAME_NET, "{\"port\":1}" },
	};
	struct net_change c = { .type = FRAME_RULES }, got;
	struct net_spec s = { .rate = 1 * MIB };
	struct buf b = BUF_INIT(1 * MIB);
	struct error err = { 0 };
	struct frame f;
	size_t i;

	ok(net_spec_add_rule(&c.rules, "tcp:x.example:443", true, NULL) == 0, "a rule");
	c.rules.open = NET_OPEN_HOST;
	is_int(wire_put_net_change(&b, &c), 0, "rules");
	f = framed(&b, FRAME_RULES);
	ok(wire_get_net_change(&f, &got, &err) == 0, "are understood: %s", err.text);
	is_int(net_spec_change(&s, &got, NULL), 0, "and put in force");
	ok(s.nrules == 1 && s.open == NET_OPEN_HOST && s.rate == 1 * MIB, "beside what they are not about");
	net_change_fini(&got);
	net_change_fini(&c);
	c = (struct net_change){ .type = FRAME_PUBLISH };
	ok(net_port_parse("8080:80", &c.port, NULL) == 0 && net_spec_change(&s, &c, NULL) == 0, "a port");
	ok(net_spec_change(&s, &c, &err) == -EEXIST, "not twice: %s", err.text);
	is_str(err.text, "127.0.0.1:8080:80/tcp is published already", "which is said");
	net_spec_fini(&s);
	buf_fini(&b);
	for (i = 0; i < ARRAY_SIZE(no); i++) {
		f = said(no[i].type, no[i].json);
		ok(wire_get_net_change(&f, &got, NULL) == -EBADMSG, "%s %s", frame_name(no[i].type), no[i].json);
	}
}

static void test_done(void)
{
	static const char *const no[] = {
		"{\"code\":-1}", "{\"code\":4096}", "{\"error\":\"x\"}", "{\"code\":1,\"done\":{\"ports\":[\"1:1\"]}}",
		"{\"done\":{\"open\":[\"host\"]}}", "{\"done\":[]}",
	};
	struct net_done d = { 0 }, got;
	struct buf b = BUF_INIT(1 * MIB);
	struct error err = { .code = -EACCES, .text = "a\nreason" };
	struct frame f;
	size_t i;

	net_done_failed(&d, &err, -EIO);
	is_int(wire_put_net_done(&b, FRAME_PUBLISH, &d), 0, "a failure");
	f = framed(&b, FRAME_PUBLISH);
	is_int(wire_get_net_done(&f, &got, NULL), 0, "is understood");
	is_int(got.code, -EACCES, "with its code");
	is_str(got.error, "a?reason", "and its text, which is safe to print");
	net_done_fini(&got);
	buf_fini(&b);
	for (i = 0; i < ARRAY_SIZE(no); i++) {
		f = said(FRAME_PUBLISH, no[i]);
		is_int(wire_get_net_done(&f, &got, NULL), -EBADMSG, no[i]);
	}
}

int main(void)
{
	test_picks();
	test_beside();
	test_changes();
	test_done();
	test_rules();
	test_bad_rules();
	test_ports();
	test_open();
	test_json();
	test_limits();
	test_start();
	test_ready();
	test_denied();
	test_stats();
	return tap_done();
}

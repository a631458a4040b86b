/* Addresses and networks of both families. */
#include <errno.h>

#include "base/ip.h"
#include "lib/tap.h"

static void address(const char *text, const char *want)
{
	char out[IP_TEXT_MAX];
	struct ip_addr a;

	if (!want) {
		is_int(ip_parse(text, &a), -EINVAL, text);
		return;
	}
	is_int(ip_parse(text, &a), 0, text);
	is_str(ip_format(&a, out), want, "and back");
}

static void test_addresses(void)
{
	static const char *const no[] = { "", "1", "127.1", "0x7f.0.0.1", "010.0.0.1", "1.2.3.256", "1.2.3.4.5", " 1.2.3.4",
					  "1.2.3.4 ", "::1%lo", "[::1]", "1::2::3", "2130706433", "fe80", "1.2.3.4/32" };
	struct ip_addr a = ip_v4(1, 2, 3, 4), b;
	size_t i;

	address("192.0.2.1", "192.0.2.1");
	address("0.0.0.0", "0.0.0.0");
	address("2001:DB8:0:0::1", "2001:db8::1");
	address("::", "::");
	address("::ffff:192.0.2.1", "192.0.2.1");
	address("::ffff:c000:201", "192.0.2.1");
	address("::1.2.3.4", "::1.2.3.4");
	for (i = 0; i < ARRAY_SIZE(no); i++)
		address(no[i], NULL);
	b = a;
	ok(ip_parse("x", &b) < 0 && ip_eq(&a, &b), "a failure leaves the result alone");
	ok(ip_is_v4(&a) && ip_from_v4("\1\2\3\4").b[15] == 4, "IPv4 knows that it is");
}

static struct ip_net net(const char *text)
{
	struct ip_net n = { .bits = 255 };

	ok(ip_parse_net(text, &n) == 0, "network %s", text);
	return n;
}

static bool in(const char *address, const char *network)
{
	struct ip_net n = net(network);
	struct ip_addr a;

	return ip_parse(address, &a) == 0 && ip_in(&a, &n);
}

static bool net_in(const char *inner, const char *outer)
{
	struct ip_net a = net(inner), b = net(outer);

	return ip_net_in(&a, &b);
}

static void test_networks(void)
{
	static const char *const no[] = { "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/08", "/8",
					  "10.0.0.0/8/8", "::1/127", "::/129", "::ffff:0:0/90", "10.0.0.0/-1", "10/8" };
	struct ip_net n;
	size_t i;

	is_int(net("10.0.0.0/8").bits, 104, "bits of IPv4 count behind the prefix");
	is_int(net("1.2.3.4").bits, 128, "an address is a network of one");
	is_int(net("::ffff:10.0.0.0/104").bits, 104, "written with colons all bits count");
	for (i = 0; i < ARRAY_SIZE(no); i++)
		is_int(ip_parse_net(no[i], &n), -EINVAL, no[i]);
	ok(in("10.255.0.1", "10.0.0.0/8") && !in("11.0.0.0", "10.0.0.0/8"), "inside and outside");
	ok(in("100.127.255.255", "100.64.0.0/10") && !in("100.128.0.0", "100.64.0.0/10"), "not at a byte");
	ok(in("8.8.8.8", "0.0.0.0/0") && !in("2001:db8::1", "0.0.0.0/0"), "all of IPv4");
	ok(in("2001:db8::1", "::/0") && !in("8.8.8.8", "::/0"), "all of IPv6 is not IPv4, too");
	ok(!in("8.8.8.8", "::/80") && in("::1", "::1"), "nor is a part of it");
	ok(net_in("10.1.0.0/16", "10.0.0.0/8") && !net_in("10.0.0.0/8", "10.1.0.0/16"), "a network in another");
	ok(net_in("10.0.0.0/8", "10.0.0.0/8") && !net_in("10.0.0.0/8", "::/0"), "in itself, not in the other family");
	ok(!net_in("::/0", "0.0.0.0/0") && net_in("fd00::/9", "fc00::/7"), "of IPv6");
}

int main(void)
{
	test_addresses();
	test_networks();
	return tap_done();
}

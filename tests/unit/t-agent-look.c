/* What the agent reads of the kernel's files: for METRICS and for TOP. A box can choose some of their bytes. */
#include <stdlib.h>

#include "agent/metrics.h"
#include "agent/top.h"
#include "agent/user.h"
#include "lib/tap.h"

static void test_values(void)
{
	static const char text[] = "MemTotal:        1013564 kB\nMemAvailable:\t 960000 kB\nusage_usec 5\nx_usage_usec 9\nlast 7";

	is_int(metrics_value(text, "MemTotal"), 1013564, "a value behind a colon");
	is_int(metrics_value(text, "MemAvailable"), 960000, "and a tab");
	is_int(metrics_value(text, "usage_usec"), 5, "or only a space");
	is_int(metrics_value(text, "last"), 7, "in the last line");
	is_int(metrics_value(text, "Mem"), 0, "the beginning of a name is none");
	is_int(metrics_value(text, "usec"), 0, "nor is its end");
	is_int(metrics_value("a -5\n", "a"), 0, "nor is -5 a value");
	is_int(metrics_value("", "a"), 0, "or nothing");
}

static void test_io(void)
{
	struct guest_metrics m = { 0 };

	metrics_add_io("254:16 rbytes=4096 wbytes=100 rios=1 wios=9 dbytes=0 dios=0\n254:0 rbytes=1 wbytes=2\n", &m);
	ok(m.read_bytes == 4097 && m.written_bytes == 102, "disks are added up");
	metrics_add_io("", &m);
	metrics_add_io("254:0 rbytes=", &m);
	ok(m.read_bytes == 4097 && m.written_bytes == 102, "without figures nothing");
}

static void test_net(void)
{
	static const char text[] =
		"Inter-|   Receive                                                |  Transmit\n"
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
		"    lo:    1000       1    0    0    0     0          0         0     1000       1    0    0    0     0       0          0\n"
		"  eth0:    2000       2    0    0    0     0          0         0      300       3    0    0    0     0       0          0\n"
		"eth1:7 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n";
	struct guest_metrics m = { 0 };

	metrics_add_net(text, &m);
	ok(m.received_bytes == 2007 && m.sent_bytes == 309, "interfaces but the loopback are added up");
	metrics_add_net("  eth0: 1 2 3\n", &m);
	metrics_add_net("", &m);
	ok(m.received_bytes == 2007 && m.sent_bytes == 309, "a short line is none");
}

#define STATUS(name, nspid, more) \
	"Name:\t" name "\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t80\nPid:\t80\nPPid:\t70\nTracerPid:\t0\n" \
	"Uid:\t1000\t0\t0\t0\nGid:\t0\t0\t0\t0\nNSpid:\t" nspid "\n" more

static void test_status(void)
{
	struct top_process p;
	int parent = -1;

	ok(top_parse_status(STATUS("sh", "80\t5", "VmRSS:\t    120 kB\n"), &p, &parent), "a process of the box");
	ok(p.pid == 5 && parent == 70 && p.uid == 1000 && p.state == 'S' && p.memory_bytes == 120 * 1024, "is understood");
	is_str(p.command, "[sh]", "with its name");
	ok(top_parse_status(STATUS("a b", "80\t5\t1", ""), &p, &parent) && p.pid == 5 && p.memory_bytes == 0,
	   "one in a namespace of the box's, without memory");
	ok(top_parse_status(STATUS("a\\nPid:\t1\033", "80\t5", ""), &p, &parent), "one with a strange name");
	is_str(p.command, "[a\\nPid:?1?]", "which is made safe");
	ok(!top_parse_status(STATUS("kthreadd", "2", ""), &p, &parent), "one of the agent's is none");
	ok(!top_parse_status(STATUS("x", "80\t0", ""), &p, &parent), "nor is 0 a pid");
	ok(!top_parse_status(STATUS("x", "80\t-5", ""), &p, &parent), "or -5");
	ok(!top_parse_status(STATUS("x", "80\t99999999999", ""), &p, &parent), "or that");
	ok(!top_parse_status("NSpid:\t80\t5\n", &p, &parent), "a text without the rest");
	ok(!top_parse_status("", &p, &parent), "or without anything");
}

static void test_ticks(void)
{
	is_int(top_parse_ticks("80 (sh) S 70 80 80 0 -1 4194560 100 0 0 0 12 34 0 0 20 0 1 0 500 0"), 46, "times");
	is_int(top_parse_ticks("80 (a) R 1 2) S 70 80 80 0 -1 4194560 100 0 0 0 12 34 0 0 20"), 46, "of one with brackets");
	is_int(top_parse_ticks("80 (sh) S 70"), 0, "a short text has none");
	is_int(top_parse_ticks("80 (sh"), 0, "nor has one without a name");
	is_int(top_parse_ticks(""), 0, "or an empty one");
}

static void name_is(const char *passwd, unsigned uid, const char *want, const char *what)
{
	char name[TOP_USER] = "?";
	/* As large as it is: a sanitizer sees a byte too much. */
	char *exact = malloc(strlen(passwd) + 1);
	bool found;

	memcpy(exact, passwd, strlen(passwd));
	found = user_name((struct text){ exact, strlen(passwd) }, uid, name, sizeof(name));
	is_str(found ? name : NULL, want, what);
	free(exact);
}

static void test_names(void)
{
	static const char passwd[] = "root:x:0:0::/root:/bin/sh\nbad\nweb:x:1000:1000::/:\nother:x:1000:1::/:/\na b:x:5:5::/:\n"
				     "\033[2J:x:6:6::/:\n123456789012345678901234567890123:x:7:7::/:\n12345678901234567890123456789012:x:8:8::/:";

	name_is(passwd, 0, "root", "the name of a user");
	name_is(passwd, 1000, "web", "the first of two");
	name_is(passwd, 4, NULL, "nobody's");
	name_is(passwd, 5, NULL, "with a space");
	name_is(passwd, 6, NULL, "with an escape");
	name_is(passwd, 7, NULL, "of 33 characters");
	name_is(passwd, 8, "12345678901234567890123456789012", "of 32");
	name_is("", 0, NULL, "without a file");
}

int main(void)
{
	test_values();
	test_io();
	test_net();
	test_status();
	test_ticks();
	test_names();
	return tap_done();
}

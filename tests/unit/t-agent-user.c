#include "agent/user.h"

#include <string.h>

#include "lib/tap.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "short:x:5\n"
			     "\n"
			     "neg:x:-1:0::/:\n"
			     "huge:x:4294967295:0::/:\n"
			     "alice:x:1000:1000:Alice:/home/alice:/bin/sh:more\n"
			     "alice:x:1001:1001:second line of the name:/home/second:\n"
			     "42:x:77:78:a name that looks like a number:/n:\n"
			     "nohome:x:9:9::\n"
			     "last:x:8:8::/last"; /* no newline */

static const char group[] = "root:x:0:root\n"
			    "staff:x:50:bob,alice\n"
			    "bad:x:y:alice\n"
			    "prefix:x:51:alicex,xalice\n"
			    "alice:x:1000:alice\n"
			    "empty:x:52:\n"
			    "three:x:54\n"
			    "end:x:53:,alice";

static int resolve(const char *spec, struct user *u, struct error *err)
{
	return user_resolve(spec, (struct text){ passwd, strlen(passwd) }, (struct text){ group, strlen(group) },
			    u, err);
}

static void check(const char *spec, unsigned uid, unsigned gid, size_t ngroups, const char *home)
{
	static struct user u;
	struct error err = { 0 };
	int r = resolve(spec, &u, &err);

	ok(r == 0 && u.uid == uid && u.gid == gid && u.ngroups == ngroups && !strcmp(u.home, home) &&
		   u.groups[0] == gid,
	   "user '%s': %d, %u:%u, %zu groups, home %s", spec ? spec : "(null)", r, u.uid, u.gid, u.ngroups,
	   u.home);
}

static void check_unknown(const char *spec, const char *text)
{
	static struct user u;
	struct error err = { 0 };

	ok(resolve(spec, &u, &err) < 0, "user '%s' is refused", spec);
	is_str(err.text, text, "with docker's words");
}

static void test_many_groups(void)
{
	static char many[64 * 1024];
	static struct user u;
	struct error err = { 0 };
	size_t n = 0;
	int i;

	for (i = 0; i <= USER_GROUPS_MAX; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "g:x:%d:root\n", i + 1);
	ok(user_resolve("root", (struct text){ passwd, strlen(passwd) }, (struct text){ many, n }, &u, &err) < 0,
	   "more groups than a user can have: %s", err.text);
}

int main(void)
{
	static struct user u;

	check(NULL, 0, 0, 1, "/root");
	check("", 0, 0, 1, "/root");
	check("root", 0, 0, 1, "/root");
	check("alice", 1000, 1000, 3, "/home/alice");
	check("1001", 1001, 1001, 4, "/home/second");
	check("42", 77, 78, 1, "/n");
	check("nohome", 9, 9, 1, "/");
	check("last", 8, 8, 1, "/last");
	check("1234", 1234, 0, 1, "/");
	check("1234:99", 1234, 99, 1, "/");
	check("last:staff", 8, 50, 1, "/last");
	check("last:51", 8, 51, 1, "/last");
	check(":staff", 0, 50, 1, "/root");
	check("4294967294", 4294967294U, 0, 1, "/");

	check_unknown("nobody", "unable to find user nobody: no matching entries in passwd file");
	check_unknown("short", "unable to find user short: no matching entries in passwd file");
	check_unknown("neg", "unable to find user neg: no matching entries in passwd file");
	check_unknown("huge", "unable to find user huge: no matching entries in passwd file");
	check_unknown("4294967295", "unable to find user 4294967295: no matching entries in passwd file");
	check_unknown("root:nope", "unable to find group nope: no matching entries in group file");
	check_unknown("root:bad", "unable to find group bad: no matching entries in group file");

	ok(user_resolve(NULL, (struct text){ NULL, 0 }, (struct text){ NULL, 0 }, &u, NULL) == 0 && u.uid == 0 &&
		   !strcmp(u.home, "/"),
	   "an image without the files");
	test_many_groups();
	return tap_done();
}

/* What of the host's kernel a jail is made of, for the doctor. Boxes run without these, with a wall less. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/str.h"
#include "box/doctor_checks.h"
#include "box/kvm.h"

/* A number in a file of /proc/sys, or `none` where the kernel has no such file. */
static uint64_t sysctl_value(const char *path, uint64_t none)
{
	auto_buf struct buf b = BUF_INIT(64);
	char *text = io_read_file_at(AT_FDCWD, path, &b) < 0 ? NULL : buf_str(&b);
	uint64_t value;

	if (!text)
		return none;
	text[strcspn(text, "\n")] = 0;
	return str_parse_u64(text, UINT64_MAX, &value) < 0 ? none : value;
}

/* --- namespaces ------------------------------------------------------------------------------- */

static void namespaces_remedy(const struct doctor *d, char out[512])
{
	if (sysctl_value("/proc/sys/user/max_user_namespaces", 1) == 0)
		snprintf(out, 512, "as root: sysctl user.max_user_namespaces=15000");
	else if (sysctl_value("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0)
		snprintf(out, 512, "as root: sysctl kernel.unprivileged_userns_clone=1");
	else if (sysctl_value("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) != 0)
		/* https://ubuntu.com/blog/ubuntu-23-10-restricted-unprivileged-user-namespaces */
		snprintf(out, 512,
			 "allow it in AppArmor: as root, put 'abi <abi/4.0>, profile boxlite %s/boxlite-* "
			 "flags=(unconfined) { userns, }' into /etc/apparmor.d/boxlite and "
			 "apparmor_parser -r it; or sysctl kernel.apparmor_restrict_unprivileged_userns=0",
			 d->h->programs);
	else
		snprintf(out, 512,
			 "if this is a container, its runtime's seccomp or AppArmor profile forbids it");
}

void doctor_check_namespaces(struct doctor *d)
{
	static const char id[] = "namespaces";
	struct verdict v = { 0 };
	struct error err = { 0 };
	char remedy[512];

	if (kvm_probe_jail(d->h, &v, &err) < 0) {
		doctor_say(d, FINDING_WARN, id, "see the finding on boxlite-vmm",
			   "user namespaces could not be tried: %s", err.text);
	} else if (v.works) {
		doctor_say(d, FINDING_OK, id, NULL, "user namespaces can be made");
	} else {
		namespaces_remedy(d, remedy);
		doctor_say(d, FINDING_WARN, id, remedy,
			   "no user namespaces to confine the helpers in: %s: %s", v.step, v.reason);
	}
}

/* --- cgroup ----------------------------------------------------------------------------------- */

/* Where the first file system of type cgroup2 is mounted (proc(5), mountinfo): 0 or -ENOENT. */
static int find_cgroup2(char out[256])
{
	auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
	auto_free char *line = NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0)
		if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %255s", out) == 1)
			return 0;
	return -ENOENT;
}

/* Our own cgroup in it. Inside a container the path is seen from outside: then it is the mount's top. */
static int open_own_cgroup(const char *mount, char path[512])
{
	auto_file FILE *f = fopen("/proc/self/cgroup", "re");
	auto_free char *line = NULL;
	size_t size = 0;
	int fd = -1;

	while (f && fd < 0 && getline(&line, &size, f) > 0) {
		if (!str_starts(line, "0::"))
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(path, 512, "%s%s", mount, line + 3);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0) {
		snprintf(path, 512, "%s", mount);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

/* Which of the three that limit a box are not there: "cpu memory", or "". */
static void missing_controllers(int dir, char out[32])
{
	static const char *const wanted[] = { "cpu", "memory", "pids" };
	auto_buf struct buf b = BUF_INIT(4 * KIB);
	char padded[512] = " ", word[16];
	const char *text = io_read_file_at(dir, "cgroup.controllers", &b) < 0 ? NULL : buf_str(&b);
	size_t i, n = 0;

	snprintf(padded, sizeof(padded), " %s", text ? text : "");
	padded[strcspn(padded, "\n")] = ' ';
	out[0] = 0;
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		snprintf(word, sizeof(word), " %s ", wanted[i]);
		if (!strstr(padded, word))
			n += (size_t)snprintf(out + n, 32 - n, "%s%s", n ? " " : "", wanted[i]);
	}
}

static bool writable(int dir)
{
	return faccessat(dir, ".", W_OK, AT_EACCESS) == 0 &&
	       faccessat(dir, "cgroup.procs", W_OK, AT_EACCESS) == 0 &&
	       faccessat(dir, "cgroup.subtree_control", W_OK, AT_EACCESS) == 0;
}

void doctor_check_cgroup(struct doctor *d)
{
	static const char id[] = "cgroup";
	char mount[256], path[512], missing[32];
	auto_fd int dir = -1;

	if (find_cgroup2(mount) < 0) {
		doctor_say(d, FINDING_WARN, id, "boot with systemd.unified_cgroup_hierarchy=1",
			   "no cgroup v2 is mounted: no limits of a box's CPU and memory");
		return;
	}
	dir = open_own_cgroup(mount, path);
	if (dir < 0 || !writable(dir)) {
		doctor_say(d, FINDING_WARN, id,
			   "run boxes in your own scope: systemd-run --user --scope -p Delegate=yes boxlite",
			   "cgroup %s is not delegated to this user: no limits of a box's CPU and memory",
			   path);
		return;
	}
	missing_controllers(dir, missing);
	if (*missing)
		doctor_say(d, FINDING_WARN, id,
			   geteuid() == 0 ? "boot with systemd.unified_cgroup_hierarchy=1"
					  : "as root: systemctl edit user@.service, add [Service] and "
					    "Delegate=cpu memory pids, then log in again",
			   "cgroup %s lacks the controllers %s: no limits of these for a box", path, missing);
	else
		doctor_say(d, FINDING_OK, id, NULL, "cgroup %s is delegated", path);
}

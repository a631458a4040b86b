/*
 * Unprivileged user namespaces can be forbidden in ways that no sysctl tells: by a container's seccomp
 * filter, or by AppArmor for all programs but those with a profile. Ubuntu's restriction lets unshare(2)
 * succeed and takes the capabilities inside away, so what counts is a mount in there, and that this very
 * program makes it.
 */
#include "vmm/jail_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"

#define NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)

static int write_proc(const char *name, const char *text)
{
	auto_fd int fd = open(name, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : io_write_full(fd, text, strlen(text));
}

/* One id of ours is all that a process without privileges may map; before the group comes setgroups
 * (user_namespaces(7)). */
static int map_self(uid_t uid, gid_t gid)
{
	char line[64];
	int r = write_proc("/proc/self/setgroups", "deny");

	if (r < 0 && r != -ENOENT)
		return r;
	snprintf(line, sizeof(line), "0 %u 1\n", (unsigned)uid);
	r = write_proc("/proc/self/uid_map", line);
	if (r < 0)
		return r;
	snprintf(line, sizeof(line), "0 %u 1\n", (unsigned)gid);
	return write_proc("/proc/self/gid_map", line);
}

int probe_jail(struct verdict *ret, struct error *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	if (unshare(NAMESPACES) < 0) {
		/* ENOSPC is user.max_user_namespaces. */
		if (errno == ENOMEM || errno == EAGAIN)
			return error_sys(err, "cannot try namespaces: unshare");
		return verdict_fails(ret, "unshare", "%s", strerror(errno));
	}
	r = map_self(uid, gid);
	if (r < 0)
		return verdict_fails(ret, "uid_map", "%s", strerror(-r));
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount("tmpfs", "/proc", "tmpfs", 0, NULL) < 0)
		return verdict_fails(ret, "mount", "%s", strerror(errno));
	*ret = (struct verdict){ .works = true };
	return 0;
}

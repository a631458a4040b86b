/*
 * KVM for the doctor. Everything here is a warning as long as boxes run on qemu's software emulation;
 * whoever has said that they are to use KVM cannot run any without it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/str.h"
#include "box/doctor_checks.h"
#include "box/kvm.h"

/* KVM_CREATE_VM waits for a grace period of the kernel's where that is so: 20 to 40 ms instead of below 1. */
#define SLOW_US 10000
#define ITLB_MULTIHIT "/sys/devices/system/cpu/vulnerabilities/itlb_multihit"

#define DATABASE_MAX 4096 /* an entry of the user or group database; a longer one is as none */

#define ID "kvm"
#define GIVE_DEVICE \
	"this is a container on a host with KVM: give it the device (docker run --device " KVM_DEVICE ")"

static enum finding_level without(const struct doctor *d)
{
	return str_eq(d->h->accel, "kvm") ? FINDING_FAIL : FINDING_WARN;
}

static const char *then(const struct doctor *d)
{
	return without(d) == FINDING_FAIL ? "BOXLITE_QEMU_ACCEL=kvm says that boxes use it"
					  : "boxes run on qemu, slower";
}

/* Whether the first CPU has a feature of that name. */
static bool cpu_has(const char *flag)
{
	auto_file FILE *f = fopen("/proc/cpuinfo", "re");
	auto_free char *line = NULL;
	size_t size = 0, n = strlen(flag);
	const char *at;

	while (f && getline(&line, &size, f) > 0) {
		if (!str_starts(line, "flags"))
			continue;
		for (at = line; (at = strstr(at, flag)); at += n)
			if (at[-1] == ' ' && (at[n] == ' ' || at[n] == '\n'))
				return true;
		return false;
	}
	return false;
}

static void say_absent(struct doctor *d)
{
	bool intel = cpu_has("vmx"), amd = cpu_has("svm");
	const char *remedy;

	if (access("/sys/class/misc/kvm", F_OK) == 0)
		remedy = GIVE_DEVICE;
	else if (intel)
		remedy = "as root: modprobe kvm_intel; if the kernel log says 'disabled by bios', enable "
			 "VT-x in the firmware's setup";
	else if (amd)
		remedy = "as root: modprobe kvm_amd; if the kernel log says 'disabled by bios', enable SVM "
			 "(AMD-V) in the firmware's setup";
	else if (cpu_has("hypervisor"))
		remedy = "this is a virtual machine: have nested virtualization enabled for it, or take a "
			 "machine that has KVM";
	else
		remedy = "enable VT-x (Intel) or SVM (AMD-V) in the firmware's setup, then modprobe "
			 "kvm_intel or kvm_amd";
	doctor_say(d, without(d), ID, remedy, "there is no " KVM_DEVICE "; %s", then(d));
}

/* Whether the user database has this user in the group: then only the session is older than that. */
static bool listed_in(const struct group *g, const char *user)
{
	char **m;

	for (m = g->gr_mem; *m; m++)
		if (str_eq(*m, user))
			return true;
	return false;
}

/* The group that may open the device, if it is one for that purpose; its texts are in mem. */
static struct group *device_group(struct group *g, char mem[DATABASE_MAX])
{
	struct group *found = NULL;
	struct stat st;

	if (stat(KVM_DEVICE, &st) == 0 && (st.st_mode & 060) == 060 && st.st_gid != 0)
		(void)getgrgid_r(st.st_gid, g, mem, DATABASE_MAX, &found);
	return found;
}

static void say_forbidden(struct doctor *d, int code)
{
	char user_mem[DATABASE_MAX], group_mem[DATABASE_MAX], remedy[256];
	struct passwd pw_mem, *pw = NULL;
	struct group g_mem, *g = device_group(&g_mem, group_mem);
	const char *user;

	/* EPERM does not come from the file's mode: the devices of this cgroup do not include it. */
	if (code == -EPERM) {
		doctor_say(d, without(d), ID, GIVE_DEVICE, "not allowed to open " KVM_DEVICE "; %s", then(d));
		return;
	}
	(void)getpwuid_r(geteuid(), &pw_mem, user_mem, sizeof(user_mem), &pw);
	user = pw ? pw->pw_name : "USER";
	if (g && listed_in(g, user))
		snprintf(remedy, sizeof(remedy),
			 "log in again: you are in group %s, but this session began before", g->gr_name);
	else if (g)
		snprintf(remedy, sizeof(remedy), "sudo usermod -aG %s %s, then log in again", g->gr_name,
			 user);
	else
		snprintf(remedy, sizeof(remedy),
			 "sudo chgrp kvm " KVM_DEVICE " && sudo chmod g+rw " KVM_DEVICE
			 ", and sudo usermod -aG kvm %s, then log in again",
			 user);
	doctor_say(d, without(d), ID, remedy, "no rights to open " KVM_DEVICE " (%s); %s", strerror(-code),
		   then(d));
}

static void say_broken(struct doctor *d, const struct verdict *v)
{
	const char *remedy;

	if (str_eq(v->step, "KVM_GET_API_VERSION"))
		remedy = "put the device back (as root: rm " KVM_DEVICE " && mknod -m 660 " KVM_DEVICE
			 " c 10 232), or the container's settings right";
	else if (cpu_has("hypervisor"))
		remedy = "none on this machine: take one with nested virtualization, or a real one";
	else
		remedy = "look at the kernel log (dmesg | grep -i kvm), update kernel and firmware";
	doctor_say(d, without(d), ID, remedy, "KVM is there but cannot run an ordinary kernel: %s: %s; %s",
		   v->step, v->reason, then(d));
}

/*
 * Linux 6.1 and later: a new VM starts a kernel thread that joins its maker's cgroups, which waits for a lock
 * that is made for its readers (Firecracker, docs/prod-host-setup.md).
 */
static void check_speed(struct doctor *d, const struct verdict *v)
{
	auto_buf struct buf affected = BUF_INIT(256);
	uint32_t us = v->create_us + v->run_us;
	const char *remedy = "as root: mount -o remount,favordynmods /sys/fs/cgroup";

	if (us < SLOW_US) {
		doctor_say(d, FINDING_OK, "kvm-create", NULL, "a virtual machine is made in %u.%u ms",
			   us / 1000, us / 100 % 10);
		return;
	}
	if (io_read_file_at(AT_FDCWD, ITLB_MULTIHIT, &affected) == 0 && buf_str(&affected) &&
	    str_starts(buf_str(&affected), "Not affected"))
		remedy = "as root: mount -o remount,favordynmods /sys/fs/cgroup, or load the module with "
			 "kvm.nx_huge_pages=never (this CPU does not need it)";
	doctor_say(d, FINDING_WARN, "kvm-create", remedy,
		   "making a virtual machine takes %u ms here, where others take less than one", us / 1000);
}

static void say_works(struct doctor *d)
{
	d->kvm_works = true;
	doctor_say(d, FINDING_OK, ID, NULL, "KVM runs an ordinary kernel");
}

void doctor_check_kvm(struct doctor *d)
{
	auto_fd int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
	int code = fd < 0 ? -errno : 0;
	struct verdict v = { 0 };
	struct error err = { 0 };

	if (code == -ENOENT) {
		say_absent(d);
	} else if (code == -EACCES || code == -EPERM) {
		say_forbidden(d, code);
	} else if (code < 0) {
		doctor_say(d, without(d), ID, "as root: modprobe kvm_intel or kvm_amd",
			   "cannot open " KVM_DEVICE ": %s; %s", strerror(-code), then(d));
	} else if (kvm_probe(d->h, fd, &v, &err) < 0) {
		doctor_say(d, without(d), ID, "look at the kernel log (dmesg | grep -i kvm)",
			   "KVM could not be probed: %s", err.text);
	} else if (!v.works) {
		say_broken(d, &v);
	} else {
		say_works(d);
		check_speed(d, &v);
	}
}

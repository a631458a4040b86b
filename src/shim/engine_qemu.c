/*
 * Engine qemu: qemu-system-x86_64 -M microvm as a child. It gets fds and
 * numbers; the only paths on its command line are /dev/fdset and
 * /proc/self/fd, names for those fds.
 *
 * The settings are those of kernel/qemu-args and kernel/cmdline, where the reason
 * for each word and what it saves is written; kernel/bench-floor measures them.
 */
#include "shim/engine.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* fd numbers in QEMU */
enum {
	QEMU_FD_KERNEL = 3,
	QEMU_FD_INITRD = 4,
	QEMU_FD_AGENT = 5,
	QEMU_FD_CONSOLE = 6,
	QEMU_FD_DISK0 = 7,
};

#define ARGS_MAX 128
#define JIFFY_MS 4 /* the guest kernel's HZ is 250; lpj= counts TSC ticks of a jiffy */

static const char *find_qemu(const struct box_spec *s, struct error *err)
{
	static const char *const places[] = {
		"/usr/bin/qemu-system-x86_64",
		"/usr/local/bin/qemu-system-x86_64",
		"/bin/qemu-system-x86_64",
	};
	size_t i;

	if (s->engine_program) {
		if (access(s->engine_program, X_OK) == 0)
			return s->engine_program;
		error_sys(err, "cannot run %s (BOXLITE_QEMU)", s->engine_program);
		return NULL;
	}
	for (i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	error_set(err, -ENOENT,
		  "qemu-system-x86_64 is not installed, and engine qemu needs it: apt install qemu-system-x86");
	return NULL;
}

/*
 * The kernel command line: the words of kernel/cmdline. TCG hands the host's
 * time stamp counter through and has APIC timers of 1 GHz; told so, the guest
 * measures nothing.
 */
static int add_cmdline(struct strv *args, const struct box_spec *s, const struct machine *m, bool tcg)
{
	char clock[128] = "";

	if (tcg && s->tsc_khz)
		snprintf(clock, sizeof(clock), " tsc=reliable tsc_early_khz=%u lapic_timer_khz=1000000 lpj=%u keep_initmem",
			 s->tsc_khz, s->tsc_khz * JIFFY_MS);
	return strv_addf(args, "console=hvc0 %s panic=-1 reboot=t noreplace-smp swiotlb=noforce%s%s",
			 m->debug ? "loglevel=7" : "quiet", clock, m->debug ? " boxlite.debug" : "");
}

static int add_machine(struct strv *args, const struct box_spec *s, const struct machine *m, bool tcg)
{
	int r = 0;

#define ADD(...) (r = r < 0 ? r : strv_addf(args, __VA_ARGS__))
	ADD("-M");
	ADD("microvm,acpi=off,pit=off,pic=off,rtc=on,isa-serial=off");
	ADD("-accel");
	ADD("%s", tcg ? "tcg" : "kvm");
	ADD("-cpu");
	ADD("%s", tcg ? "max,-erms,-fsrm" : "host");
	ADD("-smp");
	ADD("%u", m->cpus);
	ADD("-m");
	ADD("%lluM", (unsigned long long)(m->memory_bytes / MIB));
	ADD("-nodefaults");
	ADD("-no-user-config");
	ADD("-no-reboot");
	ADD("-display");
	ADD("none");
	ADD("-monitor");
	ADD("none");
	ADD("-kernel");
	ADD("/proc/self/fd/%d", QEMU_FD_KERNEL);
	ADD("-initrd");
	ADD("/proc/self/fd/%d", QEMU_FD_INITRD);
	ADD("-append");
	r = r < 0 ? r : add_cmdline(args, s, m, tcg);
	return r;
}

/* One virtio-serial bus: port 0 is the console hvc0, port 1 the agent channel. */
static int add_devices(struct strv *args, const struct box_spec *s, const struct machine *m)
{
	int r = 0;
	size_t i;

	ADD("-chardev");
	ADD("socket,id=console,fd=%d", QEMU_FD_CONSOLE);
	ADD("-chardev");
	ADD("socket,id=agent,fd=%d", QEMU_FD_AGENT);
	ADD("-device");
	ADD("virtio-serial-device,max_ports=2");
	ADD("-device");
	ADD("virtconsole,chardev=console,nr=0");
	ADD("-device");
	ADD("virtserialport,chardev=agent,nr=1,name=boxlite.agent");
	for (i = 0; i < m->ndisks; i++) {
		bool ro = m->disks[i].readonly;

		ADD("-add-fd");
		ADD("fd=%d,set=%d", QEMU_FD_DISK0 + (int)i, (int)i + 1);
		ADD("-blockdev");
		/* No locks: the box's lock is the shim's; images are shared and never written. A disk that
		 * goes with its box need not survive a power cut: its flushes are not passed on. */
		ADD("driver=file,node-name=f%d,filename=/dev/fdset/%d,locking=off,read-only=%s,discard=unmap,"
		    "auto-read-only=off,aio=threads,cache.no-flush=%s",
		    (int)i, (int)i + 1, ro ? "on" : "off", s->keep_disk ? "off" : "on");
		ADD("-blockdev");
		ADD("driver=raw,node-name=d%d,file=f%d,read-only=%s,discard=unmap,cache.no-flush=%s", (int)i,
		    (int)i, ro ? "on" : "off", s->keep_disk ? "off" : "on");
		ADD("-device");
		/* A full host disk is an I/O error of the guest. The default would pause it for ever. */
		ADD("virtio-blk-device,drive=d%d,num-queues=1,werror=report,rerror=report", (int)i);
	}
#undef ADD
	return r;
}

static int qemu_start(const struct box_spec *s, const struct machine *m, struct child *ret, struct error *err)
{
	bool tcg = !str_eq(s->accel, "kvm");
	auto_strv struct strv args = STRV_INIT(ARGS_MAX);
	struct spawn_fd fds[8] = {
		{ m->kernel_fd, QEMU_FD_KERNEL },   { m->initrd_fd, QEMU_FD_INITRD },
		{ m->agent_fd, QEMU_FD_AGENT },     { m->console_fd, QEMU_FD_CONSOLE },
		{ m->stderr_fd, STDERR_FILENO },
	};
	size_t i, nfds = 5;
	const char *qemu = find_qemu(s, err);
	int r;

	if (!qemu)
		return -ENOENT;
	if (m->ndisks > ARRAY_SIZE(fds) - nfds)
		return error_set(err, -EINVAL, "too many disks");
	for (i = 0; i < m->ndisks; i++)
		fds[nfds++] = (struct spawn_fd){ m->disks[i].fd, QEMU_FD_DISK0 + (int)i };
	r = strv_add(&args, "qemu-system-x86_64");
	if (r == 0)
		r = add_machine(&args, s, m, tcg);
	if (r == 0)
		r = add_devices(&args, s, m);
	if (r < 0)
		return error_code(err, r, "cannot describe the machine");
	struct spawn spawn = {
		.path = qemu,
		.argv = (const char *const *)args.v,
		.fds = fds,
		.nfds = nfds,
		.die_with_parent = true,
	};
	return spawn_start(&spawn, ret, err);
}

const struct engine engine_qemu = { .name = "qemu", .start = qemu_start };

/*
 * Engine qemu: qemu-system-x86_64 -M microvm as a child. It gets fds and
 * numbers; the only paths on its command line are /dev/fdset and
 * /proc/self/fd, names for those fds.
 *
 * The settings are those of kernel/qemu-args and kernel/cmdline, where the reason
 * for each word and what it saves is written; kernel/bench-floor measures them.
 */
#include "shim/engine.h"
#include "shim/qmp.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* fd numbers in QEMU */
enum {
	QEMU_FD_KERNEL = 3,
	QEMU_FD_INITRD = 4,
	QEMU_FD_AGENT = 5,
	QEMU_FD_CONSOLE = 6,
	QEMU_FD_MEMORY = 7,
	/* QEMU_FD_STATE = 8 */
	QEMU_FD_MONITOR = 9,
	QEMU_FD_DISK0 = 10,
	QEMU_FD_NET = 14,
	QEMU_FD_LOCK = 15, /* not used: held */
};

#define ARGS_MAX 128
#define JIFFY_MS 4 /* the guest kernel's HZ is 250; lpj= counts TSC ticks of a jiffy */

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
	return strv_addf(args, "console=hvc0 %s panic=-1 reboot=t noreplace-smp swiotlb=noforce dummy.numdummies=0%s%s%s%s",
			 m->debug ? "loglevel=7" : "quiet", clock, m->debug ? " boxlite.debug" : "",
			 m->park ? " boxlite.park" : "", m->trace ? " initcall_debug" : "");
}

#define ADD(...) (r = r < 0 ? r : strv_addf(args, __VA_ARGS__))

/* Memory and CPUs of a machine that was saved have all that the kernel's file would bring. */
static int add_beginning(struct strv *args, const struct box_spec *s, const struct machine *m, bool tcg)
{
	int r = 0;

	if (m->state_fd >= 0) {
		ADD("-incoming");
		ADD("defer");
		return r;
	}
	ADD("-kernel");
	ADD("/proc/self/fd/%d", QEMU_FD_KERNEL);
	ADD("-initrd");
	ADD("/proc/self/fd/%d", QEMU_FD_INITRD);
	ADD("-append");
	return r < 0 ? r : add_cmdline(args, s, m, tcg);
}

static int add_machine(struct strv *args, const struct box_spec *s, const struct machine *m, bool tcg)
{
	int r = 0;

	if (m->memory_fd >= 0) {
		ADD("-object");
		ADD("memory-backend-file,id=memory,size=%lluM,mem-path=/proc/self/fd/%d,share=on",
		    (unsigned long long)(m->memory_bytes / MIB), QEMU_FD_MEMORY);
	}
	ADD("-M");
	ADD("microvm,acpi=off,pit=off,pic=off,rtc=on,isa-serial=off%s",
	    m->memory_fd >= 0 ? ",memory-backend=memory" : "");
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
	if (m->monitor_fd >= 0) {
		ADD("-chardev");
		ADD("socket,id=monitor,fd=%d", QEMU_FD_MONITOR);
		ADD("-mon");
		ADD("chardev=monitor,mode=control");
	}
	return r < 0 ? r : add_beginning(args, s, m, tcg);
}

/* One pair of queues and nothing to tell the card: what is not there is neither set up nor saved. No status of
 * the link: Linux would take it for down at first, and look again after up to a second. */
static int add_card(struct strv *args)
{
	static const uint8_t mac[] = NET_GUEST_MAC;
	int r = 0;

	ADD("-netdev");
	ADD("dgram,id=net,local.type=fd,local.str=%d", QEMU_FD_NET);
	ADD("-device");
	ADD("virtio-net-device,netdev=net,mac=%02x:%02x:%02x:%02x:%02x:%02x,host_mtu=%d,mq=off,ctrl_vq=off,"
	    "ctrl_rx=off,ctrl_rx_extra=off,ctrl_vlan=off,ctrl_mac_addr=off,ctrl_guest_offloads=off,status=off,"
	    "guest_announce=off", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], NET_LINK_MTU);
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
	return r < 0 || m->net_fd < 0 ? r : add_card(args);
}

static void map_fd(struct spawn *s, struct spawn_fd *fds, int from, int to)
{
	if (from >= 0)
		fds[s->nfds++] = (struct spawn_fd){ from, to };
}

static int qemu_start(const struct box_spec *s, const struct machine *m, struct child *ret, struct error *err)
{
	bool tcg = !str_eq(s->accel, "kvm");
	auto_strv struct strv args = STRV_INIT(ARGS_MAX);
	struct spawn_fd fds[10 + MACHINE_DISKS_MAX];
	struct spawn spawn = { .path = s->engine_program, .fds = fds, .die_with_parent = true };
	size_t i;
	int r;

	if (!s->engine_program)
		return error_set(err, -EINVAL, "the box's description does not say where QEMU is");
	map_fd(&spawn, fds, m->kernel_fd, QEMU_FD_KERNEL);
	map_fd(&spawn, fds, m->initrd_fd, QEMU_FD_INITRD);
	map_fd(&spawn, fds, m->agent_fd, QEMU_FD_AGENT);
	map_fd(&spawn, fds, m->console_fd, QEMU_FD_CONSOLE);
	map_fd(&spawn, fds, m->memory_fd, QEMU_FD_MEMORY);
	map_fd(&spawn, fds, m->state_fd, QEMU_FD_STATE);
	map_fd(&spawn, fds, m->monitor_fd, QEMU_FD_MONITOR);
	map_fd(&spawn, fds, m->stderr_fd, STDERR_FILENO);
	map_fd(&spawn, fds, m->lock_fd, QEMU_FD_LOCK);
	map_fd(&spawn, fds, m->net_fd, QEMU_FD_NET);
	for (i = 0; i < m->ndisks; i++)
		map_fd(&spawn, fds, m->disks[i].fd, QEMU_FD_DISK0 + (int)i);
	r = strv_add(&args, "qemu-system-x86_64");
	if (r == 0)
		r = add_machine(&args, s, m, tcg);
	if (r == 0)
		r = add_devices(&args, s, m);
	if (r < 0)
		return error_code(err, r, "cannot describe the machine");
	spawn.argv = (const char *const *)args.v;
	return spawn_start(&spawn, ret, err);
}

const struct engine engine_qemu = { .name = "qemu", .start = qemu_start };

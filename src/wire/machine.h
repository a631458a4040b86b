/*
 * MACHINE, shim -> boxlite-vmm: the machine to be. One frame in a file that the vmm is started with, beside these
 * open files; it opens nothing by path:
 */
#ifndef WIRE_MACHINE_H
#define WIRE_MACHINE_H

#include "base/json.h"
#include "wire/frame.h"

enum vmm_fd {
	VMM_FD_SPEC = 3,    /* the frame, from the file's beginning */
	VMM_FD_KVM = 4,     /* /dev/kvm */
	VMM_FD_AGENT = 5,   /* stream socket: the agent channel */
	VMM_FD_CONSOLE = 6, /* stream socket or pipe: what the guest prints */
	VMM_FD_KERNEL = 7,
	VMM_FD_INITRD = 8,
	VMM_FD_NET = 9,     /* if it has a network: seqpacket socket, one frame a message (vmm/devices.h) */
	VMM_FD_DISK0 = 10,  /* and the next ones: disks */
	VMM_FD_REPORT = 14, /* stream socket: struct machine_report goes there, with the VM (KVM's fd) */
	VMM_FD_LOCK = 15,   /* the box's lock: while this process is there the box runs, even if its shim was killed */
};

/* The last line of boxlite-vmm's standard error when the guest's kernel has ended itself by a panic. The kernel's own
 * words about it are the last on the console. */
#define VMM_PANICKED "the guest's kernel panicked"

#define MACHINE_DISKS_MAX 4
#define MACHINE_CPUS_MAX 32
#define MACHINE_MEMORY_MIN (64 * MIB)
#define MACHINE_MAC 6

struct machine_spec {
	uint32_t cpus;
	uint64_t memory_bytes; /* a multiple of 1 MiB */
	char *cmdline;         /* owned; of the kernel. The vmm adds a word for each device */
	bool serial;           /* a serial port that prints to VMM_FD_CONSOLE, for a kernel that dies early */
	unsigned ndisks;
	bool readonly[MACHINE_DISKS_MAX];
	bool net;                 /* a network device over VMM_FD_NET */
	uint8_t mac[MACHINE_MAC]; /* net: the guest's address, that of one station */
};

/*
 * When the vmm came how far, in ns of CLOCK_MONOTONIC. Sent once, before the guest runs. Both ends are of one build
 * on one host, so this is the message's format.
 *
 * With it goes a reference to the VM. KVM takes its time for the last close of a VM (20 ms of waiting for others in
 * the kernel): whoever holds this one has that wait, and not the end of the vmm's process, which the box's end waits
 * for.
 */
struct machine_report {
	uint64_t main_ns; /* its first own instruction */
	uint64_t run_ns;  /* before the first KVM_RUN */
};

void machine_spec_fini(struct machine_spec *s);
int wire_put_machine(struct buf *out, const struct machine_spec *s) MUST_CHECK;
int wire_get_machine(const struct frame *f, struct machine_spec *ret, struct error *err) MUST_CHECK;

#endif

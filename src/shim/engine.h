/*
 * An engine turns a description of a machine into a running child process.
 * Two engines, one interface: kvm (boxlite-vmm) and qemu. What they are given
 * is the same: open fds and numbers, no paths.
 *
 * The machine's devices, in the order the guest sees them:
 *   disks[0], disks[1] ... virtio-blk: /dev/vda, /dev/vdb
 *   agent channel          a byte stream; its guest side is named on the kernel command line
 *   network                eth0: one card, if there is a link
 *   console                hvc0: what the kernel and the agent print
 */
#ifndef SHIM_ENGINE_H
#define SHIM_ENGINE_H

#include "base/error.h"
#include "base/spawn.h"
#include "wire/machine.h"
#include "wire/spec.h"

struct machine_disk {
	int fd;
	bool readonly;
};

struct machine {
	uint32_t cpus;
	uint64_t memory_bytes;
	int memory_fd;  /* a file of that size which is to be the guest's memory; -1: the engine's own */
	int state_fd;   /* a template, at its state: the machine waits for qmp_restore(); -1: it boots */
	int monitor_fd; /* the engine's end of its monitor (qmp.h); -1: none */
	int kernel_fd, initrd_fd; /* needed if it boots */
	struct machine_disk disks[MACHINE_DISKS_MAX];
	size_t ndisks;
	int agent_fd;   /* the engine's end of the agent channel */
	int console_fd; /* the engine's end of the console: it writes */
	int stderr_fd;  /* the engine's own complaints */
	int lock_fd;    /* the box's lock: held by the engine, too, which does nothing with it */
	int net_fd;     /* the engine's end of the link: a seqpacket socket, a frame a message; -1: no network device */
	int report_fd;  /* the engine's end of a stream socket, for struct machine_report; engine kvm only */
	bool debug;     /* the kernel talks */
	bool trace;     /* it notes how long its parts take to initialise */
	bool park;      /* the agent waits for the host's first bytes, and says PARKED when it does */
};

struct engine {
	const char *name;
	bool net_headers; /* frames on its link are behind a struct virtio_net_hdr_v1 */

	/* Starts the machine. All fds stay the caller's. The child ends when the guest powers off or
	 * resets, when it is killed, and when the calling process dies. */
	int (*start)(const struct box_spec *s, const struct machine *m, struct child *ret, struct error *err);
};

extern const struct engine engine_kvm, engine_qemu;

/* The engine for box_spec.engine, or NULL with the reason. */
const struct engine *engine_find(const char *name, struct error *err);

#endif

/*
 * A virtual machine on KVM: memory, interrupt chips, vCPU threads, and why it ended. Devices are not known here: an
 * access to MMIO space goes to a function.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <pthread.h>

#include "base/error.h"
#include "vmm/memory.h"
#include "vmm/serial.h"

#define VM_CPUS_MAX 32

enum vm_end {
	VM_RUNS = 0,
	VM_SHUTDOWN,  /* reset by the keyboard controller: how our guests power off (reboot=k) */
	VM_KILLED,    /* vm_stop() */
	VM_PANICKED,  /* a reset, and the kernel says that it panics (panic_warm, see vmm/ports.c) */
	VM_TRIPLE_FAULT, /* no kernel of ours means to */
	VM_CRASHED,   /* the guest says that it crashed (KVM_SYSTEM_EVENT_CRASH) */
	VM_FAILED,    /* KVM_EXIT_FAIL_ENTRY, INTERNAL_ERROR, an ioctl */
};

/* A vCPU's access to guest physical space that is not memory. Called by vCPU threads, several at once. A read of
 * nothing gives ones. n is 1, 2, 4 or 8. */
typedef void vm_mmio_fn(void *ud, uint64_t gpa, void *data, uint32_t n, bool write);

struct vcpu {
	struct vm *vm;
	unsigned index;
	int fd; /* owned */
	struct kvm_run *run; /* mapped */
	size_t run_bytes;
	pthread_t thread;
	bool started;
};

struct vm {
	int kvm_fd;            /* borrowed */
	int fd;                /* owned */
	const struct memory *mem;
	unsigned ncpus;
	struct vcpu cpu[VM_CPUS_MAX];
	vm_mmio_fn *mmio;
	void *mmio_ud;
	int serial_fd;         /* what the guest writes to the serial port goes there; -1: nowhere */
	struct serial serial;
	int ended_fd;          /* owned eventfd: readable when the machine has ended */
	pthread_mutex_t lock;  /* of the next two */
	enum vm_end end;       /* the first reason counts */
	char why[256];         /* for people */
};

/* Makes the VM, its chips and its memory slots. The kvm_fd is an open /dev/kvm. */
int vm_open(struct vm *vm, int kvm_fd, const struct memory *mem, unsigned ncpus, struct error *err) MUST_CHECK;

/* What is in memory, and where. */
struct loaded {
	uint32_t entry; /* of PVH */
	uint64_t initrd, initrd_bytes;
};

/* An ELF kernel and an initramfs (-1: none) go to memory. Files are read, not trusted. */
int load_files(const struct memory *mem, int kernel_fd, int initrd_fd, struct loaded *ret,
	       struct error *err) MUST_CHECK;

/* Tells the kernel of its machine and puts CPU 0 at its entry. */
int vm_boot(struct vm *vm, const struct loaded *l, const char *cmdline, struct error *err) MUST_CHECK;

/* An eventfd that is written when the guest writes `value` (32 bits) to `gpa`. It stays the caller's. */
int vm_ioeventfd(struct vm *vm, uint64_t gpa, uint32_t value, int eventfd, struct error *err) MUST_CHECK;

/* Starts the vCPU threads. They end with the machine; its end is told by ended_fd. */
int vm_start(struct vm *vm, struct error *err) MUST_CHECK;
/* Raises an interrupt line and lowers it; any thread, but one at a time for each line: a line that is up already does
 * not rise. */
void vm_pulse_irq(struct vm *vm, unsigned gsi);
void vm_stop(struct vm *vm);  /* VM_KILLED, unless it has ended; any thread */
void vm_close(struct vm *vm); /* stops, joins all threads, releases everything; fine at any stage after vm_open() */

#endif

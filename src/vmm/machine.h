/* A whole machine: memory, CPUs, devices, as wire/machine.h describes it. */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "base/loop.h"
#include "vmm/devices.h"
#include "vmm/layout.h"
#include "vmm/vm.h"
#include "wire/machine.h"

struct slot;

struct kick {
	struct watch watch; /* on an owned eventfd, which the guest's QueueNotify writes */
	struct loop *loop;  /* of the thread that serves the queue */
	struct slot *slot;
	unsigned queue;
};

/* A device in its place on the bus. */
struct slot {
	struct virtio *device; /* NULL: its opening failed */
	void (*close)(struct virtio *v);
	struct vm *vm;
	unsigned irq;          /* its line */
	pthread_mutex_t irq_lock; /* of the line */
	struct kick kick[VIRTIO_QUEUES_MAX];
};

/* A thread that serves one queue of a disk: a request is done before the next is taken, and no other queue waits. */
struct disk_thread {
	struct loop loop;
	pthread_t thread;
	struct watch stop; /* on an owned eventfd */
	bool started;
};

struct vmm_machine {
	struct memory mem;
	struct vm vm;
	struct loop *loop; /* borrowed; serves all devices but disks */
	struct slot slot[MMIO_DEVICES_MAX];
	unsigned nslots;
	struct disk_thread disk_thread[MACHINE_DISKS_MAX * BLK_QUEUES_MAX];
	unsigned ndisk_threads;
	bool vm_is_open;
};

/* Makes it of the fds that the process was started with. On failure machine_close() is still called. */
int machine_open(struct vmm_machine *m, const struct machine_spec *s, struct loop *l, struct error *err) MUST_CHECK;
int machine_start(struct vmm_machine *m, struct error *err) MUST_CHECK;
void machine_close(struct vmm_machine *m);

#endif

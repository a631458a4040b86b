/* Inside the machine: what vm.c, load.c and the files of a vCPU know of each other. */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include "vmm/vm.h"

struct kvm_cpuid2;

/* What interrupts KVM_RUN; it does nothing else. */
#define VCPU_KICK_SIGNAL SIGRTMIN

/* --- vm.c ------------------------------------------------------------------------------------ */

/* The machine ends: all vCPUs leave KVM_RUN soon. Only the first reason counts. Any thread. */
void vm_end(struct vm *vm, enum vm_end end, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* --- vcpu.c: a vCPU before it runs ----------------------------------------------------------- */

/* Makes CPU `index` of the machine; the cpuid is changed to be this CPU's. c is zero but for fd, -1.
 * vcpu_close() is due on failure, too. */
int vcpu_open(struct vcpu *c, struct vm *vm, unsigned index, struct kvm_cpuid2 *cpuid,
	      struct error *err) MUST_CHECK;
void vcpu_close(struct vcpu *c);

/* Puts it where PVH wants a boot CPU: 32-bit protected mode, flat segments, EBX = start_info. */
int vcpu_enter_pvh(struct vcpu *c, uint32_t entry, uint32_t start_info, struct error *err) MUST_CHECK;

/* --- run.c: and while it runs ---------------------------------------------------------------- */

/* The thread function; the thread has all signals blocked. */
void *vcpu_main(void *vcpu);

/* --- ports.c --------------------------------------------------------------------------------- */

/* KVM_EXIT_IO */
void vcpu_port_io(struct vcpu *c);

#endif

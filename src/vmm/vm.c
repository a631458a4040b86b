#include "vmm/vm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clean.h"
#include "vmm/cpuid.h"
#include "vmm/layout.h"
#include "vmm/vcpu.h"

/* --- making it ------------------------------------------------------------------------------- */

static int check_kvm(int kvm_fd, unsigned ncpus, struct error *err)
{
	static const struct {
		int cap;
		const char *name;
	} need[] = {
		{ KVM_CAP_IRQCHIP, "an interrupt controller" },
		{ KVM_CAP_USER_MEMORY, "user memory" },
		{ KVM_CAP_SET_TSS_ADDR, "KVM_SET_TSS_ADDR" },
		{ KVM_CAP_EXT_CPUID, "KVM_GET_SUPPORTED_CPUID" },
		{ KVM_CAP_IOEVENTFD, "ioeventfd" },
		{ KVM_CAP_IMMEDIATE_EXIT, "immediate_exit" },
	};
	int version = ioctl(kvm_fd, KVM_GET_API_VERSION, 0);
	int most = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	if (version != KVM_API_VERSION)
		return error_set(err, -EPROTO, "/dev/kvm speaks version %d, not %d", version,
				 KVM_API_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(need); i++)
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, need[i].cap) <= 0)
			return error_set(err, -EOPNOTSUPP, "KVM here lacks %s: Linux 4.11 has it",
					 need[i].name);
	if (ncpus == 0 || ncpus > VM_CPUS_MAX || (int)ncpus > most)
		return error_set(err, -EINVAL, "a machine has 1 to %d CPUs here, not %u",
				 MIN(VM_CPUS_MAX, most), ncpus);
	return 0;
}

/* A guest's performance counters could measure the host, and AMD's exist without a CPUID bit. KVM before
 * Linux 5.18 cannot turn them off; then it stays at CPUID, which offers none. */
static void no_pmu(int fd)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_PMU_CAPABILITY, .args = { KVM_PMU_CAP_DISABLE } };

	ioctl(fd, KVM_ENABLE_CAP, &cap);
}

/*
 * APICs and PIC in the kernel. No PIT: a guest that knows its clocks (vmm/cpuid.c) has no use for it, and the
 * kernel finds that out for itself (Linux: apic_needs_pit()).
 */
static int make_chips(struct vm *vm, struct error *err)
{
	/* Three pages that KVM needs on old Intel CPUs for real mode; in the hole, where nothing else is. */
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, KVM_TSS_BASE) < 0)
		return error_sys(err, "KVM_SET_TSS_ADDR");
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return error_sys(err, "cannot make the interrupt controllers");
	return 0;
}

/* Before the chips: a slot waits until nobody uses the old list of slots any more (SRCU), which is at once in
 * a new machine, but some 6 ms after KVM_CREATE_IRQCHIP has started a wait of its own. */
static int add_memory(struct vm *vm, struct error *err)
{
	for (unsigned i = 0; i < vm->mem->n; i++) {
		const struct mem_region *r = &vm->mem->region[i];
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = r->gpa,
			.memory_size = r->size,
			.userspace_addr = (uintptr_t)r->host,
		};

		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
			return error_sys(err, "KVM does not take %llu MiB of memory",
					 (unsigned long long)(r->size / MIB));
	}
	return 0;
}

static int make_cpus(struct vm *vm, struct error *err)
{
	struct kvm_cpuid2 *cpuid = cpuid_new(vm->kvm_fd, vm->ncpus, err);
	int r = cpuid ? 0 : -EIO;

	/* One after the other without delay: KVM then gives all of them the same TSC. */
	for (unsigned i = 0; r == 0 && i < vm->ncpus; i++)
		r = vcpu_open(&vm->cpu[i], vm, i, cpuid, err);
	free(cpuid);
	return r;
}

int vm_open(struct vm *vm, int kvm_fd, const struct memory *mem, unsigned ncpus, struct error *err)
{
	int r = check_kvm(kvm_fd, ncpus, err);

	if (r < 0)
		return r;
	*vm = (struct vm){ .kvm_fd = kvm_fd, .fd = -1, .mem = mem, .ncpus = ncpus };
	vm->serial_fd = vm->ended_fd = -1;
	for (unsigned i = 0; i < VM_CPUS_MAX; i++)
		vm->cpu[i].fd = -1;
	serial_init(&vm->serial);
	pthread_mutex_init(&vm->lock, NULL);

	vm->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->ended_fd < 0)
		r = error_sys(err, "eventfd");
	else if ((vm->fd = ioctl(kvm_fd, KVM_CREATE_VM, 0)) < 0)
		r = error_sys(err, "KVM cannot make a virtual machine");
	if (r == 0) {
		no_pmu(vm->fd);
		r = add_memory(vm, err);
	}
	if (r == 0)
		r = make_chips(vm, err);
	if (r == 0)
		r = make_cpus(vm, err);
	if (r < 0)
		vm_close(vm);
	return r;
}

int vm_ioeventfd(struct vm *vm, uint64_t gpa, uint32_t value, int eventfd, struct error *err)
{
	struct kvm_ioeventfd e = {
		.addr = gpa,
		.len = 4,
		.datamatch = value,
		.fd = eventfd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	if (ioctl(vm->fd, KVM_IOEVENTFD, &e) < 0)
		return error_sys(err, "KVM does not take an eventfd at 0x%llx", (unsigned long long)gpa);
	return 0;
}

void vm_pulse_irq(struct vm *vm, unsigned gsi)
{
	/* The interrupt is an edge: it counts when the line rises. A failure would be an interrupt lost, and
	 * only for lines that are not there. */
	for (unsigned level = 2; level-- > 0;) {
		struct kvm_irq_level l = { .irq = gsi, .level = level };

		ioctl(vm->fd, KVM_IRQ_LINE, &l);
	}
}

/* --- running it ------------------------------------------------------------------------------ */

void vm_end(struct vm *vm, enum vm_end end, const char *fmt, ...)
{
	uint64_t one = 1;
	va_list ap;

	pthread_mutex_lock(&vm->lock);
	if (vm->end == VM_RUNS) {
		vm->end = end;
		va_start(ap, fmt);
		vsnprintf(vm->why, sizeof(vm->why), fmt, ap);
		va_end(ap);
		for (unsigned i = 0; i < vm->ncpus; i++) {
			struct vcpu *c = &vm->cpu[i];

			if (c->run)
				__atomic_store_n(&c->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
			if (c->started)
				pthread_kill(c->thread, VCPU_KICK_SIGNAL);
		}
		/* Cannot fail: the counter is zero. */
		if (write(vm->ended_fd, &one, sizeof(one)) < 0)
			abort();
	}
	pthread_mutex_unlock(&vm->lock);
}

static void kicked(int signo)
{
	(void)signo;
}

static int start_cpu(struct vcpu *c, struct error *err)
{
	int r;

	/* A machine that ends meanwhile has set immediate_exit, or sees that this thread is to be told. */
	pthread_mutex_lock(&c->vm->lock);
	r = pthread_create(&c->thread, NULL, vcpu_main, c);
	c->started = r == 0;
	pthread_mutex_unlock(&c->vm->lock);
	return r ? error_code(err, -r, "cannot start a thread for CPU %u", c->index) : 0;
}

int vm_start(struct vm *vm, struct error *err)
{
	/* Without SA_RESTART: also a write(2) to the serial line's reader ends by it. */
	struct sigaction kick = { .sa_handler = kicked };
	sigset_t all, before;
	int r = 0;

	if (sigaction(VCPU_KICK_SIGNAL, &kick, NULL) < 0)
		return error_sys(err, "sigaction");
	/* A vCPU's thread is born with all signals blocked. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; r == 0 && i < vm->ncpus; i++)
		r = start_cpu(&vm->cpu[i], err);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

void vm_stop(struct vm *vm)
{
	vm_end(vm, VM_KILLED, "stopped");
}

void vm_close(struct vm *vm)
{
	if (vm->ended_fd >= 0)
		vm_stop(vm);
	for (unsigned i = 0; i < vm->ncpus; i++)
		if (vm->cpu[i].started)
			pthread_join(vm->cpu[i].thread, NULL);
	for (unsigned i = 0; i < vm->ncpus; i++)
		vcpu_close(&vm->cpu[i]);
	close_fd(&vm->fd);
	close_fd(&vm->ended_fd);
	pthread_mutex_destroy(&vm->lock);
	serial_fini(&vm->serial);
}

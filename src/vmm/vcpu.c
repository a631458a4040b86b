#include "vmm/vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/clean.h"
#include "vmm/cpuid.h"

#define MSR_MISC_ENABLE 0x1a0
#define MISC_ENABLE_FAST_STRING 1
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLE 0x800
#define MTRR_WRITE_BACK 6

#define CR0_PE 0x01
#define CR0_ET 0x10 /* always 1 on real CPUs */
#define RFLAGS_RESERVED 2

/* struct kvm_msrs with room for one. */
struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static int set_msr(const struct vcpu *c, uint32_t index, uint64_t value, struct error *err)
{
	struct one_msr m = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };

	/* The number of MSRs that were set is returned. */
	if (ioctl(c->fd, KVM_SET_MSRS, &m) == 1)
		return 0;
	return error_set(err, -EIO, "KVM refuses MSR 0x%x of CPU %u the value 0x%llx", index, c->index,
			 (unsigned long long)value);
}

static uint64_t get_msr(const struct vcpu *c, uint32_t index)
{
	struct one_msr m = { .head.nmsrs = 1, .entry = { .index = index } };

	return ioctl(c->fd, KVM_GET_MSRS, &m) == 1 ? m.entry.data : 0;
}

/*
 * What firmware would do. Without FAST_STRING Linux takes "rep movsb" of Intel CPUs to be slow; without a
 * default type all memory is uncached where KVM heeds MTRRs.
 */
static int set_msrs(const struct vcpu *c, struct error *err)
{
	int r = set_msr(c, MSR_MISC_ENABLE, get_msr(c, MSR_MISC_ENABLE) | MISC_ENABLE_FAST_STRING, err);

	return r < 0 ? r : set_msr(c, MSR_MTRR_DEF_TYPE, MTRR_ENABLE | MTRR_WRITE_BACK, err);
}

static int map_run(struct vcpu *c, struct error *err)
{
	int bytes = ioctl(c->vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *p;

	if (bytes < (int)sizeof(struct kvm_run))
		return error_set(err, -EPROTO, "KVM's shared area of %d bytes is too small", bytes);
	p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (p == MAP_FAILED)
		return error_sys(err, "cannot map CPU %u", c->index);
	c->run = p;
	c->run_bytes = (size_t)bytes;
	return 0;
}

int vcpu_open(struct vcpu *c, struct vm *vm, unsigned index, struct kvm_cpuid2 *cpuid, struct error *err)
{
	int r;

	c->vm = vm;
	c->index = index;
	c->fd = ioctl(vm->fd, KVM_CREATE_VCPU, index); /* its id is also its APIC id */
	if (c->fd < 0)
		return error_sys(err, "cannot make CPU %u", index);
	cpuid_set_apic_id(cpuid, index);
	r = map_run(c, err);
	if (r < 0)
		return r;
	if (ioctl(c->fd, KVM_SET_CPUID2, cpuid) < 0)
		return error_sys(err, "KVM refuses what CPU %u is to say of itself", index);
	return set_msrs(c, err);
}

void vcpu_close(struct vcpu *c)
{
	if (c->run)
		munmap(c->run, c->run_bytes);
	c->run = NULL;
	close_fd(&c->fd);
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};
}

/* As docs/misc/pvh.pandoc lists it. No descriptor table stands behind the selectors: the kernel loads its own
 * before it loads a segment register. */
static void pvh_sregs(struct kvm_sregs *s)
{
	s->cs = flat_segment(0x08, 0xb); /* execute, read, accessed */
	s->ds = s->es = s->fs = s->gs = s->ss = flat_segment(0x10, 0x3); /* read, write, accessed */
	/* A busy 32-bit TSS */
	s->tr = (struct kvm_segment){ .limit = 0x67, .selector = 0x18, .type = 0xb, .present = 1 };
	s->gdt = s->idt = (struct kvm_dtable){ 0 };
	s->cr0 = CR0_PE | CR0_ET;
	s->cr4 = 0;
	s->efer = 0;
}

int vcpu_enter_pvh(struct vcpu *c, uint32_t entry, uint32_t start_info, struct error *err)
{
	struct kvm_regs regs = { .rip = entry, .rbx = start_info, .rflags = RFLAGS_RESERVED };
	struct kvm_sregs sregs;

	if (ioctl(c->fd, KVM_GET_SREGS, &sregs) < 0)
		return error_sys(err, "cannot read the registers of CPU %u", c->index);
	pvh_sregs(&sregs);
	if (ioctl(c->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(c->fd, KVM_SET_REGS, &regs) < 0)
		return error_sys(err, "cannot set the registers of CPU %u", c->index);
	return 0;
}

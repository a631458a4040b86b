/*
 * The probe: a throw-away machine of 64 KiB, one vCPU and an in-kernel interrupt controller runs
 * probe_guest.c.
 *
 * That /dev/kvm opens and makes machines proves nothing: under some clouds it does both and then fails on
 * the first instruction that its emulator does not know. So the guest says on a port what it tries next,
 * and whatever ends the run instead of the last report is the failure of the step that was announced.
 *
 * A guest that hangs, be it that no timer interrupt ever comes, is ended by SIGALRM: the handler sets
 * kvm_run.immediate_exit, so the signal counts also when it comes just before KVM_RUN (Linux,
 * virt/kvm/api.rst).
 */
#include "vmm/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "vmm/layout.h"
#include "vmm/probe_guest.h"

#define CPUID_MAX 256

/* KVM gives the 15 bytes at the instruction: enough of them to know it. */
#define INSTRUCTION_SHOWN 8

#define CR0_PE (1U << 0)
#define CR0_MP (1U << 1)
#define CR0_ET (1U << 4)
#define CR0_NE (1U << 5)
#define CR0_WP (1U << 16)
#define CR0_PG (1U << 31)
#define CR4_PAE (1U << 5)
#define EFER_LME (1U << 8)
#define EFER_LMA (1U << 10)

#define PTE_TABLE 0x3   /* present, writable */
#define PTE_LARGE 0x83  /* ... and a page of 2 MiB */
#define PTE_DEVICE 0x9b /* ... and not cached */

struct probe {
	int kvm_fd;         /* borrowed */
	int vm_fd, vcpu_fd; /* owned */
	uint8_t *memory;    /* owned mapping of PROBE_MEMORY bytes */
	struct kvm_run *run; /* owned mapping of run_bytes */
	size_t run_bytes;
	struct verdict *verdict;
};

/* For the handler of SIGALRM. */
static struct kvm_run *volatile alarm_run;
static volatile sig_atomic_t alarm_came;

static void on_alarm(int sig)
{
	(void)sig;
	alarm_came = 1;
	if (alarm_run)
		alarm_run->immediate_exit = 1;
}

static uint32_t elapsed_us(uint64_t since_ns)
{
	return (uint32_t)((clock_ns() - since_ns) / 1000);
}

/* --- what happened ---------------------------------------------------------------------------- */

const char *probe_step_name(unsigned step)
{
	static const char *const names[PROBE_STEPS] = {
		[PROBE_STEP_START] = "entering 64-bit mode",
		[PROBE_STEP_EFER] = "wrmsr of EFER",
		[PROBE_STEP_GS] = "wrmsr of GS base",
		[PROBE_STEP_INT3] = "int3",
		[PROBE_STEP_CMPXCHG16B] = "lock cmpxchg16b",
		[PROBE_STEP_XSAVE] = "xsave/xrstor",
		[PROBE_STEP_TIMER] = "timer interrupt",
	};

	return step < PROBE_STEPS ? names[step] : "an unknown step";
}

/* Linux says these in KVM_EXIT_INTERNAL_ERROR; the instruction's bytes come with an emulation that failed. */
static void internal_error_text(const struct kvm_run *run, char out[VERDICT_REASON_MAX])
{
	static const char *const names[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "it cannot emulate the instruction",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "two exceptions at once",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "it cannot deliver an event",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an exit that it does not know",
	};
	uint32_t sub = run->internal.suberror;
	const char *name = sub < ARRAY_SIZE(names) && names[sub] ? names[sub] : "an unknown reason";
	int n = snprintf(out, VERDICT_REASON_MAX, "KVM_EXIT_INTERNAL_ERROR, suberror %u: %s", sub, name);
	const uint8_t *bytes = run->emulation_failure.insn_bytes;
	unsigned i;

	if (sub != KVM_INTERNAL_ERROR_EMULATION || run->emulation_failure.ndata < 3 ||
	    !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	n += snprintf(out + n, VERDICT_REASON_MAX - (size_t)n, " (bytes");
	for (i = 0; i < MIN(run->emulation_failure.insn_size, INSTRUCTION_SHOWN); i++)
		n += snprintf(out + n, VERDICT_REASON_MAX - (size_t)n, " %02x", bytes[i]);
	snprintf(out + n, VERDICT_REASON_MAX - (size_t)n, ")");
}

void probe_exit_text(const struct kvm_run *run, char out[VERDICT_REASON_MAX])
{
	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		internal_error_text(run, out);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(out, VERDICT_REASON_MAX,
			 "KVM_EXIT_FAIL_ENTRY: the processor refuses to enter the guest (0x%llx)",
			 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_SHUTDOWN:
		snprintf(out, VERDICT_REASON_MAX, "KVM_EXIT_SHUTDOWN: a triple fault");
		break;
	case KVM_EXIT_MMIO:
		snprintf(out, VERDICT_REASON_MAX, "KVM_EXIT_MMIO: an access to 0x%llx, which nobody made",
			 (unsigned long long)run->mmio.phys_addr);
		break;
	case KVM_EXIT_IO:
		snprintf(out, VERDICT_REASON_MAX, "KVM_EXIT_IO: an access to port 0x%x, which nobody made",
			 run->io.port);
		break;
	case KVM_EXIT_HLT:
		snprintf(out, VERDICT_REASON_MAX,
			 "KVM_EXIT_HLT: the in-kernel interrupt controller does not wake the guest");
		break;
	default:
		snprintf(out, VERDICT_REASON_MAX, "exit reason %u of KVM", run->exit_reason);
	}
}

bool probe_exit(const struct kvm_run *run, unsigned *step, struct verdict *v)
{
	uint8_t value = 0;
	char why[VERDICT_REASON_MAX];

	if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT && run->io.size == 1) {
		value = *((const uint8_t *)run + run->io.data_offset);
		switch (run->io.port) {
		case PROBE_PORT_STEP:
			*step = value;
			return true;
		case PROBE_PORT_DONE:
			v->works = true;
			return false;
		case PROBE_PORT_WRONG:
			verdict_fails(v, probe_step_name(*step), "the result is wrong");
			return false;
		case PROBE_PORT_EXCEPTION:
			verdict_fails(v, probe_step_name(*step), "exception %u in the guest", value);
			return false;
		}
	}
	probe_exit_text(run, why);
	verdict_fails(v, probe_step_name(*step), "%s", why);
	return false;
}

/* --- the machine ------------------------------------------------------------------------------ */

/*
 * The functions from here on return 0 and leave verdict->works true as long as nothing speaks against it.
 * That the host is short of something is no verdict on KVM: then a call that failed is -errno.
 */
static int call_failed(struct probe *p, const char *call, struct error *err)
{
	int code = errno;

	if (code == EINTR && alarm_came)
		return verdict_fails(p->verdict, call, "not over after %d s", PROBE_LIMIT_S);
	if (code == ENOMEM || code == EMFILE || code == ENFILE || code == EAGAIN || code == EINTR)
		return error_code(err, -code, "cannot probe KVM: %s", call);
	return verdict_fails(p->verdict, call, "%s", strerror(code));
}

static void put_u64(uint8_t *p, uint64_t value)
{
	memcpy(p, &value, sizeof(value));
}

/* [0, 2 MiB) and the page of the local APIC, both where they are. */
static void put_tables(uint8_t *memory)
{
	uint8_t *level4 = memory + PROBE_TABLES, *level3 = level4 + 0x1000;
	uint64_t low = PROBE_TABLES + 0x2000, high = PROBE_TABLES + 0x3000;

	put_u64(level4, (PROBE_TABLES + 0x1000) | PTE_TABLE);
	put_u64(level3, low | PTE_TABLE);
	put_u64(level3 + (LAPIC_BASE >> 30) * 8, high | PTE_TABLE);
	put_u64(memory + low, PTE_LARGE);
	put_u64(memory + high + (LAPIC_BASE >> 21) % 512 * 8, LAPIC_BASE | PTE_DEVICE);
}

static int make_memory(struct probe *p, struct error *err)
{
	struct kvm_userspace_memory_region region = { .memory_size = PROBE_MEMORY };
	void *m = mmap(NULL, PROBE_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		return error_sys(err, "cannot map the probe's memory");
	p->memory = m;
	put_tables(p->memory);
	memcpy(p->memory + PROBE_CODE, probe_guest, (size_t)(probe_guest_end - probe_guest));
	region.userspace_addr = (uintptr_t)p->memory;
	if (ioctl(p->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return call_failed(p, "KVM_SET_USER_MEMORY_REGION", err);
	return 0;
}

static int check_version(struct probe *p)
{
	static const char call[] = "KVM_GET_API_VERSION";
	int version = ioctl(p->kvm_fd, KVM_GET_API_VERSION, 0);

	if (version < 0)
		return verdict_fails(p->verdict, call, "the device is not KVM (%s)", strerror(errno));
	if (version != KVM_API_VERSION)
		return verdict_fails(p->verdict, call, "%d instead of %d", version, KVM_API_VERSION);
	return 0;
}

static int make_vm(struct probe *p, struct error *err)
{
	uint64_t start = clock_ns();

	do
		p->vm_fd = ioctl(p->kvm_fd, KVM_CREATE_VM, 0);
	while (p->vm_fd < 0 && errno == EINTR && !alarm_came);
	p->verdict->create_us = elapsed_us(start);
	if (p->vm_fd < 0)
		return call_failed(p, "KVM_CREATE_VM", err);
	/* Three pages below 4 GiB that Intel's processors want; before the first vCPU. */
	if (ioctl(p->vm_fd, KVM_SET_TSS_ADDR, KVM_TSS_BASE) < 0)
		return call_failed(p, "KVM_SET_TSS_ADDR", err);
	if (ioctl(p->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return call_failed(p, "KVM_CREATE_IRQCHIP", err);
	return make_memory(p, err);
}

static int set_cpuid(struct probe *p, struct error *err)
{
	union {
		struct kvm_cpuid2 head;
		uint8_t bytes[sizeof(struct kvm_cpuid2) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2)];
	} all = { .head.nent = CPUID_MAX };

	if (ioctl(p->kvm_fd, KVM_GET_SUPPORTED_CPUID, &all) < 0)
		return call_failed(p, "KVM_GET_SUPPORTED_CPUID", err);
	if (ioctl(p->vcpu_fd, KVM_SET_CPUID2, &all) < 0)
		return call_failed(p, "KVM_SET_CPUID2", err);
	return 0;
}

static int set_registers(struct probe *p, struct error *err)
{
	const struct kvm_segment data = { .selector = PROBE_DS, .limit = ~0U, .type = 3, .s = 1, .present = 1,
					  .db = 1, .g = 1 };
	const struct kvm_segment code = { .selector = PROBE_CS, .limit = ~0U, .type = 11, .s = 1, .present = 1,
					  .l = 1, .g = 1 };
	struct kvm_regs regs = { .rip = PROBE_CODE, .rsp = PROBE_STACK, .rflags = 2 };
	struct kvm_sregs s;

	if (ioctl(p->vcpu_fd, KVM_GET_SREGS, &s) < 0)
		return call_failed(p, "KVM_GET_SREGS", err);
	s.ds = s.es = s.ss = s.fs = s.gs = data;
	s.cs = code;
	/* What a processor is after reset is no task segment of 64-bit mode. */
	s.tr = (struct kvm_segment){ .limit = 0x67, .type = 11, .present = 1 };
	s.cr3 = PROBE_TABLES;
	s.cr4 = CR4_PAE;
	s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	s.efer = EFER_LME | EFER_LMA;
	if (ioctl(p->vcpu_fd, KVM_SET_SREGS, &s) < 0)
		return call_failed(p, "KVM_SET_SREGS", err);
	if (ioctl(p->vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return call_failed(p, "KVM_SET_REGS", err);
	return 0;
}

static int make_vcpu(struct probe *p, struct error *err)
{
	int bytes = ioctl(p->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *m;

	if (bytes < (int)sizeof(*p->run))
		return call_failed(p, "KVM_GET_VCPU_MMAP_SIZE", err);
	p->vcpu_fd = ioctl(p->vm_fd, KVM_CREATE_VCPU, 0);
	if (p->vcpu_fd < 0)
		return call_failed(p, "KVM_CREATE_VCPU", err);
	m = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu_fd, 0);
	if (m == MAP_FAILED)
		return call_failed(p, "mmap of a vCPU", err);
	p->run = m;
	p->run_bytes = (size_t)bytes;
	return set_cpuid(p, err);
}

static int run_guest(struct probe *p, struct error *err)
{
	unsigned step = PROBE_STEP_START, exits = 0;
	uint64_t start;
	int r;

	alarm_run = p->run;
	if (alarm_came)
		p->run->immediate_exit = 1;
	start = clock_ns();
	do {
		r = ioctl(p->vcpu_fd, KVM_RUN, 0);
		if (r < 0 && errno == EINTR && !alarm_came)
			continue;
		if (r < 0)
			return call_failed(p, probe_step_name(step), err);
		if (exits++ == 0)
			p->verdict->run_us = elapsed_us(start);
	} while (r < 0 || probe_exit(p->run, &step, p->verdict));
	return 0;
}

static void release(struct probe *p)
{
	alarm(0);
	alarm_run = NULL;
	if (p->run)
		munmap(p->run, p->run_bytes);
	close_fd(&p->vcpu_fd);
	close_fd(&p->vm_fd);
	if (p->memory)
		munmap(p->memory, PROBE_MEMORY);
}

int probe_kvm(int kvm_fd, struct verdict *ret, struct error *err)
{
	struct sigaction act = { .sa_handler = on_alarm }; /* without SA_RESTART: KVM_RUN ends with EINTR */
	struct verdict v = { .works = true };
	struct probe p = { .kvm_fd = kvm_fd, .vm_fd = -1, .vcpu_fd = -1, .verdict = &v };
	int r;

	if (sigaction(SIGALRM, &act, NULL) < 0)
		return error_sys(err, "cannot limit the probe's time");
	alarm_came = 0;
	alarm(PROBE_LIMIT_S);
	r = check_version(&p);
	if (r == 0 && v.works)
		r = make_vm(&p, err);
	if (r == 0 && v.works)
		r = make_vcpu(&p, err);
	if (r == 0 && v.works)
		r = set_registers(&p, err);
	if (r == 0 && v.works)
		r = run_guest(&p, err);
	release(&p);
	if (r == 0)
		*ret = v;
	return r;
}

/*
 * A vCPU's thread: KVM_RUN until the machine ends.
 *
 * Stopping. vm_end() sets run->immediate_exit of every vCPU, which is never cleared again, and then sends
 * each thread a signal with an empty handler. Whatever the thread is doing, no wake-up is lost:
 *   - before KVM_RUN, it sees immediate_exit, or KVM does at the start of KVM_RUN and returns EINTR (what is
 *     left of an access is completed by then);
 *   - in KVM_RUN after KVM has looked, the signal is pending, and KVM returns EINTR before it enters the
 *     guest, or leaves the guest for it;
 *   - in an exit's work, which waits for nothing: it comes back here.
 * So the signal need not be blocked outside KVM_RUN (KVM_SET_SIGNAL_MASK, as one did before Linux 4.11). It
 * is the only one that these threads take: others are for those of this process that wait for them.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/str.h"
#include "vmm/vcpu.h"

#define INSTRUCTION_MAX 15

static const char *internal_error_text(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "cannot emulate an instruction";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "met an exception within an exception that it cannot deliver";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "left the guest while an event was being delivered";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "left the guest for an unknown reason";
	default:
		return "failed";
	}
}

/* The bytes at the guest's rip in hex; "" when they cannot be seen (no translation, no memory). */
static void instruction_hex(const struct vcpu *c, uint64_t linear, char hex[2 * INSTRUCTION_MAX + 1])
{
	struct kvm_translation t = { .linear_address = linear };
	uint8_t bytes[INSTRUCTION_MAX];
	/* Not into the next page, which may be elsewhere. */
	size_t n = MIN(sizeof(bytes), 4096 - (linear & 4095));

	hex[0] = '\0';
	if (ioctl(c->fd, KVM_TRANSLATE, &t) == 0 && t.valid &&
	    mem_copy_in(c->vm->mem, bytes, t.physical_address, n) == 0)
		str_hex(bytes, n, hex);
}

/* Ends the machine by a failure of this CPU: the reason, and where the guest was. */
PRINTF_LIKE(2, 3) static void fail(struct vcpu *c, const char *fmt, ...)
{
	char what[128], hex[2 * INSTRUCTION_MAX + 1] = "";
	struct kvm_regs regs = { 0 };
	struct kvm_sregs sregs = { 0 };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (ioctl(c->fd, KVM_GET_REGS, &regs) < 0 || ioctl(c->fd, KVM_GET_SREGS, &sregs) < 0) {
		vm_end(c->vm, VM_FAILED, "CPU %u: %s", c->index, what);
		return;
	}
	instruction_hex(c, sregs.cs.base + regs.rip, hex);
	vm_end(c->vm, VM_FAILED, "CPU %u: %s (rip 0x%llx, cr0 0x%llx, instruction %s)", c->index, what,
	       (unsigned long long)regs.rip, (unsigned long long)sregs.cr0, hex[0] ? hex : "not readable");
}

static void mmio(struct vcpu *c)
{
	struct kvm_run *run = c->run;
	uint32_t n = run->mmio.len;
	/* What is split at a page's end may have 3, 5, ... bytes; no device has a register there. */
	bool known = c->vm->mmio && (n == 1 || n == 2 || n == 4 || n == 8);

	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	if (known)
		c->vm->mmio(c->vm->mmio_ud, run->mmio.phys_addr, run->mmio.data, n, run->mmio.is_write);
}

static void system_event(struct vcpu *c)
{
	uint32_t type = c->run->system_event.type;

	if (type == KVM_SYSTEM_EVENT_CRASH)
		vm_end(c->vm, VM_CRASHED, "the guest says that it crashed");
	else if (type == KVM_SYSTEM_EVENT_SHUTDOWN || type == KVM_SYSTEM_EVENT_RESET)
		vm_end(c->vm, VM_SHUTDOWN, "the guest asked for it");
	else
		fail(c, "unknown system event %u", type);
}

static void handle_exit(struct vcpu *c)
{
	const struct kvm_run *run = c->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_port_io(c);
		break;
	case KVM_EXIT_MMIO:
		mmio(c);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
		vm_end(c->vm, VM_TRIPLE_FAULT, "the guest's CPU %u met a triple fault: its kernel has crashed",
		       c->index);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		system_event(c);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		fail(c, "the CPU refuses to enter the guest, hardware reason 0x%llx",
		     (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		fail(c, "KVM %s (internal error %u)", internal_error_text(run->internal.suberror),
		     run->internal.suberror);
		break;
	case KVM_EXIT_HLT: /* is the in-kernel APIC's affair */
		fail(c, "KVM gave a halt to user space");
		break;
	default:
		fail(c, "KVM left the guest for reason %u, which is unknown here", run->exit_reason);
	}
}

static void take_kicks(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, VCPU_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void *vcpu_main(void *vcpu)
{
	struct vcpu *c = vcpu;
	char name[16];

	snprintf(name, sizeof(name), "cpu %u", c->index);
	pthread_setname_np(pthread_self(), name);
	take_kicks();
	while (!__atomic_load_n(&c->run->immediate_exit, __ATOMIC_SEQ_CST)) {
		/* EAGAIN: this CPU was waiting for SIPI and has got it. */
		if (ioctl(c->fd, KVM_RUN, 0) == 0)
			handle_exit(c);
		else if (errno != EINTR && errno != EAGAIN)
			fail(c, "KVM_RUN: %s", strerror(errno));
	}
	return NULL;
}

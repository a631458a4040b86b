/*
 * What the guest's CPUs say of themselves: what KVM can do here, without what a box has no use for, and with
 * one socket of ncpus cores of one thread each.
 */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include <linux/kvm.h>

#include "base/error.h"

#define CPUID_ENTRIES_MAX 256

/* KVM's list, adapted for a machine of that many CPUs; free() it. NULL with err. */
struct kvm_cpuid2 *cpuid_new(int kvm_fd, unsigned ncpus, struct error *err);

/* The same on a list in hand, which has room for CPUID_ENTRIES_MAX entries; for tests. */
void cpuid_adapt(struct kvm_cpuid2 *c, unsigned ncpus, bool tsc_deadline);

/* Makes it the list of the CPU with this APIC id. */
void cpuid_set_apic_id(struct kvm_cpuid2 *c, unsigned id);

#endif

/*
 * Leaves and bits: Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E; KVM's own in Linux'
 * Documentation/virt/kvm/x86/cpuid.rst.
 *
 * Frequencies need no leaf: kvm-clock (0x40000001) tells the guest its TSC's, and with the TSC deadline timer
 * that is the APIC timer's too. So nothing is calibrated.
 */
#include "vmm/cpuid.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define BIT(n) (1u << (n))
#define FIELD(v, low, mask) (((uint32_t)(v) & (mask)) << (low))

enum {
	LEAF_FEATURES = 1,
	LEAF_CACHE = 4,
	LEAF_MWAIT = 5,
	LEAF_FEATURES_7 = 7,
	LEAF_PMU = 0xa,
	LEAF_TOPOLOGY = 0xb,
	LEAF_SGX = 0x12,
	LEAF_TRACE = 0x14,
	LEAF_TOPOLOGY_2 = 0x1f,
};
#define LEAF_AMD_FEATURES 0x80000001u
#define LEAF_AMD_SIZES 0x80000008u
#define LEAF_AMD_SVM 0x8000000au
#define LEAF_AMD_CACHE 0x8000001du
#define LEAF_AMD_TOPOLOGY 0x8000001eu
#define LEAF_AMD_ENCRYPTION 0x8000001fu
#define LEAF_AMD_PMU 0x80000022u

#define TOPOLOGY_THREAD 1
#define TOPOLOGY_CORE 2

/* Bits of an APIC id that n ids need. */
static unsigned id_bits(unsigned n)
{
	unsigned bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *c, uint32_t leaf)
{
	for (unsigned i = 0; i < c->nent; i++)
		if (c->entries[i].function == leaf)
			return &c->entries[i];
	return NULL;
}

static bool is_amd(struct kvm_cpuid2 *c)
{
	const struct kvm_cpuid_entry2 *e = find(c, 0);

	return e && (e->ebx == 0x68747541 || e->ebx == 0x6f677948); /* "Auth"enticAMD, "Hygo"nGenuine */
}

/*
 * No place in a box: MWAIT (would keep a host CPU), performance counters, processor trace, SGX, memory
 * encryption (a guest that sees the bit asks for an MSR that is not there), and virtualization (our kernel
 * has no use for it, and the host's KVM is the smaller target without). The topology is written anew.
 */
static bool is_unwanted(uint32_t leaf)
{
	switch (leaf) {
	case LEAF_MWAIT:
	case LEAF_PMU:
	case LEAF_SGX:
	case LEAF_TRACE:
	case LEAF_TOPOLOGY:
	case LEAF_TOPOLOGY_2:
	case LEAF_AMD_SVM:
	case LEAF_AMD_ENCRYPTION:
	case LEAF_AMD_PMU:
		return true;
	default:
		return false;
	}
}

static void drop_unwanted(struct kvm_cpuid2 *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->nent; i++)
		if (!is_unwanted(c->entries[i].function))
			c->entries[n++] = c->entries[i];
	c->nent = n;
}

static void adapt_features(struct kvm_cpuid_entry2 *e, unsigned ncpus, bool tsc_deadline)
{
	/* MONITOR, VMX, PDCM (an MSR of the performance counters) */
	e->ecx &= ~(BIT(3) | BIT(5) | BIT(15));
	/* x2APIC (KVM's local APIC has it), hypervisor */
	e->ecx |= BIT(21) | BIT(31);
	if (tsc_deadline)
		e->ecx |= BIT(24);
	e->ebx = (e->ebx & ~FIELD(0xff, 16, 0xff)) | FIELD(1u << id_bits(ncpus), 16, 0xff);
	/* HTT: the field above counts. */
	e->edx = ncpus > 1 ? e->edx | BIT(28) : e->edx & ~BIT(28);
}

/* Levels 1 and 2 are a core's own, what is above is everybody's. */
static void adapt_cache(struct kvm_cpuid_entry2 *e, unsigned ncpus, bool amd)
{
	unsigned level = e->eax >> 5 & 7;
	unsigned sharing = level > 2 ? 1u << id_bits(ncpus) : 1;

	if ((e->eax & 0x1f) == 0)
		return; /* no more caches */
	e->eax = (e->eax & 0x3fff) | FIELD(sharing - 1, 14, 0xfff);
	if (!amd)
		e->eax |= FIELD((1u << id_bits(ncpus)) - 1, 26, 0x3f); /* cores of the socket */
}

static void adapt_entry(struct kvm_cpuid_entry2 *e, unsigned ncpus, bool amd, bool tsc_deadline)
{
	switch (e->function) {
	case LEAF_FEATURES:
		adapt_features(e, ncpus, tsc_deadline);
		break;
	case LEAF_CACHE:
	case LEAF_AMD_CACHE:
		adapt_cache(e, ncpus, amd);
		break;
	case LEAF_FEATURES_7:
		if (e->index == 0)
			e->ebx &= ~(BIT(2) | BIT(25)); /* SGX, processor trace */
		break;
	case LEAF_AMD_FEATURES:
		e->ecx &= ~(BIT(2) | BIT(23)); /* SVM, performance counters */
		break;
	case LEAF_AMD_SIZES:
		if (amd)
			e->ecx = FIELD(id_bits(ncpus), 12, 0xf) | FIELD(ncpus - 1, 0, 0xff);
		break;
	case LEAF_AMD_TOPOLOGY: /* one thread a core, one node */
		e->ebx = e->ecx = 0;
		break;
	}
}

static void add_topology(struct kvm_cpuid2 *c, uint32_t index, uint32_t shift, uint32_t count, uint32_t type)
{
	if (c->nent >= CPUID_ENTRIES_MAX)
		return;
	c->entries[c->nent++] = (struct kvm_cpuid_entry2){
		.function = LEAF_TOPOLOGY,
		.index = index,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = shift,
		.ebx = count,
		.ecx = type << 8 | index,
	};
}

void cpuid_adapt(struct kvm_cpuid2 *c, unsigned ncpus, bool tsc_deadline)
{
	bool amd = is_amd(c);
	const struct kvm_cpuid_entry2 *max;

	drop_unwanted(c);
	for (unsigned i = 0; i < c->nent; i++)
		adapt_entry(&c->entries[i], ncpus, amd, tsc_deadline);
	max = find(c, 0);
	if (max && max->eax >= LEAF_TOPOLOGY) {
		add_topology(c, 0, 0, 1, TOPOLOGY_THREAD);
		add_topology(c, 1, id_bits(ncpus), ncpus, TOPOLOGY_CORE);
		add_topology(c, 2, 0, 0, 0);
	}
}

void cpuid_set_apic_id(struct kvm_cpuid2 *c, unsigned id)
{
	for (unsigned i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		switch (e->function) {
		case LEAF_FEATURES:
			e->ebx = (e->ebx & 0xffffff) | FIELD(id, 24, 0xff);
			break;
		case LEAF_TOPOLOGY:
			e->edx = id;
			break;
		case LEAF_AMD_TOPOLOGY:
			e->eax = id;
			e->ebx = id & 0xff; /* core */
			break;
		}
	}
}

struct kvm_cpuid2 *cpuid_new(int kvm_fd, unsigned ncpus, struct error *err)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + CPUID_ENTRIES_MAX * sizeof(c->entries[0]));

	if (!c) {
		error_nomem(err);
		return NULL;
	}
	c->nent = CPUID_ENTRIES_MAX;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, c) < 0) {
		error_sys(err, "KVM does not say what its CPUs can do");
		free(c);
		return NULL;
	}
	cpuid_adapt(c, ncpus, ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0);
	return c;
}

/* What the kernel finds at its start, read back as the specifications say: start info, MP table; and CPUID
 * lists. */
#include "vmm/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "vmm/cpuid.h"
#include "vmm/layout.h"
#include "vmm/vm.h"

#include "lib/tap.h"

static struct memory mem;

static struct rd at(uint64_t gpa, uint64_t n)
{
	return rd_over(mem_at(&mem, gpa, n), n);
}

static uint8_t sum(uint64_t gpa, uint64_t n)
{
	struct rd r = at(gpa, n);
	uint8_t s = 0;

	while (rd_left(&r))
		s = (uint8_t)(s + rd_u8(&r));
	return s;
}

/* --- start info ------------------------------------------------------------------------------ */

struct map_entry {
	uint64_t at, size;
	uint32_t type;
};

static struct map_entry map_entry(struct rd *r)
{
	struct map_entry e = { .at = rd_u64(r) };

	e.size = rd_u64(r);
	e.type = rd_u32(r);
	rd_u32(r);
	return e;
}

static void test_start_info(void)
{
	struct rd r = at(START_INFO_BASE, 56), m;
	uint64_t modules, cmdline, map;
	uint32_t nmap;
	struct map_entry e;

	is_int(tables_write_start_info(&mem, "quiet panic=-1", 0x5000000, 4711, NULL), 0, "it is written");
	is_int(rd_u32(&r), 0x336ec578, "its magic number");
	is_int(rd_u32(&r), 1, "its version");
	is_int(rd_u32(&r), 0, "no flags");
	is_int(rd_u32(&r), 1, "one module");
	modules = rd_u64(&r);
	cmdline = rd_u64(&r);
	is_int(rd_u64(&r), 0, "no ACPI");
	map = rd_u64(&r);
	nmap = rd_u32(&r);
	is_int(rd_u32(&r), 0, "reserved");

	is_str(mem_at(&mem, cmdline, 15), "quiet panic=-1", "the command line");
	m = at(modules, 32);
	is_int(rd_u64(&m), 0x5000000, "the initramfs' place");
	is_int(rd_u64(&m), 4711, "and size");
	is_int(rd_u64(&m), 0, "without a command line");

	is_int(nmap, 4, "the memory map has four entries");
	m = at(map, nmap * 24ULL);
	e = map_entry(&m);
	ok(e.at == 0 && e.size == 640 * KIB && e.type == 1, "640 KiB are memory");
	e = map_entry(&m);
	ok(e.at == 0xf0000 && e.size == 64 * KIB && e.type == 2, "the MP table is reserved");
	e = map_entry(&m);
	ok(e.at == MIB && e.size == 3 * GIB - MIB && e.type == 1, "from 1 MiB to the hole is memory");
	e = map_entry(&m);
	ok(e.at == 4 * GIB && e.size == 16 * MIB && e.type == 1, "the rest is above the hole");
}

static void test_start_info_limits(void)
{
	char line[CMDLINE_MAX + 1];
	struct rd r = at(START_INFO_BASE, 56);
	struct memory small = mem;

	memset(line, 'x', sizeof(line));
	line[CMDLINE_MAX] = '\0';
	is_int(tables_write_start_info(&mem, line, 0, 0, NULL), -E2BIG, "a command line that is too long");
	line[CMDLINE_MAX - 1] = '\0';
	is_int(tables_write_start_info(&mem, line, 0, 0, NULL), 0, "one that just fits");
	rd_bytes(&r, 12);
	is_int(rd_u32(&r), 0, "no initramfs, no module");
	is_int(rd_u64(&r), 0, "and no list of modules");
	small.n = 1;
	small.region[0].size = MIB;
	is_int(tables_write_start_info(&small, "", 0, 0, NULL), -ENOSPC, "no memory for a kernel");
	small.region[0].size = 64 * KIB;
	is_int(tables_write_mp(&small, 1, NULL), -ENOSPC, "no memory for an MP table");
}

/* --- MP table -------------------------------------------------------------------------------- */

/* Walks the entries of a table for ncpus CPUs and checks each. */
static void check_entries(struct rd *r, unsigned entries, unsigned ncpus)
{
	unsigned cpus = 0, buses = 0, ioapics = 0, irqs = 0, locals = 0, last = 0;
	bool good = true, ordered = true;

	for (unsigned i = 0; i < entries; i++) {
		uint8_t type = rd_u8(r), a = rd_u8(r), b, c, d;

		ordered &= type >= last;
		last = type;
		switch (type) {
		case 0: /* CPU: id, APIC version, flags */
			good &= a == cpus++;
			good &= rd_u8(r) == 0x14;
			good &= rd_u8(r) == (cpus == 1 ? 3 : 1);
			rd_bytes(r, 16);
			break;
		case 1:
			buses++;
			good &= a == 0 && memcmp(rd_bytes(r, 6), "ISA   ", 6) == 0;
			break;
		case 2: /* I/O APIC: an id that no CPU has, version, enabled, address */
			ioapics++;
			good &= a >= ncpus && rd_u8(r) == 0x11;
			good &= rd_u8(r) == 1;
			good &= rd_u32(r) == 0xfec00000;
			break;
		case 3: /* interrupt, as the bus has it, ISA irq n to pin n */
			good &= a == 0 && rd_u16(r) == 0;
			b = rd_u8(r), c = rd_u8(r), d = rd_u8(r);
			good &= b == 0 && d == ncpus;
			good &= rd_u8(r) == c;
			irqs |= 1u << c;
			break;
		case 4:
			locals++;
			rd_bytes(r, 6);
			break;
		default:
			good = false;
		}
	}
	ok(good && ordered && !r->bad, "%u CPUs: every entry is as specified, in order", ncpus);
	ok(cpus == ncpus && buses == 1 && ioapics == 1 && locals == 2, "%u CPUs: the entries of each kind",
	   ncpus);
	is_int(irqs, 0xfffa, "interrupts 1 and 3 to 15 have a pin each");
}

static void test_mp(unsigned ncpus)
{
	struct rd r = at(MP_TABLE_BASE, 16);
	uint32_t table;
	uint16_t bytes, entries;

	memset(mem_at(&mem, MP_TABLE_BASE, 4096), 0xaa, 4096);
	is_int(tables_write_mp(&mem, ncpus, NULL), 0, "an MP table is written");
	ok(memcmp(rd_bytes(&r, 4), "_MP_", 4) == 0, "its pointer is where kernels look, on 16 bytes");
	table = rd_u32(&r);
	is_int(rd_u8(&r), 1, "the pointer has 16 bytes");
	is_int(rd_u8(&r), 4, "version 1.4");
	rd_u8(&r);
	is_int(rd_le(&r, 5), 0, "there is a table");
	is_int(sum(MP_TABLE_BASE, 16), 0, "the pointer's sum is 0");

	r = at(table, 4096 - 16);
	ok(memcmp(rd_bytes(&r, 4), "PCMP", 4) == 0, "the table's magic number");
	bytes = rd_u16(&r);
	is_int(rd_u8(&r), 4, "version 1.4");
	is_int(sum(table, bytes), 0, "the table's sum is 0");
	rd_bytes(&r, 1 + 8 + 12);
	is_int(rd_u32(&r), 0, "no table of the maker's");
	rd_u16(&r);
	entries = rd_u16(&r);
	is_int(rd_u32(&r), 0xfee00000, "local APICs");
	is_int(rd_u32(&r), 0, "no extended table");
	check_entries(&r, entries, ncpus);
	r = at(table, bytes);
	is_int(rd_left(&r), 44 + 20 * ncpus + 8 * (2 + 14 + 2), "its length is that of its entries");
}

/* --- CPUID ----------------------------------------------------------------------------------- */

static const struct kvm_cpuid_entry2 *leaf(const struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	for (unsigned i = 0; i < c->nent; i++)
		if (c->entries[i].function == function && c->entries[i].index == index)
			return &c->entries[i];
	return NULL;
}

static struct kvm_cpuid2 *cpuid_list(uint32_t vendor)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + CPUID_ENTRIES_MAX * sizeof(c->entries[0]));
	const struct kvm_cpuid_entry2 e[] = {
		{ .function = 0, .eax = 0x1f, .ebx = vendor },
		{ .function = 1, .ebx = 0x55400800, .ecx = 0x8028, .edx = 0x178bfbff },
		{ .function = 4, .index = 0, .eax = 0xfc004121 },
		{ .function = 4, .index = 3, .eax = 0xfc0fc163 },
		{ .function = 5, .eax = 0x40 },
		{ .function = 7, .ebx = 0x02000007 },
		{ .function = 0xa, .eax = 0x7300403 },
		{ .function = 0xb, .index = 0, .ebx = 2 },
		{ .function = 0x1f, .index = 0, .ebx = 2 },
		{ .function = 0x40000000, .eax = 0x40000001 },
		{ .function = 0x80000001, .ecx = 0x00800007 },
		{ .function = 0x80000008, .eax = 0x3030, .ecx = 0x703f },
		{ .function = 0x8000000a, .eax = 1 },
		{ .function = 0x8000001e, .ebx = 0x100, .ecx = 1 },
		{ .function = 0x8000001f, .eax = 3 },
	};

	if (!c)
		abort();
	memcpy(c->entries, e, sizeof(e));
	c->nent = ARRAY_SIZE(e);
	return c;
}

static void test_cpuid_intel(void)
{
	struct kvm_cpuid2 *c = cpuid_list(0x756e6547);

	cpuid_adapt(c, 6, true);
	cpuid_set_apic_id(c, 5);
	is_int(leaf(c, 1, 0)->ebx, 0x05080800, "leaf 1: APIC id 5 of 8 ids");
	is_int(leaf(c, 1, 0)->ecx, 0x81200000, "leaf 1: deadline timer, x2APIC; no MWAIT, no VMX");
	is_int(leaf(c, 1, 0)->edx, 0x178bfbff, "leaf 1: the rest stays");
	is_int(leaf(c, 7, 0)->ebx, 3, "leaf 7: no SGX, no trace");
	ok(!leaf(c, 5, 0) && !leaf(c, 0xa, 0) && !leaf(c, 0x1f, 0), "MWAIT, counters and dies have no leaf");
	is_int(leaf(c, 4, 0)->eax, 0x1c000121, "leaf 4: a first-level cache is a core's own");
	is_int(leaf(c, 4, 3)->eax, 0x1c01c163, "leaf 4: a third-level cache is shared by all");
	is_int(leaf(c, 0xb, 0)->ebx, 1, "leaf 0xb: one thread a core");
	is_int(leaf(c, 0xb, 1)->eax, 3, "leaf 0xb: 3 bits of id");
	is_int(leaf(c, 0xb, 1)->ebx, 6, "leaf 0xb: 6 cores");
	is_int(leaf(c, 0xb, 1)->ecx, 0x201, "leaf 0xb: level 1 is cores");
	is_int(leaf(c, 0xb, 2)->edx, 5, "leaf 0xb: the id, at every level");
	is_int(leaf(c, 0x80000008, 0)->ecx, 0x703f, "what is AMD's is left alone");
	ok(leaf(c, 0x40000000, 0) != NULL, "KVM's leaves stay");
	cpuid_set_apic_id(c, 0);
	is_int(leaf(c, 1, 0)->ebx, 0x00080800, "the same list serves the next CPU");
	free(c);

	c = cpuid_list(0x756e6547);
	cpuid_adapt(c, 1, false);
	is_int(leaf(c, 1, 0)->ecx, 0x80200000, "no deadline timer without KVM's");
	is_int(leaf(c, 1, 0)->edx, 0x078bfbff, "one CPU: no HTT");
	free(c);
}

static void test_cpuid_amd(void)
{
	struct kvm_cpuid2 *c = cpuid_list(0x68747541);

	cpuid_adapt(c, 4, true);
	cpuid_set_apic_id(c, 3);
	is_int(leaf(c, 0x80000001, 0)->ecx, 3, "AMD: no SVM, no counters");
	is_int(leaf(c, 0x80000008, 0)->ecx, 0x2003, "AMD: 4 cores, 2 bits of id");
	is_int(leaf(c, 0x8000001e, 0)->eax, 3, "AMD: the id");
	is_int(leaf(c, 0x8000001e, 0)->ebx, 3, "AMD: is the core's, which has one thread");
	is_int(leaf(c, 0x8000001e, 0)->ecx, 0, "AMD: of one node");
	ok(!leaf(c, 0x8000000a, 0) && !leaf(c, 0x8000001f, 0), "AMD: neither SVM nor encryption");
	free(c);
}

int main(void)
{
	if (mem_open(&mem, 3 * GIB + 16 * MIB, NULL) < 0)
		abort();
	test_start_info();
	test_start_info_limits();
	test_mp(1);
	test_mp(VM_CPUS_MAX);
	test_cpuid_intel();
	test_cpuid_amd();
	mem_close(&mem);
	return tap_done();
}

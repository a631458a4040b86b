/*
 * The MP table (Intel MultiProcessor Specification 1.4, chapter 4): how a kernel without ACPI learns of CPUs
 * and of the way from an ISA interrupt to an I/O APIC pin. Our machine has one bus and one I/O APIC whose
 * pins are numbered like the interrupts.
 */
#include <errno.h>

#include "base/cursor.h"
#include "vmm/layout.h"
#include "vmm/tables.h"

#define POINTER_BYTES 16
#define HEADER_BYTES 44
#define AREA_BYTES 4096
#define SPEC_1_4 4

enum { ENTRY_CPU = 0, ENTRY_BUS = 1, ENTRY_IOAPIC = 2, ENTRY_IO_INTERRUPT = 3, ENTRY_LOCAL_INTERRUPT = 4 };
enum { INTERRUPT_INT = 0, INTERRUPT_NMI = 1, INTERRUPT_EXTINT = 3 };

#define CPU_ENABLED 1
#define CPU_BOOT 2
#define CPU_FEATURES 0x201 /* FPU, APIC: what the specification's table 4-6 asks for; kernels ask CPUID */
#define LAPIC_VERSION 0x14
#define IOAPIC_VERSION 0x11
#define IOAPIC_ENABLED 1
#define BUS_ISA 0
#define ISA_IRQS 16
#define ISA_IRQ_CASCADE 2
#define ALL_LAPICS 0xff

/* The byte that makes the sum of all n bytes zero. */
static uint8_t checksum(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	while (n--)
		sum += *p++;
	return (uint8_t)-sum;
}

static void put_pointer(struct wr *w)
{
	wr_bytes(w, "_MP_", 4);
	wr_u32(w, MP_TABLE_BASE + POINTER_BYTES);
	wr_u8(w, POINTER_BYTES / 16);
	wr_u8(w, SPEC_1_4);
	wr_u8(w, 0); /* checksum, below */
	wr_bytes(w, "\0\0\0\0\0", 5); /* a table is there; no IMCR */
}

static void put_header(struct wr *w, size_t bytes, unsigned entries)
{
	wr_bytes(w, "PCMP", 4);
	wr_u16(w, (uint16_t)bytes);
	wr_u8(w, SPEC_1_4);
	wr_u8(w, 0); /* checksum, below */
	wr_bytes(w, "BOXLITE ", 8);
	wr_bytes(w, "VMM         ", 12);
	wr_u32(w, 0); /* no table of the maker's */
	wr_u16(w, 0);
	wr_u16(w, (uint16_t)entries);
	wr_u32(w, LAPIC_BASE);
	wr_u32(w, 0); /* no extended table */
}

static void put_cpu(struct wr *w, unsigned id)
{
	wr_u8(w, ENTRY_CPU);
	wr_u8(w, (uint8_t)id);
	wr_u8(w, LAPIC_VERSION);
	wr_u8(w, CPU_ENABLED | (id == 0 ? CPU_BOOT : 0));
	wr_u32(w, 0); /* family and model: CPUID says */
	wr_u32(w, CPU_FEATURES);
	wr_u64(w, 0);
}

static void put_bus(struct wr *w)
{
	wr_u8(w, ENTRY_BUS);
	wr_u8(w, BUS_ISA);
	wr_bytes(w, "ISA   ", 6);
}

static void put_ioapic(struct wr *w, unsigned id)
{
	wr_u8(w, ENTRY_IOAPIC);
	wr_u8(w, (uint8_t)id);
	wr_u8(w, IOAPIC_VERSION);
	wr_u8(w, IOAPIC_ENABLED);
	wr_u32(w, IOAPIC_BASE);
}

/* Polarity and trigger "as the bus has it": ISA is active high and edge, which is what an irqfd makes. */
static void put_interrupt(struct wr *w, uint8_t entry, uint8_t type, uint8_t irq, uint8_t to, uint8_t pin)
{
	wr_u8(w, entry);
	wr_u8(w, type);
	wr_u16(w, 0);
	wr_u8(w, BUS_ISA);
	wr_u8(w, irq);
	wr_u8(w, to);
	wr_u8(w, pin);
}

/* Entries in the order that the specification wants, ascending by type; their number. */
static unsigned put_entries(struct wr *w, unsigned ncpus)
{
	uint8_t ioapic = (uint8_t)ncpus; /* the first id that no CPU has */
	unsigned n = 0;

	for (unsigned i = 0; i < ncpus; i++, n++)
		put_cpu(w, i);
	put_bus(w);
	put_ioapic(w, ioapic);
	n += 2;
	/* Neither timer (0, there is none) nor cascade. */
	for (uint8_t irq = 1; irq < ISA_IRQS; irq++) {
		if (irq == ISA_IRQ_CASCADE)
			continue;
		put_interrupt(w, ENTRY_IO_INTERRUPT, INTERRUPT_INT, irq, ioapic, irq);
		n++;
	}
	put_interrupt(w, ENTRY_LOCAL_INTERRUPT, INTERRUPT_EXTINT, 0, 0, 0);
	put_interrupt(w, ENTRY_LOCAL_INTERRUPT, INTERRUPT_NMI, 0, ALL_LAPICS, 1);
	return n + 2;
}

int tables_write_mp(const struct memory *mem, unsigned ncpus, struct error *err)
{
	uint8_t *area = mem_at(mem, MP_TABLE_BASE, AREA_BYTES);
	uint8_t *table;
	struct wr pointer, header, entries;
	unsigned n;
	size_t bytes;

	if (!area)
		return error_set(err, -ENOSPC, "the machine's memory does not reach 1 MiB: give it more");
	table = area + POINTER_BYTES;
	pointer = wr_over(area, POINTER_BYTES);
	header = wr_over(table, HEADER_BYTES);
	entries = wr_over(table + HEADER_BYTES, AREA_BYTES - POINTER_BYTES - HEADER_BYTES);

	n = put_entries(&entries, ncpus);
	bytes = (size_t)(entries.p - table);
	put_header(&header, bytes, n);
	put_pointer(&pointer);
	if (pointer.bad || header.bad || entries.bad)
		return error_set(err, -E2BIG, "%u CPUs do not fit the MP table", ncpus);
	area[10] = checksum(area, POINTER_BYTES);
	table[7] = checksum(table, bytes);
	return 0;
}

/*
 * What the kernel finds in memory at its start: the PVH start info with command line, initramfs and memory
 * map, and the MP table with CPUs and interrupts. All of it is below 1 MiB (vmm/layout.h).
 */
#ifndef VMM_TABLES_H
#define VMM_TABLES_H

#include "base/error.h"
#include "vmm/memory.h"

/* initrd_bytes 0: none. -E2BIG when the command line is longer than the kernel takes. */
int tables_write_start_info(const struct memory *mem, const char *cmdline, uint64_t initrd,
			    uint64_t initrd_bytes, struct error *err) MUST_CHECK;

/* APIC ids are 0 ... ncpus - 1, the first is the boot CPU's; ncpus <= VM_CPUS_MAX. */
int tables_write_mp(const struct memory *mem, unsigned ncpus, struct error *err) MUST_CHECK;

#endif

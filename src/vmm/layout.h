/* The guest's physical address space. */
#ifndef VMM_LAYOUT_H
#define VMM_LAYOUT_H

#include "base/base.h"

#define LOW_MEMORY_END (3 * GIB) /* memory above it moves to HIGH_MEMORY */
#define HIGH_MEMORY (4 * GIB)

/* virtio-mmio device i: its registers and its interrupt (edge, GSI). The kernel learns them from
 * virtio_mmio.device=512@ADDRESS:IRQ on its command line. */
#define MMIO_BASE 0xd0000000ULL
#define MMIO_STRIDE 0x1000ULL
#define MMIO_SIZE 0x200ULL
#define MMIO_IRQ_FIRST 5 /* below: PIT, keyboard, cascade, serial */
#define MMIO_DEVICES_MAX 11

#define START_INFO_BASE 0x1000ULL /* one page: PVH start info, modules, memory map */
#define CMDLINE_BASE 0x2000ULL
#define CMDLINE_MAX 2048 /* with its NUL; x86 Linux takes no more (COMMAND_LINE_SIZE) */
#define LOW_RAM_END 0xa0000ULL /* from here to 1 MiB a PC has no memory */
#define MP_TABLE_BASE 0xf0000ULL /* MP spec 1.4, 4: one of the places where a kernel looks */
#define KERNEL_LOWEST MIB

#define IOAPIC_BASE 0xfec00000ULL
#define LAPIC_BASE 0xfee00000ULL
#define KVM_TSS_BASE 0xfffbd000ULL

#define SERIAL_PORT 0x3f8
#define SERIAL_IRQ 4

#endif

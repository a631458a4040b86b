/*
 * Loads an x86-64 ELF kernel that can be started by PVH. The file is one of ours but may be broken or the
 * wrong one: whatever it says, it is read within its bounds, lands in guest memory above the machine's
 * tables, and what is wrong is named.
 */
#ifndef VMM_ELF_H
#define VMM_ELF_H

#include "base/error.h"
#include "vmm/memory.h"

struct elf_kernel {
	uint32_t entry; /* 32-bit protected mode, physical */
	uint64_t end;   /* first byte after its last segment, physical */
};

/* The memory is fresh: what is not in the file (.bss) is zero by that. */
int elf_load(int fd, const struct memory *mem, struct elf_kernel *ret, struct error *err) MUST_CHECK;

#endif

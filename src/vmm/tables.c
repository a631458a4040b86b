/* The PVH boot protocol: Xen's docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h. */
#include "vmm/tables.h"

#include <errno.h>

#include "base/cursor.h"
#include "vmm/layout.h"

#define START_INFO_MAGIC 0x336ec578
#define START_INFO_VERSION 1 /* the first with a memory map */
#define START_INFO_BYTES 56
#define MODULE_BYTES 32
#define START_INFO_AREA 4096
#define MODULES_AT START_INFO_BYTES
#define MAP_AT (MODULES_AT + MODULE_BYTES)

enum { MEMORY_RAM = 1, MEMORY_RESERVED = 2 }; /* as in e820 */

static int too_small(struct error *err)
{
	return error_set(err, -ENOSPC, "the machine's memory does not reach 1 MiB: give it more");
}

static void put_memory(struct wr *w, uint64_t from, uint64_t end, uint32_t type, unsigned *n)
{
	wr_u64(w, from);
	wr_u64(w, end - from);
	wr_u32(w, type);
	wr_u32(w, 0);
	(*n)++;
}

/* The first region has a PC's gap below 1 MiB; in it the MP table, which nobody may take for free memory. */
static unsigned put_memory_map(struct wr *w, const struct memory *mem)
{
	unsigned n = 0;

	put_memory(w, 0, LOW_RAM_END, MEMORY_RAM, &n);
	put_memory(w, MP_TABLE_BASE, MIB, MEMORY_RESERVED, &n);
	put_memory(w, MIB, mem->region[0].size, MEMORY_RAM, &n);
	for (unsigned i = 1; i < mem->n; i++) {
		const struct mem_region *r = &mem->region[i];

		put_memory(w, r->gpa, r->gpa + r->size, MEMORY_RAM, &n);
	}
	return n;
}

static void put_module(struct wr *w, uint64_t at, uint64_t bytes)
{
	wr_u64(w, at);
	wr_u64(w, bytes);
	wr_u64(w, 0); /* no command line of its own */
	wr_u64(w, 0);
}

static void put_start_info(struct wr *w, unsigned nmodules, unsigned nmap)
{
	wr_u32(w, START_INFO_MAGIC);
	wr_u32(w, START_INFO_VERSION);
	wr_u32(w, 0); /* flags */
	wr_u32(w, nmodules);
	wr_u64(w, nmodules ? START_INFO_BASE + MODULES_AT : 0);
	wr_u64(w, CMDLINE_BASE);
	wr_u64(w, 0); /* no ACPI */
	wr_u64(w, START_INFO_BASE + MAP_AT);
	wr_u32(w, nmap);
	wr_u32(w, 0);
}

int tables_write_start_info(const struct memory *mem, const char *cmdline, uint64_t initrd,
			    uint64_t initrd_bytes, struct error *err)
{
	uint8_t *page = mem_at(mem, START_INFO_BASE, START_INFO_AREA);
	size_t len = strlen(cmdline) + 1;
	struct wr info, modules, map;

	if (!page || mem->region[0].size <= MIB)
		return too_small(err);
	if (len > CMDLINE_MAX)
		return error_set(err, -E2BIG, "the kernel command line has %zu bytes, the kernel takes %d",
				 len - 1, CMDLINE_MAX - 1);
	if (mem_copy_out(mem, CMDLINE_BASE, cmdline, len) < 0)
		return too_small(err);

	info = wr_over(page, START_INFO_BYTES);
	modules = wr_over(page + MODULES_AT, MODULE_BYTES);
	map = wr_over(page + MAP_AT, START_INFO_AREA - MAP_AT);
	put_module(&modules, initrd, initrd_bytes);
	put_start_info(&info, initrd_bytes ? 1 : 0, put_memory_map(&map, mem));
	if (info.bad || modules.bad || map.bad)
		return error_set(err, -ENOSPC, "start info does not fit its page");
	return 0;
}

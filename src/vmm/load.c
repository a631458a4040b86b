/* Kernel, initramfs and tables go to memory, CPU 0 to the kernel's entry. */
#include <errno.h>
#include <sys/stat.h>

#include "base/io.h"
#include "vmm/elf.h"
#include "vmm/layout.h"
#include "vmm/tables.h"
#include "vmm/vcpu.h"

#define PAGE 4096ULL

/*
 * At the end of the memory below 3 GiB, as far from the kernel as it gets. The memory is zero up to the
 * page's end, so an archive that is cut within a word is none the longer.
 */
static int load_initrd(const struct memory *mem, int fd, uint64_t kernel_end, uint64_t *ret_at,
		       uint64_t *ret_bytes, struct error *err)
{
	uint64_t top = mem->region[0].size, bytes, at;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return error_sys(err, "cannot read the initramfs");
	bytes = (uint64_t)st.st_size;
	if (bytes == 0)
		return error_set(err, -ENODATA, "the initramfs is empty");
	if (bytes > top || (top - bytes) / PAGE * PAGE < kernel_end)
		return error_set(err, -ENOSPC, "no room for %llu KiB of initramfs: give the machine more memory",
				 (unsigned long long)(bytes / KIB));
	at = (top - bytes) / PAGE * PAGE;
	r = io_pread_full(fd, mem_at(mem, at, bytes), bytes, 0);
	if (r < 0)
		return error_code(err, r, "cannot read the initramfs");
	*ret_at = at;
	*ret_bytes = bytes;
	return 0;
}

int load_files(const struct memory *mem, int kernel_fd, int initrd_fd, struct loaded *ret, struct error *err)
{
	struct loaded l = { 0 };
	struct elf_kernel kernel;
	int r = elf_load(kernel_fd, mem, &kernel, err);

	if (r == 0 && initrd_fd >= 0)
		r = load_initrd(mem, initrd_fd, kernel.end, &l.initrd, &l.initrd_bytes, err);
	if (r < 0)
		return r;
	l.entry = kernel.entry;
	*ret = l;
	return 0;
}

int vm_boot(struct vm *vm, const struct loaded *l, const char *cmdline, struct error *err)
{
	int r = tables_write_start_info(vm->mem, cmdline, l->initrd, l->initrd_bytes, err);

	if (r == 0)
		r = tables_write_mp(vm->mem, vm->ncpus, err);
	return r < 0 ? r : vcpu_enter_pvh(&vm->cpu[0], l->entry, START_INFO_BASE, err);
}

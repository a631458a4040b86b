/* Any bytes as a guest kernel: it is loaded within guest memory above the tables, or refused. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "fuzz.h"
#include "vmm/elf.h"
#include "vmm/layout.h"

#define MEMORY (4 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory mem;
	struct elf_kernel k;
	struct error err = { 0 };
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	if (fd < 0 || io_write_full(fd, data, size) < 0 || (!mem.n && mem_open(&mem, MEMORY, NULL) < 0))
		abort();
	if (elf_load(fd, &mem, &k, &err) == 0) {
		if (k.entry < KERNEL_LOWEST || k.entry >= k.end || k.end > MEMORY)
			abort();
	} else if (!err.code || !err.text[0]) {
		abort();
	}
	close(fd);
	return 0;
}

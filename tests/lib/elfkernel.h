/* A kernel for tests: an ELF file in a memfd with one segment and a PVH note, or what the caller changes. */
#ifndef TESTS_LIB_ELFKERNEL_H
#define TESTS_LIB_ELFKERNEL_H

#include <elf.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

#define KERNEL_AT 0x100000ULL /* where the code lies in memory; its first byte is the entry */
#define KERNEL_CODE_MAX 4096

struct elf_note {
	uint32_t namesz, descsz, type;
	char name[4];
	uint64_t entry;
};

/* The whole file, as it is written. */
struct elf_file {
	Elf64_Ehdr head;
	Elf64_Phdr load, note_head;
	struct elf_note note;
	uint8_t code[KERNEL_CODE_MAX];
};

__attribute__((unused)) static struct elf_file elf_file_good(const void *code, size_t n)
{
	struct elf_file f = {
		.head = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_phoff = offsetof(struct elf_file, load),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 2,
		},
		.load = {
			.p_type = PT_LOAD,
			.p_offset = offsetof(struct elf_file, code),
			.p_paddr = KERNEL_AT,
			.p_filesz = KERNEL_CODE_MAX,
			.p_memsz = 2 * KERNEL_CODE_MAX,
		},
		.note_head = {
			.p_type = PT_NOTE,
			.p_offset = offsetof(struct elf_file, note),
			.p_filesz = sizeof(struct elf_note),
			.p_memsz = sizeof(struct elf_note),
		},
		.note = { .namesz = 4, .descsz = 8, .type = 18, .name = "Xen", .entry = KERNEL_AT },
	};

	if (n > KERNEL_CODE_MAX)
		abort();
	memcpy(f.code, code, n);
	return f;
}

/* The first `bytes` of the file in a new memfd. */
__attribute__((unused)) static int elf_file_fd(const struct elf_file *f, size_t bytes)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	if (fd < 0 || write(fd, f, bytes) != (ssize_t)bytes)
		abort();
	return fd;
}

#endif

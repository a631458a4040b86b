/* The kernel loader: a good file lands where it says, a broken one gives a reason and nothing else. */
#include "vmm/elf.h"

#include <errno.h>
#include <string.h>

#include "lib/tap.h"

#include "lib/elfkernel.h"

#define MEMORY (4 * MIB)

static struct memory mem;
static const uint8_t code[] = { 0xfa, 0xf4, 0x90 };

static int load(const struct elf_file *f, size_t bytes, struct elf_kernel *ret, struct error *err)
{
	int fd = elf_file_fd(f, bytes);
	int r = elf_load(fd, &mem, ret, err);

	close(fd);
	return r;
}

/* Is refused with that code and a text that says `why`. */
static void refused(const struct elf_file *f, size_t bytes, int want, const char *why, const char *what)
{
	struct elf_kernel k = { .entry = 77 };
	struct error err = { 0 };
	int r = load(f, bytes, &k, &err);

	ok(r == want && err.code == want && strstr(err.text, why) && k.entry == 77, "%s", what);
	if (r != want || !strstr(err.text, why))
		printf("# got %d '%s'\n", r, err.text);
}

static void test_good(void)
{
	struct elf_file f = elf_file_good(code, sizeof(code));
	struct elf_kernel k = { 0 };
	struct error err = { 0 };

	is_int(load(&f, sizeof(f), &k, &err), 0, "a good kernel is loaded");
	is_int(k.entry, KERNEL_AT, "its entry is the note's");
	is_int(k.end, KERNEL_AT + 2 * KERNEL_CODE_MAX, "its end is its memory's, not its file's");
	ok(memcmp(mem_at(&mem, KERNEL_AT, KERNEL_CODE_MAX), f.code, KERNEL_CODE_MAX) == 0,
	   "its bytes are in memory");

	f.note.descsz = 4; /* as 32-bit kernels have it */
	f.note_head.p_filesz -= 4;
	is_int(load(&f, sizeof(f), &k, &err), 0, "an entry of 4 bytes is fine");
	f.head.e_type = ET_DYN;
	is_int(load(&f, sizeof(f), &k, &err), 0, "so is a relocatable kernel");
}

static void test_header(void)
{
	struct elf_file good = elf_file_good(code, sizeof(code)), f;

	refused(&good, 0, -ENOEXEC, "no ELF", "an empty file");
	refused(&good, 63, -ENOEXEC, "no ELF", "half a header");
	refused(&good, 64, -ENOEXEC, "cut off", "a header alone");
	refused(&good, sizeof(good) - 1, -ENOEXEC, "cut off", "a file without its last byte");
	f = good, f.head.e_ident[1] = 'e';
	refused(&f, sizeof(f), -ENOEXEC, "no ELF", "a wrong magic number");
	f = good, f.head.e_ident[EI_CLASS] = ELFCLASS32;
	refused(&f, sizeof(f), -ENOEXEC, "x86-64", "a 32-bit kernel");
	f = good, f.head.e_ident[EI_DATA] = ELFDATA2MSB;
	refused(&f, sizeof(f), -ENOEXEC, "x86-64", "a big-endian kernel");
	f = good, f.head.e_machine = EM_AARCH64;
	refused(&f, sizeof(f), -ENOEXEC, "x86-64", "another machine's kernel");
	f = good, f.head.e_phnum = 0;
	refused(&f, sizeof(f), -ENOEXEC, "program headers", "no program header");
	f = good, f.head.e_phnum = 0xffff;
	refused(&f, sizeof(f), -ENOEXEC, "program headers", "too many program headers");
	f = good, f.head.e_phentsize = 32;
	refused(&f, sizeof(f), -ENOEXEC, "program headers", "program headers of another size");
	f = good, f.head.e_phoff = UINT64_MAX - 8;
	refused(&f, sizeof(f), -ENOEXEC, "cut off", "program headers nowhere");
}

static void test_segments(void)
{
	struct elf_file good = elf_file_good(code, sizeof(code)), f;

	f = good, f.load.p_offset = UINT64_MAX;
	refused(&f, sizeof(f), -ENOEXEC, "cut off", "a segment beyond the file");
	f = good, f.load.p_filesz = UINT64_MAX - f.load.p_offset + 1, f.load.p_memsz = UINT64_MAX;
	refused(&f, sizeof(f), -ENOEXEC, "cut off", "a segment whose end wraps");
	f = good, f.load.p_memsz = 1;
	refused(&f, sizeof(f), -ENOEXEC, "more bytes", "more in the file than in memory");
	f = good, f.load.p_paddr = MIB - 1;
	refused(&f, sizeof(f), -ENOEXEC, "below 1 MiB", "a segment over the tables");
	f = good, f.load.p_paddr = 0;
	refused(&f, sizeof(f), -ENOEXEC, "below 1 MiB", "a segment at 0");
	f = good, f.load.p_paddr = MEMORY - KERNEL_CODE_MAX;
	refused(&f, sizeof(f), -ENOSPC, "memory", "a segment over the end of memory");
	f = good, f.load.p_paddr = UINT64_MAX - 8;
	refused(&f, sizeof(f), -ENOSPC, "memory", "a segment at the end of everything");
	f = good, f.load.p_memsz = UINT64_MAX;
	refused(&f, sizeof(f), -ENOSPC, "memory", "a segment of all there is");
	f = good, f.load.p_type = PT_NULL;
	refused(&f, sizeof(f), -ENOEXEC, "nothing to load", "no segment to load");
	f = good, f.note_head = f.load, f.note_head.p_paddr += KERNEL_CODE_MAX, f.load.p_type = PT_NOTE;
	f.load.p_offset = offsetof(struct elf_file, note), f.load.p_filesz = sizeof(struct elf_note);
	refused(&f, sizeof(f), -ENOEXEC, "in none of its segments", "an entry in front of the code");
}

/* The note moves behind a second segment that overlaps the first. */
static void test_overlap(void)
{
	struct {
		struct elf_file f;
		Elf64_Phdr head[3];
	} big = { .f = elf_file_good(code, sizeof(code)) };
	struct error err = { 0 };
	struct elf_kernel k;
	int fd = memfd_create("kernel", MFD_CLOEXEC), r;

	big.head[0] = big.head[1] = big.f.load;
	big.head[1].p_paddr += 2 * KERNEL_CODE_MAX - 1;
	big.head[2] = big.f.note_head;
	big.f.head.e_phnum = 3;
	big.f.head.e_phoff = offsetof(__typeof__(big), head);
	if (write(fd, &big, sizeof(big)) != sizeof(big))
		abort();
	r = elf_load(fd, &mem, &k, &err);
	ok(r == -ENOEXEC && strstr(err.text, "overlap"), "segments that overlap");
	big.head[1].p_paddr++;
	if (pwrite(fd, &big, sizeof(big), 0) != sizeof(big))
		abort();
	is_int(elf_load(fd, &mem, &k, &err), 0, "segments that touch are fine");
	is_int(k.end, KERNEL_AT + 4 * KERNEL_CODE_MAX, "the end is the last one's");
	close(fd);
}

static void test_notes(void)
{
	struct elf_file good = elf_file_good(code, sizeof(code)), f;

	f = good, f.note_head.p_type = PT_NULL;
	refused(&f, sizeof(f), -ENOEXEC, "CONFIG_PVH", "no notes");
	f = good, f.note_head.p_filesz = 0;
	refused(&f, sizeof(f), -ENOEXEC, "CONFIG_PVH", "empty notes");
	f = good, f.note.type = 17;
	refused(&f, sizeof(f), -ENOEXEC, "CONFIG_PVH", "another note");
	f = good, f.note.name[0] = 'x';
	refused(&f, sizeof(f), -ENOEXEC, "CONFIG_PVH", "a note of another name");
	f = good, f.note.namesz = UINT32_MAX;
	refused(&f, sizeof(f), -ENOEXEC, "CONFIG_PVH", "a name that never ends");
	f = good, f.note.descsz = UINT32_MAX;
	refused(&f, sizeof(f), -ENOEXEC, "CONFIG_PVH", "a description that never ends");
	f = good, f.note.descsz = 2;
	refused(&f, sizeof(f), -ENOEXEC, "CONFIG_PVH", "an entry of 2 bytes");
	f = good, f.note_head.p_filesz--;
	refused(&f, sizeof(f), -ENOEXEC, "CONFIG_PVH", "a note that is cut off");
	f = good, f.note_head.p_offset = 0, f.note_head.p_filesz = sizeof(f);
	refused(&f, sizeof(f), -ENOEXEC, "CONFIG_PVH", "notes that are none");
	f = good, f.note.entry = KERNEL_AT + KERNEL_CODE_MAX;
	refused(&f, sizeof(f), -ENOEXEC, "in none of its segments", "an entry behind the code");
	f = good, f.note.entry += 1ULL << 32;
	refused(&f, sizeof(f), -ENOEXEC, "in none of its segments", "an entry that 32 bits do not hold");
}

static void test_not_a_file(void)
{
	struct elf_kernel k;
	struct error err = { 0 };
	int p[2];

	if (pipe(p) < 0)
		abort();
	ok(elf_load(p[0], &mem, &k, &err) < 0, "a pipe is no kernel");
	is_int(elf_load(-1, &mem, &k, &err), -EBADF, "neither is nothing");
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	if (mem_open(&mem, MEMORY, NULL) < 0)
		abort();
	test_good();
	test_header();
	test_segments();
	test_overlap();
	test_notes();
	test_not_a_file();
	mem_close(&mem);
	return tap_done();
}

/* ELF: System V ABI and its AMD64 supplement. The note: Xen's public/elfnote.h. */
#include "vmm/elf.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cursor.h"
#include "base/io.h"
#include "vmm/layout.h"

#define SEGMENTS_MAX 32
#define NOTES_MAX (64 * KIB)
#define NOTE_PVH_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY */

struct segment {
	uint32_t type;
	uint64_t offset, paddr, filesz, memsz;
};

struct elf {
	int fd;
	uint64_t file_bytes;
	unsigned n;
	struct segment segment[SEGMENTS_MAX];
};

static int read_at(const struct elf *e, void *to, size_t n, uint64_t at, struct error *err)
{
	int r = io_pread_full(e->fd, to, n, at);

	return r < 0 ? error_code(err, r, "cannot read the kernel") : 0;
}

static bool in_file(const struct elf *e, uint64_t at, uint64_t n)
{
	return at <= e->file_bytes && n <= e->file_bytes - at;
}

/* Where the program headers are, and that this is a kernel for this machine at all. */
static int read_header(struct elf *e, uint64_t *ret_phoff, struct error *err)
{
	uint8_t raw[sizeof(Elf64_Ehdr)];
	struct rd r = rd_over(raw, sizeof(raw));
	const uint8_t *ident;
	uint16_t machine, phentsize, phnum;
	uint64_t phoff;
	int ret;

	if (e->file_bytes < sizeof(raw))
		return error_set(err, -ENOEXEC, "the kernel is no ELF file: it is too short");
	ret = read_at(e, raw, sizeof(raw), 0, err);
	if (ret < 0)
		return ret;
	ident = rd_bytes(&r, EI_NIDENT);
	if (memcmp(ident, ELFMAG, SELFMAG) != 0)
		return error_set(err, -ENOEXEC, "the kernel is no ELF file: give vmlinux, not bzImage");
	rd_u16(&r); /* type: a kernel is loaded where it says, whatever it is called */
	machine = rd_u16(&r);
	if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB || machine != EM_X86_64)
		return error_set(err, -ENOEXEC, "the kernel is not for x86-64");
	rd_bytes(&r, 4 + 8); /* version, entry: of another way to start it */
	phoff = rd_u64(&r);
	rd_bytes(&r, 8 + 4 + 2); /* sections, flags, size of this header */
	phentsize = rd_u16(&r);
	phnum = rd_u16(&r);
	if (phentsize != sizeof(Elf64_Phdr) || phnum == 0 || phnum > SEGMENTS_MAX)
		return error_set(err, -ENOEXEC,
				 "the kernel has %u program headers of %u bytes; 1 to %d of %zu are fine",
				 phnum, phentsize, SEGMENTS_MAX, sizeof(Elf64_Phdr));
	e->n = phnum;
	*ret_phoff = phoff;
	return 0;
}

static int read_segments(struct elf *e, uint64_t phoff, struct error *err)
{
	uint8_t raw[SEGMENTS_MAX * sizeof(Elf64_Phdr)];
	size_t bytes = e->n * sizeof(Elf64_Phdr);
	struct rd r = rd_over(raw, bytes);
	int ret;

	if (!in_file(e, phoff, bytes))
		return error_set(err, -ENOEXEC, "the kernel is cut off: its program headers are missing");
	ret = read_at(e, raw, bytes, phoff, err);
	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < e->n; i++) {
		struct segment *s = &e->segment[i];

		s->type = rd_u32(&r);
		rd_u32(&r); /* flags */
		s->offset = rd_u64(&r);
		rd_u64(&r); /* virtual address */
		s->paddr = rd_u64(&r);
		s->filesz = rd_u64(&r);
		s->memsz = rd_u64(&r);
		rd_u64(&r); /* alignment */
		if (s->type != PT_LOAD && s->type != PT_NOTE)
			continue;
		if (!in_file(e, s->offset, s->filesz))
			return error_set(err, -ENOEXEC, "the kernel is cut off: segment %u is not all there",
					 i);
	}
	return 0;
}

static bool overlap(const struct segment *a, const struct segment *b)
{
	return a->paddr < b->paddr + b->memsz && b->paddr < a->paddr + a->memsz;
}

/* What is asked of segment i before a byte of it is loaded; those before it have passed. */
static int check_load(const struct elf *e, unsigned i, const struct memory *mem, struct error *err)
{
	const struct segment *s = &e->segment[i];

	if (s->filesz > s->memsz)
		return error_set(err, -ENOEXEC, "segment %u of the kernel has more bytes in the file than in "
				 "memory", i);
	if (s->paddr < KERNEL_LOWEST)
		return error_set(err, -ENOEXEC, "segment %u of the kernel is for 0x%llx, below 1 MiB", i,
				 (unsigned long long)s->paddr);
	if (!mem_at(mem, s->paddr, s->memsz))
		return error_set(err, -ENOSPC, "segment %u of the kernel is for 0x%llx, 0x%llx bytes: not in the "
				 "machine's memory, give it more", i, (unsigned long long)s->paddr,
				 (unsigned long long)s->memsz);
	for (unsigned j = 0; j < i; j++)
		if (e->segment[j].type == PT_LOAD && overlap(&e->segment[j], s))
			return error_set(err, -ENOEXEC, "segments %u and %u of the kernel overlap", j, i);
	return 0;
}

static int load_segments(struct elf *e, const struct memory *mem, uint64_t *ret_end, struct error *err)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < e->n; i++) {
		struct segment *s = &e->segment[i];
		int ret;

		if (s->type != PT_LOAD)
			continue;
		if (s->memsz == 0) {
			s->type = PT_NULL;
			continue;
		}
		ret = check_load(e, i, mem, err);
		if (ret < 0)
			return ret;
		if (s->filesz) {
			ret = read_at(e, mem_at(mem, s->paddr, s->filesz), s->filesz, s->offset, err);
			if (ret < 0)
				return ret;
		}
		end = MAX(end, s->paddr + s->memsz);
	}
	if (!end)
		return error_set(err, -ENOEXEC, "the kernel has nothing to load");
	*ret_end = end;
	return 0;
}

/* The PVH entry among notes; names and descriptions are padded to 4 bytes. False if it is not there. */
static bool find_entry(const uint8_t *notes, size_t n, uint64_t *ret)
{
	struct rd r = rd_over(notes, n);

	while (rd_left(&r) > 0) {
		uint32_t namesz = rd_u32(&r), descsz = rd_u32(&r), type = rd_u32(&r);
		const uint8_t *name = rd_bytes(&r, ALIGN_UP((size_t)namesz, 4));
		const uint8_t *desc = rd_bytes(&r, descsz);
		struct rd value;

		if (r.bad)
			return false;
		if (type != NOTE_PVH_ENTRY || namesz != 4 || memcmp(name, "Xen", 4) != 0) {
			/* The last one's padding may be missing. */
			rd_bytes(&r, MIN(-descsz & 3, rd_left(&r)));
			continue;
		}
		if (descsz != 4 && descsz != 8)
			return false;
		value = rd_over(desc, descsz);
		*ret = rd_le(&value, descsz);
		return true;
	}
	return false;
}

static int read_entry(const struct elf *e, uint64_t *ret, struct error *err)
{
	for (unsigned i = 0; i < e->n; i++) {
		const struct segment *s = &e->segment[i];
		uint8_t *notes;
		bool found;
		int r;

		if (s->type != PT_NOTE || s->filesz == 0)
			continue;
		if (s->filesz > NOTES_MAX)
			return error_set(err, -ENOEXEC, "the kernel has %llu bytes of notes; %llu are enough",
					 (unsigned long long)s->filesz, NOTES_MAX);
		notes = malloc(s->filesz);
		if (!notes)
			return error_nomem(err);
		r = read_at(e, notes, s->filesz, s->offset, err);
		found = r == 0 && find_entry(notes, s->filesz, ret);
		free(notes);
		if (r < 0 || found)
			return r;
	}
	return error_set(err, -ENOEXEC, "the kernel has no PVH entry: it needs CONFIG_PVH");
}

static bool is_loaded(const struct elf *e, uint64_t at)
{
	for (unsigned i = 0; i < e->n; i++) {
		const struct segment *s = &e->segment[i];

		if (s->type == PT_LOAD && at >= s->paddr && at - s->paddr < s->filesz)
			return true;
	}
	return false;
}

int elf_load(int fd, const struct memory *mem, struct elf_kernel *ret, struct error *err)
{
	struct elf e = { .fd = fd };
	struct stat st;
	uint64_t phoff = 0, entry = 0, end = 0;
	int r;

	if (fstat(fd, &st) < 0)
		return error_sys(err, "cannot read the kernel");
	e.file_bytes = (uint64_t)st.st_size;
	r = read_header(&e, &phoff, err);
	if (r == 0)
		r = read_segments(&e, phoff, err);
	if (r == 0)
		r = read_entry(&e, &entry, err);
	if (r == 0)
		r = load_segments(&e, mem, &end, err);
	if (r < 0)
		return r;
	if (entry > UINT32_MAX || !is_loaded(&e, entry))
		return error_set(err, -ENOEXEC, "the kernel's PVH entry 0x%llx is in none of its segments",
				 (unsigned long long)entry);
	ret->entry = (uint32_t)entry;
	ret->end = end;
	return 0;
}

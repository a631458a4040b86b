/*
 * Hostile layers: one archive, compressed or not, applied twice (so that its
 * whiteouts and replacements meet something) and the image written. What comes
 * out must be walkable from the root within its own bounds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"
#include "fuzz.h"
#include "image/layer.h"

#define BUDGET (4 * MIB) /* uncompressed: keeps a run short */
#define FILE_MOST (8 * MIB)

static int scratch = -1;

/* Every entry of a small image must lead to an inode within it, and each inode to content within it. */
static void check_inode(const uint8_t *p, size_t n, uint64_t meta, uint64_t nid)
{
	uint64_t at = meta + nid * 32, size, block;
	struct rd r;
	unsigned format;

	if (at + 64 > n)
		abort();
	r = rd_over(p + at, 64);
	format = rd_u16(&r);
	rd_bytes(&r, 6);
	size = rd_u64(&r);
	block = rd_u32(&r);
	if (!(format & 1))
		abort();
	if (format >> 1 == 0 && size && (block * 4096 + size > ALIGN_UP(n, 4096)))
		abort();
	if (format >> 1 == 2 && size > 4096 && (block * 4096 + size / 4096 * 4096 > n))
		abort();
}

static void check_image(int fd)
{
	struct stat st;
	const uint8_t *p;
	struct rd r;
	uint64_t meta, root;

	if (fstat(fd, &st) < 0 || st.st_size < 8192 || (uint64_t)st.st_size > 64 * FILE_MOST)
		return;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return;
	r = rd_over(p + 1024 + 14, 30);
	root = rd_u16(&r);
	rd_bytes(&r, 24);
	meta = (uint64_t)rd_u32(&r) * 4096;
	check_inode(p, (size_t)st.st_size, meta, root);
	munmap((void *)(uintptr_t)p, (size_t)st.st_size);
}

static int memory_file(const void *p, size_t n)
{
	int fd = memfd_create("layer", MFD_CLOEXEC);

	if (fd < 0 || (n && write(fd, p, n) != (ssize_t)n))
		abort();
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t uuid[16];
	struct error err = { 0 };
	struct erofs_stats st;
	struct erofs e;
	uint64_t budget = BUDGET;
	int blob = memory_file(data, size), out = memory_file(NULL, 0), r;
	struct layer l = { .fd = blob, .budget = &budget };

	if (scratch < 0)
		scratch = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (scratch < 0)
		scratch = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = erofs_open(&e, out, scratch, &err);
	if (r < 0)
		abort();
	r = layer_apply(&e, &l, &err);
	if (r == 0)
		r = layer_apply(&e, &l, &err);
	if (r == 0)
		r = erofs_finish(&e, uuid, &st, &err);
	if (r == 0)
		check_image(out);
	else if (!err.text[0])
		abort(); /* a failure without a reason */
	erofs_close(&e);
	close(blob);
	close(out);
	return 0;
}

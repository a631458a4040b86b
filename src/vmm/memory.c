#include "vmm/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/layout.h"

#define GUEST_PAGE 4096
#define LARGE_PAGE (2 * MIB)
#define MEMORY_MAX (1024 * GIB) /* keeps every sum of an address and a size far from 2^64 */

/*
 * Who else is at work in there is the guest: what it was given by one device it offers to another, in an order that the
 * sanitizer for threads does not see, and a guest without order is to find its own memory in disorder, no more.
 */
#ifdef __SANITIZE_THREAD__
void AnnotateBenignRaceSized(const char *file, int line, const volatile void *at, size_t bytes, const char *why);
#define EXPECT_RACES(at, bytes) AnnotateBenignRaceSized(__FILE__, __LINE__, at, bytes, "guest memory")
#else
#define EXPECT_RACES(at, bytes) ((void)0)
#endif

static void add_region(struct memory *m, uint64_t gpa, uint64_t size, uint8_t *host)
{
	m->region[m->n++] = (struct mem_region){ .gpa = gpa, .size = size, .host = host };
}

/*
 * Anonymous memory in large pages: each first touch of a page by the guest costs an exit and a fault, and a guest that
 * boots touches 20 to 40 MiB; with pages of 2 MiB that is 20 faults instead of 8000 (docs/performance.md). So the host
 * address is aligned like the guest's, else KVM could not map a large page as one. Advice is all it is: a host
 * without free large pages gives small ones.
 *
 * Without reserve, because a guest seldom touches all that it was promised; not in a core dump, because what is in
 * there is the guest's.
 */
static int map_memory(uint64_t bytes, uint8_t **ret_host)
{
	uint64_t room = bytes + LARGE_PAGE;
	uint8_t *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t skip = -(uintptr_t)at & (LARGE_PAGE - 1);
	int r;

	if (at == MAP_FAILED)
		return -errno;
	if (skip)
		munmap(at, skip);
	munmap(at + skip + bytes, LARGE_PAGE - skip);
	if (madvise(at + skip, bytes, MADV_DONTDUMP) < 0) {
		r = -errno;
		munmap(at + skip, bytes);
		return r;
	}
	(void)madvise(at + skip, bytes, MADV_HUGEPAGE); /* -EINVAL: the kernel has none */
	EXPECT_RACES(at + skip, bytes);
	*ret_host = at + skip;
	return 0;
}

int mem_open(struct memory *m, uint64_t bytes, struct error *err)
{
	uint64_t low = MIN(bytes, LOW_MEMORY_END);
	uint8_t *host = NULL;
	int r;

	if (!bytes || bytes % GUEST_PAGE || bytes > MEMORY_MAX)
		return error_set(err, -EINVAL,
				 "a machine cannot have %llu bytes of memory: give whole pages up to 1 TiB",
				 (unsigned long long)bytes);
	r = map_memory(bytes, &host);
	if (r < 0)
		return error_code(err, r, "cannot map %llu MiB of guest memory", (unsigned long long)(bytes / MIB));
	*m = (struct memory){ .owned_bytes = bytes };
	add_region(m, 0, low, host);
	if (bytes > low)
		add_region(m, HIGH_MEMORY, bytes - low, host + low);
	return 0;
}

void mem_close(struct memory *m)
{
	if (!m)
		return;
	if (m->owned_bytes)
		munmap(m->region[0].host, m->owned_bytes);
	*m = (struct memory){ 0 };
}

void *mem_at(const struct memory *m, uint64_t gpa, uint64_t len)
{
	unsigned i;

	for (i = 0; len && i < m->n; i++) {
		const struct mem_region *r = &m->region[i];

		/* Only differences: the guest chose both numbers, and their sum may wrap. */
		if (gpa >= r->gpa && len <= r->size && gpa - r->gpa <= r->size - len)
			return r->host + (gpa - r->gpa);
	}
	return NULL;
}

int mem_copy_in(const struct memory *m, void *to, uint64_t gpa, uint64_t len)
{
	const void *from = mem_at(m, gpa, len);

	if (!from)
		return len ? -EFAULT : 0;
	memcpy(to, from, len);
	return 0;
}

int mem_copy_out(const struct memory *m, uint64_t gpa, const void *from, uint64_t len)
{
	void *to = mem_at(m, gpa, len);

	if (!to)
		return len ? -EFAULT : 0;
	memcpy(to, from, len);
	return 0;
}

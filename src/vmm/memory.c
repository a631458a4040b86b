#include "vmm/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clean.h"
#include "vmm/layout.h"

#define GUEST_PAGE 4096
#define MEMORY_MAX (1024 * GIB) /* keeps every sum of an address and a size far from 2^64 */

static void add_region(struct memory *m, uint64_t gpa, uint64_t size, uint8_t *host)
{
	m->region[m->n++] = (struct mem_region){ .gpa = gpa, .size = size, .host = host };
}

/*
 * Shared, because the balloon gives pages back by punching holes into the file; without reserve, because a
 * guest seldom touches all that it was promised; not in a core dump, because what is in there is the guest's.
 */
static int map_file(int fd, uint64_t bytes, uint8_t **ret_host)
{
	void *host = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	int r;

	if (host == MAP_FAILED)
		return -errno;
	if (madvise(host, bytes, MADV_DONTDUMP) < 0) {
		r = -errno;
		munmap(host, bytes);
		return r;
	}
	*ret_host = host;
	return 0;
}

int mem_open(struct memory *m, uint64_t bytes, struct error *err)
{
	unsigned long long mib = bytes / MIB; /* for people */
	uint64_t low = MIN(bytes, LOW_MEMORY_END);
	auto_fd int fd = -1;
	uint8_t *host = NULL;
	int r;

	if (!bytes || bytes % GUEST_PAGE || bytes > MEMORY_MAX)
		return error_set(err, -EINVAL,
				 "a machine cannot have %llu bytes of memory: give whole pages up to 1 TiB",
				 (unsigned long long)bytes);
	fd = memfd_create("boxlite-guest", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		return error_sys(err, "cannot make %llu MiB of guest memory", mib);
	r = map_file(fd, bytes, &host);
	if (r < 0)
		return error_code(err, r, "cannot map %llu MiB of guest memory", mib);
	*m = (struct memory){ .fd = take_fd(&fd) };
	add_region(m, 0, low, host);
	if (bytes > low)
		add_region(m, HIGH_MEMORY, bytes - low, host + low);
	return 0;
}

void mem_close(struct memory *m)
{
	uint64_t bytes = 0;
	unsigned i;

	if (!m)
		return;
	/* Regions that did not come from mem_open() are someone else's. */
	if (m->fd >= 0 && m->n) {
		for (i = 0; i < m->n; i++)
			bytes += m->region[i].size;
		munmap(m->region[0].host, bytes);
		close_fd(&m->fd);
	}
	*m = (struct memory){ .fd = -1 };
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

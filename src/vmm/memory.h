/*
 * Guest memory, touched nowhere but through here: an address and a length go in, a host pointer that is good for
 * exactly that comes out, or NULL.
 *
 * Two regions at most: [0, 3 GiB) and [4 GiB, ...); the hole between has the devices (vmm/layout.h). Both are parts of
 * one mapping. The guest changes these bytes at any time: whoever decides by a value in them copies it
 * first and looks at the copy (mem_copy_in), never twice at the guest's.
 */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include "base/base.h"
#include "base/error.h"

struct mem_region {
	uint64_t gpa, size;
	uint8_t *host;
};

struct memory {
	struct mem_region region[2];
	unsigned n;
	uint64_t owned_bytes; /* of the mapping; 0: the regions did not come from mem_open() */
};

/* Memory of that many bytes (a multiple of 4096), zero, MADV_DONTDUMP. -errno. */
int mem_open(struct memory *m, uint64_t bytes, struct error *err) MUST_CHECK;
void mem_close(struct memory *m);

/* len bytes at gpa in one region; NULL if any of them is not memory. len 0 is NULL. */
void *mem_at(const struct memory *m, uint64_t gpa, uint64_t len);

/* Copies between guest and host: 0, or -EFAULT when any byte is not memory (nothing is copied then). */
int mem_copy_in(const struct memory *m, void *to, uint64_t gpa, uint64_t len) MUST_CHECK;
int mem_copy_out(const struct memory *m, uint64_t gpa, const void *from, uint64_t len) MUST_CHECK;

#endif

/*
 * A machine template: a guest that has booted and belongs to no box yet (docs/decisions/009).
 * File templates/machine-<hash of the key>, written once and never changed; integers little-endian:
 *
 *	0      head: "BXLMACH1", u32 key length, u32 extents, u64 memory, u64 state's place, u64 its length; the key
 *	4096   extents x { u64 offset in the memory, u64 length }: the memory that is not zero
 *	then, from the next multiple of 4096 on, the memory of the extents one behind the other
 *	then the state: the engine's own description of CPUs and devices
 *
 * The key names all that the saved machine depends on: who has another key must not use it.
 */
#ifndef WIRE_TEMPLATE_H
#define WIRE_TEMPLATE_H

#include "base/base.h"
#include "base/buf.h"
#include "base/error.h"

#define TEMPLATE_PAGE 4096
#define TEMPLATE_KEY_MAX 2048
#define TEMPLATE_EXTENTS_MAX 65536
#define TEMPLATE_MEMORY_MAX (8 * GIB) /* the kernel's own tables grow with memory: copying them would cost too much */
#define TEMPLATE_NAME_MAX 32

struct template_head {
	char key[TEMPLATE_KEY_MAX];
	uint32_t extents;
	uint64_t memory_bytes, state_at, state_len;
};

struct template_extent {
	uint64_t at, len; /* multiples of TEMPLATE_PAGE */
};

/* The file name for a key. */
void template_name(const char *key, char out[TEMPLATE_NAME_MAX]);

/* The head, from the file's first TEMPLATE_PAGE bytes and into them. get: 0, -EBADMSG; put: 0, -EMSGSIZE. */
int template_get_head(const uint8_t page[TEMPLATE_PAGE], struct template_head *ret) MUST_CHECK;
int template_put_head(uint8_t page[TEMPLATE_PAGE], const struct template_head *h) MUST_CHECK;

/* Extents from their n * 16 bytes and into them. get refuses what is unaligned, not ascending or not in memory. */
int template_get_extents(const uint8_t *p, uint32_t n, uint64_t memory_bytes, struct template_extent *ret) MUST_CHECK;
int template_put_extent(struct buf *out, const struct template_extent *e) MUST_CHECK;

/* Where the memory begins. */
static inline uint64_t template_memory_at(uint32_t extents)
{
	return ALIGN_UP(TEMPLATE_PAGE + (uint64_t)extents * 16, (uint64_t)TEMPLATE_PAGE);
}

#endif

/*
 * Bookkeeping that may outgrow memory: an image may have sixteen million
 * files, and a converter has 64 MiB.
 *
 * The arena is one shared mapping of an unlinked scratch file. Its whole range
 * of addresses is reserved at birth, so nothing ever moves: pointers stay good
 * until arena_close(). The file grows by fallocate(2) before memory is handed
 * out, so a full disk is an error here and never a SIGBUS later. Memory is
 * zeroed, and never given back.
 *
 * Resident memory stays bounded because the arena counts the pages touched
 * since the last trim, and past its window unmaps all of them: the bytes live
 * on in the page cache, and on disk if the kernel wants the memory. That works
 * only if accesses go through arena_at() and arena_span(), and well only if
 * what is used together lies together: hence the pools.
 */
#ifndef IMAGE_ARENA_H
#define IMAGE_ARENA_H

#include "base/base.h"
#include "base/error.h"

#define ARENA_MAX (32 * GIB)    /* of address space: all that an aref reaches */
#define ARENA_WINDOW (44 * MIB) /* resident at most, to begin with */
#define ARENA_UNIT 8            /* alignment, and the unit of an aref */
#define ARENA_PAGE 4096ULL
#define ARENA_PIECE (64 * KIB)  /* a pool takes as much at a time */

typedef uint32_t aref; /* offset / ARENA_UNIT; 0 = nothing */

enum arena_pool { ARENA_NAMES, ARENA_REST, ARENA_POOLS };

struct arena {
	uint8_t *base;     /* the mapping, ARENA_MAX bytes */
	int fd;            /* owned; the scratch file */
	uint64_t used;     /* bytes given to the pools */
	uint64_t backed;   /* bytes of the file that have disk space */
	uint64_t *touched; /* owned; one bit per page touched since the last trim */
	unsigned ntouched; /* bits set */
	unsigned window;   /* as many may be set */
	struct {
		uint64_t at, end; /* what is left of the pool's last piece */
	} pools[ARENA_POOLS];
};

#define ARENA_NONE ((struct arena){ .fd = -1 })

/* An unlinked file for reading and writing in the folder dirfd: fd or -errno. */
int scratch_open(int dirfd) MUST_CHECK;

int arena_open(struct arena *a, int scratch_dirfd, struct error *err) MUST_CHECK;
void arena_close(struct arena *a);

/* n zeroed bytes: 0, -ENOSPC, -E2BIG past ARENA_MAX. */
int arena_alloc(struct arena *a, enum arena_pool pool, size_t n, aref *ret, struct error *err) MUST_CHECK;

/* Changes how much may be resident: at least a megabyte. */
void arena_set_window(struct arena *a, uint64_t bytes);

/* Unmaps what was touched. Called by arena_at(); pointers stay good. */
void arena_trim(struct arena *a);

/* The first access after a trim is a write that changes nothing: a write fault maps one page, where
 * a read fault maps up to sixteen, which would have to be unmapped again. */
static inline void arena_touch(struct arena *a, uint64_t page)
{
	uint64_t bit = 1ULL << (page % 64);

	if (a->touched[page / 64] & bit)
		return;
	if (a->ntouched >= a->window)
		arena_trim(a);
	a->touched[page / 64] |= bit;
	a->ntouched++;
	__atomic_fetch_or(a->base + page * ARENA_PAGE, 0, __ATOMIC_RELAXED);
}

/* The object at r, which has at most ARENA_PAGE bytes and so never lies across two pages. */
static inline void *arena_at(struct arena *a, aref r)
{
	uint64_t at = (uint64_t)r * ARENA_UNIT;

	arena_touch(a, at / ARENA_PAGE);
	return a->base + at;
}

/* The same for an object that may be larger. */
static inline void *arena_span(struct arena *a, aref r, size_t n)
{
	uint64_t at = (uint64_t)r * ARENA_UNIT;
	uint64_t page;

	for (page = at / ARENA_PAGE; page * ARENA_PAGE < at + n; page++)
		arena_touch(a, page);
	return a->base + at;
}

#endif

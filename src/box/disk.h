/*
 * The writable disk of a box: a sparse raw file with an ext4, cloned from a
 * template that was formatted once per size.
 */
#ifndef BOX_DISK_H
#define BOX_DISK_H

#include "box/home.h"

#define DISK_MIN (64 * MIB)
#define DISK_MAX (16ULL * 1024 * GIB)

/* Where a program of e2fsprogs is ("mke2fs", "debugfs"): 0 or -ENOENT. */
int disk_find_tool(const char *name, char path[64]) MUST_CHECK;

/* Makes the file `name` of `bytes` below dirfd. `journal`: it must survive a crash; without one everything is
 * quicker. On failure there is no such file. */
int disk_create(struct home *h, int dirfd, const char *name, uint64_t bytes, bool journal,
		struct error *err) MUST_CHECK;

#endif

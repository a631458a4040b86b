/* Whole reads and writes, and files that appear complete or not at all. */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <sys/types.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/error.h"

/* Reads exactly n bytes: 0, -ENODATA when the file ends first, -errno. */
int io_read_full(int fd, void *p, size_t n) MUST_CHECK;
int io_pread_full(int fd, void *p, size_t n, uint64_t at) MUST_CHECK;

/* Writes all n bytes, waiting with poll(2) if fd does not block: 0 or -errno. */
int io_write_full(int fd, const void *p, size_t n) MUST_CHECK;
int io_pwrite_full(int fd, const void *p, size_t n, uint64_t at) MUST_CHECK;

/* The rest of fd appended to b: 0, -ENOBUFS past b's ceiling, -errno. */
int io_read_rest(int fd, struct buf *b) MUST_CHECK;

/* File `name` under dirfd appended to b; the same errors, and those of openat(2). */
int io_read_file_at(int dirfd, const char *name, struct buf *b) MUST_CHECK;

/* mkdirat(2) of each component of a relative path; existing ones are fine. */
int io_mkdirs_at(int dirfd, const char *path, mode_t mode) MUST_CHECK;

/* Opens the folder `path` below dirfd, making it if it is missing: fd or -errno. */
int io_open_dir_at(int dirfd, const char *path, mode_t mode) MUST_CHECK;

/* Removes a file or a whole folder below dirfd without following a symlink;
 * what is already gone is fine. Tries to remove all, returns the first -errno. */
int io_remove_tree_at(int dirfd, const char *name);

/* flock(fd, how), taken up again after a signal: 0, -EWOULDBLOCK with LOCK_NB, -errno. */
int io_lock(int fd, int how);

/* Makes fd (not) block: 0 or -errno. */
int io_set_nonblock(int fd, bool on);

#endif

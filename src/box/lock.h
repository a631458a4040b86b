/*
 * Locks on files in a box's folder: "lock" (the box runs) and "maker" (who made it may still start it).
 *
 * They are locks of the open file (F_OFD_SETLK, fcntl(2)): they pass to a child with the fd and go when its last
 * copy goes, however that happens. And one can ask about them without taking them, which flock(2) does not offer: a
 * `ps` that took the lock to find out would make a start beside it say that the box runs already.
 */
#ifndef BOX_LOCK_H
#define BOX_LOCK_H

#include <sys/types.h>

#include "base/base.h"

enum { BOX_LOCK_CREATE = 1 };

/* Takes the lock: the fd that holds it, -EWOULDBLOCK when another has it, -ENOENT when there is no such file (the box
 * is being removed), -errno. CREATE is for the box's maker: a folder that is being emptied must not get a new file. */
int box_lock_take(int box_fd, const char *name, unsigned flags) MUST_CHECK;

/* Whether somebody has it: 1, 0 (also without such a file), -errno. */
int box_lock_held(int box_fd, const char *name) MUST_CHECK;

/* One time that the lock is held: a run of the box. */
struct box_run {
	int fd; /* owned */
	off_t at;
};

#define BOX_RUN_NONE { .fd = -1 }

/* The one that there is now: 1, 0 there is none, -ENOENT (no such file), -errno. */
int box_lock_watch(int box_fd, const char *name, struct box_run *ret) MUST_CHECK;

/* Waits for the end of that one, without taking the lock, whoever has taken it meanwhile: 0, -errno. */
int box_run_await(const struct box_run *run) MUST_CHECK;

#endif

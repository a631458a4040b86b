/*
 * A file that is whole or not there: it has no name until it is published (O_TMPFILE), so whatever ends this
 * process leaves nothing behind. Where the file system has no such files (some overlayfs, NFS), and to replace a file,
 * it is one of a name that nobody else uses, ".NAME." and 16 hex digits. It is locked (flock(2)) as long as somebody
 * makes it, a child that has got the fd included: what is not locked was left by a process that was killed.
 */
#ifndef BASE_NEWFILE_H
#define BASE_NEWFILE_H

#include "base/base.h"

struct newfile {
	int fd;        /* owned; read and write, mode 0600 */
	int dirfd;     /* borrowed */
	char tmp[80];  /* its name if it needs one, else "" */
};

/* For a file `name` (at most 48 bytes) in the folder: 0 or -errno. */
int newfile_open(struct newfile *f, int dirfd, const char *name) MUST_CHECK;

/* Gives it its name. A file of that name that is there already stays: 0, as two may make the same one. */
int newfile_publish(struct newfile *f, const char *name) MUST_CHECK;

/* Closes it; without newfile_publish() it is gone. */
void newfile_close(struct newfile *f);

/* Makes or replaces a whole file: a reader sees the old content or the new, never a part, also after a crash (the file
 * is synced). */
int newfile_write(int dirfd, const char *name, const void *p, size_t n) MUST_CHECK;

/* Removes what was left in the folder by processes that were killed, and nothing that one still makes. */
void newfile_sweep(int dirfd);

#endif

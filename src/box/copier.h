/*
 * boxlite-copy from outside: the program that makes a tar of files of this host, or files of a tar (wire/copy.h). Its
 * tar passes through here unread.
 */
#ifndef BOX_COPIER_H
#define BOX_COPIER_H

#include "base/spawn.h"
#include "box/home.h"
#include "wire/conn.h"
#include "wire/copy.h"
#include "wire/proc.h"

struct copier {
	struct child child;
	struct conn control;
	int tar;               /* owned; a socket that does not block; -1 once closed */
	bool answered;
	struct proc_exit exit; /* meaningful once answered: code 0, or an errno with the reason */
};

#define COPIER_NONE ((struct copier){ .child = CHILD_NONE, .control = { .fd = -1 }, .tar = -1 })

/* Starts it on an open file or folder, which stays the caller's. */
int copier_start(struct home *h, const struct copy_spec *s, int file, struct copier *ret, struct error *err) MUST_CHECK;

/* control.fd is readable: takes what has come. One that has ended without an answer has failed. */
void copier_dispatch(struct copier *c);

/* One that writes files: lets it come to its end, for killed it would leave a part of the file that it was at. Blocks;
 * it ends when its tar does, which is closed here. */
void copier_finish(struct copier *c);

/* Ends it if it has not ended. */
void copier_close(struct copier *c);

#endif

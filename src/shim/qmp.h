/*
 * QMP, the monitor protocol of QEMU (docs/interop/qmp-spec in its source): JSON lines over a socket pair. Two
 * errands are all that is asked of it: to save a machine, and to let one go on from what was saved.
 */
#ifndef SHIM_QMP_H
#define SHIM_QMP_H

#include "base/buf.h"
#include "base/loop.h"

#define QEMU_FD_STATE 8 /* machine.state_fd in QEMU */

struct qmp;
typedef void qmp_fn(struct qmp *q, const char *error); /* NULL: done; else why not. It may call qmp_close(). */

#define QMP_NONE { .fd = -1, .watch = { .fd = -1 } } /* an initializer */

struct qmp {
	struct loop *loop;
	int fd;              /* owned; -1: not open */
	struct watch watch;
	struct buf in;
	unsigned answers;    /* that are still to come */
	bool until_saved;    /* ... and then the event */
	qmp_fn *fn;
};

enum qmp_line { QMP_OTHER, QMP_ANSWER, QMP_ERROR, QMP_SAVED, QMP_NOT_SAVED };

/* What a line says; text: QEMU's words of an error. Anything that is not understood is OTHER. */
enum qmp_line qmp_parse(const char *line, size_t len, char *text, size_t size);

/* Takes the near end of the machine's monitor, before anything else here. */
int qmp_open(struct qmp *q, struct loop *l, int fd) MUST_CHECK; /* fd is q's in any case */
void qmp_close(struct qmp *q); /* fine if it is not open; the machine goes on */

/* Stops the machine and writes its devices to state_fd; its memory is a file of the caller's, and then at rest.
 * After a failure QEMU may be anywhere in this: the machine is of no more use. */
int qmp_save(struct qmp *q, int state_fd, qmp_fn *fn) MUST_CHECK;
int qmp_continue(struct qmp *q, qmp_fn *fn) MUST_CHECK; /* what qmp_save() has stopped */

/* Devices from machine.state_fd. A machine that cannot read them ends with status 1. */
int qmp_restore(struct qmp *q, qmp_fn *fn) MUST_CHECK;

#endif

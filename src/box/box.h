/*
 * Boxes: a folder, a row, and while it runs a shim that holds the folder's
 * lock. Order of making: folder, disk, row; of removing: row last, so that
 * whatever is left behind by a crash has a row or is a folder without one,
 * and box_recover() finds both.
 */
#ifndef BOX_BOX_H
#define BOX_BOX_H

#include "base/spawn.h"
#include "box/db.h"
#include "box/home.h"
#include "wire/spec.h"

#define BOX_ID_LEN 12 /* lower-case hex digits */

struct box_request { /* borrowed */
	const char *image; /* as typed */
	const char *name;  /* NULL: none */
	bool auto_remove;
	bool no_health; /* whatever the image says */
	struct box_spec *spec; /* everything but id, hostname and main; taken over */
	const struct merge_options *process; /* hostname is filled in */
};

/* Makes a box. The row is the caller's, and so is *ret_maker: an fd that keeps a box with auto_remove from being taken
 * for a leftover until it is started (-1 for others). */
int box_create(struct home *h, const struct box_request *q, struct db_box *ret, int *ret_maker,
	       struct error *err) MUST_CHECK;

/* A fresh random id (BOX_ID_LEN hex digits and NUL). */
int box_new_id(char out[BOX_ID_LEN + 1], struct error *err) MUST_CHECK;

/* What is of one start and not of the box. */
struct box_start {
	uint16_t rows, cols; /* of the main process's terminal */
	bool trace_kernel;
	bool detached; /* the box outlives its starter */
	bool no_main;  /* for copies from and to it: it does not run, and is afterwards as it was. Its log is another */
};

/* Starts the shim of a box. *ret_sock is the control connection: SPEC is sent, HELLO follows from the
 * caller's side. *ret_shim is the shim. -EALREADY: it runs. */
int box_start(struct home *h, const struct db_box *b, const struct box_start *how, int *ret_sock,
	      struct child *ret_shim, struct error *err) MUST_CHECK;

/* 1 running, 0 not, -errno. */
int box_is_running(struct home *h, const char *id, struct error *err);

/* -EINVAL not a name, -EEXIST taken. */
int box_rename(struct home *h, const char *id, const char *name, struct error *err) MUST_CHECK;

/* Blocks until the run that there is now is over, whatever begins after it. */
int box_wait(struct home *h, const char *id, struct error *err);

/* Ends it in order: SIGTERM to the main process, SIGKILL after the grace, unmount. Blocks until that is over; fine if
 * it did not run. */
int box_stop(struct home *h, const char *id, uint32_t grace_ms, struct error *err) MUST_CHECK;

/* The same without waiting for the end. */
int box_ask_to_stop(struct home *h, const char *id, uint32_t grace_ms, struct error *err) MUST_CHECK;

/* A signal to its main process; with SIGKILL blocks until the box has ended. -ENOTCONN: it does not run. */
int box_signal(struct home *h, const char *id, int signo, struct error *err) MUST_CHECK;

/* Connects to the shim of a box, which may just be starting: fd, or -ENOTCONN it does not run. */
int box_connect(struct home *h, const char *id, struct error *err);

/* The same of one that is locked, waiting until it has started; -ENOTCONN once it is not locked. */
int box_connect_locked(struct home *h, const char *id);

/* Of one that is locked: that is for copies only, and it does not run. */
bool box_is_copying(struct home *h, const char *id);

/* Removes folder and row; with force a running box is stopped at once. -EBUSY. */
int box_remove(struct home *h, const char *id, bool force, struct error *err) MUST_CHECK;

/* Puts away what crashes left: folders without a row, and boxes that were to go when they ended. */
void box_recover(struct home *h);

#endif

/* What the files of the library share. The contracts are in boxlite.h. */
#ifndef LIB_LIB_H
#define LIB_LIB_H

#include "base/spawn.h"
#include "box/box.h"
#include "boxlite.h"
#include "lib/dispatch.h"
#include "wire/conn.h"

#define PUBLIC __attribute__((visibility("default")))

struct boxlite {
	struct home *home;
	struct dispatcher d;
};

struct boxlite_box {
	struct boxlite *b; /* borrowed, as is its home */
	struct home *home;
	struct db_box row;
	struct box_spec *spec; /* owned; what row.spec says, once it was asked for: lib_spec() */
	char *folder; /* owned */
	int maker_fd; /* owned; the maker's mark until the box is started, or -1 */
};

/* Copies an internal error out; returns its code (code_fallback if it has none). */
int lib_fail(struct boxlite_error *out, const struct error *err, int code_fallback);

/* What the box was made with, borrowed from it. */
int lib_spec(struct boxlite_box *box, const struct box_spec **ret, struct error *err);

/* -EINVAL: an argument that must be given is NULL. */
int lib_missing(struct error *err);

/* Copies the caller's options over defaults, whatever size the caller's structure has: a field that one side
 * does not know is the default. -EINVAL when `from` is NULL or says no size. */
int lib_copy_options(void *to, size_t to_size, const void *from, struct boxlite_error *err);

/* "allow RULE" and "deny RULE", and enum boxlite_net_open: -EINVAL, -E2BIG. */
int lib_add_rules(const char *const *rules, struct net_spec *net, struct error *err);
int lib_check_open(unsigned net_open, struct error *err);

void lib_exit(const struct proc_exit *e, struct boxlite_exit *out); /* out->error borrows from e */

/* The stretches between the stages that were reached; the first one begins at start_ns. Sets no size and no parts. */
struct timing;
void lib_timing(const struct timing *t, uint64_t start_ns, struct boxlite_timing *out);

/* Those of events that are left. */
void lib_close_watches(struct boxlite *b);

/* Calls fn for the box of a row, as it is now. */
int lib_describe(struct home *home, const struct db_box *row, boxlite_box_fn *fn, void *ud,
		 struct error *err);

/* A process on a connection whose HELLO, and START or SPEC, are written or queued. Takes sock and shim; b is borrowed
 * until the process is closed. */
int lib_process_new(struct boxlite *b, int sock, struct child *shim, struct buf *opening, struct boxlite_process **out,
		    struct error *err);

struct driven *lib_process_driven(struct boxlite_process *p);

/* 1 it runs and has an input that is not at its end; 0 it does not run yet; -1 it has none (any more). */
int lib_process_takes_input(const struct boxlite_process *p);

/* p was there before: the shim says how much of an input it takes, if it is to have one. */
void lib_process_is_attached(struct boxlite_process *p, bool is_main, bool input);

/* p is the main process of a box whose start began at start_ns (base/clock.h); detached: that outlives p. */
void lib_process_starts_box(struct boxlite_process *p, uint64_t start_ns, bool detached);

/* Leaves what p is; its shim, if that was started for p, is waited for. Only boxlite_process_close() may follow. */
void lib_process_leave(struct boxlite_process *p);

/* p writes to the disk of its box. If that was started for it alone and does not end in order, p has failed. */
void lib_process_is_copy_in(struct boxlite_process *p);

/* The box is removed when the shim of p, its main process, has ended; `keep_failed`: unless the box failed. */
void lib_process_removes(struct boxlite_process *p, const char *id, bool keep_failed);

#endif

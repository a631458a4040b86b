/*
 * exit.json in a box's folder: what has become of its last start. Written by its shim when the box is over, or by who
 * has started it if there never was a shim, and taken away by the next start: {kind, code, signal, error, started_at,
 * finished_at, timing}.
 */
#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include "wire/proc.h"
#include "wire/timing.h"

struct exit_record {
	struct proc_exit exit;
	int64_t started_at, finished_at; /* seconds since 1970; 0: not known */
	struct timing timing;            /* all zero: not known */
};

json_t *exit_record_to_json(const struct exit_record *r); /* new object or NULL */
int exit_record_write(int box_fd, const struct exit_record *r) MUST_CHECK; /* as newfile_write() */
int exit_record_from_json(const json_t *j, struct exit_record *ret) MUST_CHECK; /* 0 or -EBADMSG */

#endif

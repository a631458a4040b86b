/*
 * What happens in a home: the file events.log, a line of JSON for each event, appended by whoever it happens to: the
 * library (boxes and images that come and go) and each box's shim (its life).
 *
 *	{"time_ns", "type", "action", "id", "name", "image", "exec", "status", "signal", "detail"}
 *
 * A line goes out in one write(2) of at most EVENT_LINE_MAX bytes, to a file that is open for appending: so lines of
 * several writers do not mix. The file only grows, and its beginning is taken back from the disk (event_trim): its
 * first byte that is not zero may lie inside a line. Nothing secret is in it: no arguments, no environment.
 */
#ifndef WIRE_EVENT_H
#define WIRE_EVENT_H

#include "base/json.h"

#define EVENT_FILE "events.log"
#define EVENT_LINE_MAX 4096
#define EVENT_NO_STATUS (-1)
#define EVENTS_MOST ((off_t)(4 * MIB)) /* of the disk; then its beginning goes */
#define EVENTS_KEPT ((off_t)(2 * MIB))

struct event { /* texts are borrowed; NULL: it has none */
	uint64_t time_ns;   /* since 1970; written as it is sent */
	const char *type;   /* "box", "image" */
	const char *action; /* "create", "start", "die", ... see boxlite.h */
	const char *id;     /* of a box; of an image its reference */
	const char *name, *image; /* of a box */
	uint32_t exec;      /* the number of an exec; 0: it is not about one */
	int status;         /* as a shell says it, or EVENT_NO_STATUS */
	int signal;         /* 0: none */
	const char *detail; /* a word more: the old name, a health */
};

/* Stamps and appends it to the file: 0, -EMSGSIZE, -errno. */
int event_append(int fd, const struct event *e) MUST_CHECK;

/* Gives the beginning of a long file, open for writing, back to the disk, if its file system can. */
void event_trim(int fd);

/* Of a line's object, from which *ret borrows: 0 or -EBADMSG. */
int event_from_json(const json_t *j, struct event *ret) MUST_CHECK;

#endif

/* The events of a home (wire/event.h), written and read. */
#ifndef BOX_EVENTS_H
#define BOX_EVENTS_H

#include "box/home.h"
#include "wire/event.h"

/* The file, for a shim to append to: fd or -errno. */
int events_open(struct home *h) MUST_CHECK;

/* Writes one down. That it could not be is nobody's failure: what happened has happened. */
void events_say(struct home *h, const struct event *e);

/* Takes the beginning of a long file back from the disk. */
void events_trim(struct home *h);

typedef int event_fn(const struct event *e, void *ud); /* other than 0 stops */

struct events_query {
	bool follow;
	bool from_now;               /* nothing that is written down already */
	uint64_t since_ns, until_ns; /* of those at or after, and before; until 0: no end */
	int cancel_fd;               /* an fd whose readability cancels, or -1 */
};

/* Calls fn for each in the order in which they were written; *ret is what it returned last. -ECANCELED, -errno. With
 * follow it waits for more, until `until_ns` if that is given. */
int events_read(struct home *h, const struct events_query *q, event_fn *fn, void *ud, int *ret,
		struct error *err) MUST_CHECK;

/* The same for who waits by himself: for events_reader_fd(), which is readable when there may be more. follow and
 * cancel_fd mean nothing here. */
struct events_reader;
int events_reader_open(struct home *h, const struct events_query *q, event_fn *fn, void *ud, struct events_reader **ret,
		       struct error *err) MUST_CHECK;
int events_reader_fd(const struct events_reader *l); /* borrowed */
/* Calls fn for all that is there: 1 there may be more, 0 fn has stopped it or the time is over, -errno. */
int events_reader_more(struct events_reader *l) MUST_CHECK;
void events_reader_close(struct events_reader *l); /* not within fn; NULL is fine */

#endif

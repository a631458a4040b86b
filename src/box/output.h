/* Reads what a box's main process has written (wire/logrec.h), while its shim may be writing. */
#ifndef BOX_OUTPUT_H
#define BOX_OUTPUT_H

#include "box/home.h"
#include "wire/logrec.h"

/* A piece of output as it came; data is borrowed. A return other than 0 stops. */
typedef int output_fn(const struct logrec *r, const char *data, void *ud);

struct output_query {
	bool follow;       /* when all is read: wait for more, until the box has ended */
	uint64_t since_ns; /* records before that are passed over */
	long tail;         /* the last so many lines only; below 0: all */
	int cancel_fd;     /* becomes readable: -ECANCELED; -1: none */
};

/* 0 or -errno; *ret is what fn returned last. */
int output_read(struct home *h, const char *id, const struct output_query *q, output_fn *fn, void *ud, int *ret,
		struct error *err) MUST_CHECK;

#endif

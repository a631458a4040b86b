/* What about this host is good or bad for boxes, and what to do about it. Looks only: it makes no home. */
#ifndef BOX_DOCTOR_H
#define BOX_DOCTOR_H

#include "base/error.h"

enum finding_level {
	FINDING_OK,
	FINDING_WARN, /* boxes run, and could run better */
	FINDING_FAIL, /* boxes cannot run */
};

struct finding {
	const char *id; /* what was looked at, one word */
	enum finding_level level;
	const char *what;   /* one line */
	const char *remedy; /* one line; NULL: none is needed */
};

typedef int finding_fn(const struct finding *f, void *ud); /* other than 0 stops */

/* Calls fn for each finding; the worst level, or -ENOMEM. `home` as for home_open(). */
int doctor_run(const char *home, finding_fn *fn, void *ud, struct error *err) MUST_CHECK;

#endif

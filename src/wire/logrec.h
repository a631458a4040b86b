/*
 * The file of a box's output, log/output.log, and the one before it, log/output.log.1. The shim appends what the main
 * process writes, as it comes: a record is a header of LOGREC_HEADER bytes,
 *
 *	"1764236000.123456789 o 00057\n"
 *
 * (seconds and nanoseconds since 1970, o for stdout or e for stderr, length of what follows), and that many bytes. A
 * record need not end with a line. The last one may be cut where the host lost power; the next start takes it away.
 * When a file has LOGREC_FILE_MAX bytes it takes the other name, and a new one begins.
 */
#ifndef WIRE_LOGREC_H
#define WIRE_LOGREC_H

#include "base/base.h"
#include "wire/frame.h"

#define LOGREC_FILE "log/output.log"
#define LOGREC_OLD LOGREC_FILE ".1"
#define LOGREC_HEADER 29
#define LOGREC_DATA_MAX FRAME_DATA_MAX
#define LOGREC_FILE_MAX (8 * MIB)

struct logrec {
	uint64_t time_ns; /* since 1970 */
	enum frame_channel channel;
	uint32_t len;
};

/* r->len at most LOGREC_DATA_MAX. */
void logrec_put(char out[LOGREC_HEADER], const struct logrec *r);
int logrec_get(const char in[LOGREC_HEADER], struct logrec *ret) MUST_CHECK; /* 0 or -EBADMSG */

#endif

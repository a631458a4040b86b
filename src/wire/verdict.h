/*
 * What `boxlite-vmm --probe` and `--probe-jail` print: one line of JSON,
 *
 *	{"works": false, "step": "lock cmpxchg16b", "reason": "...", "create_us": 1200, "run_us": 310}
 *
 * `step` is what failed and `reason` why, as a noun and a clause for people; both are "" if it works.
 */
#ifndef WIRE_VERDICT_H
#define WIRE_VERDICT_H

#include "base/base.h"
#include "base/buf.h"
#include "base/error.h"

/* Raise it when the probe asks for more: an older program's verdict is then not believed. */
#define VERDICT_VERSION 1

#define VERDICT_STEP_MAX 48
#define VERDICT_REASON_MAX 256
#define VERDICT_LINE_MAX 1024 /* "\u0001" is the longest that a byte becomes */

struct verdict {
	bool works;
	char step[VERDICT_STEP_MAX];
	char reason[VERDICT_REASON_MAX];
	uint32_t create_us; /* KVM_CREATE_VM */
	uint32_t run_us;    /* the first KVM_RUN, to its first exit: newer kernels set some things up there */
};

/* works = false, with the reason; returns 0, which is how a probe ends that could be made. */
int verdict_fails(struct verdict *v, const char *step, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The line with its newline: 0, -ENOMEM, -ENOBUFS. */
int verdict_put(struct buf *out, const struct verdict *v) MUST_CHECK;

/* 0, or -EBADMSG. Texts are cut to their size and made safe to print. */
int verdict_get(const void *p, size_t n, struct verdict *ret, struct error *err) MUST_CHECK;

#endif

/*
 * When a box's start and end came how far. TIMING, shim -> the box's owner, once, the last frame of a box that has
 * ended: {stage: ns, ...}. All times are of the host's CLOCK_MONOTONIC, in the order of enum timing_stage; 0: the box
 * did not come so far, or its engine cannot tell.
 *
 * The guest's part is what the guest says (READY: {"since_start": ns, "kernel": parts}) and no more than a claim.
 * Parts are [[name, ns], ...] of the kernel's boot, in READY and TIMING, when the owner has asked for them.
 */
#ifndef WIRE_TIMING_H
#define WIRE_TIMING_H

#include "base/json.h"
#include "wire/frame.h"

enum timing_stage {
	TIMING_SHIM,   /* the shim has read what to run */
	TIMING_ENGINE, /* the engine's program is started */
	TIMING_VMM,    /* it is in main(); engine kvm only */
	TIMING_GUEST,  /* the guest's first instruction; engine kvm only */
	TIMING_AGENT,  /* the agent's first instruction, by the guest's clock */
	TIMING_READY,  /* the agent has said READY */
	TIMING_MAIN,   /* the main process runs */
	TIMING_EXIT,   /* it has ended */
	TIMING_END,    /* the machine is gone */
	TIMING_STAGES,
};

#define TIMING_PARTS_MAX 16
#define TIMING_PART_NAME 48 /* with its end */

/* Names are printable ASCII. */
struct timing_parts {
	unsigned n;
	struct timing_part {
		char name[TIMING_PART_NAME];
		uint64_t ns;
	} part[TIMING_PARTS_MAX];
};

struct timing {
	uint64_t at[TIMING_STAGES];
	struct timing_parts kernel; /* n 0: nobody asked */
};

/* As in TIMING: new, or NULL; 0 or -EBADMSG. */
json_t *timing_to_json(const struct timing *t);
int timing_from_json(const json_t *j, struct timing *ret) MUST_CHECK;

int wire_put_timing(struct buf *out, const struct timing *t) MUST_CHECK;
int wire_get_timing(const struct frame *f, struct timing *ret) MUST_CHECK; /* 0 or -EBADMSG */

/* READY of the agent. since_start: ns since its first instruction. */
int wire_put_ready(struct buf *out, uint64_t since_start, const struct timing_parts *kernel) MUST_CHECK;
int wire_get_ready(const struct frame *f, uint64_t *ret_since_start,
		   struct timing_parts *ret_kernel) MUST_CHECK; /* 0 or -EBADMSG */

#endif

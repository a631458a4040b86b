/*
 * When a box's start and end came how far. TIMING, shim -> the box's owner, once, the last frame of a box that has
 * ended: {stage: ns, ...}. All times are of the host's CLOCK_MONOTONIC, in the order of enum timing_stage; 0: the box
 * did not come so far, or its engine cannot tell.
 *
 * The guest's part is what the guest says (READY: {"since_start": ns}) and no more than a claim.
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

struct timing {
	uint64_t at[TIMING_STAGES];
};

int wire_put_timing(struct buf *out, const struct timing *t) MUST_CHECK;
int wire_get_timing(const struct frame *f, struct timing *ret) MUST_CHECK; /* 0 or -EBADMSG */

/* READY of the agent. since_start: ns since its first instruction. */
int wire_put_ready(struct buf *out, uint64_t since_start) MUST_CHECK;
int wire_get_ready(const struct frame *f, uint64_t *ret_since_start) MUST_CHECK; /* 0 or -EBADMSG */

#endif

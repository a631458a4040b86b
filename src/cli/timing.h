/* run --timing: where the time of a box went. */
#ifndef CLI_TIMING_H
#define CLI_TIMING_H

#include <stdbool.h>

#include "boxlite.h"

/* What the command itself did, in ns of CLOCK_MONOTONIC (base/clock.h). */
struct run_timing {
	uint64_t begin;   /* the command began */
	uint64_t opened;  /* the home is open, and the image is there */
	uint64_t created; /* the box is */
	struct boxlite_timing box; /* but for its parts */
	bool complete;    /* it is filled in */
	struct run_timing_part {
		char name[64];
		uint64_t ns;
	} part[32];
	size_t nparts;
};

/* Takes what the process says of itself, before it is closed. */
void timing_keep(struct run_timing *t, const struct boxlite_process *p);

/* Prints the table to standard error, with now as the end. */
void timing_print(const struct run_timing *t);

#endif

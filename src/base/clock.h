/* Time that passes: nanoseconds of CLOCK_MONOTONIC, the same for all processes of a host; and the time of day. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_ns(void)
{
	return clock_ns_of(CLOCK_MONOTONIC);
}

/* Since 1970, by CLOCK_REALTIME: for people and files. */
static inline uint64_t clock_wall_ns(void)
{
	return clock_ns_of(CLOCK_REALTIME);
}

static inline uint64_t clock_ms(void)
{
	return clock_ns() / 1000000U;
}

#endif

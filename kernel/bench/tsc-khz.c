/*
 * Prints this machine's TSC frequency in kHz, measured against CLOCK_MONOTONIC_RAW over 20 ms. Each
 * end is the best of ten readings: the clock between two TSC values, where the two are closest, so
 * that an interrupt in between does not count. The result is good to about one part in a million.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct instant {
	uint64_t tsc, ns;
};

static struct instant
read_clocks(void)
{
	struct instant best = {0};
	uint64_t closest = UINT64_MAX;

	for (int i = 0; i < 10; i++) {
		struct timespec ts;
		uint64_t before = __rdtsc();
		clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
		uint64_t after = __rdtsc();

		if (after - before < closest) {
			closest = after - before;
			best.tsc = before + closest / 2;
			best.ns = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
		}
	}
	return best;
}

int
main(void)
{
	struct instant begin = read_clocks();
	nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	struct instant end = read_clocks();

	/* 20 ms of ticks times a million fit in 64 bits up to 900 GHz. */
	printf("%" PRIu64 "\n", (end.tsc - begin.tsc) * 1000000 / (end.ns - begin.ns));
	return 0;
}

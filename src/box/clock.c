/*
 * The frequency of the host's time stamp counter.
 *
 * A guest without a hypervisor clock spends a quarter of its boot measuring
 * timers. Under TCG, QEMU hands the host's counter to the guest as it is, so
 * telling the guest its frequency (tsc_early_khz=) saves that. The kernel does not
 * export the number, so it is measured against CLOCK_MONOTONIC_RAW: the two are
 * read together, twice, and of several readings each the tightest is taken.
 * 50 ms apart, 100 ns of error are 2 parts per million.
 *
 * Measured once per boot of the host: home/tsc holds "<boot id> <kHz>".
 */
#include "box/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "base/io.h"
#include "base/newfile.h"
#include "base/str.h"
#include "box/boot.h"

#define READINGS 8
#define INTERVAL_NS 50000000ULL

struct reading {
	uint64_t tsc, ns, spread;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* The tightest of a few sandwiches tsc, clock, tsc: least disturbed by interrupts. */
static struct reading read_both(void)
{
	struct reading best = { .spread = UINT64_MAX };
	int i;

	for (i = 0; i < READINGS; i++) {
		uint64_t before = __rdtsc(), ns = now_ns(), after = __rdtsc();

		if (after - before < best.spread)
			best = (struct reading){ before + (after - before) / 2, ns, after - before };
	}
	return best;
}

static uint32_t measure(void)
{
	struct reading a = read_both(), b;

	while (now_ns() - a.ns < INTERVAL_NS)
		_mm_pause();
	b = read_both();
	if (b.ns <= a.ns || b.tsc <= a.tsc)
		return 0;
	return (uint32_t)((unsigned __int128)(b.tsc - a.tsc) * 1000000 / (b.ns - a.ns));
}

/* The number of an earlier measurement in this boot, or 0. */
static uint32_t remembered(const struct home *h, const char *boot)
{
	auto_buf struct buf text = BUF_INIT(128);
	uint64_t khz;
	char *line;

	if (io_read_file_at(h->fd, "tsc", &text) < 0 || !(line = buf_str(&text)))
		return 0;
	line[strcspn(line, "\n")] = 0;
	if (strncmp(line, boot, BOOT_ID_LEN) != 0 || line[BOOT_ID_LEN] != ' ' ||
	    str_parse_u64(line + BOOT_ID_LEN + 1, UINT32_MAX, &khz) < 0)
		return 0;
	return (uint32_t)khz;
}

uint32_t clock_tsc_khz(const struct home *h)
{
	char boot[BOOT_ID_LEN + 1], line[128];
	uint32_t khz;
	int n;

	if (boot_id(boot) < 0)
		return measure();
	khz = remembered(h, boot);
	if (khz)
		return khz;
	khz = measure();
	n = snprintf(line, sizeof(line), "%s %u\n", boot, khz);
	/* Only a cache: if it cannot be written, the next start measures again. */
	if (khz && newfile_write(h->fd, "tsc", line, (size_t)n) < 0)
		return khz;
	return khz;
}

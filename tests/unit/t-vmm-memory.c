/* Guest addresses: what is memory, and what only looks like it. */
#include <errno.h>

#include "lib/tap.h"
#include "vmm/layout.h"
#include "vmm/memory.h"

static void test_sizes(void)
{
	static const uint64_t bad[] = { 0, 1, 4095, 4097, 1024 * GIB + 4096, UINT64_MAX, UINT64_MAX - 4095 };
	struct memory m = { 0 };
	struct error err;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		err = (struct error){ 0 };
		ok(mem_open(&m, bad[i], &err) == -EINVAL && err.code == -EINVAL && !m.n,
		   "no machine of %llu bytes", (unsigned long long)bad[i]);
	}
	mem_close(&m);
	mem_close(NULL);
}

static void test_small(void)
{
	struct memory m;
	char in[4];

	is_int(mem_open(&m, 8192, NULL), 0, "two pages");
	ok(m.n == 1 && m.region[0].size == 8192, "are one region");
	ok((uintptr_t)m.region[0].host % (2 * MIB) == 0, "aligned for large pages");
	ok(mem_at(&m, 0, 8192) == m.region[0].host, "all of it");
	ok(mem_at(&m, 8191, 1) == m.region[0].host + 8191, "its last byte");
	ok(!mem_at(&m, 8191, 2) && !mem_at(&m, 8192, 1) && !mem_at(&m, 0, 8193), "nothing beyond");
	ok(!mem_at(&m, 16, 0), "no bytes are nowhere");
	ok(!mem_at(&m, UINT64_MAX, 1) && !mem_at(&m, UINT64_MAX - 3, 8) && !mem_at(&m, 8, UINT64_MAX) &&
	   !mem_at(&m, UINT64_MAX, UINT64_MAX), "sums that wrap are not memory");
	is_int(mem_copy_out(&m, 8188, "abcd", 4), 0, "four bytes to its end");
	ok(mem_copy_in(&m, in, 8188, 4) == 0 && !memcmp(in, "abcd", 4), "and back");
	memcpy(in, "wxyz", 4);
	ok(mem_copy_in(&m, in, 8189, 4) == -EFAULT && !memcmp(in, "wxyz", 4), "a copy over the end copies nothing");
	ok(mem_copy_out(&m, 8189, "0123", 4) == -EFAULT && !memcmp(m.region[0].host + 8188, "abcd", 4), "either way");
	ok(mem_copy_in(&m, in, 1 << 20, 0) == 0, "a copy of nothing may be anywhere");
	mem_close(&m);
	ok(!m.n && !mem_at(&m, 0, 1), "closed");
	mem_close(&m);
}

/* Nothing is touched: it needs no room. */
static void test_hole(void)
{
	struct memory m;
	uint8_t *low;

	is_int(mem_open(&m, 5 * GIB, NULL), 0, "5 GiB");
	is_int(m.n, 2, "are two regions");
	low = mem_at(&m, 0, 3 * GIB);
	ok(low && low == m.region[0].host, "3 GiB at 0");
	ok(mem_at(&m, 4 * GIB, 2 * GIB) == low + 3 * GIB, "2 GiB at 4 GiB, behind them");
	ok(!mem_at(&m, 3 * GIB, 1) && !mem_at(&m, MMIO_BASE, 4) && !mem_at(&m, 4 * GIB - 1, 1), "none between");
	ok(!mem_at(&m, 3 * GIB - 1, 2) && !mem_at(&m, 4 * GIB - 1, 2) && !mem_at(&m, 3 * GIB - 8, GIB + 16),
	   "nor across the edges of the hole");
	ok(mem_at(&m, 6 * GIB - 1, 1) && !mem_at(&m, 6 * GIB - 1, 2), "the end");
	mem_close(&m);

	is_int(mem_open(&m, 3 * GIB, NULL), 0, "exactly 3 GiB");
	is_int(m.n, 1, "are one region");
	mem_close(&m);
}

int main(void)
{
	test_sizes();
	test_small();
	test_hole();
	return tap_done();
}

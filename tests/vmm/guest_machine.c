/* What the guest has of a machine beside disks: CPUs and memory. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define LARGE (2 * MIB)
#define LOW_END (3 * GIB) /* src/vmm/layout.h: the hole begins */
#define HIGH_BEGIN (4 * GIB)

/* Each CPU does some work; the host knows how many there should be. */
void test_cpus(void)
{
	int n = 0, ran = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		give_up("the CPUs can be counted");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cpu_set_t one;

		if (!CPU_ISSET(cpu, &set))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		n++;
		ran += sched_setaffinity(0, sizeof(one), &one) == 0 && sched_getcpu() == cpu;
	}
	say("cpus %d", n);
	check(ran == n, "each CPU runs programs");
}

/* The physical address of a page that is there, 0 if it cannot be told. */
static uint64_t physical(int pagemap, const void *page)
{
	uint64_t entry = 0;

	if (pread(pagemap, &entry, sizeof(entry), (off_t)((uintptr_t)page / PAGE * sizeof(entry))) != sizeof(entry) ||
	    !(entry >> 63))
		return 0;
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

/*
 * Says how much memory there is, and takes seven eighths of what is free, in large pages: each holds at its ends what
 * was put there. In a machine with a GiB above the hole these are pages of both sides, for the kernel begins below.
 */
void test_memory(void)
{
	uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE, lowest = UINT64_MAX, highest = 0, good = 0;
	size_t n = (size_t)sysconf(_SC_AVPHYS_PAGES) * PAGE / 8 * 7 / LARGE;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint8_t *p = mmap(NULL, n * LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pagemap < 0 || p == MAP_FAILED)
		give_up("memory can be taken");
	madvise(p, n * LARGE, MADV_HUGEPAGE);
	if (madvise(p, n * LARGE, MADV_POPULATE_WRITE) < 0)
		give_up("memory can be used");
	say("memory %llu MiB", (unsigned long long)(total / MIB));
	for (size_t i = 0; i < n; i++) {
		uint64_t at = physical(pagemap, p + i * LARGE);

		memcpy(p + i * LARGE, &i, sizeof(i));
		memcpy(p + (i + 1) * LARGE - sizeof(i), &i, sizeof(i));
		lowest = MIN(lowest, at);
		highest = MAX(highest, at);
		if (at == 0 || (at >= LOW_END && at < HIGH_BEGIN))
			give_up("page %zu is at 0x%llx, where no memory is", i, (unsigned long long)at);
	}
	for (size_t i = 0; i < n; i++)
		good += !memcmp(p + i * LARGE, &i, sizeof(i)) &&
			!memcmp(p + (i + 1) * LARGE - sizeof(i), &i, sizeof(i));
	check(good == n, "every page holds what was put there");
	say("%s", lowest < LOW_END && highest >= HIGH_BEGIN ? "both sides" : highest < LOW_END ? "below" : "above");
}

/* The kernel would end init last; told so, it panics instead. */
void run_out_of_memory(void)
{
	int fd = open("/proc/sys/vm/panic_on_oom", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "2", 1) != 1)
		give_up("the kernel may panic");
	while (mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) != MAP_FAILED)
		;
	give_up("all memory can be used up");
}

/*
 * malloc() of this program is what the library, SQLite and jansson get theirs from; helpers are programs of their own.
 * An allocation can fail alone, or with all behind it.
 */
#include <errno.h>
#include <stdlib.h>

#include "torture.h"

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static struct {
	int on, measured, for_ever;
	long at, count;
} fault;

const char *const fault_name = "allocation";
const int fault_of_memory = 1;

int fault_ways(int thorough)
{
	(void)thorough;
	return 2;
}

void fault_begin(long at, int way)
{
	fault.at = at;
	fault.count = 0;
	fault.for_ever = way;
	fault.on = fault.measured = 1;
}

void fault_pause(void)
{
	fault.on = 0;
}

void fault_resume(void)
{
	fault.on = fault.measured;
}

long fault_end(void)
{
	fault.on = fault.measured = 0;
	return fault.count;
}

const char *fault_what(void)
{
	return fault.for_ever ? " and all behind it" : "";
}

static int fails(void)
{
	if (!fault.on)
		return 0;
	fault.count++;
	if (fault.count != fault.at && !(fault.for_ever && fault.at && fault.count > fault.at))
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}

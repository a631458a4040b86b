/* System calls fail: the tracer around this program sees to it. Each fails alone; the errors of a call are its ways. */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "torture-calls.h"
#include "torture.h"

#define ERRORS_MAX 3 /* of one call, in the tracer's table */

const char *const fault_name = "system call";
const int fault_of_memory = 0;
static char what[MARK_WHAT_MAX];
static int all_ways;

int fault_ways(int thorough)
{
	all_ways = thorough;
	return thorough ? ERRORS_MAX : 1;
}

/* If not all ways are tried, it is another one each time. */
void fault_begin(long at, int way)
{
	static int times;

	what[0] = '\0';
	syscall(MARK_CALL, MARK_BEGIN, at, all_ways ? way : times++, what);
}

void fault_pause(void)
{
	syscall(MARK_CALL, MARK_PAUSE);
}

void fault_resume(void)
{
	syscall(MARK_CALL, MARK_RESUME);
}

long fault_end(void)
{
	return syscall(MARK_CALL, MARK_END);
}

const char *fault_what(void)
{
	return what;
}

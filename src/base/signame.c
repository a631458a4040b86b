#include "base/signame.h"

#include <signal.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

int signal_by_name(const char *text)
{
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	uint64_t n;
	int i;

	if (str_parse_u64(text, (uint64_t)SIGRTMAX, &n) == 0)
		return (int)n;
	for (i = 1; i < SIGRTMIN; i++)
		if (sigabbrev_np(i) && strcasecmp(sigabbrev_np(i), name) == 0)
			return i;
	return 0;
}

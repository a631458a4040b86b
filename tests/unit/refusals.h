/* What who has made a connection hears of requests that are refused. */
#ifndef UNIT_REFUSALS_H
#define UNIT_REFUSALS_H

#include <stdio.h>
#include <string.h>

static char refusal[64]; /* the reasons since it was looked at last, each with a space behind it */

static void on_refusal(void *ud, const char *reason)
{
	size_t n = strlen(refusal);

	(void)ud;
	snprintf(refusal + n, sizeof(refusal) - n, "%s ", reason);
}

/* Were these told, and no others? */
static inline int was_refused(const char *reasons)
{
	int same = !strcmp(refusal, reasons);

	if (!same)
		printf("# refused: \"%s\", not \"%s\"\n", refusal, reasons);
	*refusal = 0;
	return same;
}

#endif

/* A status file of /proc: the kernel writes it, but the name in it is the box's. */
#include <stdlib.h>
#include <string.h>

#include "agent/signals.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct signal_masks m;

	if (text && signal_masks_parse(text, &m))
		(void)signal_would_end(&m, 15);
	free(text);
	return 0;
}

/* The first bytes of a hostile client, as they grow: what was said of them once stays true, whatever follows. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/inspect.h"

static uint8_t *copy(const uint8_t *data, size_t n)
{
	uint8_t *p = malloc(n ? n : 1);

	if (!p)
		abort();
	if (n)
		memcpy(p, data, n);
	return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[NET_NAME_MAX + 1], first[NET_NAME_MAX + 1] = "";
	enum inspect said = INSPECT_MORE;
	size_t n, step = size > 512 ? size / 64 : 1;

	for (n = 0; n <= size; n += step) {
		uint8_t *p = copy(data, n); /* of just that length: a read beyond it is seen */
		enum inspect now = inspect_claim(p, n, name);

		free(p);
		if (said != INSPECT_MORE && (now != said || (inspect_has_name(now) && strcmp(name, first) != 0)))
			abort();
		if (inspect_has_name(now) && (!*name || strlen(name) > NET_NAME_MAX))
			abort();
		said = now;
		memcpy(first, name, sizeof(first));
		if (!inspect_has_name(now))
			first[0] = 0;
	}
	return 0;
}

/* docker's config.json and an image's configuration: JSON that the library itself reads. */
#include <stdlib.h>
#include <string.h>

#include "box/dockercfg.h"
#include "box/merge.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct credentials c = { 0 };
	struct proc_spec s;
	struct merge_options o = { .hostname = "h" };
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (dockercfg_parse(data, size, "r", &c, NULL) == 0)
		credentials_fini(&c);
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	if (merge_process(text, &o, &s, NULL) == 0)
		proc_spec_fini(&s);
	free(text);
	return 0;
}

/* Image references: whatever parses has one spelling, which parses to itself. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_ref ref, again;
	char one[IMAGE_REF_MAX + 1], two[IMAGE_REF_MAX + 1];
	struct error err = { 0 };
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	if (image_ref_parse(text, &ref, &err) == 0) {
		image_ref_format(&ref, one);
		if (image_ref_parse(one, &again, &err) < 0)
			abort();
		image_ref_format(&again, two);
		if (strcmp(one, two) != 0)
			abort();
	} else if (!err.code || !err.text[0]) {
		abort();
	}
	free(text);
	return 0;
}

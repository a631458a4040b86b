/* Manifests, indexes, configurations and error bodies from a registry or an archive. */
#include <stdlib.h>

#include "fuzz.h"
#include "image/explain.h"
#include "image/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { 0 };
	struct manifest m = { 0 };
	struct image_config c = { 0 };
	struct descriptor d;
	enum manifest_kind kind;
	char code[48];
	size_t layers;

	if (manifest_kind(data, size, &kind, &err) < 0 && !err.text[0])
		abort();
	if (manifest_parse(data, size, &m, &err) == 0 && m.n && m.layers[m.n - 1].size > LAYER_MAX)
		abort();
	manifest_fini(&m);
	if (index_choose(data, size, "amd64", &d, &err) == 0 && d.size > MANIFEST_MAX)
		abort();
	for (layers = 1; layers < 4; layers++) {
		if (image_config_parse(data, size, "arm64/v8", layers, &c, &err) == 0 && c.n != layers)
			abort();
		image_config_fini(&c);
	}
	explain_code(data, size, code);
	return 0;
}

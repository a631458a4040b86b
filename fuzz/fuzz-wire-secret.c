/* What a person, a file and the shim say of secrets: what is read can be written, and is read as the same. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/netspec.h"

static void check_text(const char *text)
{
	struct secret s = { 0 }, again = { 0 };
	json_t *j;

	if (secret_parse(text, &s, NULL) < 0)
		return;
	j = secret_to_json(&s);
	/* A path need not be UTF-8, as JSON must be. */
	if (j && (secret_from_json(j, &again, NULL) < 0 || strcmp(s.from, again.from) != 0 || s.port != again.port))
		abort();
	json_decref(j);
	secret_fini(&s);
	secret_fini(&again);
}

static void check_values(const struct net_secrets *s)
{
	struct buf b = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	struct net_secrets again;

	if (wire_put_net_secrets(&b, s) < 0 ||
	    wire_get_net_secrets(buf_data(&b) + FRAME_HEADER, buf_len(&b) - FRAME_HEADER, &again, NULL) < 0 ||
	    again.n != s->n)
		abort();
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f = { .type = FRAME_NET_CA, .payload = size ? data : NULL, .len = (uint32_t)size };
	char *text = malloc(size + 1), *pem;
	struct net_secrets s;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	check_text(text);
	free(text);
	if (wire_get_net_secrets(data, size, &s, NULL) == 0)
		check_values(&s);
	if (size < FRAME_PAYLOAD_MAX && wire_get_net_ca(&f, &pem, NULL) == 0)
		free(pem);
	return 0;
}

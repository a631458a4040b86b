/* What a registry and its token server say when a login is wanted. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "image/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct auth_challenge c;
	char *text = malloc(size + 1), *header = NULL;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	if (auth_parse_challenge(text, &c) == 0 && c.scheme == AUTH_BEARER) {
		if (!c.realm[0])
			abort();
		(void)auth_realm_allowed(&c, true);
		auth_free(auth_token_url(&c, "repository:x:pull"));
		auth_free(auth_refresh_form(&c, "repository:x:pull", "secret"));
	}
	/* A token goes into a header: it must not be able to end the line. */
	if (auth_parse_token(data, size, &header) == 0 && strpbrk(header + strlen("Bearer "), "\r\n \t"))
		abort();
	auth_free(header);
	free(text);
	return 0;
}

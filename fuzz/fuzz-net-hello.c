/* A ClientHello as a hostile guest sends it; cut anywhere it is either incomplete or nothing, never something else. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello h, again;
	size_t cut = size ? data[size - 1] : 0;
	int r = hello_parse(data, size, &h), early = hello_parse(data, MIN(cut, size), &again);

	if (r == 0 && strlen(h.name) > NET_NAME_MAX)
		abort();
	if (r == 0 && h.alpn && (h.alpn < data || h.alpn + h.alpn_len > data + size))
		abort();
	if (r == 0 && early == 0 && (strcmp(h.name, again.name) != 0 || h.h2 != again.h2 || h.ech != again.ech))
		abort();
	if (early == -EBADMSG && r != -EBADMSG)
		abort();
	return 0;
}

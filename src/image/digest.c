#include "image/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/str.h"
#include "wire/ref.h"

int digest_begin(struct digest *d)
{
	if (!d->md)
		d->md = EVP_MD_CTX_new();
	if (!d->md || EVP_DigestInit_ex(d->md, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	return 0;
}

void digest_add(struct digest *d, const void *p, size_t n)
{
	EVP_DigestUpdate(d->md, p, n);
}

void digest_end(struct digest *d, char hex[DIGEST_HEX + 1])
{
	uint8_t raw[32] = { 0 };

	EVP_DigestFinal_ex(d->md, raw, NULL);
	str_hex(raw, sizeof(raw), hex);
}

void digest_fini(struct digest *d)
{
	EVP_MD_CTX_free(d->md);
	d->md = NULL;
}

int digest_of(const void *p, size_t n, char hex[DIGEST_HEX + 1])
{
	struct digest d = { 0 };
	int r = digest_begin(&d);

	if (r == 0) {
		digest_add(&d, p, n);
		digest_end(&d, hex);
	}
	digest_fini(&d);
	return r;
}

const char *digest_hex(const char *text)
{
	return text && image_digest_valid(text) ? text + strlen("sha256:") : NULL;
}

static uint8_t nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void digest_bytes(const char *hex, uint8_t out[32])
{
	size_t i;

	for (i = 0; i < 32; i++)
		out[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
}

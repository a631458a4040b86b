/* SHA-256 as images use it: over a stream, result as 64 lower-case hex digits. */
#ifndef IMAGE_DIGEST_H
#define IMAGE_DIGEST_H

#include "base/base.h"

#define DIGEST_HEX 64
#define DIGEST_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct digest {
	void *md; /* owned EVP_MD_CTX; NULL = not begun */
};

/* Begins, also again: whatever was hashed before is forgotten. 0 or -ENOMEM. */
int digest_begin(struct digest *d) MUST_CHECK;
void digest_add(struct digest *d, const void *p, size_t n);
void digest_end(struct digest *d, char hex[DIGEST_HEX + 1]); /* a new digest_begin() may follow */
void digest_fini(struct digest *d);

/* Of n bytes at once: 0 or -ENOMEM. */
int digest_of(const void *p, size_t n, char hex[DIGEST_HEX + 1]) MUST_CHECK;

/* The hex digits of "sha256:<hex>", or NULL when text is anything else; borrowed from text. */
const char *digest_hex(const char *text);

/* 64 hex digits, known to be such, as 32 bytes. */
void digest_bytes(const char *hex, uint8_t out[32]);

#endif

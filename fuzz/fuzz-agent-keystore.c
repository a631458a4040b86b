/* A keystore of a hostile image. The digest of a JKS is put right, or no input would come past it. */
#include <errno.h>
#include <sha1.h>
#include <stdlib.h>
#include <string.h>

#include "agent/trust_keystore.h"
#include "fuzz.h"

static const uint8_t cert[] = "0\x0e certificate..";

static void put_digest(uint8_t *p, size_t n)
{
	static const uint8_t salt[] = "\0c\0h\0a\0n\0g\0e\0i\0tMighty Aphrodite";
	SHA1_CTX c;

	SHA1Init(&c);
	SHA1Update(&c, salt, sizeof(salt) - 1);
	SHA1Update(&c, p, n - SHA1_DIGEST_LENGTH);
	SHA1Final(p + n - SHA1_DIGEST_LENGTH, &c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf der = BUF_INIT(64), once = BUF_INIT(1 * MIB), twice = BUF_INIT(1 * MIB);
	uint8_t *copy = malloc(size + 1);
	int r;

	if (!copy || buf_append(&der, cert, sizeof(cert) - 1) < 0)
		abort();
	if (size)
		memcpy(copy, data, size);
	if (size > 32 && !memcmp(copy, "\xfe\xed\xfe\xed", 4))
		put_digest(copy, size);
	r = keystore_add(copy, size, &der, &once);
	/* What was taken is taken again, and has become longer; but for a JKS of the most entries. */
	if (r == 0 && (buf_len(&once) <= size ||
		       (keystore_add(buf_data(&once), buf_len(&once), &der, &twice) < 0 && copy[0] != 0xfe)))
		abort();
	if (r != 0 && r != -EINVAL)
		abort();
	copy[size] = 0;
	buf_fini(&twice);
	r = keystore_der((char *)copy, &twice);
	free(copy);
	buf_fini(&der);
	buf_fini(&once);
	buf_fini(&twice);
	return 0;
}

/*
 * JKS, big-endian, strings with a u16 in front; only its frame is looked at, not the entries that are there:
 *
 *	u32 0xfeedfeed, u32 version 2, u32 how many; of each: u32 2, alias, u64 ms since 1970, "X.509", u32 length, DER
 *	SHA-1 of the password as UTF-16, the words "Mighty Aphrodite", and all of the above
 *
 * PKCS #12 (RFC 7292), DER; its parts are a list, of which ours becomes the last one:
 *
 *	SEQUENCE { 3, SEQUENCE { data, [0] { OCTET STRING {
 *		SEQUENCE { part ... }					part: SEQUENCE { data, [0] { OCTET STRING {
 *	} } } }								SEQUENCE { bag ... } } } }
 *
 * A password would show in a MAC behind that, or in parts that are not plain data. Java takes a certificate for trusted
 * if its bag says so, by an attribute of Oracle's.
 */
#include "agent/trust_keystore.h"

#include <errno.h>
#include <sha1.h>
#include <string.h>

#include "base/cursor.h"
#include "base/str.h"

#define JKS_MAGIC 0xfeedfeed
#define JKS_VERSION 2
#define JKS_CERTIFICATE 2
#define JKS_HEAD 12
#define JKS_ENTRIES_MAX 100000 /* a file is shorter than that; the count must not come round to 0 */

#define ALIAS "boxlite"

enum { DER_OCTETS = 0x04, DER_SEQUENCE = 0x30, DER_CONTEXT = 0xa0 };

/* 3; pkcs7-data, certBag and x509Certificate as object identifiers. */
static const uint8_t version[] = { 0x02, 0x01, 0x03 };
static const uint8_t oid_data[] = { 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01 };
static const uint8_t oid_bag[] = { 0x06, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x03 };
static const uint8_t oid_x509[] = { 0x06, 10, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01 };

/* SET { SEQUENCE { friendlyName, SET { ALIAS } }, SEQUENCE { trustedKeyUsage, SET { anyExtendedKeyUsage } } } */
static const uint8_t attributes[] = {
	0x31, 55,
	0x30, 29, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14,
	0x31, 16, 0x1e, 14, 0, 'b', 0, 'o', 0, 'x', 0, 'l', 0, 'i', 0, 't', 0, 'e',
	0x30, 22, 0x06, 12, 0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01,
	0x31, 6, 0x06, 4, 0x55, 0x1d, 0x25, 0x00,
};

/* --- PEM -------------------------------------------------------------------------------------------------- */

int keystore_der(const char *pem, struct buf *out)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----\n";
	const char *p = strstr(pem, begin);
	uint32_t bits = 0;
	unsigned n = 0;

	if (!p)
		return -EINVAL;
	for (p += sizeof(begin) - 1; *p && *p != '-' && *p != '='; p++) {
		int d = str_base64_digit(*p), r = 0;

		if (d < 0 && *p != '\n')
			return -EINVAL;
		if (d < 0)
			continue;
		bits = bits << 6 | (unsigned)d;
		n += 6;
		if (n >= 8) {
			uint8_t byte = (uint8_t)(bits >> (n -= 8));

			r = buf_append(out, &byte, 1);
		}
		if (r < 0)
			return r;
	}
	return *p && buf_len(out) ? 0 : -EINVAL;
}

/* --- JKS -------------------------------------------------------------------------------------------------- */

static void jks_digest(const uint8_t *p, size_t n, uint8_t digest[SHA1_DIGEST_LENGTH])
{
	static const uint8_t salt[] = "\0c\0h\0a\0n\0g\0e\0i\0tMighty Aphrodite";
	SHA1_CTX c;

	SHA1Init(&c);
	SHA1Update(&c, salt, sizeof(salt) - 1);
	SHA1Update(&c, p, n);
	SHA1Final(digest, &c);
}

/* The head with this count, the entries that are there, ours. */
static int jks_put(const uint8_t *entries, size_t n, uint32_t count, const struct buf *der, struct buf *out)
{
	uint8_t head[JKS_HEAD], entry[64];
	struct wr h = wr_over(head, sizeof(head)), e = wr_over(entry, sizeof(entry));
	int r;

	wr_be32(&h, JKS_MAGIC);
	wr_be32(&h, JKS_VERSION);
	wr_be32(&h, count);
	wr_be32(&e, JKS_CERTIFICATE);
	wr_be16(&e, strlen(ALIAS));
	wr_bytes(&e, ALIAS, strlen(ALIAS));
	wr_be(&e, 0, 8); /* whenever it was */
	wr_be16(&e, strlen("X.509"));
	wr_bytes(&e, "X.509", strlen("X.509"));
	wr_be32(&e, (uint32_t)buf_len(der));
	r = buf_append(out, head, sizeof(head));
	if (r == 0)
		r = buf_append(out, entries, n);
	if (r == 0)
		r = buf_append(out, entry, (size_t)(e.p - entry));
	return r < 0 ? r : buf_append(out, buf_data(der), buf_len(der));
}

static int jks_add(const uint8_t *p, size_t n, const struct buf *der, struct buf *out)
{
	struct rd r = rd_over(p, n);
	uint8_t digest[SHA1_DIGEST_LENGTH];
	uint32_t count;
	int k;

	(void)rd_be32(&r); /* the magic */
	if (rd_be32(&r) != JKS_VERSION || (count = rd_be32(&r)) > JKS_ENTRIES_MAX || r.bad ||
	    rd_left(&r) < sizeof(digest))
		return -EINVAL;
	jks_digest(p, n - sizeof(digest), digest);
	if (memcmp(p + n - sizeof(digest), digest, sizeof(digest)) != 0)
		return -EINVAL;
	k = jks_put(r.p, rd_left(&r) - sizeof(digest), count + 1, der, out);
	if (k < 0)
		return k;
	jks_digest(buf_data(out), buf_len(out), digest);
	return buf_append(out, digest, sizeof(digest));
}

/* --- PKCS #12 --------------------------------------------------------------------------------------------- */

/* What is in the next element, which must be of this kind: a cursor that is bad if it is not. */
static struct rd der_enter(struct rd *r, uint8_t kind)
{
	bool right = rd_u8(r) == kind;
	size_t n = rd_u8(r);
	const uint8_t *p;

	if (n > 0x84 || n == 0x80) /* 0x80: without a length, which is no DER */
		r->bad = true;
	else if (n > 0x80)
		n = (size_t)rd_be(r, (unsigned)n - 0x80);
	p = r->bad ? NULL : rd_bytes(r, n);
	r->bad |= !right;
	return (struct rd){ .p = p, .end = p ? p + n : NULL, .bad = r->bad || !p };
}

static bool is_next(struct rd *r, const uint8_t *want, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	return p && memcmp(p, want, n) == 0;
}

/* What is in SEQUENCE { data, [0] { OCTET STRING { ... } } }; bad: it is something else. */
static struct rd der_enter_data(struct rd *r)
{
	struct rd info = der_enter(r, DER_SEQUENCE), content, octets;
	bool data = is_next(&info, oid_data, sizeof(oid_data));

	content = der_enter(&info, DER_CONTEXT);
	octets = der_enter(&content, DER_OCTETS);
	octets.bad |= !data || !rd_done(&info) || !rd_done(&content);
	return octets;
}

/* The parts of a PKCS #12 file that has no password. */
static bool p12_parts(const uint8_t *p, size_t n, struct rd *ret)
{
	struct rd r = rd_over(p, n), pfx = der_enter(&r, DER_SEQUENCE), safe, parts;

	if (!rd_done(&r) || !is_next(&pfx, version, sizeof(version)))
		return false;
	safe = der_enter_data(&pfx);
	if (!rd_done(&pfx) || safe.bad)
		return false;
	*ret = parts = der_enter(&safe, DER_SEQUENCE);
	while (!parts.bad && rd_left(&parts))
		parts.bad |= der_enter_data(&parts).bad;
	return rd_done(&safe) && !parts.bad;
}

static int insert(struct buf *b, size_t at, const uint8_t *p, size_t n)
{
	uint8_t *to = buf_reserve(b, n);

	if (!to)
		return -ENOBUFS;
	buf_commit(b, n);
	to = buf_data(b) + at;
	memmove(to + n, to, buf_len(b) - n - at);
	memcpy(to, p, n);
	return 0;
}

/* What begins at `at` becomes an element of this kind. */
static int wrap(struct buf *b, size_t at, uint8_t kind)
{
	size_t n = buf_len(b) - at;
	unsigned bytes = n < 0x80 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : 3;
	uint8_t head[5];
	struct wr w = wr_over(head, sizeof(head));

	wr_u8(&w, kind);
	wr_u8(&w, bytes ? (uint8_t)(0x80 | bytes) : (uint8_t)n);
	wr_be(&w, n, bytes);
	return n < 1 << 24 ? insert(b, at, head, (size_t)(w.p - head)) : -ENOBUFS;
}

/* One step of what is written from the inside out. */
struct layer {
	const uint8_t *before; /* goes in front of it; NULL: it is wrapped */
	size_t n;
	uint8_t kind;
};

static int put_layers(struct buf *b, size_t at, const struct layer *l, size_t n)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < n; i++)
		r = l[i].before ? insert(b, at, l[i].before, l[i].n) : wrap(b, at, l[i].kind);
	return r;
}

/* SEQUENCE { data, [0] { OCTET STRING { SEQUENCE { ... } } } } */
static int put_data(struct buf *b, size_t at)
{
	static const struct layer layers[] = {
		{ .kind = DER_SEQUENCE }, { .kind = DER_OCTETS }, { .kind = DER_CONTEXT },
		{ oid_data, sizeof(oid_data) }, { .kind = DER_SEQUENCE },
	};

	return put_layers(b, at, layers, ARRAY_SIZE(layers));
}

/* The bag of a certificate, up to its attributes. */
static int put_bag(struct buf *b, size_t at)
{
	static const struct layer layers[] = {
		{ .kind = DER_OCTETS }, { .kind = DER_CONTEXT }, { oid_x509, sizeof(oid_x509) },
		{ .kind = DER_SEQUENCE }, { .kind = DER_CONTEXT }, { oid_bag, sizeof(oid_bag) },
	};

	return put_layers(b, at, layers, ARRAY_SIZE(layers));
}

static int p12_add(const uint8_t *p, size_t n, const struct buf *der, struct buf *out)
{
	static const struct layer file[] = { { version, sizeof(version) }, { .kind = DER_SEQUENCE } };
	struct rd parts;
	size_t at;
	int r;

	if (!p12_parts(p, n, &parts))
		return -EINVAL;
	at = rd_left(&parts);
	r = buf_append(out, parts.p, at);
	if (r == 0)
		r = buf_append(out, buf_data(der), buf_len(der));
	if (r == 0)
		r = put_bag(out, at);
	if (r == 0)
		r = buf_append(out, attributes, sizeof(attributes));
	if (r == 0)
		r = wrap(out, at, DER_SEQUENCE);
	if (r == 0)
		r = put_data(out, at);
	if (r == 0)
		r = put_data(out, 0);
	return r < 0 ? r : put_layers(out, 0, file, ARRAY_SIZE(file));
}

int keystore_add(const void *p, size_t n, const struct buf *der, struct buf *out)
{
	struct rd r = rd_over(p, n);

	return rd_be32(&r) == JKS_MAGIC ? jks_add(p, n, der, out) : p12_add(p, n, der, out);
}

/*
 * Made at each start of a machine, so that it is as new as its box's run, and no file ever holds the key. Certificates
 * of hosts are made when they are first asked for, all with one key, and again when half of their time is over: a box
 * may run for long, and the authority is for longer than any. Which of them are kept is bounded.
 */
#include "net/ca.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "wire/netspec.h"

#define DAY (24L * 60 * 60)
#define CA_DAYS 3650
#define LEAF_DAYS 30
#define EARLY_DAYS 1 /* a guest's clock may be behind */
#define LEAVES_MAX 128

struct leaf {
	char name[NET_NAME_MAX + 1];
	X509 *cert; /* owned; NULL: free */
	time_t made;
};

struct ca {
	EVP_PKEY *key, *leaf_key; /* owned */
	X509 *cert;
	char *pem;
	struct leaf leaves[LEAVES_MAX];
	unsigned next; /* whose place is taken when there is no other */
};

static bool set_serial(X509 *x)
{
	uint8_t bytes[16];
	BIGNUM *n;
	bool good;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] &= 0x7f;
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return good;
}

static bool add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;
	bool good;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	good = e && X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	return good;
}

/* As a name, whatever is in it: no syntax of OpenSSL's configuration. */
static bool add_host(X509 *x, const char *host)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	bool good = names && name && text && ASN1_STRING_set(text, host, -1);

	if (good) {
		GENERAL_NAME_set0_value(name, GEN_DNS, text);
		text = NULL;
		good = sk_GENERAL_NAME_push(names, name) > 0;
		if (good)
			name = NULL;
	}
	good = good && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0);
	ASN1_IA5STRING_free(text);
	GENERAL_NAME_free(name);
	GENERAL_NAMES_free(names);
	return good;
}

static X509 *new_cert(EVP_PKEY *key, const char *common_name, time_t now, int days)
{
	X509 *x = X509_new();
	X509_NAME *subject = x ? X509_get_subject_name(x) : NULL;

	if (x && X509_set_version(x, X509_VERSION_3) && set_serial(x) && X509_set_pubkey(x, key) &&
	    X509_time_adj_ex(X509_getm_notBefore(x), -EARLY_DAYS, 0, &now) &&
	    X509_time_adj_ex(X509_getm_notAfter(x), days, 0, &now) &&
	    X509_NAME_add_entry_by_NID(subject, NID_organizationName, MBSTRING_ASC, (const uint8_t *)"boxlite", -1, -1,
				       0) &&
	    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC, (const uint8_t *)common_name, -1, -1, 0))
		return x;
	X509_free(x);
	return NULL;
}

static X509 *make_ca(EVP_PKEY *key)
{
	X509 *x = new_cert(key, "CA of a box", time(NULL), CA_DAYS);

	if (x && X509_set_issuer_name(x, X509_get_subject_name(x)) &&
	    add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	    add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	    add_extension(x, x, NID_subject_key_identifier, "hash") && X509_sign(x, key, EVP_sha256()))
		return x;
	X509_free(x);
	return NULL;
}

static X509 *make_leaf(const struct ca *c, const char *name, time_t now)
{
	X509 *x = new_cert(c->leaf_key, "host of a secret", now, LEAF_DAYS);

	if (x && X509_set_issuer_name(x, X509_get_subject_name(c->cert)) &&
	    add_extension(x, c->cert, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(x, c->cert, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(x, c->cert, NID_ext_key_usage, "serverAuth") &&
	    add_extension(x, c->cert, NID_authority_key_identifier, "keyid:always") && add_host(x, name) &&
	    X509_sign(x, c->key, EVP_sha256()))
		return x;
	X509_free(x);
	return NULL;
}

static char *to_pem(X509 *x)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text = NULL, *at;
	long n;

	if (b && PEM_write_bio_X509(b, x)) {
		n = BIO_get_mem_data(b, &at);
		text = strndup(at, (size_t)n);
	}
	BIO_free(b);
	return text;
}

struct ca *ca_new(struct error *err)
{
	struct ca *c = calloc(1, sizeof(*c));

	if (c) {
		c->key = EVP_EC_gen("P-256");
		c->leaf_key = EVP_EC_gen("P-256");
		c->cert = c->key && c->leaf_key ? make_ca(c->key) : NULL;
		c->pem = c->cert ? to_pem(c->cert) : NULL;
	}
	if (c && c->pem)
		return c;
	ca_free(c);
	error_set(err, -ENOMEM, "cannot make a certificate authority");
	return NULL;
}

void ca_free(struct ca *c)
{
	size_t i;

	if (!c)
		return;
	for (i = 0; i < LEAVES_MAX; i++)
		X509_free(c->leaves[i].cert);
	EVP_PKEY_free(c->key);
	EVP_PKEY_free(c->leaf_key);
	X509_free(c->cert);
	free(c->pem);
	free(c);
}

const char *ca_pem(const struct ca *c)
{
	return c->pem;
}

/* The one of this name, or a place for it. */
static struct leaf *find(struct ca *c, const char *name)
{
	size_t i;

	for (i = 0; i < LEAVES_MAX && c->leaves[i].cert; i++)
		if (str_eq(c->leaves[i].name, name))
			return &c->leaves[i];
	return &c->leaves[i < LEAVES_MAX ? i : c->next++ % LEAVES_MAX];
}

int ca_give(struct ca *c, const char *name, time_t now, SSL *ssl)
{
	struct leaf *l = find(c, name);

	if (!l->cert || !str_eq(l->name, name) || now < l->made || now - l->made > LEAF_DAYS * DAY / 2) {
		X509 *new = make_leaf(c, name, now);

		if (!new)
			return -ENOMEM;
		X509_free(l->cert);
		l->cert = new;
		l->made = now;
		snprintf(l->name, sizeof(l->name), "%s", name);
	}
	return SSL_use_certificate(ssl, l->cert) == 1 && SSL_use_PrivateKey(ssl, c->leaf_key) == 1 ? 0 : -ENOMEM;
}

/* The authority of a box: who trusts it trusts its hosts' certificates, at any time of a long run. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "lib/tap.h"
#include "net/ca.h"

#define DAY (24L * 60 * 60)

static SSL_CTX *ctx;

/* What a connection for the name is given at that time; the caller's. */
static X509 *given(struct ca *c, const char *name, time_t at)
{
	SSL *ssl = SSL_new(ctx);
	X509 *x = ca_give(c, name, at, ssl) == 0 ? SSL_get_certificate(ssl) : NULL;

	if (x)
		X509_up_ref(x);
	SSL_free(ssl);
	return x;
}

/* As a client does that trusts this authority and no other: X509_V_OK or why not. */
static int verdict(const char *pem, X509 *x, const char *host, time_t at)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *root = PEM_read_bio_X509(b, NULL, NULL, NULL);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *v = X509_STORE_CTX_new();
	int r;

	X509_STORE_add_cert(store, root);
	X509_STORE_CTX_init(v, store, x, NULL);
	X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(v), host, 0);
	X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(v), X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(v), X509_V_FLAG_X509_STRICT);
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(v), at);
	X509_verify_cert(v);
	r = X509_STORE_CTX_get_error(v);
	X509_STORE_CTX_free(v);
	X509_STORE_free(store);
	X509_free(root);
	BIO_free(b);
	return r;
}

static void test_renewal(void)
{
	struct ca *c = ca_new(NULL), *other = ca_new(NULL);
	time_t now = time(NULL), day;
	X509 *first = given(c, "api.example.com", now), *x;
	int bad = 0, news = 0;

	is_int(verdict(ca_pem(c), first, "api.example.com", now), X509_V_OK, "a certificate that is trusted");
	is_int(verdict(ca_pem(c), first, "api.example.com", now - DAY / 2), X509_V_OK, "also by a clock that is behind");
	is_int(verdict(ca_pem(c), first, "www.example.com", now), X509_V_ERR_HOSTNAME_MISMATCH, "for its name only");
	is_int(verdict(ca_pem(other), first, "api.example.com", now), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	       "by its own box only");
	x = given(c, "api.example.com", now + 14 * DAY);
	ok(X509_cmp(x, first) == 0, "two weeks later it is the same");
	X509_free(x);
	for (day = 1; day < 9 * 365; day++) {
		x = given(c, "api.example.com", now + day * DAY);
		bad += verdict(ca_pem(c), x, "api.example.com", now + day * DAY) != X509_V_OK;
		news += X509_cmp(x, first) != 0;
		X509_free(first);
		first = x;
	}
	is_int(bad, 0, "on each day of nine years there is one that is trusted");
	ok(news > 9 * 12 && news < 9 * 365 / 10, "which is a new one now and then");
	x = given(c, "api.example.com", now);
	is_int(verdict(ca_pem(c), x, "api.example.com", now), X509_V_OK, "and when the clock is set back");
	X509_free(x);
	X509_free(first);
	ca_free(other);
	ca_free(c);
}

static void test_many(void)
{
	struct ca *c = ca_new(NULL);
	time_t now = time(NULL);
	int bad = 0, i, round;
	char name[64];

	for (round = 0; round < 2; round++)
		for (i = 0; i < 300; i++) {
			X509 *x;

			snprintf(name, sizeof(name), "h%d.example.com", i);
			x = given(c, name, now);
			bad += verdict(ca_pem(c), x, name, now) != X509_V_OK;
			X509_free(x);
		}
	is_int(bad, 0, "more names than are kept each have their own");
	ca_free(c);
}

int main(void)
{
	ctx = SSL_CTX_new(TLS_server_method());
	test_renewal();
	test_many();
	SSL_CTX_free(ctx);
	return tap_done();
}

/* A certificate authority of one box: its guest trusts it, for hosts of secrets. The key is in this process only. */
#ifndef NET_CA_H
#define NET_CA_H

#include <openssl/ssl.h>
#include <time.h>

#include "base/error.h"

struct ca; /* opaque */

struct ca *ca_new(struct error *err); /* a new one at each start; NULL: *err says why */
void ca_free(struct ca *c);           /* also NULL */

const char *ca_pem(const struct ca *c);

/* Gives a connection the certificate of this name; a new one if what there is gets old. 0, -ENOMEM. */
int ca_give(struct ca *c, const char *name, time_t now, SSL *ssl) MUST_CHECK;

#endif

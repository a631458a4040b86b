/* An end of a duct for OpenSSL to read and write. */
#ifndef NET_DUCT_BIO_H
#define NET_DUCT_BIO_H

#include <openssl/bio.h>

#include "net/duct.h"

/* The duct is borrowed, and outlives it. NULL: out of memory. */
BIO *duct_bio(struct duct *d);

#endif

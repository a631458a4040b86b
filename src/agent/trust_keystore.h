/*
 * Java's keystores of trusted certificates, and one certificate more in them. Two kinds: JKS with the password that
 * all have, "changeit", and PKCS #12 without one (JDK 18 and later write the second). The bytes are the image's.
 */
#ifndef AGENT_TRUST_KEYSTORE_H
#define AGENT_TRUST_KEYSTORE_H

#include "base/base.h"
#include "base/buf.h"

/* Appends the certificate behind PEM, as DER. 0, -EINVAL: it is none, -ENOBUFS, -ENOMEM. */
int keystore_der(const char *pem, struct buf *out) MUST_CHECK;

/* Appends the keystore of n bytes with the certificate in it to out, which is empty. 0; -EINVAL: another format,
 * another password, or damaged; -ENOBUFS, -ENOMEM. */
int keystore_add(const void *p, size_t n, const struct buf *der, struct buf *out) MUST_CHECK;

#endif

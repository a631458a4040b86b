/*
 * Secrets: values that a box uses without having them. In the guest a variable holds a placeholder; boxlite-net puts
 * the value in its place on TLS connections to one host.
 *
 *	NAME[=VAR|=@FILE],host=HOST[:PORT]	as a person writes it; HOST is a name or *.name
 *
 * A description (struct secret) says all but the value, and where that comes from: it may be kept. Values are only in
 * the message NET_SECRETS, which is asked for again at each start.
 */
#ifndef WIRE_SECRET_H
#define WIRE_SECRET_H

#include "base/json.h"
#include "wire/frame.h"

#define SECRETS_MAX 64
#define SECRET_NAME_MAX 255
#define SECRET_FROM_MAX 4096
#define SECRET_TEXT_MAX (SECRET_NAME_MAX + SECRET_FROM_MAX + 300)
#define SECRET_PLACEHOLDER_MIN 8 /* what is shorter is found where it is not */
#define SECRET_PLACEHOLDER_MAX 255
#define SECRET_VALUE_MAX (16 * KIB)
#define SECRET_PORT 443

struct secret {
	char *name;        /* owned, as all; of the variable in the guest */
	char *host;        /* lower case, a name or "*.name" */
	uint16_t port;
	char *placeholder; /* NULL: none yet */
	char *from;        /* "env:VAR" or "file:/absolute/path" */
};

void secret_fini(struct secret *s);

/* 0, -EINVAL with what is wrong, -ENOMEM. FILE must be absolute. No placeholder is made. */
int secret_parse(const char *text, struct secret *ret, struct error *err) MUST_CHECK;
char *secret_format(const struct secret *s); /* as secret_parse() takes it; new, NULL: no memory */
int secret_make_placeholder(struct secret *s, struct error *err) MUST_CHECK; /* one that nobody can guess */

json_t *secret_to_json(const struct secret *s); /* {name, host, placeholder, from}: new object, NULL: no memory */
int secret_from_json(const json_t *j, struct secret *ret, struct error *err) MUST_CHECK; /* -EBADMSG, -ENOMEM */

/* What boxlite-net is told of a secret. All is borrowed: by the reader from the frame's payload. */
struct net_secret {
	const char *name, *host, *placeholder;
	uint16_t port;
	const uint8_t *value; /* any bytes, 1..SECRET_VALUE_MAX of them */
	size_t value_len;
};

struct net_secrets {
	struct net_secret v[SECRETS_MAX];
	size_t n;
};

/* NET_SECRETS, shim -> net, before NET if there are any; packed: u16 how many, and of each name, host, placeholder with
 * their NULs, u16 port, u32 length of the value, its bytes. Whoever has such a frame in a buffer wipes it. */
int wire_put_net_secrets(struct buf *out, const struct net_secrets *s) MUST_CHECK;
int wire_get_net_secrets(const void *payload, size_t n, struct net_secrets *ret, struct error *err) MUST_CHECK;

/* NET_CA, net -> shim, before NET_READY if there are secrets: {pem}, the certificate that the guest is to trust. */
#define NET_CA_MAX (16 * KIB)
int wire_put_net_ca(struct buf *out, const char *pem) MUST_CHECK;
int wire_get_net_ca(const struct frame *f, char **ret, struct error *err) MUST_CHECK; /* *ret is new */

#endif

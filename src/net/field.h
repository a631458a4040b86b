/* What happens to a field of a request, in HTTP/1.1 and HTTP/2 alike. */
#ifndef NET_FIELD_H
#define NET_FIELD_H

#include "net/http1_head.h"
#include "net/secrets.h"

/* What is not passed on: what would hide an answer from us (Accept-Encoding), or is between two neighbours only. */
bool field_is_dropped(struct text name);

/* Its value, with values of secrets, appended. In "Basic ..." of Authorization they are looked for behind the Base64.
 * 0, -ENOBUFS, -ENOMEM. */
int field_put(const struct secret_set *set, struct text name, struct text value, struct buf *out) MUST_CHECK;

/* What a body of this Content-Type (n 0: none) has them written like. */
const struct swaps *field_body_swaps(const struct secret_set *set, struct text content_type);

/* Is a Host or :authority this host, at this port? Another one could be a neighbour behind the same address, who is
 * not to have the secret. */
bool field_is_authority(struct text value, const char *name, uint16_t port);

/* Has the name of an answer's field a value in it, in any case of its letters? Then it is not passed on. */
bool field_name_tells(const struct secret_set *set, struct text name);

#endif

/*
 * Why the network refuses something: a word of boxlite-events(1), and a counter for each. Words stay what they are, and
 * others may come: of a number that somebody else sends under a word that is not known here nothing is kept.
 */
#ifndef WIRE_REASON_H
#define WIRE_REASON_H

#include "base/json.h"

enum net_reason {
	NET_REASON_RULE, NET_REASON_NOT_ALLOWED, NET_REASON_DNS_SERVER, NET_REASON_NAME, NET_REASON_CLAIM,
	NET_REASON_HOST, NET_REASON_PRIVATE, NET_REASON_LINK_LOCAL, NET_REASON_METADATA, NET_REASON_SPECIAL,
	NET_REASON_LIMIT, NET_REASON_TLS_VERIFY, NET_REASON_ALPN, NET_REASON_AUTHORITY, NET_REASON_METHOD,
	NET_REASON_MALFORMED, NET_REASON_TOO_LONG, NET_REASON_SECRET_LATE,
	NET_REASONS
};

const char *net_reason_word(enum net_reason r);
enum net_reason net_reason_find(const char *word); /* NET_REASONS: it is none */

/* {word: number}, but for those that are 0. NULL: no memory. */
json_t *net_reasons_to_json(const uint64_t v[NET_REASONS]);
void net_reasons_from_json(const json_t *o, uint64_t ret[NET_REASONS], bool *bad); /* of NULL: all 0 */

#endif

#include "wire/reason.h"

static const char *const words[NET_REASONS] = {
	[NET_REASON_RULE] = "rule",		  [NET_REASON_NOT_ALLOWED] = "not-allowed",
	[NET_REASON_DNS_SERVER] = "dns-server",	  [NET_REASON_NAME] = "name",
	[NET_REASON_CLAIM] = "claim",		  [NET_REASON_HOST] = "host",
	[NET_REASON_PRIVATE] = "private",	  [NET_REASON_LINK_LOCAL] = "link-local",
	[NET_REASON_METADATA] = "metadata",	  [NET_REASON_SPECIAL] = "special",
	[NET_REASON_LIMIT] = "limit",		  [NET_REASON_TLS_VERIFY] = "tls-verify",
	[NET_REASON_ALPN] = "alpn",		  [NET_REASON_AUTHORITY] = "authority",
	[NET_REASON_METHOD] = "method",		  [NET_REASON_MALFORMED] = "malformed",
	[NET_REASON_TOO_LONG] = "too-long",	  [NET_REASON_SECRET_LATE] = "secret-late",
};

const char *net_reason_word(enum net_reason r)
{
	return words[r];
}

enum net_reason net_reason_find(const char *word)
{
	unsigned i;

	for (i = 0; i < NET_REASONS && !str_eq(words[i], word); i++)
		;
	return i;
}

json_t *net_reasons_to_json(const uint64_t v[NET_REASONS])
{
	json_t *o = json_object();
	size_t i;

	for (i = 0; o && i < NET_REASONS; i++) {
		json_int_t n = (json_int_t)MIN(v[i], (uint64_t)INT64_MAX);

		if (n && json_object_set_new(o, words[i], json_integer(n)) < 0) {
			json_decref(o);
			o = NULL;
		}
	}
	return o;
}

void net_reasons_from_json(const json_t *o, uint64_t ret[NET_REASONS], bool *bad)
{
	size_t i;

	for (i = 0; i < NET_REASONS; i++)
		ret[i] = json_get_u64(o, words[i], 0, bad);
}

/* What a failed transfer means: may it pass, and what a person should read. */
#ifndef IMAGE_EXPLAIN_H
#define IMAGE_EXPLAIN_H

#include "image/http.h"

struct explain_context {
	const char *what;     /* "the manifest of ..." */
	const char *registry; /* as the user calls it */
	const char *name;     /* the full reference */
	const char *code;     /* the registry's own word for it, "" if none */
	bool plain_http, had_credentials;
	unsigned stall_s;
};

/* Is a call that ended like this worth another attempt? */
bool explain_may_pass(const struct http_call *c);

/* Fills err for a call that did not end with status 200 or 206; returns err->code. */
int explain_failure(const struct http_call *c, const struct explain_context *x, struct error *err);

/* The first error code ("MANIFEST_UNKNOWN") of a registry's error body, or "". Its other words are not repeated:
 * they come from outside and could echo what was sent. */
void explain_code(const void *body, size_t n, char out[48]);

#endif

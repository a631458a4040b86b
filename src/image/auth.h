/*
 * Logging in to a registry: what a 401 asks for, and what is sent in return.
 * Text only, no I/O. The challenge and the token come from the network.
 */
#ifndef IMAGE_AUTH_H
#define IMAGE_AUTH_H

#include "base/base.h"
#include "base/error.h"

#define AUTH_TOKEN_MAX (64 * 1024)

enum auth_scheme { AUTH_BASIC, AUTH_BEARER };

struct auth_challenge {
	enum auth_scheme scheme;
	/* of AUTH_BEARER */
	char realm[2048];  /* URL of the token server; not empty */
	char service[512]; /* "" if not given */
	char scope[1024];  /* "" if not given */
};

/* Reads the WWW-Authenticate values of a response; Bearer is preferred to Basic.
 * 0, -ENOTSUP (neither is offered), -EBADMSG. */
int auth_parse_challenge(const char *header, struct auth_challenge *ret) MUST_CHECK;

/* May secrets be sent to this realm? It is another host than the registry by design, but it must be https
 * unless the registry itself is spoken to in plain http. */
bool auth_realm_allowed(const struct auth_challenge *c, bool plain_http);

/* All that follow return owned memory, to be overwritten before free(), or NULL when memory is out
 * (auth_token_url also when the realm is no URL). */
char *auth_token_url(const struct auth_challenge *c, const char *scope); /* of the GET; scope if c has none */
char *auth_refresh_form(const struct auth_challenge *c, const char *scope, const char *refresh_token);
char *auth_basic(const char *username, const char *password); /* "Basic ..." */

/* "Bearer <token>" from the token server's reply: 0, -EBADMSG, -ENOMEM. */
int auth_parse_token(const void *p, size_t n, char **ret) MUST_CHECK;

/* Overwrites and frees; NULL is fine. */
void auth_free(char *secret);

#endif

#include <errno.h>

#include "image/auth.h"
#include "lib/tap.h"

static struct auth_challenge c;

static void challenges(void)
{
	ok(auth_parse_challenge("Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
				"scope=\"repository:a/b:pull\"", &c) == 0 && c.scheme == AUTH_BEARER, "docker's");
	is_str(c.realm, "https://auth.docker.io/token", "realm");
	is_str(c.service, "registry.docker.io", "service");
	is_str(c.scope, "repository:a/b:pull", "scope");
	ok(auth_parse_challenge("Basic realm=\"x\"", &c) == 0 && c.scheme == AUTH_BASIC, "basic");
	ok(auth_parse_challenge("Basic realm=\"x, Bearer y\", Bearer realm=\"https://r\"", &c) == 0 &&
	   c.scheme == AUTH_BEARER, "bearer is preferred");
	is_str(c.realm, "https://r", "with its own realm");
	ok(auth_parse_challenge("BEARER Realm = https://r , error=\"e\"", &c) == 0, "any case, spaces, no quotes");
	is_str(c.realm, "https://r", "realm");
	ok(auth_parse_challenge("Bearer realm=\"a\\\"b\"", &c) == 0, "escapes");
	is_str(c.realm, "a\"b", "are undone");
	ok(auth_parse_challenge("Bearer realm=\"https://one\", Bearer realm=\"https://two\"", &c) == 0, "two");
	is_str(c.realm, "https://one", "the first counts");
	is_int(auth_parse_challenge("", &c), -ENOTSUP, "nothing");
	is_int(auth_parse_challenge("Negotiate abc==", &c), -ENOTSUP, "neither");
	is_int(auth_parse_challenge("Bearer service=\"x\"", &c), -ENOTSUP, "no realm");
	is_int(auth_parse_challenge("Bearer realm=\"x", &c), -EBADMSG, "an open quote");
	is_int(auth_parse_challenge("realm=\"x\"", &c), -EBADMSG, "no scheme");
	is_int(auth_parse_challenge("Bearer realm=x @", &c), -EBADMSG, "noise");
}

static void sending(void)
{
	char *s;

	c = (struct auth_challenge){ AUTH_BEARER, "https://r/t?k=v", "my service", "" };
	s = auth_token_url(&c, "repository:a/b:pull");
	is_str(s, "https://r/t?k=v&service=my+service&scope=repository%3aa%2fb%3apull", "the token's address");
	auth_free(s);
	s = auth_refresh_form(&c, "s", "a&b=c");
	ok(s && strstr(s, "&refresh_token=a%26b%3Dc") && strstr(s, "service=my%20service"), "a form is escaped");
	auth_free(s);
	s = auth_basic("Aladdin", "open sesame");
	is_str(s, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "RFC 7617's example");
	auth_free(s);
	s = auth_basic("", "");
	is_str(s, "Basic Og==", "nothing");
	auth_free(s);
	ok(auth_realm_allowed(&c, false), "https is allowed");
	c = (struct auth_challenge){ AUTH_BEARER, "http://r", "", "" };
	ok(!auth_realm_allowed(&c, false) && auth_realm_allowed(&c, true), "http only for a registry of http");
	c = (struct auth_challenge){ AUTH_BEARER, "ftp://r", "", "" };
	ok(!auth_realm_allowed(&c, true), "nothing else");
}

static int token(const char *text, const char *want)
{
	char *s = NULL;
	int r = auth_parse_token(text, strlen(text), &s);

	if (want)
		is_str(s, want, text);
	auth_free(s);
	return r;
}

int main(void)
{
	challenges();
	sending();
	is_int(token("{\"token\":\"a.b\"}", "Bearer a.b"), 0, "a token");
	is_int(token("{\"access_token\":\"x\",\"token\":\"\"}", "Bearer x"), 0, "by its other name");
	is_int(token("{\"token\":\"a\\r\\nX: y\"}", NULL), -EBADMSG, "a line end in it");
	is_int(token("{\"token\":\"\"}", NULL), -EBADMSG, "an empty one");
	is_int(token("{\"token\":3}", NULL), -EBADMSG, "a number");
	is_int(token("<html>", NULL), -EBADMSG, "no JSON");
	return tap_done();
}

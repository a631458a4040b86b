#include "image/auth.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"

#define CLIENT_ID "boxlite"

/* --- the challenge ------------------------------------------------------------------------------ */

/* RFC 9110: challenges and their parameters share one comma-separated list. */

static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~/:", c));
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* Copies a value at *p, quoted or not, into out (cut short: -EBADMSG) and moves *p behind it. */
static int take_value(const char **p, char *out, size_t max)
{
	const char *s = *p;
	bool quoted = *s == '"';
	size_t n = 0;

	if (quoted)
		s++;
	while (*s && (quoted ? *s != '"' : is_token_char(*s) || *s == '=')) {
		if (quoted && *s == '\\' && s[1])
			s++;
		if (n + 1 >= max)
			return -EBADMSG;
		out[n++] = *s++;
	}
	if (quoted && *s++ != '"')
		return -EBADMSG;
	out[n] = 0;
	*p = s;
	return 0;
}

/* A parameter of a Bearer challenge at *p, which stands behind its '='. */
static int take_parameter(const char **p, const char *name, size_t n, struct auth_challenge *c)
{
	char ignored[1024];

	if (n == 5 && !strncasecmp(name, "realm", n))
		return take_value(p, c->realm, sizeof(c->realm));
	if (n == 7 && !strncasecmp(name, "service", n))
		return take_value(p, c->service, sizeof(c->service));
	if (n == 5 && !strncasecmp(name, "scope", n))
		return take_value(p, c->scope, sizeof(c->scope));
	return take_value(p, ignored, sizeof(ignored));
}

int auth_parse_challenge(const char *p, struct auth_challenge *ret)
{
	struct auth_challenge bearer = { .scheme = AUTH_BEARER }, other;
	struct auth_challenge *now = NULL;
	bool basic = false;

	for (;;) {
		const char *name;
		size_t n;

		while (is_space(*p) || *p == ',')
			p++;
		if (!*p)
			break;
		name = p;
		while (is_token_char(*p))
			p++;
		n = (size_t)(p - name);
		while (is_space(*p))
			p++;
		if (n == 0 || (*p == '=' && !now))
			return -EBADMSG;
		if (*p == '=') {
			for (p++; is_space(*p);)
				p++;
			if (take_parameter(&p, name, n, now) < 0)
				return -EBADMSG;
			continue;
		}
		/* Not a parameter, so the name of the next scheme. The first Bearer is the one that counts. */
		other = (struct auth_challenge){ 0 };
		now = n == 6 && !strncasecmp(name, "bearer", n) && !bearer.realm[0] ? &bearer : &other;
		basic |= n == 5 && !strncasecmp(name, "basic", n);
	}
	if (bearer.realm[0])
		*ret = bearer;
	else if (basic)
		*ret = (struct auth_challenge){ .scheme = AUTH_BASIC };
	else
		return -ENOTSUP;
	return 0;
}

bool auth_realm_allowed(const struct auth_challenge *c, bool plain_http)
{
	return !strncasecmp(c->realm, "https://", 8) || (plain_http && !strncasecmp(c->realm, "http://", 7));
}

/* --- what is sent ----------------------------------------------------------------------------------- */

static bool add_query(CURLU *u, const char *name, const char *value)
{
	char *pair = NULL;
	bool ok;

	if (!value[0])
		return true;
	if (asprintf(&pair, "%s=%s", name, value) < 0)
		return false;
	ok = curl_url_set(u, CURLUPART_QUERY, pair, CURLU_APPENDQUERY | CURLU_URLENCODE) == CURLUE_OK;
	free(pair);
	return ok;
}

char *auth_token_url(const struct auth_challenge *c, const char *scope)
{
	CURLU *u = curl_url();
	char *url = NULL, *copy = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, c->realm, 0) == CURLUE_OK &&
	    add_query(u, "service", c->service) && add_query(u, "scope", c->scope[0] ? c->scope : scope) &&
	    curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK)
		copy = strdup(url);
	curl_free(url);
	curl_url_cleanup(u);
	return copy;
}

char *auth_refresh_form(const struct auth_challenge *c, const char *scope, const char *refresh_token)
{
	char *service = curl_easy_escape(NULL, c->service, 0);
	char *wanted = curl_easy_escape(NULL, c->scope[0] ? c->scope : scope, 0);
	char *token = curl_easy_escape(NULL, refresh_token, 0);
	char *form = NULL;

	if (!service || !wanted || !token ||
	    asprintf(&form, "grant_type=refresh_token&client_id=" CLIENT_ID "&service=%s&scope=%s&refresh_token=%s",
		     service, wanted, token) < 0)
		form = NULL;
	if (token)
		explicit_bzero(token, strlen(token));
	curl_free(token);
	curl_free(wanted);
	curl_free(service);
	return form;
}

char *auth_basic(const char *username, const char *password)
{
	static const char prefix[] = "Basic ";
	char *plain = NULL, *out;
	int n = asprintf(&plain, "%s:%s", username, password);

	if (n < 0)
		return NULL;
	out = malloc(sizeof(prefix) + 4 * (((size_t)n + 2) / 3));
	if (out) {
		memcpy(out, prefix, sizeof(prefix));
		EVP_EncodeBlock((unsigned char *)out + sizeof(prefix) - 1, (const unsigned char *)plain, n);
	}
	auth_free(plain);
	return out;
}

static bool is_header_safe(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

int auth_parse_token(const void *p, size_t n, char **ret)
{
	auto_json json_t *j = json_parse(p, n, "", NULL);
	bool bad = !j;
	const char *token = json_get_str(j, "token", "", &bad);
	char *out = NULL;

	if (!token[0])
		token = json_get_str(j, "access_token", "", &bad);
	if (bad || !token[0] || strlen(token) > AUTH_TOKEN_MAX || !is_header_safe(token))
		return -EBADMSG;
	if (asprintf(&out, "Bearer %s", token) < 0)
		return -ENOMEM;
	*ret = out;
	return 0;
}

void auth_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

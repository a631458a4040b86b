#include "box/dockercfg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clean.h"
#include "base/io.h"
#include "base/str.h"
#include "base/json.h"

#define CONFIG_MAX (4 * MIB)

static void wipe(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

void credentials_fini(struct credentials *c)
{
	wipe(&c->username);
	wipe(&c->password);
	wipe(&c->identity_token);
}

/* Base64 with or without padding into a new string; NULL if it is not that, or holds a NUL. */
static char *decode_base64(const char *s)
{
	size_t n = strcspn(s, "="), i, at = 0;
	char *out = malloc(n * 3 / 4 + 1);
	unsigned bits = 0, acc = 0;

	if (!out)
		return NULL;
	for (i = 0; i < n; i++) {
		int v = str_base64_digit(s[i]);

		if (v < 0)
			goto bad;
		acc = acc << 6 | (unsigned)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[at] = (char)(acc >> bits & 0xff);
			if (!out[at++])
				goto bad;
		}
	}
	out[at] = 0;
	return out;
bad:
	free(out);
	return NULL;
}

/* Splits "user:password" at the first colon. */
static int split_auth(const char *auth, struct credentials *c)
{
	char *both = decode_base64(auth), *colon = both ? strchr(both, ':') : NULL;

	if (!colon) {
		wipe(&both);
		return -EBADMSG;
	}
	*colon = 0;
	c->username = strdup(both);
	c->password = strdup(colon + 1);
	explicit_bzero(colon + 1, strlen(colon + 1));
	free(both);
	return c->username && c->password ? 0 : -ENOMEM;
}

int dockercfg_parse(const void *text, size_t n, const char *key, struct credentials *ret, struct error *err)
{
	auto_json json_t *j = json_parse(text, n, "docker's config.json", err);
	struct credentials c = { 0 };
	bool bad = false;
	const char *auth, *token;
	json_t *entry;
	int r = 0;

	if (!j)
		return -EBADMSG;
	entry = json_get_obj(json_get_obj(j, "auths", &bad), key, &bad);
	auth = json_get_str(entry, "auth", NULL, &bad);
	token = json_get_str(entry, "identitytoken", NULL, &bad);
	if (auth && *auth)
		r = split_auth(auth, &c);
	if (r == 0 && token && *token) {
		c.identity_token = strdup(token);
		wipe(&c.password);
		r = c.identity_token ? 0 : -ENOMEM;
	}
	if (r < 0 || bad) {
		credentials_fini(&c);
		return error_set(err, r < 0 ? r : -EBADMSG, "docker's config.json: the entry of %s is malformed", key);
	}
	*ret = c;
	return 0;
}

int dockercfg_find(const char *key, struct credentials *ret, struct error *err)
{
	const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
	struct buf text = BUF_INIT(CONFIG_MAX);
	auto_free char *path = NULL;
	int r;

	*ret = (struct credentials){ 0 };
	if (dir && *dir)
		r = asprintf(&path, "%s/config.json", dir);
	else
		r = asprintf(&path, "%s/.docker/config.json", home ? home : "");
	if (r < 0)
		return error_nomem(err);
	r = io_read_file_at(AT_FDCWD, path, &text);
	if (r == -ENOENT || r == -ENOTDIR)
		r = 0;
	else if (r < 0)
		error_code(err, r, "cannot read %s", path);
	else
		r = dockercfg_parse(buf_data(&text), buf_len(&text), key, ret, err);
	if (text.mem)
		explicit_bzero(text.mem, text.cap);
	buf_fini(&text);
	return r;
}

#include "wire/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clean.h"
#include "wire/message.h"
#include "wire/netspec.h"

void secret_fini(struct secret *s)
{
	free(s->name);
	free(s->host);
	free(s->placeholder);
	free(s->from);
	*s = (struct secret){ 0 };
}

/* As a shell takes it. */
static bool is_variable(const char *s)
{
	size_t n = strlen(s), i;

	if (!n || n > SECRET_NAME_MAX || (*s >= '0' && *s <= '9'))
		return false;
	for (i = 0; i < n; i++)
		if (!(s[i] == '_' || (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'z') ||
		      (s[i] >= 'A' && s[i] <= 'Z')))
			return false;
	return true;
}

/* What neither HTTP, nor URLs, nor JSON write in another way. */
static bool is_placeholder(const char *s)
{
	size_t n = strlen(s), i;

	for (i = 0; i < n; i++)
		if (!(s[i] == '-' || s[i] == '_' || s[i] == '.' || (s[i] >= '0' && s[i] <= '9') ||
		      (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z')))
			return false;
	return n >= SECRET_PLACEHOLDER_MIN && n <= SECRET_PLACEHOLDER_MAX;
}

static bool is_source(const char *s)
{
	if (strlen(s) > SECRET_FROM_MAX)
		return false;
	return (str_starts(s, "env:") && is_variable(s + strlen("env:"))) || str_starts(s, "file:/");
}

/* "api.example.com", "*.example.com:8443": what a rule takes that is about a name, and perhaps one port. */
static int take_host(const char *text, struct secret *s, struct error *err)
{
	struct net_rule r = { 0 };
	int k = net_rule_parse(text, true, &r, err);

	if (k < 0)
		return k;
	if ((r.target != TARGET_NAME && r.target != TARGET_SUBNAMES) || r.proto != NET_ANY ||
	    r.first_port != r.last_port)
		k = error_set(err, -EINVAL, "host '%.100s' is not a name, or *.name, with at most one port", text);
	else if (asprintf(&s->host, "%s%s", r.target == TARGET_SUBNAMES ? "*." : "", r.name) < 0)
		k = error_nomem(err);
	s->port = r.first_port ? r.first_port : SECRET_PORT;
	free(r.name);
	return k;
}

static int take_source(const char *text, struct secret *s, struct error *err)
{
	bool file = *text == '@';

	if (asprintf(&s->from, "%s%s", file ? "file:" : "env:", file ? text + 1 : text) < 0)
		return error_nomem(err);
	if (is_source(s->from))
		return 0;
	return error_set(err, -EINVAL, file ? "'%.200s' is not an absolute path" :
					      "'%.200s' is not the name of a variable", text + file);
}

int secret_parse(const char *text, struct secret *ret, struct error *err)
{
	static const char key[] = ",host=";
	const char *host = NULL, *at, *equals;
	auto_free char *source = NULL;
	struct secret s = { 0 };
	int r = 0;

	for (at = text; (at = strstr(at, key)); at++)
		host = at; /* the last: a file may be called anything */
	if (!host || strlen(text) > SECRET_TEXT_MAX)
		return error_set(err, -EINVAL, "'%.100s' is not NAME[=VARIABLE|=@FILE],host=HOST", text);
	equals = memchr(text, '=', (size_t)(host - text));
	s.name = strndup(text, (size_t)((equals ? equals : host) - text));
	source = equals ? strndup(equals + 1, (size_t)(host - equals - 1)) : s.name ? strdup(s.name) : NULL;
	if (!s.name || !source)
		r = error_nomem(err);
	else if (!is_variable(s.name))
		r = error_set(err, -EINVAL, "'%.100s' is not the name of a variable", s.name);
	if (r == 0)
		r = take_source(source, &s, err);
	if (r == 0)
		r = take_host(host + strlen(key), &s, err);
	if (r == 0) {
		*ret = s;
		return 0;
	}
	secret_fini(&s);
	error_prefix(err, "secret '%.100s'", text);
	return r;
}

char *secret_format(const struct secret *s)
{
	bool file = str_starts(s->from, "file:");
	char port[8] = "", *text;

	if (s->port != SECRET_PORT)
		snprintf(port, sizeof(port), ":%u", s->port);
	return asprintf(&text, "%s=%s%s,host=%s%s", s->name, file ? "@" : "", strchr(s->from, ':') + 1, s->host, port) < 0 ?
	       NULL : text;
}

int secret_make_placeholder(struct secret *s, struct error *err)
{
	uint8_t random[16];
	char hex[2 * sizeof(random) + 1], *text;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return error_sys(err, "cannot get random bytes");
	str_hex(random, sizeof(random), hex);
	if (asprintf(&text, "boxlite-secret-%s", hex) < 0)
		return error_nomem(err);
	free(s->placeholder);
	s->placeholder = text;
	return 0;
}

json_t *secret_to_json(const struct secret *s)
{
	char host[NET_RULE_TEXT_MAX];

	snprintf(host, sizeof(host), "%s:%u", s->host, s->port);
	return json_with_texts(json_object(), "name", s->name, "host", host, "placeholder", s->placeholder, "from",
			       s->from, NULL);
}

int secret_from_json(const json_t *j, struct secret *ret, struct error *err)
{
	bool bad = !json_is_object(j);
	const char *name = json_get_str(j, "name", "", &bad), *host = json_get_str(j, "host", "", &bad);
	const char *placeholder = json_get_str(j, "placeholder", NULL, &bad), *from = json_get_str(j, "from", "", &bad);
	struct secret s = { 0 };

	if (bad || !is_variable(name) || !is_source(from) || (placeholder && !is_placeholder(placeholder)))
		return error_set(err, -EBADMSG, "malformed description of a secret");
	if (take_host(host, &s, err) < 0) {
		secret_fini(&s);
		return error_set(err, -EBADMSG, "malformed host of a secret");
	}
	s.name = strdup(name);
	s.from = strdup(from);
	s.placeholder = placeholder ? strdup(placeholder) : NULL;
	if (!s.name || !s.from || (placeholder && !s.placeholder)) {
		secret_fini(&s);
		return error_nomem(err);
	}
	*ret = s;
	return 0;
}

/* --- NET_SECRETS ------------------------------------------------------------------------------------------ */

static size_t packed_len(const struct net_secret *s)
{
	return strlen(s->name) + strlen(s->host) + strlen(s->placeholder) + 3 + 2 + 4 + s->value_len;
}

int wire_put_net_secrets(struct buf *out, const struct net_secrets *s)
{
	size_t n = 2, i;
	uint8_t *to;
	struct wr w;

	for (i = 0; i < s->n; i++)
		n += packed_len(&s->v[i]);
	to = frame_reserve(out, n); /* in place: nowhere else to wipe */
	if (!to)
		return -ENOBUFS;
	w = wr_over(to, n);
	wr_u16(&w, (uint16_t)s->n);
	for (i = 0; i < s->n; i++) {
		const struct net_secret *v = &s->v[i];

		wr_str(&w, v->name);
		wr_str(&w, v->host);
		wr_str(&w, v->placeholder);
		wr_u16(&w, v->port);
		wr_u32(&w, (uint32_t)v->value_len);
		wr_bytes(&w, v->value, v->value_len);
	}
	frame_commit(out, FRAME_NET_SECRETS, 0, 0, n);
	return 0;
}

static bool is_host(const char *host)
{
	struct secret s = { 0 };
	bool good = take_host(host, &s, NULL) == 0 && str_eq(s.host, host);

	secret_fini(&s);
	return good;
}

static bool take_secret(struct rd *r, struct net_secret *v)
{
	v->name = rd_str(r);
	v->host = rd_str(r);
	v->placeholder = rd_str(r);
	v->port = rd_u16(r);
	v->value_len = rd_u32(r);
	v->value = rd_bytes(r, v->value_len);
	return !r->bad && v->value_len >= 1 && v->value_len <= SECRET_VALUE_MAX && v->port && is_variable(v->name) &&
	       is_placeholder(v->placeholder) && is_host(v->host);
}

int wire_get_net_secrets(const void *payload, size_t n, struct net_secrets *ret, struct error *err)
{
	struct rd r = rd_over(payload, n);
	struct net_secrets s = { .n = rd_u16(&r) };
	size_t i;

	if (s.n > SECRETS_MAX)
		return error_set(err, -EBADMSG, "more than %d secrets", SECRETS_MAX);
	for (i = 0; i < s.n; i++)
		if (!take_secret(&r, &s.v[i]))
			return error_set(err, -EBADMSG, "malformed secrets");
	if (!rd_done(&r))
		return error_set(err, -EBADMSG, "malformed secrets");
	*ret = s;
	return 0;
}

/* --- NET_CA ----------------------------------------------------------------------------------------------- */

int wire_put_net_ca(struct buf *out, const char *pem)
{
	return message_put(out, FRAME_NET_CA, 0, json_pack("{s:s}", "pem", pem));
}

/* It goes into files that programs of the guest parse: only what PEM is written with. */
static bool is_pem(const char *s)
{
	size_t n = strlen(s), i;

	for (i = 0; i < n; i++)
		if ((s[i] < ' ' || s[i] > '~') && s[i] != '\n')
			return false;
	return n <= NET_CA_MAX && str_starts(s, "-----BEGIN CERTIFICATE-----\n");
}

int wire_get_net_ca(const struct frame *f, char **ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	bool bad = false;
	const char *pem = json_get_str(j, "pem", "", &bad);
	char *copy;

	if (!j)
		return -EBADMSG;
	if (bad || !is_pem(pem))
		return error_set(err, -EBADMSG, "boxlite-net has sent no certificate");
	copy = strdup(pem);
	if (!copy)
		return error_nomem(err);
	*ret = copy;
	return 0;
}

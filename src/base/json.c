#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

json_t *json_parse(const void *p, size_t n, const char *what, struct error *err)
{
	json_error_t e;
	json_t *j = json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);

	if (!j)
		error_set(err, -EBADMSG, "%s: not valid JSON: line %d: %s", what, e.line, e.text);
	return j;
}

/* The member if it has the wanted type (json_null counts as absent). */
static json_t *member(const json_t *o, const char *key, json_type type, bool *bad)
{
	json_t *m;

	if (!o)
		return NULL;
	if (!json_is_object(o)) {
		*bad = true;
		return NULL;
	}
	m = json_object_get(o, key);
	if (!m || json_is_null(m))
		return NULL;
	if (json_typeof(m) != type) {
		*bad = true;
		return NULL;
	}
	return m;
}

const char *json_get_str(const json_t *o, const char *key, const char *dflt, bool *bad)
{
	json_t *m = member(o, key, JSON_STRING, bad);

	if (!m)
		return dflt;
	/* A NUL inside would silently cut the C string. */
	if (json_string_length(m) != __builtin_strlen(json_string_value(m))) {
		*bad = true;
		return dflt;
	}
	return json_string_value(m);
}

uint64_t json_get_u64(const json_t *o, const char *key, uint64_t dflt, bool *bad)
{
	json_t *m = member(o, key, JSON_INTEGER, bad);

	if (!m)
		return dflt;
	if (json_integer_value(m) < 0) {
		*bad = true;
		return dflt;
	}
	return (uint64_t)json_integer_value(m);
}

bool json_get_bool(const json_t *o, const char *key, bool dflt, bool *bad)
{
	json_t *m = o && json_is_object(o) ? json_object_get(o, key) : NULL;

	if (!m || json_is_null(m))
		return dflt;
	if (!json_is_boolean(m))
		*bad = true;
	return json_is_true(m);
}

json_t *json_get_obj(const json_t *o, const char *key, bool *bad)
{
	return member(o, key, JSON_OBJECT, bad);
}

json_t *json_get_list(const json_t *o, const char *key, bool *bad)
{
	return member(o, key, JSON_ARRAY, bad);
}

int json_get_strv(const json_t *o, const char *key, struct strv *s, bool *bad)
{
	json_t *list = json_get_list(o, key, bad), *item;
	size_t i;
	int r;

	json_array_foreach(list, i, item) {
		if (!json_is_string(item) ||
		    json_string_length(item) != __builtin_strlen(json_string_value(item))) {
			*bad = true;
			return 0;
		}
		r = strv_add(s, json_string_value(item));
		if (r < 0)
			return r;
	}
	return 0;
}

json_t *json_from_strv(const struct strv *s)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < s->n; i++)
		if (json_array_append_new(list, json_string(s->v[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

void json_write_str(struct wr *w, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	bool ascii_only = false, known = false;
	const char *p;

	wr_u8(w, '"');
	for (p = text; *p; p++) {
		uint8_t c = (uint8_t)*p;

		if (c >= 0x80 && !known) {
			ascii_only = !json_can_have(text);
			known = true;
		}
		if (c >= 0x80 && ascii_only)
			c = '?';
		if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) {
			wr_bytes(w, "\\u00", 4);
			wr_u8(w, (uint8_t)hex[c >> 4]);
			c = (uint8_t)hex[c & 15];
		}
		wr_u8(w, c);
	}
	wr_u8(w, '"');
}

bool json_can_have(const char *text)
{
	json_t *j = text ? json_string(text) : NULL;

	json_decref(j);
	return !text || j;
}

json_t *json_with_texts(json_t *j, ...)
{
	const char *key, *text;
	va_list ap;
	int r = j ? 0 : -1;

	va_start(ap, j);
	while (r == 0 && (key = va_arg(ap, const char *))) {
		text = va_arg(ap, const char *);
		if (text)
			r = json_object_set_new(j, key, json_string(text));
	}
	va_end(ap);
	if (r == 0)
		return j;
	json_decref(j);
	return NULL;
}

bool json_can_have_all(const struct strv *s)
{
	size_t i = 0;

	while (i < s->n && json_can_have(s->v[i]))
		i++;
	return i == s->n;
}

/* What is not ASCII becomes '?'. */
static void make_ascii(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			*text = '?';
}

void json_scrub(char *text)
{
	if (*text && !json_can_have(text))
		make_ascii(text);
}

json_t *json_clean(const char *text, size_t most)
{
	json_t *j = json_string(text);
	char *copy;

	if (j)
		return j;
	copy = strndup(text, most);
	if (copy)
		make_ascii(copy);
	j = copy ? json_string(copy) : NULL;
	free(copy);
	return j;
}

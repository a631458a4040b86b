/* Text that people and files contain: sizes, hex, lists of strings. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/base.h"

/* "512", "64k", "1.5g", "2GiB": bytes with an optional binary unit (k, m, g, t; any case; "b", "ib" may follow).
 * `unit` multiplies a bare number (1 = bytes). 0, -EINVAL, or -ERANGE. */
int str_parse_size(const char *s, uint64_t unit, uint64_t *ret) MUST_CHECK;

/* "90", "1.5", "500ms", "90s", "5m", "1h30m", "2d": ms, at most max_ms; a bare number is in seconds. 0 or -EINVAL. */
int str_parse_duration(const char *text, uint64_t max_ms, uint64_t *ret_ms) MUST_CHECK;

/* A whole decimal number without sign or space, at most max: 0, -EINVAL, -ERANGE. */
int str_parse_u64(const char *s, uint64_t max, uint64_t *ret) MUST_CHECK;

/* "1.5 MB" style with decimal units, as docker prints sizes; returns out. */
char *str_format_size(uint64_t bytes, char out[24]);

/* Lower-case hex of n bytes into out[2 * n + 1]. */
void str_hex(const void *p, size_t n, char *out);
int str_unhex(const char *s, void *ret, size_t n) MUST_CHECK; /* the other way; s must be 2 * n digits: 0, -EINVAL */
bool str_is_hex(const char *s, size_t n); /* n lower-case hex digits */

int str_base64_digit(char c); /* its value (RFC 4648, 4); -1: it is none */

static inline bool str_eq(const char *a, const char *b)
{
	return a == b || (a && b && __builtin_strcmp(a, b) == 0);
}

bool str_starts(const char *s, const char *prefix);

/* A NULL-terminated, growing list of owned strings with a ceiling. */
struct strv {
	char **v; /* owned; NULL while empty */
	size_t n, max;
};

#define STRV_INIT(maximum) ((struct strv){ .max = (maximum) })

int strv_add(struct strv *s, const char *text) MUST_CHECK;               /* copies; -ENOMEM, -E2BIG */
int strv_addf(struct strv *s, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
void strv_fini(struct strv *s);

/* Sets "NAME=value" in a list of such: replaces the entry of the same name or appends. "NAME" alone takes its entry
 * away. */
int strv_set_env(struct strv *s, const char *pair) MUST_CHECK;
const char *strv_get_env(const struct strv *s, const char *name); /* borrowed, NULL if absent */

#define auto_strv __attribute__((cleanup(strv_fini)))

#endif

#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int str_parse_u64(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		if (v > (UINT64_MAX - 9) / 10)
			return -ERANGE;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	if (v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

static int unit_of(const char *s, uint64_t bare, uint64_t *ret)
{
	static const char letters[] = "kmgt";
	const char *at;

	if (!*s) {
		*ret = bare;
		return 0;
	}
	if (strcasecmp(s, "b") == 0) {
		*ret = 1;
		return 0;
	}
	at = strchr(letters, tolower((unsigned char)*s));
	if (!at)
		return -EINVAL;
	if (s[1] && strcasecmp(s + 1, "b") && strcasecmp(s + 1, "ib"))
		return -EINVAL;
	*ret = 1ULL << (10 * (at - letters + 1));
	return 0;
}

int str_parse_size(const char *s, uint64_t bare, uint64_t *ret)
{
	uint64_t whole = 0, part = 0, scale = 1, unit, v;
	const char *p = s;
	int r;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++) {
		if (whole > (UINT64_MAX - 9) / 10)
			return -ERANGE;
		whole = whole * 10 + (uint64_t)(*p - '0');
	}
	if (*p == '.') {
		if (!isdigit((unsigned char)*++p))
			return -EINVAL;
		for (; isdigit((unsigned char)*p); p++)
			if (scale < 1000000) {
				part = part * 10 + (uint64_t)(*p - '0');
				scale *= 10;
			}
	}
	r = unit_of(p, bare, &unit);
	if (r < 0)
		return r;
	if (__builtin_mul_overflow(whole, unit, &v) ||
	    __builtin_add_overflow(v, (uint64_t)((double)part / (double)scale * (double)unit), &v))
		return -ERANGE;
	*ret = v;
	return 0;
}

/* The unit at *p, which moves behind it: ms of one, 0 if it is none. The end stands for seconds. */
static uint64_t duration_unit(const char **p)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
	size_t i;

	if (!**p)
		return 1000;
	for (i = 0; i < ARRAY_SIZE(units); i++)
		if (str_starts(*p, units[i].name)) {
			*p += strlen(units[i].name);
			return units[i].ms;
		}
	return 0;
}

int str_parse_duration(const char *text, uint64_t max_ms, uint64_t *ret_ms)
{
	const uint64_t max_number = 1000000000;
	uint64_t sum = 0;
	const char *p = text;

	do {
		uint64_t n = 0, part = 0, scale = 1, unit;
		const char *digits = p;

		for (; isdigit((unsigned char)*p); p++)
			if ((n = n * 10 + (uint64_t)(*p - '0')) > max_number)
				return -EINVAL;
		if (p > digits && *p == '.' && isdigit((unsigned char)p[1]))
			for (p++; isdigit((unsigned char)*p); p++)
				if (scale < 1000000) {
					part = part * 10 + (uint64_t)(*p - '0');
					scale *= 10;
				}
		if (p == digits || (!*p && sum > 0))
			return -EINVAL;
		unit = duration_unit(&p);
		sum += n * unit + part * unit / scale;
		if (unit == 0 || sum > max_ms)
			return -EINVAL;
	} while (*p);
	*ret_ms = sum;
	return 0;
}

char *str_format_size(uint64_t bytes, char out[24])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 999.5 && u + 1 < ARRAY_SIZE(units)) {
		v /= 1000;
		u++;
	}
	snprintf(out, 24, u == 0 || v >= 100 ? "%.0f%s" : v >= 10 ? "%.1f%s" : "%.2f%s", v, units[u]);
	return out;
}

void str_hex(const void *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *at = p;
	size_t i;

	for (i = 0; i < n; i++) {
		out[2 * i] = digits[at[i] >> 4];
		out[2 * i + 1] = digits[at[i] & 15];
	}
	out[2 * n] = 0;
}

int str_unhex(const char *s, void *ret, size_t n)
{
	uint8_t *at = ret;
	size_t i;

	if (!str_is_hex(s, 2 * n))
		return -EINVAL;
	for (i = 0; i < 2 * n; i++)
		at[i / 2] = (uint8_t)(at[i / 2] << 4 | (s[i] <= '9' ? s[i] - '0' : s[i] - 'a' + 10));
	return 0;
}

bool str_is_hex(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	return s[n] == 0;
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Takes ownership of text, also on failure. */
static int strv_push(struct strv *s, char *text)
{
	char **v;

	if (!text)
		return -ENOMEM;
	if (s->n >= s->max) {
		free(text);
		return -E2BIG;
	}
	if ((s->n & (s->n - 1)) == 0) { /* grow at powers of two; one slot is for the NULL */
		v = realloc(s->v, (MAX(s->n, 1) * 2 + 1) * sizeof(*v));
		if (!v) {
			free(text);
			return -ENOMEM;
		}
		s->v = v;
	}
	s->v[s->n++] = text;
	s->v[s->n] = NULL;
	return 0;
}

int strv_add(struct strv *s, const char *text)
{
	return strv_push(s, strdup(text));
}

int strv_addf(struct strv *s, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? -ENOMEM : strv_push(s, text);
}

void strv_fini(struct strv *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = STRV_INIT(s->max);
}

static char **find_env(const struct strv *s, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (!strncmp(s->v[i], name, len) && s->v[i][len] == '=')
			return &s->v[i];
	return NULL;
}

/* The order of the others stays, and so does the NULL at the end. */
static void remove_at(struct strv *s, char **at)
{
	free(*at);
	s->n--;
	memmove(at, at + 1, (size_t)(s->v + s->n + 1 - at) * sizeof(*at));
}

int strv_set_env(struct strv *s, const char *pair)
{
	size_t len = strcspn(pair, "=");
	char **at = find_env(s, pair, len);
	char *copy;

	if (len == 0)
		return -EINVAL;
	if (!pair[len]) {
		if (at)
			remove_at(s, at);
		return 0;
	}
	if (!at)
		return strv_add(s, pair);
	copy = strdup(pair);
	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return 0;
}

const char *strv_get_env(const struct strv *s, const char *name)
{
	size_t len = strlen(name);
	char **at = find_env(s, name, len);

	return at ? *at + len + 1 : NULL;
}

int str_base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

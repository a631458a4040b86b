#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void error_flatten(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

/* Behind the n bytes that are there, in the place of their end if they are long: the reason is never what is cut. */
static void add_reason(struct error *err, size_t n, const char *reason)
{
	size_t room = sizeof(err->text) - 1 - MIN(strlen(reason) + strlen("...: "), sizeof(err->text) - 1);
	const char *mark = n > room ? "..." : "";

	n = MIN(n, room);
	snprintf(err->text + n, sizeof(err->text) - n, "%s: %s", mark, reason);
}

static int fill(struct error *err, int code, bool with_reason, const char *fmt, va_list ap)
{
	int n;

	if (code >= 0)
		code = -EIO; /* a failure without a reason is still a failure */
	if (!err)
		return code;
	err->code = code;
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	if (n < 0)
		n = 0;
	if (with_reason)
		add_reason(err, (size_t)n, strerror(-code));
	error_flatten(err->text);
	return code;
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fill(err, code, false, fmt, ap);
	va_end(ap);
	return r;
}

int error_sys(struct error *err, const char *fmt, ...)
{
	int code = -errno;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fill(err, code, true, fmt, ap);
	va_end(ap);
	return r;
}

int error_code(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = fill(err, code, true, fmt, ap);
	va_end(ap);
	return r;
}

int error_prefix(struct error *err, const char *fmt, ...)
{
	char old[ERROR_TEXT_MAX];
	va_list ap;
	int n;

	if (!err)
		return -EIO;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n < sizeof(err->text))
		snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", old);
	error_flatten(err->text);
	return err->code ? err->code : -EIO;
}

int error_nomem(struct error *err)
{
	return error_set(err, -ENOMEM, "out of memory");
}

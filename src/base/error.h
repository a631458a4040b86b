/*
 * The one error rule of this project.
 *
 * A function that can fail returns 0 (or a count) on success and a negative
 * errno on failure. Where a person will read the reason it also takes a
 * `struct error *err`, last, which may be NULL: on failure it receives the
 * code and one line of text that names the thing, the reason and, where there
 * is one, the remedy (no trailing period, no newline). On success it is
 * untouched, and out-parameters are untouched on failure.
 *
 * Nothing is allocated on the error path.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/base.h"

#define ERROR_TEXT_MAX 512

struct error {
	int code;                  /* negative errno, 0 = none yet */
	char text[ERROR_TEXT_MAX]; /* one line, always terminated */
};

/* Sets code (negative errno) and text; returns code. Never overwrites *err with nothing. */
int error_set(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Like error_set() with code -errno, and ": <strerror>" appended. */
int error_sys(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Like error_sys() for a code in hand (negative errno) instead of errno. */
int error_code(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "<fmt>: " before the text that is already there; returns err->code. */
int error_prefix(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Makes a text from a stranger safe to print: one line, no terminal escapes. The functions above do so with theirs. */
void error_flatten(char *text);

/* -ENOMEM with its text. */
int error_nomem(struct error *err);

#endif

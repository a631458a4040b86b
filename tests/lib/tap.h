/*
 * Unit tests in TAP. A test program calls ok() and friends and ends with
 * `return tap_done();`. One program per topic: tests/unit/t-<module>-<topic>.c.
 */
#ifndef TESTS_LIB_TAP_H
#define TESTS_LIB_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 4, 5), unused)) static bool tap_ok(bool pass, const char *file, int line,
								 const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", pass ? "" : "not ", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (!pass) {
		tap_failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return pass;
}

__attribute__((unused)) static bool tap_is_int(long long got, long long want, const char *file, int line,
					       const char *what)
{
	bool pass = tap_ok(got == want, file, line, "%s", what);

	if (!pass)
		printf("# got %lld, wanted %lld\n", got, want);
	return pass;
}

__attribute__((unused)) static bool tap_is_str(const char *got, const char *want, const char *file,
					       int line, const char *what)
{
	bool pass = tap_ok(got && want ? strcmp(got, want) == 0 : got == want, file, line, "%s", what);

	if (!pass)
		printf("# got '%s', wanted '%s'\n", got ? got : "(null)", want ? want : "(null)");
	return pass;
}

#define ok(cond, ...) tap_ok((cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, what) tap_is_int((long long)(got), (long long)(want), __FILE__, __LINE__, what)
#define is_str(got, want, what) tap_is_str((got), (want), __FILE__, __LINE__, what)

__attribute__((unused)) static int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

#endif

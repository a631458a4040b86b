#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* The only process-wide state of base: what a program is called in its own log. */
static const char *log_program = "boxlite";
static enum log_level log_most = LOG_WARN;

void log_init(const char *program, enum log_level most)
{
	log_program = program;
	log_most = most;
}

/*
 * "2026-11-27T10:00:00". By itself, because gmtime() brings the C library's time zones and what reads their names into
 * the agent, 150 KiB that each boot copies. Years begin in March here: then the leap day is the last of a year, and 400
 * years of 146097 days are alike; the first of March of year 0 lies 719468 days before 1970.
 */
size_t log_time(time_t seconds, char out[LOG_TIME_MAX])
{
	const long long days = seconds / 86400 + 719468, of_day = seconds % 86400;
	const long long era = days / 146097, day = days % 146097;
	const long long year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	const long long of_year = day - (365 * year + year / 4 - year / 100);
	const long long month = (5 * of_year + 2) / 153; /* from March */
	int n;

	n = snprintf(out, LOG_TIME_MAX, "%04lld-%02lld-%02lldT%02lld:%02lld:%02lld", year + era * 400 + (month >= 10),
		     month < 10 ? month + 3 : month - 9, of_year - (153 * month + 2) / 5 + 1, of_day / 3600,
		     of_day / 60 % 60, of_day % 60);
	return n < 0 ? 0 : MIN((size_t)n, (size_t)LOG_TIME_MAX - 1);
}

void log_at(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error: ", "warning: ", "", "" };
	struct timespec now;
	char line[1024];
	int saved = errno;
	size_t at;
	va_list ap;
	int n;

	if (level > log_most)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	at = log_time(now.tv_sec, line);
	at += (size_t)snprintf(line + at, sizeof(line) - at, ".%03ldZ %s: %s", now.tv_nsec / 1000000,
			       log_program, names[level]);
	va_start(ap, fmt);
	n = vsnprintf(line + at, sizeof(line) - at - 1, fmt, ap);
	va_end(ap);
	at = MIN(at + (n < 0 ? 0 : (size_t)n), sizeof(line) - 2);
	line[at++] = '\n';
	/* One write, so that lines of several processes do not mix. A full disk loses the line, no more. */
	if (write(STDERR_FILENO, line, at) < 0)
		(void)0;
	errno = saved;
}

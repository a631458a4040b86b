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

void log_at(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error: ", "warning: ", "", "" };
	struct timespec now;
	struct tm tm;
	char line[1024];
	int saved = errno;
	size_t at;
	va_list ap;
	int n;

	if (level > log_most)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	at = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
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

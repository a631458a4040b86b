/*
 * One line per event on stderr: "<time> <program>: <text>". Programs log;
 * the library and everything below it only return errors.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <time.h>

#include "base/base.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Names the program and the lowest level that is printed; before it: "boxlite", LOG_WARN. */
void log_init(const char *program, enum log_level most);

void log_at(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define LOG_TIME_MAX 32

/* "2026-11-27T10:00:00", of seconds since 1970 (not before): its length. */
size_t log_time(time_t seconds, char out[LOG_TIME_MAX]);

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

#endif

/*
 * --format of the commands that show things: rows as a table, as JSON or by a template.
 *
 *	table, or nothing    the command's own table
 *	json                 a JSON array of all that is known, numbers as numbers
 *	table TEMPLATE       a table of these columns, which are separated by \t
 *	TEMPLATE             a line for each (cli/template.h)
 */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

struct column {
	const char *field, *title; /* of a row for a template; and how a table calls it */
};

struct rows {
	const char *command;
	bool json;           /* rows are to be for JSON, else for a template */
	bool lines;          /* JSON: a line for each, no array around them */
	const char *text;    /* the template */
	bool table, headless; /* lines become columns; without a title */
	bool failed;
	size_t n;
	struct strv line;    /* of a table, until its end */
};

#define ROWS_MAX 1000000

/* `format` is what the user says, or NULL; `table` the template of the command's own table. `columns` (to a NULL field)
 * are all fields of a row: the template is tried on them first. Of *r, `lines` and `headless` are set before. 0, or
 * prints and returns the exit code. */
int rows_begin(struct rows *r, const char *command, const char *format, const char *table,
	       const struct column *columns);

/* Takes the row over; NULL is out of memory. 0, or prints and returns the exit code. */
int rows_add(struct rows *r, json_t *row);

/* Prints what is left. Returns the exit code. */
int rows_end(struct rows *r);
void rows_drop(struct rows *r); /* without an end, or after it */
void rows_print(struct rows *r, const char *line_end); /* a table so far, and forgets it */

/* One object by a template, with a newline behind it: 0, or prints and returns the exit code. */
int format_print(const char *command, const char *format, const json_t *value);

/* A text that may be NULL (null) and, of a path, not UTF-8. New. */
json_t *json_text(const char *text);
json_t *json_time(int64_t seconds); /* "2026-11-27T10:00:00Z", null for 0 */

#endif

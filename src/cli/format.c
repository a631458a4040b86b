#include "cli/format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/template.h"

#define LINE_MAX_BYTES (16 * MIB)
#define GAP 2 /* between columns */

/* A terminal obeys bytes that a file only keeps. */
static bool is_plain(void)
{
	return isatty(STDOUT_FILENO);
}

static int template_failed(const char *command, const struct error *err)
{
	return err->code == -ENOMEM || err->code == -ENOBUFS ? cli_failf("%s", err->text)
							     : cli_usage(command, "%s", err->text);
}

/* --- tables -------------------------------------------------------------------------------------- */

/* Columns that a text takes; bytes that are no text count as one each. */
static size_t width_of(const char *text, size_t n)
{
	size_t i, width = 0;

	for (i = 0; i < n; i++)
		width += ((unsigned char)text[i] & 0xc0) != 0x80;
	return width;
}

#define COLUMNS_MAX 64

static void measure(const char *line, size_t widths[COLUMNS_MAX])
{
	size_t i, n, w;

	for (i = 0; i < COLUMNS_MAX; i++, line += n + 1) {
		n = strcspn(line, "\t");
		if (!line[n]) /* the last one has no width */
			return;
		w = width_of(line, n);
		widths[i] = MAX(widths[i], w);
	}
}

static void print_line(const char *line, const size_t widths[COLUMNS_MAX], const char *end)
{
	size_t i, n;

	for (i = 0; i < COLUMNS_MAX; i++, line += n + 1) {
		n = strcspn(line, "\t");
		fwrite(line, 1, n, stdout);
		if (!line[n])
			break;
		printf("%*s", (int)(widths[i] - width_of(line, n) + GAP), "");
	}
	fputs(end, stdout);
}

void rows_print(struct rows *r, const char *line_end)
{
	size_t widths[COLUMNS_MAX] = { 0 }, i;

	for (i = 0; i < r->line.n; i++)
		measure(r->line.v[i], widths);
	for (i = 0; i < r->line.n; i++)
		print_line(r->line.v[i], widths, line_end);
	strv_fini(&r->line);
}

/* --- rows ---------------------------------------------------------------------------------------- */

/* A field's title in the place of its value: the head of a table, and a row that has every field. */
static json_t *title_row(const struct column *c)
{
	json_t *j = json_object();

	for (; j && c->field; c++)
		if (json_object_set_new(j, c->field, json_string(c->title)) < 0) {
			json_decref(j);
			j = NULL;
		}
	return j;
}

static int try_on_titles(struct rows *r, const struct column *columns)
{
	auto_buf struct buf out = BUF_INIT(LINE_MAX_BYTES);
	json_t *titles = title_row(columns);
	struct error err = { 0 };
	int e = titles ? template_run(r->text, titles, false, &out, &err) : error_nomem(&err);

	json_decref(titles);
	if (e < 0)
		return template_failed(r->command, &err);
	if (r->table && !r->headless && (!buf_str(&out) || strv_add(&r->line, buf_str(&out)) < 0))
		return cli_failf("out of memory");
	return 0;
}

int rows_begin(struct rows *r, const char *command, const char *format, const char *table,
	       const struct column *columns)
{
	bool lines = r->lines, headless = r->headless;

	*r = (struct rows){ .command = command, .lines = lines, .headless = headless, .line = STRV_INIT(ROWS_MAX) };
	r->json = format && str_eq(format, "json");
	if (!format || str_eq(format, "table")) {
		r->table = true;
		r->text = table;
	} else if (str_starts(format, "table ")) {
		r->table = true;
		r->text = format + strlen("table ");
	} else {
		r->text = format;
	}
	return r->json ? 0 : try_on_titles(r, columns);
}

static int add_json(struct rows *r, const json_t *row)
{
	char *text = json_dumps(row, r->lines ? JSON_COMPACT : 0);

	if (!text)
		return cli_failf("out of memory");
	if (r->lines)
		printf("%s\n", text);
	else
		printf("%s\n  %s", r->n ? "," : "[", text);
	free(text);
	return 0;
}

static int add_line(struct rows *r, const json_t *row)
{
	auto_buf struct buf out = BUF_INIT(LINE_MAX_BYTES);
	struct error err = { 0 };

	/* A table's cells are one line each, wherever it goes. */
	if (template_run(r->text, row, r->table || is_plain(), &out, &err) < 0)
		return template_failed(r->command, &err);
	if (!buf_str(&out))
		return cli_failf("out of memory");
	if (!r->table)
		printf("%s\n", buf_str(&out));
	else if (strv_add(&r->line, buf_str(&out)) < 0)
		return cli_failf("out of memory");
	return 0;
}

int rows_add(struct rows *r, json_t *row)
{
	int e = !row ? cli_failf("out of memory") : r->json ? add_json(r, row) : add_line(r, row);

	json_decref(row);
	r->n++;
	r->failed |= e != 0;
	return e;
}

void rows_drop(struct rows *r)
{
	strv_fini(&r->line);
}

int rows_end(struct rows *r)
{
	if (r->json && !r->lines)
		printf("%s]\n", r->n ? "\n" : "[");
	if (!r->failed)
		rows_print(r, "\n");
	rows_drop(r);
	return r->failed ? EXIT_BOXLITE : 0;
}

int format_print(const char *command, const char *format, const json_t *value)
{
	auto_buf struct buf out = BUF_INIT(LINE_MAX_BYTES);
	struct error err = { 0 };

	if (template_run(format, value, is_plain(), &out, &err) < 0)
		return template_failed(command, &err);
	if (buf_len(&out))
		fwrite(buf_data(&out), 1, buf_len(&out), stdout);
	putchar('\n');
	return 0;
}

/* --- values -------------------------------------------------------------------------------------- */

json_t *json_text(const char *text)
{
	return text ? json_clean(text, SIZE_MAX) : json_null();
}

json_t *json_time(int64_t seconds)
{
	time_t t = (time_t)seconds;
	char text[40];
	struct tm tm;

	if (seconds <= 0 || !gmtime_r(&t, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return json_null();
	return json_string(text);
}

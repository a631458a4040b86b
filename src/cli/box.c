/* ps: the boxes of a home, those that the filters let through, as a table, JSON or by a template. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "cli/cli.h"
#include "cli/filter.h"
#include "cli/format.h"
#include "cli/net.h"

#define COMMAND_WIDTH 24

struct list {
	struct rows rows;
	struct filters filters;
	const char *format;
	bool all, quiet, whole, size;
	uint64_t last, shown; /* so many boxes at most, of all; 0: no limit */
};

static const struct column columns[] = {
	{ "id", "BOX ID" },	     { "image", "IMAGE" },	   { "command", "COMMAND" },
	{ "created_at", "CREATED AT" }, { "running_for", "CREATED" }, { "status", "STATUS" },
	{ "state", "STATE" },	     { "exit_code", "EXIT CODE" }, { "started_at", "STARTED AT" },
	{ "finished_at", "FINISHED AT" }, { "names", "NAME" },	   { "name", "NAME" },
	{ "size", "SIZE" },	     { "ports", "PORTS" },	   { NULL, NULL },
};

#define TABLE "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}"

static const char ps_help[] =
	"  -a, --all           also boxes that do not run\n"
	"  -q, --quiet         only ids\n"
	"  -n, --last N        the N boxes that were made last, whether they run or not\n"
	"  -l, --latest        the last one\n"
	"  -s, --size          what their disks take of the host's\n"
	"  --no-trunc          whole commands and references\n"
	"  -f, --filter KEY=VALUE   name=part of it, id=beginning, image=reference,\n"
	"                      status=created|running|restarting|exited|failed;\n"
	"                      several of one kind: any of them\n"
	"  --format table|json|TEMPLATE   how (--json is short for the second); such as '{{.ID}} {{.Names}}', or\n"
	"                      'table TEMPLATE' with \\t between columns; '{{json .}}' shows what fields there are\n";

/* --- filters ------------------------------------------------------------------------------------- */

/* "bb" is "docker.io/library/bb:latest", and so is every form between. */
static bool is_image(const char *reference, const char *wanted)
{
	const char *shown = table_reference(reference);
	size_t n = strlen(wanted);

	if (str_eq(reference, wanted) || str_eq(shown, wanted))
		return true;
	return (!strncmp(shown, wanted, n) && str_eq(shown + n, ":latest")) ||
	       (!strncmp(reference, wanted, n) && str_eq(reference + n, ":latest"));
}

static bool has_name(const void *item, const char *value)
{
	const struct boxlite_box_info *i = item;

	return i->name && strstr(i->name, value);
}

static bool has_id(const void *item, const char *value)
{
	const struct boxlite_box_info *i = item;

	return str_starts(i->id, value);
}

static bool has_image(const void *item, const char *value)
{
	const struct boxlite_box_info *i = item;

	return is_image(i->image, value) || (i->image_digest && str_eq(i->image_digest, value));
}

static bool has_status(const void *item, const char *value)
{
	const struct boxlite_box_info *i = item;

	return str_eq(table_state(i), value);
}

static const struct filter_key filter_keys[] = {
	{ "name", has_name }, { "id", has_id }, { "image", has_image }, { "status", has_status }, { NULL, NULL },
};

static bool is_wanted(const struct list *l, const struct boxlite_box_info *i)
{
	return filters_have(&l->filters, i) && (l->all || i->running);
}

static int add_filter(struct list *l, const char *text)
{
	static const char *const states[] = { "created", "running", "restarting", "exited", "failed" };
	int r = filters_add(&l->filters, "ps", filter_keys, "name=, id=, image= and status=", text);
	const char *state = r == 0 && str_starts(text, "status=") ? text + strlen("status=") : NULL;
	size_t s;

	if (!state)
		return r;
	for (s = 0; s < ARRAY_SIZE(states) && !str_eq(states[s], state); s++)
		;
	if (s == ARRAY_SIZE(states))
		return cli_usage("ps", "no status is called '%s'; there are created, running, restarting, exited and failed",
				 state);
	l->all = true;
	return 0;
}

/* --- rows ---------------------------------------------------------------------------------------- */

static void format_status(const struct boxlite_box_info *i, char out[96])
{
	char age[32];

	table_age(i->finished_at, age);
	if (i->again) {
		snprintf(out, 96, "restarting (%d) %s", i->exit.status, age);
	} else if (i->running) {
		table_span(i->started_at ? (int64_t)time(NULL) - i->started_at : 0, age);
		snprintf(out, 96, i->health ? "up %s (%s)" : "up %s", age, i->health);
	} else if (!i->ended) {
		snprintf(out, 96, "created");
	} else if (i->exit.kind == BOXLITE_LOST) {
		snprintf(out, 96, i->finished_at ? "failed %s" : "failed", age);
	} else {
		snprintf(out, 96, i->finished_at ? "exited (%d) %s" : "exited (%d)", i->exit.status, age);
	}
}

/* Cut to a width at the end of a character, and made one line. */
static void shorten(const char *text, bool whole, char *out, size_t size)
{
	size_t n = strlen(text), most = whole ? size - 1 : MIN(size - 1, (size_t)COMMAND_WIDTH);
	bool cut = n > most;

	if (cut)
		for (n = most - 3; n && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
	snprintf(out, size, "%.*s%s", (int)n, text, cut ? "..." : "");
	error_flatten(out);
}

/* Of one that is started again: how it ended. */
static json_t *exit_code(const struct boxlite_box_info *i)
{
	return i->ended || i->again ? json_integer(i->exit.status) : json_null();
}

static json_t *box_row(const struct list *l, const struct boxlite_box_info *i)
{
	char status[96], age[32], command[4096], size[24], *ports = net_ports_text(i);
	json_t *j;

	format_status(i, status);
	table_age(i->created_at, age);
	shorten(i->command, l->whole, command, sizeof(command));
	j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", json_text(i->id),
			 "image", json_text(l->whole ? i->image : table_reference(i->image)), "command",
			 json_text(command), "created_at", json_time(i->created_at), "running_for", json_text(age),
			 "status", json_text(status), "state", table_state(i), "exit_code",
			 exit_code(i), "started_at", json_time(i->started_at), "finished_at",
			 json_time(i->finished_at), "names", json_text(i->name), "name", json_text(i->name), "size",
			 json_text(str_format_size(i->disk_used_bytes, size)), "ports", json_text(ports ? ports : ""));
	free(ports);
	return j;
}

static json_t *box_json(const struct boxlite_box_info *i)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:I, s:s, s:o, s:o, s:I, s:I, s:I, s:o}", "id", json_text(i->id), "name",
			 json_text(i->name), "image", json_text(i->image), "command", json_text(i->command),
			 "created_at", (json_int_t)i->created_at, "status", table_state(i), "health",
			 json_text(i->health), "exit_code", exit_code(i), "started_at",
			 (json_int_t)i->started_at, "finished_at", (json_int_t)i->finished_at, "disk_used_bytes",
			 (json_int_t)i->disk_used_bytes, "ports", net_list(i->ports));
}

static int print_box(const struct boxlite_box_info *i, void *ud)
{
	struct list *l = ud;

	if (!is_wanted(l, i))
		return 0;
	if (l->quiet)
		printf("%s\n", i->id);
	else
		rows_add(&l->rows, l->rows.json ? box_json(i) : box_row(l, i));
	return l->rows.failed || (l->last && ++l->shown == l->last);
}

static int take_options(struct list *l, int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },	    { "quiet", no_argument, NULL, 'q' },
		{ "filter", required_argument, NULL, 'f' }, { "last", required_argument, NULL, 'n' },
		{ "latest", no_argument, NULL, 'l' },	    { "size", no_argument, NULL, 's' },
		{ "no-trunc", no_argument, NULL, 'T' },	    { "format", required_argument, NULL, 'F' },
		{ "json", no_argument, NULL, 'j' },	    { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int opt, r = 0;

	while (r == 0 && (opt = getopt_long(argc, argv, "+aqf:n:lsh", options, NULL)) != -1) {
		switch (opt) {
		case 'a': l->all = true; break;
		case 'q': l->quiet = true; break;
		case 'f': r = add_filter(l, optarg); break;
		case 'n':
			if (str_parse_u64(optarg, INT32_MAX, &l->last) < 0 || !l->last)
				r = cli_usage("ps", "'%s' is not a number of boxes", optarg);
			l->all = true;
			break;
		case 'l':
			l->last = 1;
			l->all = true;
			break;
		case 's': l->size = true; break;
		case 'T': l->whole = true; break;
		case 'F': l->format = optarg; break;
		case 'j': l->format = "json"; break;
		case 'h':
			cli_help("ps", ps_help);
			return 0;
		default: r = cli_usage("ps", "unknown option %s, or one without its value", argv[optind - 1]);
		}
	}
	if (r == 0 && optind < argc)
		r = cli_usage("ps", "'%s' is too much", argv[optind]);
	return r ? r : -1;
}

int cmd_ps(const struct global *g, int argc, char **argv)
{
	struct boxlite_error err;
	struct list l = { 0 };
	struct boxlite *b;
	int r = take_options(&l, argc, argv);

	if (r >= 0)
		return r;
	l.quiet &= !l.format;
	r = l.quiet ? 0 : rows_begin(&l.rows, "ps", l.format, l.size ? TABLE "\t{{.Size}}" : TABLE, columns);
	if (r)
		return r;
	r = cli_open(g, &b);
	if (r == 0) {
		if (boxlite_box_list(b, print_box, &l, &err) < 0)
			r = cli_fail(&err);
		boxlite_close(b);
	}
	if (r)
		rows_drop(&l.rows);
	return r || l.quiet ? r : rows_end(&l.rows);
}

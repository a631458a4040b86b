/* top: what runs in a box. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"

struct top {
	struct rows rows;
	bool truncated;
};

static const struct column columns[] = {
	{ "user", "USER" }, { "uid", "UID" },   { "pid", "PID" },	 { "ppid", "PPID" },	   { "state", "STATE" },
	{ "time", "TIME" }, { "rss", "RSS" }, { "command", "COMMAND" }, { NULL, NULL },
};

#define TABLE "{{.User}}\t{{.PID}}\t{{.PPID}}\t{{.State}}\t{{.Time}}\t{{.RSS}}\t{{.Command}}"

static json_t *task_row(const struct boxlite_task *t)
{
	char state[2] = { t->state, 0 }, uid[16], time[32], rss[24];
	unsigned long long ms = t->cpu_ns / 1000000U;

	snprintf(uid, sizeof(uid), "%u", t->uid);
	snprintf(time, sizeof(time), "%llu:%02llu.%02llu", ms / 60000, ms / 1000 % 60, ms / 10 % 100);
	return json_pack("{s:o, s:s, s:i, s:i, s:s, s:s, s:o, s:o}", "user", json_text(t->user ? t->user : uid), "uid", uid,
			 "pid", t->pid, "ppid", t->ppid, "state", state, "time", time, "rss",
			 json_text(str_format_size(t->memory_bytes, rss)), "command", json_text(t->command));
}

static json_t *task_json(const struct boxlite_task *t)
{
	char state[2] = { t->state, 0 };

	return json_pack("{s:i, s:i, s:I, s:o, s:s, s:I, s:I, s:o}", "pid", t->pid, "ppid", t->ppid, "uid",
			 (json_int_t)t->uid, "user", json_text(t->user), "state", state, "cpu_ns", (json_int_t)t->cpu_ns,
			 "memory_bytes", (json_int_t)t->memory_bytes, "command", json_text(t->command));
}

static int on_task(const struct boxlite_task *t, void *ud)
{
	struct top *top = ud;

	top->truncated |= t->truncated != 0;
	return rows_add(&top->rows, top->rows.json ? task_json(t) : task_row(t));
}

static int list_tasks(const struct global *g, const char *name, const char *format)
{
	struct top top = { 0 };
	struct boxlite_error err;
	struct cli_box c;
	int r = cli_open_box(g, name, &c);

	if (r)
		return r;
	if (rows_begin(&top.rows, "top", format, TABLE, columns)) {
		r = EXIT_BOXLITE;
	} else {
		r = boxlite_box_top(c.box, on_task, &top, &err);
		if (r < 0)
			rows_drop(&top.rows);
		r = r < 0 ? cli_fail(&err) : rows_end(&top.rows);
	}
	if (r == 0 && top.truncated)
		fprintf(stderr, "There are more processes than these.\n");
	cli_close_box(&c);
	return r;
}

int cmd_top(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' }, { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },	    { 0 },
	};
	const char *format = NULL;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'f': format = optarg; break;
		case 'j': format = "json"; break;
		case 'h':
			return cli_help("top", "  --format F   table, json (short: --json), a template such as '{{.PID}} {{.Command}}', or\n"
					       "               'table TEMPLATE' with \\t between columns\n\n"
					       "TIME is of a CPU: minutes, seconds and hundredths. PIDs are those that the box sees.\n");
		default: return cli_usage("top", "unknown option %s, or one without its value", argv[optind - 1]);
		}
	}
	if (argc - optind != 1)
		return cli_usage("top", "which box?");
	return list_tasks(g, argv[optind], format);
}

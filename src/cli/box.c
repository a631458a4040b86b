/* ps */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "cli/cli.h"

struct list {
	struct list_options o;
	unsigned n;
};

static void format_status(const struct boxlite_box_info *i, char out[64])
{
	if (i->running)
		snprintf(out, 64, "running");
	else if (i->ended && i->exit.kind == BOXLITE_LOST)
		snprintf(out, 64, "failed");
	else if (i->ended)
		snprintf(out, 64, "exited (%d)", i->exit.status);
	else
		snprintf(out, 64, "created");
}

static int print_box(const struct boxlite_box_info *i, void *ud)
{
	struct list *l = ud;
	char status[64], age[32], command[25];

	if (!l->o.all && !i->running)
		return 0;
	format_status(i, status);
	table_age(i->created_at, age);
	if (l->o.quiet) {
		printf("%s\n", i->id);
	} else if (l->o.json) {
		printf("%s\n  {\"id\": \"%s\", \"name\": ", l->n ? "," : "", i->id);
		json_print_string(i->name);
		printf(", \"image\": ");
		json_print_string(i->image);
		printf(", \"command\": ");
		json_print_string(i->command);
		printf(", \"created_at\": %lld, \"status\": \"%s\", \"exit_code\": ", (long long)i->created_at,
		       i->running ? "running" : !i->ended ? "created" : i->exit.kind == BOXLITE_LOST ? "failed" : "exited");
		if (i->ended)
			printf("%d}", i->exit.status);
		else
			printf("null}");
	} else {
		snprintf(command, sizeof(command), "%s", i->command);
		error_flatten(command);
		printf("%-13s %-24.24s %-24s %-16s %-14s %s\n", i->id, table_reference(i->image), command, age, status,
		       i->name ? i->name : "");
	}
	l->n++;
	return 0;
}

int cmd_ps(const struct global *g, int argc, char **argv)
{
	struct boxlite_error err;
	struct list l = { 0 };
	struct boxlite *b;
	int r = table_options("ps", "  -a, --all             also boxes that do not run\n"
				    "  -q, --quiet           only ids\n"
				    "  --format table|json   (--json is short for the second)\n",
			      argc, argv, &l.o);

	if (r >= 0)
		return r;
	r = cli_open(g, &b);
	if (r)
		return r;
	if (l.o.json)
		printf("[");
	else if (!l.o.quiet)
		printf("%-13s %-24s %-24s %-16s %-14s %s\n", "BOX ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAME");
	r = boxlite_box_list(b, print_box, &l, &err);
	if (l.o.json)
		printf("%s]\n", l.n ? "\n" : "");
	boxlite_close(b);
	return r < 0 ? cli_fail(&err) : 0;
}

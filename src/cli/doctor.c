/* doctor: its exit code is the worst level of what was found. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"

struct report {
	bool json, colour;
	unsigned n;
};

static const char *const levels[] = { "ok", "warn", "fail" };

/* https://no-color.org */
static bool wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term && !str_eq(term, "dumb");
}

static void print_json(const struct boxlite_finding *f, bool first)
{
	printf("%s\n  {\"id\": ", first ? "" : ",");
	json_print_string(f->id);
	printf(", \"level\": \"%s\", \"what\": ", levels[f->level]);
	json_print_string(f->what);
	printf(", \"remedy\": ");
	json_print_string(f->remedy);
	printf("}");
}

static int print_finding(const struct boxlite_finding *f, void *ud)
{
	static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };
	struct report *r = ud;

	if (r->json) {
		print_json(f, r->n == 0);
	} else {
		printf("%s%-4s%s  %-13s  %s\n", r->colour ? colours[f->level] : "", levels[f->level],
		       r->colour ? "\033[0m" : "", f->id, f->what);
		if (f->remedy)
			printf("                     remedy: %s\n", f->remedy);
	}
	r->n++;
	return 0;
}

int cmd_doctor(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' }, { 0 }
	};
	static const char *const sums[] = { "Boxes run here.", "Boxes run here, and could do better.",
					    "Boxes cannot run here." };
	struct boxlite_doctor_options o = BOXLITE_OPTIONS(boxlite_doctor_options);
	struct report report = { .colour = wants_colour() };
	struct boxlite_error err;
	int opt, r;

	while ((opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (opt) {
		case 'j': report.json = true; break;
		case 'h':
			return cli_help("doctor", "  --json   findings as JSON\n\n"
						  "Exit codes: 0 all is well; 1 boxes run, and something is "
						  "worse than it could\nbe; 2 boxes cannot run.\n");
		default: return cli_usage("doctor", "unknown option %s", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return cli_usage("doctor", "'%s' is too much", argv[optind]);
	o.home = g->home;
	if (report.json)
		printf("[");
	r = boxlite_doctor(&o, print_finding, &report, &err);
	if (report.json)
		printf("\n]\n");
	if (r < 0)
		return cli_fail(&err);
	if (!report.json)
		printf("\n%s\n", sums[r]);
	return r;
}

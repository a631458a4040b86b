#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"

int table_options(const char *command, const char *help, int argc, char **argv, struct list_options *o)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },	    { "quiet", no_argument, NULL, 'q' },
		{ "format", required_argument, NULL, 'f' }, { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },	    { 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "+aqh", options, NULL)) != -1) {
		switch (opt) {
		case 'a': o->all = true; break;
		case 'q': o->quiet = true; break;
		case 'j': o->format = "json"; break;
		case 'f': o->format = optarg; break;
		case 'h': return cli_help(command, help);
		default: return cli_usage(command, "unknown option %s, or one without its value", argv[optind - 1]);
		}
	}
	return optind < argc ? cli_usage(command, "'%s' is too much", argv[optind]) : -1;
}

const char *table_reference(const char *reference)
{
	static const char *const implied[] = { "docker.io/library/", "docker.io/" };
	size_t i;

	for (i = 0; i < 2; i++)
		if (str_starts(reference, implied[i]))
			return reference + strlen(implied[i]);
	return reference;
}

void table_span(int64_t seconds, char out[32])
{
	static const struct {
		int64_t seconds;
		const char *unit;
	} units[] = {
		{ 365 * 86400, "year" }, { 30 * 86400, "month" }, { 7 * 86400, "week" }, { 86400, "day" },
		{ 3600, "hour" },	 { 60, "minute" },	  { 1, "second" },
	};
	int64_t n;
	size_t i;

	for (i = 0; i + 1 < sizeof(units) / sizeof(units[0]) && seconds < units[i].seconds; i++)
		;
	n = seconds > 0 ? seconds / units[i].seconds : 0;
	snprintf(out, 32, "%lld %s%s", (long long)n, units[i].unit, n == 1 ? "" : "s");
}

const char *table_state(const struct boxlite_box_info *i)
{
	if (i->running)
		return i->again ? "restarting" : "running";
	if (!i->ended)
		return "created";
	return i->exit.kind == BOXLITE_LOST ? "failed" : "exited";
}

bool table_time(const char *text, int64_t *ret_ns)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	uint64_t n;

	if (rest && (str_eq(rest, "Z") || !*rest))
		*ret_ns = (int64_t)timegm(&tm) * 1000000000;
	else if (str_parse_u64(text, INT64_MAX / 1000000000, &n) == 0)
		*ret_ns = (int64_t)n * 1000000000;
	else if (str_parse_duration(text, INT64_MAX / 1000000, &n) == 0)
		*ret_ns = (int64_t)clock_wall_ns() - (int64_t)n * 1000000;
	else
		return false;
	return true;
}

void table_age(int64_t when, char out[32])
{
	int64_t age = (int64_t)time(NULL) - when;

	if (when <= 0) {
		snprintf(out, 32, "-");
	} else if (age < 1) {
		snprintf(out, 32, "now");
	} else {
		table_span(age, out);
		strncat(out, " ago", 31 - strlen(out));
	}
}

void json_print_string(const char *text)
{
	if (!text) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ')
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

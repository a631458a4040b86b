/* logs: what a box's main process has written. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"

#define NS 1000000000LL

struct output {
	bool timestamps;
	bool in_line[3]; /* of a channel: what was printed last did not end a line */
};

static const char logs_help[] =
	"  -f, --follow         wait for more, until the box has ended\n"
	"  -n, --tail N         the last N lines (all)\n"
	"  -t, --timestamps     before each line, when it began\n"
	"  --since TIME         nothing before: 2026-11-27T10:00:00Z, seconds since 1970, or an age such as 90s, 5m, 2h\n";

static void print_time(FILE *to, int64_t ns)
{
	time_t seconds = (time_t)(ns / NS);
	char text[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(to, "%s.%09lldZ ", text, (long long)(ns % NS));
}

static int print_entry(const struct boxlite_log_entry *e, void *ud)
{
	FILE *to = e->channel == BOXLITE_STDERR ? stderr : stdout;
	struct output *o = ud;
	const char *p = e->data, *end = p + e->len, *next;

	while (o->timestamps && p < end) {
		if (!o->in_line[e->channel])
			print_time(to, e->time_ns);
		next = memchr(p, '\n', (size_t)(end - p));
		o->in_line[e->channel] = !next;
		next = next ? next + 1 : end;
		fwrite(p, 1, (size_t)(next - p), to);
		p = next;
	}
	fwrite(p, 1, (size_t)(end - p), to);
	fflush(to);
	return ferror(to) ? -EPIPE : 0;
}

static int print_logs(const struct global *g, const char *name, struct boxlite_logs_options *q, struct output *o)
{
	struct boxlite_error err = { 0 };
	struct cli_box c;
	int r = cli_open_box(g, name, &c);

	if (r)
		return r;
	r = boxlite_box_logs(c.box, q, print_entry, o, &err);
	if (r < 0) /* nobody reads it any more: nothing to say */
		r = err.code ? cli_fail(&err) : EXIT_BOXLITE;
	cli_close_box(&c);
	return r;
}

int cmd_logs(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "follow", no_argument, NULL, 'f' },	  { "tail", required_argument, NULL, 'n' },
		{ "timestamps", no_argument, NULL, 't' }, { "since", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },	  { 0 },
	};
	struct boxlite_logs_options q = BOXLITE_OPTIONS(boxlite_logs_options);
	struct output o = { 0 };
	uint64_t n;
	int opt;

	while ((opt = getopt_long(argc, argv, "+fn:th", options, NULL)) != -1) {
		switch (opt) {
		case 'f': q.follow = 1; break;
		case 't': o.timestamps = true; break;
		case 'n':
			if (str_eq(optarg, "all"))
				break;
			if (str_parse_u64(optarg, INT32_MAX, &n) < 0)
				return cli_usage("logs", "'%s' is not a number of lines", optarg);
			q.tail = (long)n;
			if (n == 0) /* what is there by now is not wanted */
				q.since_ns = (int64_t)clock_wall_ns();
			break;
		case 's':
			if (!table_time(optarg, &q.since_ns))
				return cli_usage("logs", "'%s' is not a time", optarg);
			break;
		case 'h': return cli_help("logs", logs_help);
		default: return cli_usage("logs", "unknown option %s, or one without its value", argv[optind - 1]);
		}
	}
	if (argc - optind != 1)
		return cli_usage("logs", "which box?");
	return print_logs(g, argv[optind], &q, &o);
}

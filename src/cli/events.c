/* events: what happens in a home. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "cli/cli.h"
#include "cli/filter.h"
#include "cli/format.h"

struct watcher {
	struct rows rows;
	struct filters filters;
	const char *format;
	struct boxlite_events_options o;
	bool stopped; /* nobody reads what is printed */
};

static const struct column columns[] = {
	{ "time", "TIME" }, { "type", "TYPE" },	  { "action", "ACTION" }, { "id", "ID" },
	{ "name", "NAME" }, { "image", "IMAGE" }, { "exec", "EXEC" },	  { "status", "STATUS" },
	{ "signal", "SIGNAL" }, { "detail", "DETAIL" }, { "text", "TEXT" }, { NULL, NULL },
};

#define LINE "{{.Time}} {{.Type}} {{.Action}} {{.ID}}{{.Text}}"

static const char events_help[] =
	"  --since TIME             also what was before: 2026-11-27T10:00:00Z, seconds since 1970, or an age such as 5m\n"
	"  --until TIME             nothing after; if that is past, what is there is all\n"
	"  -f, --filter KEY=VALUE   type=box|image, event=start|die|..., box=id or name, image=reference;\n"
	"                           several of one kind: any of them\n"
	"  --format json|TEMPLATE   a JSON object a line (short: --json), or such as '{{.Time}} {{.Action}} {{.Name}}'\n";

static bool has_type(const void *item, const char *value)
{
	return str_eq(((const struct boxlite_event *)item)->type, value);
}

static bool has_action(const void *item, const char *value)
{
	return str_eq(((const struct boxlite_event *)item)->action, value);
}

static bool has_box(const void *item, const char *value)
{
	const struct boxlite_event *e = item;

	return str_eq(e->type, "box") && (str_starts(e->id, value) || (e->name && str_eq(e->name, value)));
}

static bool has_image(const void *item, const char *value)
{
	const struct boxlite_event *e = item;
	const char *image = str_eq(e->type, "image") ? e->id : e->image ? e->image : "";

	return str_eq(value, image) || str_eq(value, table_reference(image));
}

static const struct filter_key filter_keys[] = {
	{ "type", has_type }, { "event", has_action }, { "box", has_box }, { "image", has_image }, { NULL, NULL },
};

/* " (name=one, image=bb, status=0)": what a line for people says behind the id. */
static void describe(const struct boxlite_event *e, char out[1024])
{
	struct buf b = BUF_INIT(1000);
	int r = 0;

	if (e->name)
		r = buf_printf(&b, ", name=%s", e->name);
	if (r == 0 && e->image)
		r = buf_printf(&b, ", image=%s", table_reference(e->image));
	if (r == 0 && e->exec)
		r = buf_printf(&b, ", exec=%u", e->exec);
	if (r == 0 && e->status >= 0)
		r = buf_printf(&b, ", status=%d", e->status);
	if (r == 0 && e->signal)
		r = buf_printf(&b, ", signal=%d", e->signal);
	if (r == 0 && e->detail)
		r = buf_printf(&b, ", %s", e->detail);
	out[0] = 0;
	if (buf_len(&b))
		snprintf(out, 1024, " (%.*s)", (int)buf_len(&b) - 2, (const char *)buf_data(&b) + 2);
	error_flatten(out);
	buf_fini(&b);
}

static json_t *event_row(const struct watcher *w, const struct boxlite_event *e)
{
	char text[1024], when[64];
	json_t *j, *seconds = json_time(e->time_ns / 1000000000);
	const char *s = json_string_value(seconds);

	describe(e, text);
	snprintf(when, sizeof(when), "%.19s.%09lldZ", s ? s : "", (long long)(e->time_ns % 1000000000));
	json_decref(seconds);
	j = json_pack("{s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "time", when, "time_ns",
		      (json_int_t)e->time_ns, "type", e->type, "action", e->action, "id", json_text(e->id), "name",
		      json_text(e->name), "image", json_text(e->image), "exec",
		      e->exec ? json_integer(e->exec) : json_null(), "status",
		      e->status >= 0 ? json_integer(e->status) : json_null(), "signal",
		      e->signal ? json_integer(e->signal) : json_null(), "detail", json_text(e->detail));
	if (j && !w->rows.json)
		json_object_set_new(j, "text", json_text(text));
	return j;
}

static int print_event(const struct boxlite_event *e, void *ud)
{
	struct watcher *w = ud;

	if (!filters_have(&w->filters, e))
		return 0;
	rows_add(&w->rows, event_row(w, e));
	w->stopped = w->rows.failed || fflush(stdout) == EOF || ferror(stdout);
	return w->stopped;
}

static int take_event_option(struct watcher *w, int opt, char **argv)
{
	switch (opt) {
	case 's':
		return table_time(optarg, &w->o.since_ns) ? 0 : cli_usage("events", "'%s' is not a time", optarg);
	case 'u':
		return table_time(optarg, &w->o.until_ns) ? 0 : cli_usage("events", "'%s' is not a time", optarg);
	case 'f': return filters_add(&w->filters, "events", filter_keys, "type=, event=, box= and image=", optarg);
	case 'F': w->format = optarg; return 0;
	case 'j': w->format = "json"; return 0;
	default: return cli_usage("events", "unknown option %s, or one without its value", argv[optind - 1]);
	}
}

static int watch(const struct global *g, struct watcher *w)
{
	struct boxlite_error err;
	struct boxlite *b;
	int r = cli_open(g, &b);

	if (r)
		return r;
	w->o.follow = 1;
	w->o.cancel_fd = cli_cancel_fd();
	r = boxlite_events(b, &w->o, print_event, w, &err);
	boxlite_close(b);
	if (r == -ECANCELED)
		return EXIT_INTERRUPTED;
	if (r < 0)
		return cli_fail(&err);
	return w->stopped ? EXIT_BOXLITE : rows_end(&w->rows);
}

int cmd_events(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "since", required_argument, NULL, 's' },  { "until", required_argument, NULL, 'u' },
		{ "filter", required_argument, NULL, 'f' }, { "format", required_argument, NULL, 'F' },
		{ "json", no_argument, NULL, 'j' },	    { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct watcher w = { .o = BOXLITE_OPTIONS(boxlite_events_options), .rows = { .lines = true } };
	int opt, r;

	w.o.since_ns = (int64_t)clock_wall_ns();
	while ((opt = getopt_long(argc, argv, "+f:h", options, NULL)) != -1) {
		if (opt == 'h')
			return cli_help("events", events_help);
		r = take_event_option(&w, opt, argv);
		if (r)
			return r;
	}
	if (optind < argc)
		return cli_usage("events", "'%s' is too much", argv[optind]);
	if (w.format && str_starts(w.format, "table"))
		return cli_usage("events", "a table of what is still to come cannot be aligned: leave 'table' out");
	r = rows_begin(&w.rows, "events", w.format ? w.format : LINE, LINE, columns);
	if (r == 0)
		r = watch(g, &w);
	rows_drop(&w.rows);
	return r;
}

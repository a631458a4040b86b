/*
 * stats: what boxes use, again and again. CPU is a share of the time between two looks at the engine's process, so a
 * box has one from its second look on.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/format.h"

#define INTERVAL_MS 1000

/* A box at the last look. */
struct sample {
	char id[16];
	uint64_t cpu_ns, at_ns;
	bool seen; /* in this look */
};

struct stats {
	struct boxlite *b;
	const char *format;
	bool stream, quiet; /* quiet: a look that is only there for the next one */
	struct strv ids;    /* those that were named; empty: all that run */
	struct sample *sample; /* owned */
	size_t nsamples;
	struct rows rows;
};

static const struct column columns[] = {
	{ "id", "BOX ID" },	   { "container", "BOX" },  { "name", "NAME" },	  { "cpu_perc", "CPU %" },
	{ "mem_usage", "MEM USAGE / LIMIT" }, { "mem_perc", "MEM %" }, { "host_mem", "HOST MEM" },
	{ "net_io", "NET I/O" },   { "block_io", "BLOCK I/O" }, { "pids", "PIDS" }, { "execs", "EXECS" },
	{ "uptime", "UPTIME" },	   { "disk", "DISK" },	    { NULL, NULL },
};

#define TABLE                                                                                                         \
	"{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.HostMem}}\t{{.NetIO}}\t{{.BlockIO}}\t" \
	"{{.PIDs}}"

static const char stats_help[] =
	"  --no-stream     one look (it takes a second: CPU is measured in it)\n"
	"  --format F      table, json (a line for each box and look; short: --json), a template such as\n"
	"                  '{{.Name}}: {{.CPUPerc}}', or 'table TEMPLATE' with \\t between columns\n\n"
	"Without BOX: all that run. CPU % and HOST MEM are of the machine's process on this host (100% is one CPU); the\n"
	"others are what the box's kernel says, -- if it does not answer within a second.\n";

/* --- CPU ------------------------------------------------------------------------------------------ */

static struct sample *sample_of(struct stats *s, const char *id)
{
	struct sample *more;
	size_t i;

	for (i = 0; i < s->nsamples; i++)
		if (str_eq(s->sample[i].id, id))
			return &s->sample[i];
	more = realloc(s->sample, (s->nsamples + 1) * sizeof(*more));
	if (!more)
		return NULL;
	s->sample = more;
	more += s->nsamples++;
	*more = (struct sample){ 0 };
	snprintf(more->id, sizeof(more->id), "%s", id);
	return more;
}

/* Percent of one CPU since the last look; below 0: there was none, or of another start. */
static double cpu_percent(struct stats *s, const char *id, const struct boxlite_metrics *m)
{
	uint64_t cpu = m->cpu_user_ns + m->cpu_system_ns, now = clock_ns();
	struct sample *last = m->boxes ? sample_of(s, id) : NULL;
	double percent = -1;

	if (!last)
		return -1;
	if (last->at_ns && cpu >= last->cpu_ns && now > last->at_ns)
		percent = 100.0 * (double)(cpu - last->cpu_ns) / (double)(now - last->at_ns);
	last->cpu_ns = cpu;
	last->at_ns = now;
	last->seen = true;
	return percent;
}

/* Forgets those that do not run any more. */
static void end_look(struct stats *s)
{
	size_t i, kept = 0;

	for (i = 0; i < s->nsamples; i++)
		if (s->sample[i].seen)
			s->sample[kept++] = s->sample[i];
	s->nsamples = kept;
	for (i = 0; i < kept; i++)
		s->sample[i].seen = false;
}

/* --- rows ------------------------------------------------------------------------------------------ */

static uint64_t used_memory(const struct boxlite_metrics *m)
{
	return m->guest_memory_bytes > m->guest_memory_available_bytes
		       ? m->guest_memory_bytes - m->guest_memory_available_bytes : 0;
}

/* "--" for what is not known. */
static json_t *text_if(bool known, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static json_t *text_if(bool known, const char *fmt, ...)
{
	char text[96];
	va_list ap;

	if (!known)
		return json_string("--");
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return json_string(text);
}

static json_t *pair(bool known, uint64_t a, uint64_t b)
{
	char first[24], second[24];

	return text_if(known, "%s / %s", str_format_size(a, first), str_format_size(b, second));
}

static json_t *stats_row(const struct boxlite_box_info *i, const struct boxlite_metrics *m, double cpu)
{
	char host[24], disk[24], uptime[32];
	uint64_t used = used_memory(m);

	table_span((int64_t)(m->uptime_ns / 1000000000U), uptime);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", json_text(i->id),
			 "container", json_text(i->name ? i->name : i->id), "name", json_text(i->name ? i->name : "--"),
			 "cpu_perc", text_if(cpu >= 0, "%.2f%%", cpu), "mem_usage",
			 pair(m->guests, used, i->memory_bytes), "mem_perc",
			 text_if(m->guests && i->memory_bytes, "%.2f%%",
				 100.0 * (double)used / (double)(i->memory_bytes ? i->memory_bytes : 1)),
			 "host_mem", text_if(m->boxes, "%s", str_format_size(m->memory_bytes, host)), "net_io",
			 pair(m->guests, m->guest_received_bytes, m->guest_sent_bytes), "block_io",
			 pair(m->guests, m->guest_read_bytes, m->guest_written_bytes), "pids",
			 text_if(m->guests, "%llu", (unsigned long long)m->guest_processes), "execs",
			 text_if(m->boxes, "%llu", (unsigned long long)m->execs_started), "uptime",
			 text_if(m->boxes, "%s", uptime), "disk", text_if(true, "%s", str_format_size(m->disk_used_bytes, disk)));
}

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)MIN(v, (uint64_t)INT64_MAX));
}

static json_t *host_json(const struct boxlite_metrics *m)
{
	return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "pid", m->pid, "cpu_user_ns",
			 number(m->cpu_user_ns), "cpu_system_ns", number(m->cpu_system_ns), "memory_bytes",
			 number(m->memory_bytes), "memory_peak_bytes", number(m->memory_peak_bytes),
			 "memory_private_bytes", number(m->memory_private_bytes), "threads", number(m->threads),
			 "read_bytes", number(m->read_bytes), "written_bytes", number(m->written_bytes),
			 "disk_used_bytes", number(m->disk_used_bytes));
}

static json_t *guest_json(const struct boxlite_metrics *m)
{
	if (!m->guests)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "memory_bytes",
			 number(m->guest_memory_bytes), "memory_available_bytes",
			 number(m->guest_memory_available_bytes), "box_memory_bytes", number(m->guest_box_memory_bytes),
			 "cpu_user_ns", number(m->guest_cpu_user_ns), "cpu_system_ns", number(m->guest_cpu_system_ns),
			 "processes", number(m->guest_processes), "read_bytes", number(m->guest_read_bytes),
			 "written_bytes", number(m->guest_written_bytes), "disk_bytes", number(m->guest_disk_bytes),
			 "disk_used_bytes", number(m->guest_disk_used_bytes), "received_bytes",
			 number(m->guest_received_bytes), "sent_bytes", number(m->guest_sent_bytes));
}

static json_t *network_json(const struct boxlite_metrics *m)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "received_packets", number(m->net_received_packets), "sent_packets",
			 number(m->net_sent_packets), "connections", number(m->net_connections), "flows",
			 number(m->net_flows), "denied", number(m->net_denied));
}

static json_t *stats_json(const struct boxlite_box_info *i, const struct boxlite_metrics *m, double cpu)
{
	return json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o, s:o}}", "id",
			 json_text(i->id), "name", json_text(i->name), "running", m->boxes != 0, "cpu_percent",
			 cpu >= 0 ? json_real(cpu) : json_null(), "memory_limit_bytes", number(i->memory_bytes),
			 "uptime_ns", number(m->uptime_ns), "execs_started", number(m->execs_started), "execs_running",
			 number(m->execs_running), "execs_failed", number(m->execs_failed), "input_bytes",
			 number(m->input_bytes), "output_bytes", number(m->output_bytes), "host", host_json(m), "guest",
			 guest_json(m), "network", network_json(m), "boot", "setup_ns", number(m->boot_setup_ns), "machine_ns",
			 number(m->boot_machine_ns), "kernel_ns", number(m->boot_kernel_ns), "agent_ns",
			 number(m->boot_agent_ns));
}

static int on_box(const struct boxlite_box_info *i, const struct boxlite_metrics *m, void *ud)
{
	struct stats *s = ud;
	double cpu = cpu_percent(s, i->id, m);

	if (!s->quiet)
		rows_add(&s->rows, s->rows.json ? stats_json(i, m, cpu) : stats_row(i, m, cpu));
	return s->rows.failed;
}

/* --- the loop --------------------------------------------------------------------------------------- */

static int look(struct stats *s)
{
	struct boxlite_metrics_options o = BOXLITE_OPTIONS(boxlite_metrics_options);
	struct boxlite_error err;
	int r;

	o.boxes = s->ids.n ? (const char *const *)s->ids.v : NULL;
	o.host_only = s->quiet;
	r = boxlite_metrics_list(s->b, &o, on_box, s, &err);
	end_look(s);
	return r < 0 ? cli_fail(&err) : 0;
}

/* One table (or lines). On a terminal it takes the place of the one before it, line by line. */
static int show(struct stats *s, bool in_place)
{
	int r;

	s->rows = (struct rows){ .lines = true };
	r = rows_begin(&s->rows, "stats", s->format, TABLE, columns);
	if (r == 0)
		r = look(s);
	if (in_place && r == 0) {
		fputs("\033[H", stdout);
		rows_print(&s->rows, "\033[K\n");
		fputs("\033[J", stdout);
	}
	if (rows_end(&s->rows) && r == 0)
		r = EXIT_BOXLITE;
	if (fflush(stdout) || ferror(stdout)) /* nobody reads it any more */
		r = r ? r : EXIT_BOXLITE;
	return r;
}

/* True: go on; false: the user has had enough. */
static bool wait_for_next(int cancel)
{
	struct pollfd p = { .fd = cancel, .events = POLLIN };

	return poll(&p, 1, INTERVAL_MS) == 0;
}

static int run(struct stats *s)
{
	bool in_place = s->stream && isatty(STDOUT_FILENO) &&
			(!s->format || str_eq(s->format, "table") || str_starts(s->format, "table "));
	int cancel = cli_cancel_fd(), r = 0;

	if (!s->stream) {
		s->quiet = true;
		r = look(s);
		s->quiet = false;
		if (r || (s->nsamples && !wait_for_next(cancel)))
			return r ? r : EXIT_INTERRUPTED;
		return show(s, false);
	}
	if (in_place)
		fputs("\033[2J", stdout);
	do
		r = show(s, in_place);
	while (r == 0 && wait_for_next(cancel));
	return r;
}

static int resolve(struct stats *s, char **names)
{
	struct boxlite_error err;
	struct boxlite_box *box;
	int r = 0;

	for (; r == 0 && *names; names++) {
		if (boxlite_box_open(s->b, *names, &box, &err) < 0)
			return cli_fail(&err);
		if (strv_add(&s->ids, boxlite_box_id(box)) < 0)
			r = cli_failf("out of memory");
		boxlite_box_close(box);
	}
	return r;
}

int cmd_stats(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "no-stream", no_argument, NULL, 'n' }, { "format", required_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },	 { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct stats s = { .stream = true, .ids = STRV_INIT(ROWS_MAX), .rows = { .lines = true } };
	int opt, r;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'n': s.stream = false; break;
		case 'f': s.format = optarg; break;
		case 'j': s.format = "json"; break;
		case 'h': return cli_help("stats", stats_help);
		default: return cli_usage("stats", "unknown option %s, or one without its value", argv[optind - 1]);
		}
	}
	/* A wrong template is told before anything is waited for. */
	r = rows_begin(&s.rows, "stats", s.format, TABLE, columns);
	rows_drop(&s.rows);
	if (r == 0)
		r = cli_open(g, &s.b);
	if (r)
		return r;
	r = resolve(&s, argv + optind);
	if (r == 0)
		r = run(&s);
	boxlite_close(s.b);
	strv_fini(&s.ids);
	free(s.sample);
	return r;
}

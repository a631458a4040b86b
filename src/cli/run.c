/* run, start, exec */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/timing.h"

#define ENV_MAX 65536

struct run_options {
	struct boxlite_box_options box;
	struct strv env;
	const char *entrypoint[2];
	bool interactive, tty, quiet, plain_http, timing, trace_kernel;
	struct run_timing t;
};

static const char run_help[] =
	"  -i, --interactive        connect standard input\n"
	"  -t, --tty                give the command a terminal\n"
	"  -e, --env NAME[=VALUE]   set a variable; without a value: this shell's\n"
	"  -w, --workdir DIR        folder to start in\n"
	"  -u, --user USER[:GROUP]  user by name or number\n"
	"  --entrypoint PROGRAM     instead of the image's; \"\" for none\n"
	"  --cpus N                 virtual CPUs (1)\n"
	"  --memory SIZE            memory, such as 512m or 2g; a bare number is MiB (1g)\n"
	"  --disk-size SIZE         writable disk; a bare number is GiB (10g); sparse\n"
	"  --name NAME              a name for the box\n"
	"  --rm                     remove the box when the command has ended\n"
	"  --engine auto|kvm|qemu   what runs the machine (auto)\n"
	"  --plain-http             the registry speaks http, if the image must be pulled\n"
	"  --timing[=kernel]        at the end, on standard error: where the time went; the kernel's in parts\n"
	"  -q, --quiet              no progress while pulling\n";

enum { OPT_ENTRYPOINT = 256, OPT_CPUS, OPT_MEMORY, OPT_DISK, OPT_NAME, OPT_RM, OPT_ENGINE, OPT_PLAIN_HTTP, OPT_TIMING };

static int add_env(struct strv *env, const char *text)
{
	const char *value = strchr(text, '=') ? NULL : getenv(text);

	if (*text == '=' || !*text)
		return -EINVAL;
	if (strchr(text, '='))
		return strv_add(env, text);
	/* Unset here: unset there, whatever the image says; as docker. */
	return value ? strv_addf(env, "%s=%s", text, value) : strv_add(env, text);
}

static int set_size(const char *command, const char *what, const char *text, uint64_t unit, uint64_t *ret)
{
	if (str_parse_size(text, unit, ret) < 0 || *ret == 0)
		return cli_usage(command, "'%s' is not a %s: a number and k, m, g or t", text, what);
	return 0;
}

static int set_cpus(const char *text, unsigned *ret)
{
	uint64_t n;

	if (str_parse_u64(text, 1024, &n) < 0 || n == 0)
		return cli_usage("run", "'%s' is not a number of cpus", text);
	*ret = (unsigned)n;
	return 0;
}

static int check_terminal(const char *command, bool tty, bool interactive)
{
	return !tty || !interactive || isatty(STDIN_FILENO)
		       ? 0
		       : cli_usage(command, "-t wants a terminal, and standard input is none: leave -t out");
}

static int set_timing(struct run_options *o, const char *of)
{
	if (of && !str_eq(of, "kernel"))
		return cli_usage("run", "--timing=%s: only the kernel's time has parts, --timing=kernel", of);
	o->timing = true;
	o->trace_kernel = of != NULL;
	return 0;
}

/* One option of run: 0, or the exit code. */
static int take_option(struct run_options *o, int opt, char **argv)
{
	int r;

	switch (opt) {
	case 'i': o->interactive = true; return 0;
	case 't': o->tty = true; return 0;
	case 'q': o->quiet = true; return 0;
	case 'e':
		r = add_env(&o->env, optarg);
		return r < 0 ? cli_usage("run", "'%s' is not a variable", optarg) : 0;
	case 'w': o->box.workdir = optarg; return 0;
	case 'u': o->box.user = optarg; return 0;
	case OPT_ENTRYPOINT:
		o->entrypoint[0] = *optarg ? optarg : NULL;
		o->box.entrypoint = o->entrypoint;
		return 0;
	case OPT_CPUS: return set_cpus(optarg, &o->box.cpus);
	case OPT_MEMORY: return set_size("run", "memory size", optarg, MIB, &o->box.memory_bytes);
	case OPT_DISK: return set_size("run", "disk size", optarg, GIB, &o->box.disk_bytes);
	case OPT_NAME: o->box.name = optarg; return 0;
	case OPT_RM: o->box.auto_remove = 1; return 0;
	case OPT_ENGINE: o->box.engine = optarg; return 0;
	case OPT_PLAIN_HTTP: o->plain_http = true; return 0;
	case OPT_TIMING: return set_timing(o, optarg);
	default: return cli_usage("run", "unknown option %s, or one without its value", argv[optind - 1]);
	}
}

/* Reads the options; -1 to go on, else the exit code. */
static int parse_run(struct run_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "interactive", no_argument, NULL, 'i' },
		{ "tty", no_argument, NULL, 't' },
		{ "env", required_argument, NULL, 'e' },
		{ "workdir", required_argument, NULL, 'w' },
		{ "user", required_argument, NULL, 'u' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "entrypoint", required_argument, NULL, OPT_ENTRYPOINT },
		{ "cpus", required_argument, NULL, OPT_CPUS },
		{ "memory", required_argument, NULL, OPT_MEMORY },
		{ "disk-size", required_argument, NULL, OPT_DISK },
		{ "name", required_argument, NULL, OPT_NAME },
		{ "rm", no_argument, NULL, OPT_RM },
		{ "engine", required_argument, NULL, OPT_ENGINE },
		{ "plain-http", no_argument, NULL, OPT_PLAIN_HTTP },
		{ "timing", optional_argument, NULL, OPT_TIMING },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int opt, r;

	while ((opt = getopt_long(argc, argv, "+ite:w:u:qm:h", options, NULL)) != -1) {
		if (opt == 'h')
			return cli_help("run", run_help);
		r = take_option(o, opt == 'm' ? OPT_MEMORY : opt, argv);
		if (r)
			return r;
	}
	if (optind == argc)
		return cli_usage("run", "which image?");
	r = check_terminal("run", o->tty, o->interactive);
	return r ? r : -1;
}

/* Attaches until the end, and takes the box away if it was to go, or never ran. t: its times go there; may be NULL. */
static int finish(const struct global *g, struct boxlite_box *box, struct boxlite_process *p, bool with_stdin, bool tty,
		  int signals, bool remove, bool remove_unstarted, struct run_timing *t)
{
	struct boxlite_error err;
	bool started;
	int status = attach_run(p, with_stdin, tty, signals);

	started = boxlite_process_started(p);
	if (t)
		timing_keep(t, p);
	boxlite_process_close(p);
	if (g->debug && status == EXIT_BOXLITE)
		logs_print(boxlite_box_folder(box));
	/* A box with --rm is gone by now; if not, this says why. */
	if ((remove || (remove_unstarted && !started)) && boxlite_box_remove(box, 1, &err) < 0)
		cli_fail(&err);
	return status;
}

static int run_box(const struct global *g, struct boxlite *b, struct run_options *o)
{
	struct boxlite_start_options start = BOXLITE_OPTIONS(boxlite_start_options);
	struct boxlite_process *p;
	struct boxlite_box *box;
	struct boxlite_error err;
	int signals, status;

	/* Before there is a box: a signal from here on goes to its command, and nothing is left behind. */
	signals = cli_signal_fd();
	if (boxlite_box_create(b, &o->box, &box, &err) < 0)
		return cli_fail(&err);
	o->t.created = clock_ns();
	start.trace_kernel = o->trace_kernel;
	if (o->tty)
		attach_window_size(&start.rows, &start.cols);
	if (boxlite_box_start(box, &start, &p, &err) < 0) {
		status = cli_fail(&err);
		if (boxlite_box_remove(box, 1, &err) < 0)
			cli_fail(&err);
	} else {
		status = finish(g, box, p, o->interactive, o->tty && isatty(STDIN_FILENO), signals,
				o->box.auto_remove, true, &o->t);
	}
	boxlite_box_close(box);
	return status;
}

int cmd_run(const struct global *g, int argc, char **argv)
{
	struct run_options o = {
		.box = BOXLITE_OPTIONS(boxlite_box_options),
		.env = STRV_INIT(ENV_MAX),
	};
	struct boxlite_error err;
	struct boxlite *b;
	int r;

	o.t = (struct run_timing){ .begin = clock_ns() };
	r = parse_run(&o, argc, argv);

	if (r >= 0) {
		strv_fini(&o.env);
		return r;
	}
	o.box.image = argv[optind++];
	if (optind < argc)
		o.box.command = (const char *const *)(argv + optind);
	o.box.env = (const char *const *)o.env.v;
	o.box.tty = o.tty;
	o.box.stdin_open = o.interactive;
	o.box.debug = g->debug;
	r = cli_open(g, &b);
	if (r == 0) {
		r = boxlite_image_exists(b, o.box.image, &err);
		if (r < 0)
			r = cli_fail(&err);
		else
			r = r == 1 ? 0 : cli_pull(b, o.box.image, o.quiet, o.plain_http);
		o.t.opened = clock_ns();
		if (r == 0)
			r = run_box(g, b, &o);
		boxlite_close(b);
		if (o.timing && o.t.created)
			timing_print(&o.t);
	}
	strv_fini(&o.env);
	return r;
}

int cmd_start(const struct global *g, int argc, char **argv)
{
	struct boxlite_start_options start = BOXLITE_OPTIONS(boxlite_start_options);
	bool interactive = false;
	struct boxlite_process *p;
	struct boxlite_box *box;
	struct boxlite_error err;
	struct boxlite *b;
	int opt, r;

	opterr = 0;
	while ((opt = getopt(argc, argv, "+iah")) != -1) {
		switch (opt) {
		case 'i': interactive = true; break;
		case 'a': break; /* docker's habit; always so here */
		case 'h': return cli_help("start", "  -i   connect standard input\n");
		default: return cli_usage("start", "unknown option %s", argv[optind - 1]);
		}
	}
	if (argc - optind != 1)
		return cli_usage("start", "which box?");
	r = cli_open(g, &b);
	if (r)
		return r;
	if (boxlite_box_open(b, argv[optind], &box, &err) < 0) {
		r = cli_fail(&err);
	} else {
		bool terminal = boxlite_box_has_tty(box) && isatty(STDIN_FILENO);
		int signals = cli_signal_fd();

		attach_window_size(&start.rows, &start.cols);
		if (boxlite_box_start(box, &start, &p, &err) < 0) {
			r = cli_fail(&err);
		} else {
			if (!interactive) /* a box made with -i would wait for an input that nobody gives */
				boxlite_process_close_stdin(p);
			r = finish(g, box, p, interactive, terminal, signals, false, false, NULL);
		}
		boxlite_box_close(box);
	}
	boxlite_close(b);
	return r;
}

static int exec_in(struct boxlite *b, const char *name, struct boxlite_exec_options *o)
{
	struct boxlite_process *p;
	struct boxlite_box *box;
	struct boxlite_error err;
	int r, signals;

	if (boxlite_box_open(b, name, &box, &err) < 0)
		return cli_fail(&err);
	signals = cli_signal_fd();
	if (boxlite_box_exec(box, o, &p, &err) < 0) {
		r = cli_fail(&err);
	} else {
		r = attach_run(p, o->stdin_open, o->tty && isatty(STDIN_FILENO), signals);
		boxlite_process_close(p);
	}
	boxlite_box_close(box);
	return r;
}

int cmd_exec(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "interactive", no_argument, NULL, 'i' }, { "tty", no_argument, NULL, 't' },
		{ "env", required_argument, NULL, 'e' },   { "workdir", required_argument, NULL, 'w' },
		{ "user", required_argument, NULL, 'u' },  { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct boxlite_exec_options o = BOXLITE_OPTIONS(boxlite_exec_options);
	struct strv env = STRV_INIT(ENV_MAX);
	struct boxlite *b;
	int opt, r = 0;

	while (r == 0 && (opt = getopt_long(argc, argv, "+ite:w:u:h", options, NULL)) != -1) {
		switch (opt) {
		case 'i': o.stdin_open = 1; break;
		case 't': o.tty = 1; break;
		case 'e':
			if (add_env(&env, optarg) < 0)
				r = cli_usage("exec", "'%s' is not a variable", optarg);
			break;
		case 'w': o.workdir = optarg; break;
		case 'u': o.user = optarg; break;
		case 'h': return cli_help("exec", "  -i, -t, -e, -w, -u as for run\n");
		default: r = cli_usage("exec", "unknown option %s", argv[optind - 1]);
		}
	}
	if (r == 0 && argc - optind < 2)
		r = cli_usage("exec", "which box, and which command?");
	if (r == 0)
		r = check_terminal("exec", o.tty, o.stdin_open);
	if (r == 0)
		r = cli_open(g, &b);
	if (r == 0) {
		o.argv = (const char *const *)(argv + optind + 1);
		o.env = (const char *const *)env.v;
		attach_window_size(&o.rows, &o.cols);
		r = exec_in(b, argv[optind], &o);
		boxlite_close(b);
	}
	strv_fini(&env);
	return r;
}

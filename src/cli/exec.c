/* exec, attach */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/run_options.h"

struct exec {
	const char *box;
	struct boxlite_exec_options o;
	struct strv env;
};

static int run_exec(struct boxlite_process *p, const struct exec *x, int signals)
{
	const struct attach_how how = {
		.with_stdin = x->o.stdin_open && !x->o.detach,
		.tty = x->o.tty && isatty(STDIN_FILENO),
		.signal_fd = signals,
	};
	int r;

	if (!x->o.detach)
		return attach_run(p, &how);
	r = attach_until_started(p);
	if (r == 0)
		printf("%u\n", boxlite_process_exec(p));
	return r;
}

/* A box that idles is started by who needs it; one with a command would do its work once more. */
static int start_idle(struct boxlite_box *box)
{
	struct boxlite_start_options o = BOXLITE_OPTIONS(boxlite_start_options);
	struct boxlite_process *p;
	struct boxlite_error err;
	int r;

	if (!boxlite_box_is_idle(box) || boxlite_box_is_running(box, NULL) != 0)
		return 0;
	o.detach = 1;
	r = boxlite_box_start(box, &o, &p, &err);
	if (r == -EALREADY)
		return 0; /* another one was faster */
	if (r < 0)
		return cli_fail(&err);
	r = attach_until_started(p);
	boxlite_process_close(p);
	return r;
}

static int exec_in(struct boxlite *b, const struct exec *x)
{
	struct boxlite_process *p;
	struct boxlite_box *box;
	struct boxlite_error err;
	int r, signals;

	if (boxlite_box_open(b, x->box, &box, &err) < 0)
		return cli_fail(&err);
	signals = x->o.detach ? -1 : cli_signal_fd();
	r = start_idle(box);
	if (r == 0 && boxlite_box_exec(box, &x->o, &p, &err) < 0) {
		r = cli_fail(&err);
	} else if (r == 0) {
		r = run_exec(p, x, signals);
		boxlite_process_close(p);
	}
	boxlite_box_close(box);
	return r;
}

/* Not 0, which would be for ever. */
static int take_timeout(struct exec *x, const char *text)
{
	uint64_t ms;

	if (str_parse_duration(text, UINT32_MAX, &ms) < 0 || ms == 0)
		return cli_usage("exec", "'%s' is not a time, such as 30, 1.5, 500ms or 2m", text);
	x->o.timeout_ms = (unsigned)ms;
	return 0;
}

static int take_exec_option(struct exec *x, int opt, char **argv)
{
	switch (opt) {
	case 'd': x->o.detach = 1; return 0;
	case 'i': x->o.stdin_open = 1; return 0;
	case 't': x->o.tty = 1; return 0;
	case 'w': x->o.workdir = optarg; return 0;
	case 'u': x->o.user = optarg; return 0;
	case 'T': return take_timeout(x, optarg);
	case 'e': return cli_add_env(&x->env, optarg) < 0 ? cli_usage("exec", "'%s' is not a variable", optarg) : 0;
	default: return cli_usage("exec", "unknown option %s, or one without its value", argv[optind - 1]);
	}
}

static const char exec_help[] =
	"  -i, --interactive        connect standard input\n"
	"  -t, --tty                give the command a terminal\n"
	"  -e, --env NAME[=VALUE]   set a variable over the box's; without a value: this shell's\n"
	"  -w, --workdir DIR        folder to start in, instead of the box's\n"
	"  -u, --user USER[:GROUP]  user by name or number, instead of the box's\n"
	"  -d, --detach             print its number and leave it; 'attach --exec' joins it\n"
	"  --timeout TIME           then it and all that it started is killed, and the status is 124 (30, 1m30s)\n";

/* -1 to go on, else the exit code. */
static int parse_exec(struct exec *x, int argc, char **argv)
{
	static const struct option options[] = {
		{ "detach", no_argument, NULL, 'd' },	     { "interactive", no_argument, NULL, 'i' },
		{ "tty", no_argument, NULL, 't' },	     { "env", required_argument, NULL, 'e' },
		{ "workdir", required_argument, NULL, 'w' }, { "user", required_argument, NULL, 'u' },
		{ "timeout", required_argument, NULL, 'T' }, { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int opt, r;

	while ((opt = getopt_long(argc, argv, "+dite:w:u:h", options, NULL)) != -1) {
		if (opt == 'h')
			return cli_help("exec", exec_help);
		r = take_exec_option(x, opt, argv);
		if (r)
			return r;
	}
	if (argc - optind < 2)
		return cli_usage("exec", "which box, and which command?");
	x->box = argv[optind];
	x->o.argv = (const char *const *)(argv + optind + 1);
	x->o.env = (const char *const *)x->env.v;
	if (x->o.detach)
		return -1;
	r = cli_check_terminal("exec", x->o.tty, x->o.stdin_open);
	return r ? r : -1;
}

int cmd_exec(const struct global *g, int argc, char **argv)
{
	struct exec x = { .o = BOXLITE_OPTIONS(boxlite_exec_options), .env = STRV_INIT(ENV_MAX) };
	struct boxlite *b;
	int r = parse_exec(&x, argc, argv);

	if (r < 0)
		r = cli_open(g, &b);
	else
		goto out;
	if (r == 0) {
		attach_window_size(&x.o.rows, &x.o.cols);
		r = exec_in(b, &x);
		boxlite_close(b);
	}
out:
	strv_fini(&x.env);
	return r;
}

/* --- attach ------------------------------------------------------------------------------------ */

/* Its terminal is ours if it has one, which is known once it runs. */
static int join(struct boxlite_process *p, bool input, int signals)
{
	struct attach_how how = { .with_stdin = input, .joined = true, .signal_fd = signals };
	int r = attach_wait(p, signals);

	if (r >= 0)
		return r;
	how.tty = boxlite_process_has_tty(p) && isatty(STDIN_FILENO);
	return attach_run(p, &how);
}

static int attach_to(struct boxlite *b, const char *name, struct boxlite_attach_options *o)
{
	struct boxlite_process *p;
	struct boxlite_box *box;
	struct boxlite_error err;
	int r, signals;

	if (boxlite_box_open(b, name, &box, &err) < 0)
		return cli_fail(&err);
	signals = cli_signal_fd();
	if (boxlite_box_attach(box, o, &p, &err) < 0) {
		r = cli_fail(&err);
	} else {
		r = join(p, o->input, signals);
		boxlite_process_close(p);
	}
	boxlite_box_close(box);
	return r;
}

int cmd_attach(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "no-stdin", no_argument, NULL, 'n' }, { "exec", required_argument, NULL, 'x' },
		{ "help", no_argument, NULL, 'h' },	{ 0 },
	};
	struct boxlite_attach_options o = BOXLITE_OPTIONS(boxlite_attach_options);
	struct boxlite *b;
	uint64_t n;
	int opt, r;

	o.input = 1;
	while ((opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (opt) {
		case 'n': o.input = 0; break;
		case 'x':
			if (str_parse_u64(optarg, UINT32_MAX, &n) < 0 || n == 0)
				return cli_usage("attach", "'%s' is not the number of an exec", optarg);
			o.exec = (unsigned)n;
			break;
		case 'h':
			return cli_help("attach", "  --no-stdin   only watch; one at a time gives the input\n"
						  "  --exec N     join what 'exec -d' has started, or get how it ended\n\n"
						  "The last of the output comes first. ^P ^Q leaves a terminal.\n");
		default: return cli_usage("attach", "unknown option %s, or one without its value", argv[optind - 1]);
		}
	}
	if (argc - optind != 1)
		return cli_usage("attach", "which box?");
	r = cli_open(g, &b);
	if (r)
		return r;
	attach_window_size(&o.rows, &o.cols);
	r = attach_to(b, argv[optind], &o);
	boxlite_close(b);
	return r;
}

/* run, create, start */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "cli/run_options.h"

/* Attaches until the end, and takes the box away if it was to go, or never ran. t: its times go there; may be NULL. */
static int finish(const struct global *g, struct boxlite_box *box, struct boxlite_process *p, bool with_stdin, bool tty,
		  int signals, bool remove, bool remove_unstarted, struct run_timing *t)
{
	struct boxlite_error err;
	const struct attach_how how = { .with_stdin = with_stdin, .tty = tty, .signal_fd = signals };
	bool started;
	int status = attach_run(p, &how);

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

/* Leaves it running. A command that cannot run takes its box with it, as it does attached; a box that somebody has
 * stopped meanwhile stays, like any other that was. */
static int detach(struct boxlite_box *box, struct boxlite_process *p)
{
	struct boxlite_error err;
	struct boxlite_exit e;
	int status = attach_until_started(p);
	bool stopped = status && boxlite_process_ended(p, &e) == 1 && e.kind == BOXLITE_SIGNALLED;

	boxlite_process_close(p);
	if (status == 0 || stopped)
		printf("%s\n", boxlite_box_id(box));
	else if (boxlite_box_remove(box, 1, &err) < 0)
		cli_fail(&err);
	return status;
}

static int start_new(const struct global *g, struct boxlite_box *box, struct run_options *o, int signals)
{
	struct boxlite_start_options start = BOXLITE_OPTIONS(boxlite_start_options);
	struct boxlite_process *p;
	struct boxlite_error err;

	start.trace_kernel = o->trace_kernel;
	start.detach = o->detach;
	if (o->tty)
		attach_window_size(&start.rows, &start.cols);
	if (boxlite_box_start(box, &start, &p, &err) < 0) {
		int status = cli_fail(&err);

		if (boxlite_box_remove(box, 1, &err) < 0)
			cli_fail(&err);
		return status;
	}
	if (o->detach)
		return detach(box, p);
	return finish(g, box, p, o->interactive, o->tty && isatty(STDIN_FILENO), signals, o->box.auto_remove, true,
		      &o->t);
}

static int make_box(const struct global *g, struct boxlite *b, struct run_options *o)
{
	struct boxlite_box *box;
	struct boxlite_error err;
	int signals = -1, status = 0;

	/* Before there is a box: a signal from here on goes to its command, and nothing is left behind. */
	if (o->is_run && !o->detach)
		signals = cli_signal_fd();
	if (boxlite_box_create(b, &o->box, &box, &err) < 0)
		return cli_fail(&err);
	o->t.created = clock_ns();
	if (o->is_run)
		status = start_new(g, box, o, signals);
	else
		printf("%s\n", boxlite_box_id(box));
	boxlite_box_close(box);
	return status;
}

static int make(struct run_options *o, const struct global *g, int argc, char **argv)
{
	struct boxlite_error err;
	struct boxlite *b;
	int r;

	o->box = (struct boxlite_box_options)BOXLITE_OPTIONS(boxlite_box_options);
	o->env = STRV_INIT(ENV_MAX);
	o->net_rules = STRV_INIT(NET_OPTIONS_MAX);
	o->ports = STRV_INIT(NET_OPTIONS_MAX);
	o->secrets = STRV_INIT(NET_OPTIONS_MAX);
	o->t.begin = clock_ns();
	r = run_options_parse(o, argc, argv);
	if (r >= 0)
		return r;
	o->box.image = argv[optind++];
	if (optind < argc)
		o->box.command = (const char *const *)(argv + optind);
	o->box.idle = !o->is_run && !o->box.command && !o->box.entrypoint && !o->image_command;
	o->box.env = (const char *const *)o->env.v;
	o->box.net_rules = (const char *const *)o->net_rules.v;
	o->box.ports = (const char *const *)o->ports.v;
	o->box.secrets = (const char *const *)o->secrets.v;
	o->box.tty = o->tty;
	o->box.stdin_open = o->interactive;
	o->box.debug = g->debug;
	r = cli_open(g, &b);
	if (r)
		return r;
	r = boxlite_image_exists(b, o->box.image, &err);
	if (r < 0)
		r = cli_fail(&err);
	else
		r = r == 1 ? 0 : cli_pull(b, o->box.image, o->quiet, o->plain_http);
	o->t.opened = clock_ns();
	if (r == 0)
		r = make_box(g, b, o);
	boxlite_close(b);
	if (o->timing && o->t.created)
		timing_print(&o->t);
	return r;
}

static void options_fini(struct run_options *o)
{
	strv_fini(&o->env);
	strv_fini(&o->net_rules);
	strv_fini(&o->ports);
	strv_fini(&o->secrets);
}

int cmd_run(const struct global *g, int argc, char **argv)
{
	struct run_options o = { .command = "run", .is_run = true };
	int r = make(&o, g, argc, argv);

	options_fini(&o);
	return r;
}

int cmd_create(const struct global *g, int argc, char **argv)
{
	struct run_options o = { .command = "create" };
	int r = make(&o, g, argc, argv);

	options_fini(&o);
	return r;
}

static int start_one(const struct global *g, struct boxlite *b, const char *name, bool attach, bool interactive)
{
	struct boxlite_start_options start = BOXLITE_OPTIONS(boxlite_start_options);
	struct boxlite_process *p;
	struct boxlite_box *box;
	struct boxlite_error err;
	int r;

	if (boxlite_box_open(b, name, &box, &err) < 0)
		return cli_fail(&err);
	start.detach = !attach;
	attach_window_size(&start.rows, &start.cols);
	if (attach) {
		bool terminal = boxlite_box_has_tty(box) && isatty(STDIN_FILENO);
		int signals = cli_signal_fd();

		r = boxlite_box_start(box, &start, &p, &err) < 0 ? cli_fail(&err) : 0;
		if (r == 0 && !interactive) /* a box made with -i would wait for an input that nobody gives */
			boxlite_process_close_stdin(p);
		if (r == 0)
			r = finish(g, box, p, interactive, terminal, signals, false, false, NULL);
	} else if (boxlite_box_start(box, &start, &p, &err) < 0) {
		r = cli_fail(&err);
	} else {
		r = attach_until_started(p);
		boxlite_process_close(p);
		if (r == 0)
			printf("%s\n", name);
	}
	boxlite_box_close(box);
	return r;
}

int cmd_start(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "attach", no_argument, NULL, 'a' }, { "interactive", no_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },   { 0 },
	};
	bool attach = false, interactive = false;
	struct boxlite *b;
	int opt, r, one;

	while ((opt = getopt_long(argc, argv, "+iah", options, NULL)) != -1) {
		switch (opt) {
		case 'i': attach = interactive = true; break;
		case 'a': attach = true; break;
		case 'h':
			return cli_help("start", "  -a, --attach        show the command's output, wait for its end, return its status\n"
						 "  -i, --interactive   the same, with standard input\n");
		default: return cli_usage("start", "unknown option %s", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return cli_usage("start", "which box?");
	if (attach && argc - optind > 1)
		return cli_usage("start", "one box at a time can be attached");
	r = cli_open(g, &b);
	if (r)
		return r;
	/* All are tried; one that fails makes the whole fail. */
	for (; optind < argc; optind++) {
		one = start_one(g, b, argv[optind], attach, interactive);
		if (one)
			r = one;
	}
	boxlite_close(b);
	return r;
}

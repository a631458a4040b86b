/* stop, kill, restart, wait, rename, rm */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/signame.h"
#include "base/str.h"
#include "cli/cli.h"

struct action {
	const char *command;
	int (*act)(const struct action *a, struct boxlite_box *box, struct boxlite_error *err);
	bool quiet; /* it prints something of its own instead of the name */
	struct boxlite_stop_options stop;
	int signo;
	bool force;
	const char *name;
	struct boxlite *home;
};

/* All are tried; one that fails makes the whole fail. */
static int each(struct action *a, const struct global *g, int n, char **names)
{
	struct boxlite_error err;
	struct boxlite_box *box;
	struct boxlite *b;
	int r, status;

	if (n == 0)
		return cli_usage(a->command, "which box?");
	status = cli_open(g, &b);
	if (status)
		return status;
	a->home = b;
	for (; n; n--, names++) {
		if (boxlite_box_open(b, *names, &box, &err) < 0) {
			status = cli_fail(&err);
			continue;
		}
		r = a->act(a, box, &err);
		boxlite_box_close(box);
		if (r < 0)
			status = cli_fail(&err);
		else if (!a->quiet)
			printf("%s\n", *names);
	}
	boxlite_close(b);
	return status;
}

/* --- stop, restart ---------------------------------------------------------------------------- */

static int stop(const struct action *a, struct boxlite_box *box, struct boxlite_error *err)
{
	return boxlite_box_stop(box, &a->stop, err);
}

static int restart(const struct action *a, struct boxlite_box *box, struct boxlite_error *err)
{
	struct boxlite_start_options start = BOXLITE_OPTIONS(boxlite_start_options);
	struct boxlite_process *p;
	int r = boxlite_box_stop(box, &a->stop, err);

	start.detach = 1;
	if (r == 0)
		r = boxlite_box_start(box, &start, &p, err);
	if (r < 0)
		return r;
	if (attach_until_started(p)) {
		snprintf(err->text, sizeof(err->text), "box %s did not start again", boxlite_box_id(box));
		r = -1;
	}
	boxlite_process_close(p);
	return r;
}

static int take_grace(struct action *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "time", required_argument, NULL, 't' }, { "help", no_argument, NULL, 'h' }, { 0 }
	};
	uint64_t seconds;
	int opt;

	while ((opt = getopt_long(argc, argv, "+t:h", options, NULL)) != -1) {
		switch (opt) {
		case 't':
			if (str_parse_u64(optarg, 86400, &seconds) < 0)
				return cli_usage(a->command, "'%s' is not a number of seconds", optarg);
			a->stop.grace_ms = (unsigned)seconds * 1000;
			a->stop.at_once = seconds == 0;
			break;
		case 'h':
			return cli_help(a->command,
				"  -t, --time SECONDS   from the stop signal to SIGKILL (as the box was made: 10)\n");
		default: return cli_usage(a->command, "unknown option %s, or one without its value", argv[optind - 1]);
		}
	}
	return -1;
}

int cmd_stop(const struct global *g, int argc, char **argv)
{
	struct action a = { .command = "stop", .act = stop, .stop = BOXLITE_OPTIONS(boxlite_stop_options) };
	int r = take_grace(&a, argc, argv);

	return r >= 0 ? r : each(&a, g, argc - optind, argv + optind);
}

int cmd_restart(const struct global *g, int argc, char **argv)
{
	struct action a = { .command = "restart", .act = restart, .stop = BOXLITE_OPTIONS(boxlite_stop_options) };
	int r = take_grace(&a, argc, argv);

	a.stop.to_restart = 1;
	return r >= 0 ? r : each(&a, g, argc - optind, argv + optind);
}

/* --- kill -------------------------------------------------------------------------------------- */

static int send_signal(const struct action *a, struct boxlite_box *box, struct boxlite_error *err)
{
	return boxlite_box_signal(box, a->signo, err);
}

int cmd_kill(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "signal", required_argument, NULL, 's' }, { "help", no_argument, NULL, 'h' }, { 0 }
	};
	struct action a = { .command = "kill", .act = send_signal, .signo = SIGKILL };
	int opt;

	while ((opt = getopt_long(argc, argv, "+s:h", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			a.signo = signal_by_name(optarg);
			if (!a.signo)
				return cli_usage("kill", "no signal is called '%s'", optarg);
			break;
		case 'h': return cli_help("kill", "  -s, --signal SIGNAL   name or number (KILL)\n");
		default: return cli_usage("kill", "unknown option %s, or one without its value", argv[optind - 1]);
		}
	}
	return each(&a, g, argc - optind, argv + optind);
}

/* --- wait, rename ------------------------------------------------------------------------------- */

/* How the run has ended that was waited for. */
struct ending {
	const char *id;
	int status;
	bool known;
};

static int take_status(const struct boxlite_box_info *i, void *ud)
{
	struct ending *e = ud;

	e->known = !i->running;
	e->status = i->ended ? i->exit.status : 0;
	return 0;
}

/* The last of its ends before it was started again. */
static int take_event(const struct boxlite_event *v, void *ud)
{
	struct ending *e = ud;

	if (!str_eq(v->type, "box") || !str_eq(v->id, e->id))
		return 0;
	if (e->known && str_eq(v->action, "start"))
		return 1;
	if (str_eq(v->action, "die")) {
		e->known = true;
		e->status = v->status;
	}
	return 0;
}

/* When the wait is over, another program may have started the box again, or removed it: then it says nothing of that
 * end any more, and the home's events do. */
static int wait_for(const struct action *a, struct boxlite_box *box, struct boxlite_error *err)
{
	struct boxlite_events_options since = BOXLITE_OPTIONS(boxlite_events_options);
	struct ending e = { .id = boxlite_box_id(box) };
	int r;

	since.since_ns = (int64_t)clock_wall_ns();
	r = boxlite_box_wait(box, err);
	if (r < 0)
		return r;
	r = boxlite_box_info(box, take_status, &e, err);
	if (!e.known && boxlite_events(a->home, &since, take_event, &e, NULL) >= 0 && e.known)
		r = 0;
	if (r == 0)
		printf("%d\n", e.status);
	return r;
}

int cmd_wait(const struct global *g, int argc, char **argv)
{
	struct action a = { .command = "wait", .act = wait_for, .quiet = true };
	int r = cli_no_options("wait", "Prints the exit status of each, in this order.\n", argc, argv);

	return r >= 0 ? r : each(&a, g, argc - optind, argv + optind);
}

static int rename_box(const struct action *a, struct boxlite_box *box, struct boxlite_error *err)
{
	return boxlite_box_rename(box, a->name, err);
}

int cmd_rename(const struct global *g, int argc, char **argv)
{
	struct action a = { .command = "rename", .act = rename_box, .quiet = true };
	int r = cli_no_options("rename", NULL, argc, argv);

	if (r >= 0)
		return r;
	if (argc - optind != 2)
		return cli_usage("rename", "which box, and how is it to be called?");
	a.name = argv[optind + 1];
	return each(&a, g, 1, argv + optind);
}

/* --- rm ------------------------------------------------------------------------------------------ */

static int remove_box(const struct action *a, struct boxlite_box *box, struct boxlite_error *err)
{
	return boxlite_box_remove(box, a->force, err);
}

int cmd_rm(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "force", no_argument, NULL, 'f' }, { "help", no_argument, NULL, 'h' }, { 0 }
	};
	struct action a = { .command = "rm", .act = remove_box };
	int opt;

	while ((opt = getopt_long(argc, argv, "+fh", options, NULL)) != -1) {
		switch (opt) {
		case 'f': a.force = true; break;
		case 'h': return cli_help("rm", "  -f, --force   a running box is stopped first\n");
		default: return cli_usage("rm", "unknown option %s", argv[optind - 1]);
		}
	}
	return each(&a, g, argc - optind, argv + optind);
}

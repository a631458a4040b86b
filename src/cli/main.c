/* boxlite: the command line. One file per group of commands, one table here. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/loop.h"
#include "base/str.h"
#include "cli/cli.h"

/* One without a summary is another name of the one before it. */
static const struct command commands[] = {
	{ "run", cmd_run, "run [OPTIONS] IMAGE [COMMAND [ARG...]]", "run a command in a new box" },
	{ "create", cmd_create, "create [OPTIONS] IMAGE [COMMAND [ARG...]]", "make a box that is started later" },
	{ "start", cmd_start, "start [-ai] BOX...", "start boxes" },
	{ "stop", cmd_stop, "stop [-t SECONDS] BOX...", "end boxes in order" },
	{ "restart", cmd_restart, "restart [-t SECONDS] BOX...", "stop boxes and start them again" },
	{ "kill", cmd_kill, "kill [-s SIGNAL] BOX...", "send a signal to the commands of boxes" },
	{ "wait", cmd_wait, "wait BOX...", "wait until boxes have ended, and print their exit status" },
	{ "logs", cmd_logs, "logs [-ft] [-n N] [--since TIME] BOX", "print what the command of a box has written" },
	{ "rename", cmd_rename, "rename BOX NAME", "give a box another name" },
	{ "exec", cmd_exec, "exec [OPTIONS] BOX COMMAND [ARG...]", "run one more command in a running box" },
	{ "attach", cmd_attach, "attach [--no-stdin] [--exec N] BOX", "join the command of a box that runs" },
	{ "cp", cmd_cp, "cp [-aLq] BOX:PATH PATH|- | cp [-aLq] PATH|- BOX:PATH", "copy files from a box or into it" },
	{ "port", cmd_port, "port BOX [GUEST[/tcp|/udp]] | port add|rm BOX PORT",
	  "print where the host listens for a box, or change it" },
	{ "network", cmd_network, "network [OPTIONS] BOX", "print what a box may reach, or replace it" },
	{ "dial", cmd_dial, "dial BOX PORT|SOCKET",
	  "connect standard input and output to a port or a UNIX socket of a box" },
	{ "ps", cmd_ps, "ps [OPTIONS]", "list boxes (also: ls, list)" },
	{ "ls", cmd_ps, NULL, NULL },
	{ "list", cmd_ps, NULL, NULL },
	{ "inspect", cmd_inspect, "inspect [OPTIONS] BOX|IMAGE...", "print all that is known of boxes and images" },
	{ "stats", cmd_stats, "stats [--no-stream] [--format FORMAT] [BOX...]",
	  "show what boxes use, again each second" },
	{ "top", cmd_top, "top [--format FORMAT] BOX", "list the processes in a box" },
	{ "events", cmd_events, "events [OPTIONS]", "print what happens to boxes and images, as it happens" },
	{ "rm", cmd_rm, "rm [-f] BOX...", "remove boxes and their disks" },
	{ "pull", cmd_pull, "pull [-q] [--plain-http] IMAGE...", "fetch images from a registry" },
	{ "load", cmd_load, "load [-q] [--name NAME] [PATH]", "add images from an OCI layout or a docker save tar" },
	{ "images", cmd_images, "images [-q] [--format FORMAT]", "list images" },
	{ "rmi", cmd_rmi, "rmi IMAGE...", "remove images" },
	{ "prune", cmd_prune, "prune [-f]", "remove images that no box was made from" },
	{ "info", cmd_info, "info [--format json|TEMPLATE]", "say what is here: versions, boxes, images, disk, engine" },
	{ "version", cmd_version, "version [--format json|TEMPLATE]", "print the version" },
	{ "doctor", cmd_doctor, "doctor [--json]", "say what about this host is good or bad for boxes" },
	{ "completion", cmd_completion, "completion bash|zsh|fish", "print the script that completes commands in a shell" },
	{ "help", cmd_help, "help [COMMAND]", "explain boxlite or one of its commands" },
	{ "__complete", cmd_complete, NULL, NULL },
};

static const char *program_name = "boxlite";

int cli_failf(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_BOXLITE;
}

int cli_fail(const struct boxlite_error *err)
{
	return cli_failf("%s", err->text);
}

int cli_usage(const char *command, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: %s: ", program_name, command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see '%s %s --help'\n", program_name, command);
	return EXIT_BOXLITE;
}

const struct command *cli_command(size_t i)
{
	return i < ARRAY_SIZE(commands) ? &commands[i] : NULL;
}

const struct command *cli_find_command(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int cli_help(const char *command, const char *options)
{
	const struct command *c = cli_find_command(command);

	printf("usage: %s %s\n\n%c%s.\n", program_name, c->synopsis, c->summary[0] - 'a' + 'A', c->summary + 1);
	if (options && *options)
		printf("\n%s", options);
	return 0;
}

int cli_no_options(const char *command, const char *help, int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
	int opt = getopt_long(argc, argv, "+h", options, NULL);

	if (opt == 'h')
		return cli_help(command, help);
	return opt == -1 ? -1 : cli_usage(command, "unknown option %s", argv[optind - 1]);
}

int cli_open(const struct global *g, struct boxlite **out)
{
	struct boxlite_error err;

	return boxlite_open(g->home, out, &err) < 0 ? cli_fail(&err) : 0;
}

int cli_open_box(const struct global *g, const char *name, struct cli_box *out)
{
	struct boxlite_error err;
	int r = cli_open(g, &out->b);

	if (r == 0 && boxlite_box_open(out->b, name, &out->box, &err) < 0) {
		r = cli_fail(&err);
		boxlite_close(out->b);
	}
	return r;
}

void cli_close_box(struct cli_box *c)
{
	boxlite_box_close(c->box);
	boxlite_close(c->b);
}

static int signal_fd(const int *signals, size_t n)
{
	struct sigaction now;
	sigset_t set;
	size_t i;
	int fd;

	sigemptyset(&set);
	/* What is ignored (nohup, a script's background job) stays ignored. */
	for (i = 0; i < n; i++)
		if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			sigaddset(&set, signals[i]);
	fd = loop_signal_fd(&set);
	return fd < 0 ? -1 : fd;
}

int cli_signal_fd(void)
{
	static const int all[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH };

	return signal_fd(all, ARRAY_SIZE(all));
}

int cli_cancel_fd(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	return signal_fd(ends, ARRAY_SIZE(ends));
}

static int help(void)
{
	size_t i;

	printf("usage: %s [--home DIR] [--debug] COMMAND ...\n\n"
	       "Runs OCI images in micro-VMs of their own, without root and without a daemon.\n\n",
	       program_name);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].summary)
			printf("  %-10s %s\n", commands[i].name, commands[i].summary);
	printf("\n  --home DIR   where images and boxes are kept ($BOXLITE_HOME, ~/.boxlite)\n"
	       "  --debug      verbose logs in the box's folder, on standard error if it fails; those of a pull\n"
	       "  --version    print the version\n\n"
	       "Exit codes: the command's own; 125 boxlite failed; 126 the command cannot be\n"
	       "executed; 127 it was not found; 128 + N it was ended by signal N.\n"
	       "When something does not work: boxlite doctor\n");
	return 0;
}

static int unknown_command(const char *name)
{
	return cli_failf("there is no command '%s'; see 'boxlite --help'", name);
}

int cmd_help(const struct global *g, int argc, char **argv)
{
	const struct command *c = argc > 1 ? cli_find_command(argv[1]) : NULL;
	char option[] = "--help", *ask[] = { argv[1], option, NULL };

	if (argc > 2)
		return cli_usage("help", "'%s' is too much", argv[2]);
	if (argc == 1)
		return help();
	if (str_eq(argv[1], "-h") || str_eq(argv[1], "--help"))
		return cli_help("help", NULL);
	return c && c->run != cmd_complete ? c->run(g, 2, ask) : unknown_command(argv[1]);
}

/* With a standard stream closed, the next file opened would become that stream. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "home", required_argument, NULL, 'H' },
		{ "debug", no_argument, NULL, 'D' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct global g = { 0 };
	const struct command *c;
	int opt;

	fill_standard_fds();
	signal(SIGPIPE, SIG_IGN); /* writes say EPIPE instead */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (opt) {
		case 'H': g.home = optarg; break;
		case 'D':
			g.debug = true;
			setenv("BOXLITE_DEBUG", "1", 1);
			break;
		case 'V': printf("boxlite %s\n", boxlite_version()); return 0;
		case 'h': return help();
		default: return cli_failf("unknown option %s; see 'boxlite --help'", argv[optind - 1]);
		}
	}
	if (optind == argc) {
		help();
		return EXIT_BOXLITE;
	}
	c = cli_find_command(argv[optind]);
	if (!c)
		return unknown_command(argv[optind]);
	argc -= optind;
	argv += optind;
	optind = 0; /* start over for the command's own options */
	return c->run(&g, argc, argv);
}

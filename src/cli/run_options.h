/* The options of run and create, and what other commands have of them. */
#ifndef CLI_RUN_OPTIONS_H
#define CLI_RUN_OPTIONS_H

#include "base/str.h"
#include "cli/cli.h"
#include "cli/timing.h"

#define ENV_MAX 65536
#define NET_OPTIONS_MAX 65536

struct run_options {
	const char *command; /* "run" or "create" */
	bool is_run;
	struct boxlite_box_options box;
	struct strv env;
	struct strv net_rules, ports, secrets;
	const char *entrypoint[2];
	const char *health[4];
	bool interactive, tty, quiet, plain_http, timing, trace_kernel, detach;
	bool image_command; /* create: the image's command, where none is given */
	struct run_timing t;
};

/* Reads the options, up to the image in argv[optind]: -1 to go on, else the exit code. */
int run_options_parse(struct run_options *o, int argc, char **argv);

/* NAME=VALUE, or NAME as it is in this program's environment: 0, -EINVAL, -ENOMEM. */
int cli_add_env(struct strv *env, const char *text);

/* -t with -i wants a terminal: 0, or the exit code. */
int cli_check_terminal(const char *command, bool tty, bool interactive);

#endif

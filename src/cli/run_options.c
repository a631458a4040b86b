#include "cli/run_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/signame.h"
#include "cli/net.h"

static const char run_help[] =
	"  -d, --detach             leave it running, and print its id\n"
	"  --rm                     remove the box when the command has ended\n"
	"  --timing[=kernel]        at the end, on standard error: where the time went; the kernel's in parts\n";

static const char idle_help[] =
	"  --image-command          run the image's command\n\n"
	"Without a command the box idles: a place for 'boxlite exec', which starts it, too.\n";

static const char create_help[] =
	"  -i, --interactive        connect standard input\n"
	"  -t, --tty                give the command a terminal\n"
	"  -e, --env NAME[=VALUE]   set a variable; without a value: this shell's\n"
	"  -w, --workdir DIR        folder to start in\n"
	"  -u, --user USER[:GROUP]  user by name or number\n"
	"  --entrypoint PROGRAM     instead of the image's; \"\" for none\n"
	"  --stop-signal SIGNAL     what asks the command to end (the image's, or TERM)\n"
	"  --stop-timeout SECONDS   how long it then has (10)\n"
	"  --restart POLICY         when the command has ended and nobody stopped it: no, on-failure[:N], always; with -d\n"
	"  --health-cmd COMMAND     for a shell in the box; status 0: the box is well\n"
	"  --health-interval TIME   from one to the next (30s)\n"
	"  --health-timeout TIME    for one (30s)\n"
	"  --health-start-period TIME  failures in the beginning do not count (0s)\n"
	"  --health-retries N       so many failures in a row make it unhealthy (3)\n"
	"  --no-healthcheck         not even the image's\n"
	"  --network internet|none  what of a network it has (internet)\n"
	"  --allow-net RULE         [tcp:|udp:|icmp:]TARGET[:PORT[-PORT]] may be reached; TARGET: *, a name, *.name, an\n"
	"                           address or ADDRESS/BITS. The first rule that matches decides; with an --allow-net,\n"
	"                           nothing else may be reached\n"
	"  --deny-net RULE          the same, but it may not\n"
	"  --net-open CLASS         host|private|link-local|metadata addresses may be reached, too; or several: host,private\n"
	"  --net-rate SIZE          bytes a second, each way, such as 10m\n"
	"  --net-connections N      so many at once, all protocols together (4096)\n"
	"  --secret NAME[=VARIABLE|=@FILE],host=HOST  a value that the box uses and never has: $NAME is a placeholder in it,\n"
	"                           and becomes the value on TLS connections to HOST\n"
	"  -p, --publish [IP:]HOST:GUEST[/udp]  listen at a port of the host (at 127.0.0.1; 0: any port) for one of the box\n"
	"  --cpus N                 virtual CPUs (1)\n"
	"  -m, --memory SIZE        memory, such as 512m or 2g; a bare number is MiB (1g)\n"
	"  --disk-size SIZE         writable disk; a bare number is GiB (10g); sparse\n"
	"  --name NAME              a name for the box\n"
	"  --engine auto|kvm|qemu   what runs the machine (auto)\n"
	"  --plain-http             the registry speaks http, if the image must be pulled\n"
	"  -q, --quiet              no progress while pulling\n";

enum { OPT_ENTRYPOINT = 256, OPT_CPUS, OPT_MEMORY, OPT_DISK, OPT_NAME, OPT_RM, OPT_ENGINE, OPT_PLAIN_HTTP, OPT_TIMING,
       OPT_STOP_SIGNAL, OPT_STOP_TIMEOUT, OPT_IMAGE_COMMAND, OPT_RESTART, OPT_HEALTH, OPT_HEALTH_INTERVAL,
       OPT_HEALTH_TIMEOUT, OPT_HEALTH_START, OPT_HEALTH_RETRIES, OPT_NO_HEALTH };

int cli_add_env(struct strv *env, const char *text)
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

static int set_cpus(const struct run_options *o, const char *text, unsigned *ret)
{
	uint64_t n;

	if (str_parse_u64(text, 1024, &n) < 0 || n == 0)
		return cli_usage(o->command, "'%s' is not a number of cpus", text);
	*ret = (unsigned)n;
	return 0;
}

int cli_check_terminal(const char *command, bool tty, bool interactive)
{
	return !tty || !interactive || isatty(STDIN_FILENO)
		       ? 0
		       : cli_usage(command, "-t wants a terminal, and standard input is none: leave -t out");
}

static int set_stop_signal(struct run_options *o, const char *text)
{
	o->box.stop_signal = signal_by_name(text);
	return o->box.stop_signal ? 0 : cli_usage(o->command, "no signal is called '%s'", text);
}

/* 0 seconds is no time at all; in the library 0 is the default. */
static int set_stop_timeout(struct run_options *o, const char *text)
{
	uint64_t seconds;

	if (str_parse_u64(text, 86400, &seconds) < 0)
		return cli_usage(o->command, "'%s' is not a number of seconds", text);
	o->box.stop_grace_ms = seconds ? (unsigned)seconds * 1000 : 1;
	return 0;
}

static int set_timing(struct run_options *o, const char *of)
{
	if (of && !str_eq(of, "kernel"))
		return cli_usage(o->command, "--timing=%s: only the kernel's time has parts, --timing=kernel", of);
	o->timing = true;
	o->trace_kernel = of != NULL;
	return 0;
}

static int unknown(const struct run_options *o, char **argv)
{
	return cli_usage(o->command, "unknown option %s, or one without its value", argv[optind - 1]);
}

static int help(const struct run_options *o)
{
	int r = cli_help(o->command, create_help);

	fputs(o->is_run ? run_help : idle_help, stdout);
	return r;
}

static int set_restart(struct run_options *o, const char *policy)
{
	uint64_t n = 0;

	if (str_eq(policy, "always") || str_eq(policy, "unless-stopped")) {
		o->box.restart = BOXLITE_RESTART_ALWAYS;
	} else if (str_eq(policy, "on-failure") ||
		   (str_starts(policy, "on-failure:") && str_parse_u64(policy + 11, 1000000, &n) == 0)) {
		o->box.restart = BOXLITE_RESTART_ON_FAILURE;
		o->box.restart_max = (unsigned)n;
	} else if (!str_eq(policy, "no")) {
		return cli_usage(o->command, "no restart policy is called '%s'", policy);
	}
	return 0;
}

static int set_time(const struct run_options *o, const char *text, unsigned *ret_ms)
{
	uint64_t ms;

	if (str_parse_duration(text, UINT32_MAX, &ms) < 0)
		return cli_usage(o->command, "'%s' is not a time, such as 30s, 500ms or 2m", text);
	*ret_ms = (unsigned)ms;
	return 0;
}

static int take_health(struct run_options *o, int opt, char **argv)
{
	uint64_t n;

	switch (opt) {
	case OPT_HEALTH:
		o->health[0] = "/bin/sh";
		o->health[1] = "-c";
		o->health[2] = optarg;
		o->box.health = o->health;
		return 0;
	case OPT_NO_HEALTH:
		o->health[0] = NULL;
		o->box.health = o->health;
		return 0;
	case OPT_HEALTH_INTERVAL: return set_time(o, optarg, &o->box.health_interval_ms);
	case OPT_HEALTH_TIMEOUT: return set_time(o, optarg, &o->box.health_timeout_ms);
	case OPT_HEALTH_START: return set_time(o, optarg, &o->box.health_start_ms);
	case OPT_HEALTH_RETRIES:
		if (str_parse_u64(optarg, 1000000, &n) < 0)
			return cli_usage(o->command, "'%s' is not a number", optarg);
		o->box.health_retries = (unsigned)n;
		return 0;
	default: return unknown(o, argv);
	}
}

/* One option: 0, or the exit code. */
static int take_option(struct run_options *o, int opt, char **argv)
{
	int r;

	switch (opt) {
	case 'i': o->interactive = true; return 0;
	case 't': o->tty = true; return 0;
	case 'q': o->quiet = true; return 0;
	case 'e':
		r = cli_add_env(&o->env, optarg);
		return r < 0 ? cli_usage(o->command, "'%s' is not a variable", optarg) : 0;
	case 'w': o->box.workdir = optarg; return 0;
	case 'u': o->box.user = optarg; return 0;
	case OPT_ENTRYPOINT:
		o->entrypoint[0] = *optarg ? optarg : NULL;
		o->box.entrypoint = o->entrypoint;
		return 0;
	case OPT_CPUS: return set_cpus(o, optarg, &o->box.cpus);
	case OPT_MEMORY: return set_size(o->command, "memory size", optarg, MIB, &o->box.memory_bytes);
	case OPT_DISK: return set_size(o->command, "disk size", optarg, GIB, &o->box.disk_bytes);
	case OPT_NAME: o->box.name = optarg; return 0;
	case OPT_RM: o->box.auto_remove = 1; return o->is_run ? 0 : unknown(o, argv);
	case OPT_ENGINE: o->box.engine = optarg; return 0;
	case OPT_PLAIN_HTTP: o->plain_http = true; return 0;
	case OPT_STOP_SIGNAL: return set_stop_signal(o, optarg);
	case OPT_STOP_TIMEOUT: return set_stop_timeout(o, optarg);
	case OPT_IMAGE_COMMAND: o->image_command = true; return o->is_run ? unknown(o, argv) : 0;
	case OPT_RESTART: return set_restart(o, optarg);
	case OPT_TIMING: return o->is_run ? set_timing(o, optarg) : unknown(o, argv);
	case OPT_NETWORK:
	case OPT_ALLOW_NET:
	case OPT_DENY_NET:
	case OPT_NET_OPEN:
	case OPT_NET_RATE:
	case OPT_NET_CONNECTIONS:
	case OPT_SECRET:
	case OPT_PUBLISH: return net_take_option(o, opt, optarg);
	case 'd': o->detach = true; return o->is_run ? 0 : unknown(o, argv);
	default: return take_health(o, opt, argv);
	}
}

int run_options_parse(struct run_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "detach", no_argument, NULL, 'd' },
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
		{ "stop-signal", required_argument, NULL, OPT_STOP_SIGNAL },
		{ "stop-timeout", required_argument, NULL, OPT_STOP_TIMEOUT },
		{ "image-command", no_argument, NULL, OPT_IMAGE_COMMAND },
		{ "restart", required_argument, NULL, OPT_RESTART },
		{ "health-cmd", required_argument, NULL, OPT_HEALTH },
		{ "health-interval", required_argument, NULL, OPT_HEALTH_INTERVAL },
		{ "health-timeout", required_argument, NULL, OPT_HEALTH_TIMEOUT },
		{ "health-start-period", required_argument, NULL, OPT_HEALTH_START },
		{ "health-retries", required_argument, NULL, OPT_HEALTH_RETRIES },
		{ "no-healthcheck", no_argument, NULL, OPT_NO_HEALTH },
		{ "network", required_argument, NULL, OPT_NETWORK },
		{ "allow-net", required_argument, NULL, OPT_ALLOW_NET },
		{ "deny-net", required_argument, NULL, OPT_DENY_NET },
		{ "net-open", required_argument, NULL, OPT_NET_OPEN },
		{ "net-rate", required_argument, NULL, OPT_NET_RATE },
		{ "net-connections", required_argument, NULL, OPT_NET_CONNECTIONS },
		{ "secret", required_argument, NULL, OPT_SECRET },
		{ "publish", required_argument, NULL, OPT_PUBLISH },
		{ "timing", optional_argument, NULL, OPT_TIMING },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int opt, r;

	while ((opt = getopt_long(argc, argv, "+dite:w:u:qm:p:h", options, NULL)) != -1) {
		if (opt == 'h')
			return help(o);
		r = take_option(o, opt == 'm' ? OPT_MEMORY : opt == 'p' ? OPT_PUBLISH : opt, argv);
		if (r)
			return r;
	}
	if (optind == argc)
		return cli_usage(o->command, "which image?");
	if (o->is_run && o->box.restart && !o->detach)
		return cli_usage(o->command, "--restart is for a box that is left to itself: add -d");
	r = o->detach ? 0 : cli_check_terminal(o->command, o->tty, o->interactive);
	return r ? r : -1;
}

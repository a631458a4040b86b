/* network: what a box may reach. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "cli/net.h"

static int print(const struct boxlite_box_info *i, void *ud)
{
	(void)ud;
	net_print(i);
	return 0;
}

/* rules NULL: they are to be shown. */
static int show_or_set(const struct global *g, const char *name, struct run_options *o, bool set)
{
	struct boxlite_error err = { 0 };
	struct cli_box c;
	int r = cli_open_box(g, name, &c);

	if (r)
		return r;
	r = set ? boxlite_box_set_network_rules(c.box, (const char *const *)o->net_rules.v, o->box.net_open, &err)
		: boxlite_box_info(c.box, print, NULL, &err);
	cli_close_box(&c);
	return r < 0 ? cli_fail(&err) : 0;
}

int cmd_network(const struct global *g, int argc, char **argv)
{
	enum { OPT_CLEAR = 256 };
	static const struct option options[] = {
		{ "allow-net", required_argument, NULL, OPT_ALLOW_NET },
		{ "deny-net", required_argument, NULL, OPT_DENY_NET },
		{ "net-open", required_argument, NULL, OPT_NET_OPEN },
		{ "clear", no_argument, NULL, OPT_CLEAR },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	static const char help[] =
		"  --allow-net RULE   may be reached; as of run\n"
		"  --deny-net RULE    may not be\n"
		"  --net-open CLASS   host|private|link-local|metadata addresses may be reached, too; or several: host,private\n"
		"  --clear            no rules, nothing opened: as without any of run's options\n\n"
		"Without options: what there is. With them: all of it, in place of what there was; at once if the box runs,\n"
		"which cuts connections that may not be any more.\n";
	struct run_options o = { .command = "network", .net_rules = STRV_INIT(NET_OPTIONS_MAX) };
	bool set = false, clear = false;
	int opt, r = 0;

	while (!r && (opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		set |= opt != 'h';
		if (opt == 'h')
			return cli_help("network", help);
		if (opt == '?')
			r = cli_usage("network", "unknown option %s, or one without its value", argv[optind - 1]);
		else if (opt == OPT_CLEAR)
			clear = true;
		else
			r = net_take_option(&o, opt, optarg);
	}
	if (!r && clear && (o.net_rules.n || o.box.net_open))
		r = cli_usage("network", "--clear leaves no rules: the others replace what there is as they are");
	if (!r && optind == argc)
		r = cli_usage("network", "which box?");
	if (!r && argc - optind > 1)
		r = cli_usage("network", "'%s' is too much", argv[optind + 1]);
	if (!r)
		r = show_or_set(g, argv[optind], &o, set);
	strv_fini(&o.net_rules);
	return r;
}

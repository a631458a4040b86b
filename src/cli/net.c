/* The network of boxes: the options of run and create that are about it, and port. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "cli/net.h"

/* --- options ---------------------------------------------------------------------------------------- */

/* docker's words for what is not none are taken, too. */
static int set_network(struct run_options *o, const char *name)
{
	if (str_eq(name, "none"))
		o->box.network = BOXLITE_NETWORK_NONE;
	else if (str_eq(name, "internet") || str_eq(name, "bridge") || str_eq(name, "default"))
		o->box.network = BOXLITE_NETWORK_INTERNET;
	else
		return cli_usage(o->command, "no network is called '%s'; there are internet and none", name);
	return 0;
}

static const struct {
	const char *name;
	unsigned bit;
} classes[] = {
	{ "host", BOXLITE_NET_HOST },
	{ "private", BOXLITE_NET_PRIVATE },
	{ "link-local", BOXLITE_NET_LINK_LOCAL },
	{ "metadata", BOXLITE_NET_METADATA },
};

static unsigned class_of(const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(classes); i++)
		if (strlen(classes[i].name) == n && !memcmp(classes[i].name, name, n))
			return classes[i].bit;
	return 0;
}

/* "host,private" */
static int add_open(struct run_options *o, const char *list)
{
	const char *at = list;
	unsigned bit;
	size_t n;

	do {
		n = strcspn(at, ",");
		bit = class_of(at, n);
		if (!bit)
			return cli_usage(o->command, "'%.*s' is not a class of addresses; there are host, private, "
					 "link-local and metadata", (int)n, at);
		o->box.net_open |= bit;
		at += n + (at[n] == ',');
	} while (at[-1] == ',' || *at);
	return 0;
}

static int add_rule(struct run_options *o, const char *what, const char *rule)
{
	return strv_addf(&o->net_rules, "%s %s", what, rule) < 0 ? cli_usage(o->command, "too many rules") : 0;
}

static int set_rate(struct run_options *o, const char *text)
{
	if (str_parse_size(text, 1, &o->box.net_rate) < 0 || !o->box.net_rate)
		return cli_usage(o->command, "'%s' is not a rate in bytes a second, such as 512k or 10m", text);
	return 0;
}

static int set_connections(struct run_options *o, const char *text)
{
	uint64_t n;

	if (str_parse_u64(text, UINT32_MAX, &n) < 0 || n == 0)
		return cli_usage(o->command, "'%s' is not a number of connections", text);
	o->box.net_connections = (unsigned)n;
	return 0;
}

/* NAME=@FILE: the library wants to know where it is for good. */
static int add_secret(struct run_options *o, const char *text)
{
	const char *at = strstr(text, "=@"), *host = strstr(text, ",host=");
	auto_free char *folder = NULL;
	int r;

	if (at && host && at + 2 < host && at[2] != '/') {
		folder = getcwd(NULL, 0);
		if (!folder)
			return cli_usage(o->command, "the folder of '%s' is not known: give the whole path", text);
		r = strv_addf(&o->secrets, "%.*s%s/%s", (int)(at + 2 - text), text, folder, at + 2);
	} else {
		r = strv_add(&o->secrets, text);
	}
	return r < 0 ? cli_usage(o->command, "too many secrets") : 0;
}

int net_take_option(struct run_options *o, int opt, const char *value)
{
	switch (opt) {
	case OPT_NETWORK: return set_network(o, value);
	case OPT_NET_OPEN: return add_open(o, value);
	case OPT_ALLOW_NET: return add_rule(o, "allow", value);
	case OPT_DENY_NET: return add_rule(o, "deny", value);
	case OPT_NET_RATE: return set_rate(o, value);
	case OPT_NET_CONNECTIONS: return set_connections(o, value);
	case OPT_SECRET: return add_secret(o, value);
	default: return strv_add(&o->ports, value) < 0 ? cli_usage(o->command, "too many ports") : 0;
	}
}

/* --- as others show it ------------------------------------------------------------------------------- */

json_t *net_list(const char *const *v)
{
	json_t *j = json_array();

	for (; j && *v; v++)
		json_array_append_new(j, json_text(*v));
	return j;
}

json_t *net_json(const struct boxlite_box_info *i)
{
	json_t *open = json_array();
	size_t k;

	for (k = 0; open && k < ARRAY_SIZE(classes); k++)
		if (i->net_open & classes[k].bit)
			json_array_append_new(open, json_text(classes[k].name));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:n, s:n, s:n, s:n}", "mode",
			 i->network == BOXLITE_NETWORK_NONE ? "none" : "internet", "open", open, "rules",
			 net_list(i->net_rules), "ports", net_list(i->ports), "secrets", net_list(i->secrets), "rate",
			 (json_int_t)i->net_rate, "connections", (json_int_t)i->net_connections, "made", "now", "denied",
			 "denied_for");
}

/* {reason: how often}, but for those that were none. */
static json_t *denied_json(const struct boxlite_metrics *m)
{
	json_t *j = json_object();
	const char *why;
	int k;

	for (k = 0; j && (why = boxlite_denied_name(k)); k++)
		if (m->net_denied_for[k])
			json_object_set_new(j, why, json_integer((json_int_t)m->net_denied_for[k]));
	return j;
}

void net_add_counters(json_t *net, const struct boxlite_metrics *m)
{
	json_object_set_new(net, "made", json_integer((json_int_t)m->net_connections));
	json_object_set_new(net, "now", json_integer((json_int_t)m->net_flows));
	json_object_set_new(net, "denied", json_integer((json_int_t)m->net_denied));
	json_object_set_new(net, "denied_for", denied_json(m));
}

void net_print(const struct boxlite_box_info *i)
{
	const char *const *rule;
	size_t k;

	printf("network %s\n", i->network == BOXLITE_NETWORK_NONE ? "none" : "internet");
	for (k = 0; k < ARRAY_SIZE(classes); k++)
		if (i->net_open & classes[k].bit)
			printf("open %s\n", classes[k].name);
	for (rule = i->net_rules; *rule; rule++)
		printf("%s\n", *rule);
}

/* "127.0.0.1:8080:80/tcp": its two halves. */
static const char *guest_half(const char *port, int *ret_host_len)
{
	const char *colon = strrchr(port, ':');

	*ret_host_len = colon ? (int)(colon - port) : 0;
	return colon ? colon + 1 : port;
}

char *net_ports_text(const struct boxlite_box_info *i)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	size_t k;

	if (!f)
		return NULL;
	for (k = 0; i->running && i->ports[k]; k++) {
		int n;
		const char *guest = guest_half(i->ports[k], &n);

		fprintf(f, "%s%.*s->%s", k ? ", " : "", n, i->ports[k], guest);
	}
	fclose(f);
	return text;
}

/* --- port -------------------------------------------------------------------------------------------- */

struct wanted {
	const char *box;
	char port[32]; /* "80/tcp"; "": all */
	bool found;
};

static int print_ports(const struct boxlite_box_info *i, void *ud)
{
	struct wanted *w = ud;
	const char *const *port;

	if (!i->running)
		return -ENOTCONN;
	for (port = i->ports; *port; port++) {
		int n;
		const char *guest = guest_half(*port, &n);

		if (!*w->port)
			printf("%s -> %.*s\n", guest, n, *port);
		else if (str_eq(guest, w->port))
			printf("%.*s\n", n, *port);
		w->found |= !*w->port || str_eq(guest, w->port);
	}
	return 0;
}

static int show_ports(struct boxlite *b, struct wanted *w)
{
	struct boxlite_error err = { 0 };
	struct boxlite_box *box;
	int r = boxlite_box_open(b, w->box, &box, &err);

	if (r < 0)
		return cli_fail(&err);
	r = boxlite_box_info(box, print_ports, w, &err);
	boxlite_box_close(box);
	if (r == -ENOTCONN)
		return cli_failf("box %s does not run", w->box);
	if (r < 0)
		return cli_fail(&err);
	return w->found || !*w->port ? 0 : cli_failf("box %s does not publish %s", w->box, w->port);
}

static int change_port(const struct global *g, bool add, const char *name, const char *port)
{
	struct boxlite_error err = { 0 };
	struct cli_box c;
	char actual[64];
	int r = cli_open_box(g, name, &c);

	if (r)
		return r;
	r = add ? boxlite_box_publish(c.box, port, actual, sizeof(actual), &err)
		: boxlite_box_unpublish(c.box, port, &err);
	cli_close_box(&c);
	if (r == 1 && add) {
		int n;
		const char *guest = guest_half(actual, &n);

		printf("%s -> %.*s\n", guest, n, actual);
	}
	return r < 0 ? cli_fail(&err) : 0;
}

/* port add, port rm. A box may be called so: `port -- add`. -1: it is neither. */
static int take_subcommand(const struct global *g, int argc, char **argv)
{
	bool add = optind < argc && str_eq(argv[optind], "add");

	if (optind == argc || str_eq(argv[optind - 1], "--") || (!add && !str_eq(argv[optind], "rm")))
		return -1;
	if (argc - optind != 3)
		return cli_usage("port", "%s wants a box and a port (of a box that is called so: boxlite port -- %s)",
				 argv[optind], argv[optind]);
	return change_port(g, add, argv[optind + 1], argv[optind + 2]);
}

/* "80" or "53/udp", as it is shown: 80/tcp. */
static int take_guest(const char *text, struct wanted *w)
{
	size_t n = strcspn(text, "/");
	char number[8];
	uint64_t port = 0;

	snprintf(number, sizeof(number), "%.*s", (int)n, text);
	if (n >= sizeof(number) || str_parse_u64(number, UINT16_MAX, &port) < 0 || !port ||
	    (text[n] && !str_eq(text + n, "/tcp") && !str_eq(text + n, "/udp")))
		return cli_usage("port", "'%s' is not a port of the box: a number from 1 to 65535, with /tcp or /udp "
				 "behind it, such as 80 or 53/udp", text);
	snprintf(w->port, sizeof(w->port), "%u%s", (unsigned)port, text[n] ? text + n : "/tcp");
	return 0;
}

int cmd_port(const struct global *g, int argc, char **argv)
{
	static const char help[] =
		"Without GUEST: all that the box publishes.\n"
		"add: PORT is [IP:]HOST:GUEST[/udp], as of run's -p; a box that runs listens at once.\n"
		"rm: PORT is a port of the box, 80 or 53/udp, or one in full; connections that there are stay.\n";
	struct wanted w = { 0 };
	struct boxlite *b;
	int r = cli_no_options("port", help, argc, argv);

	if (r < 0)
		r = take_subcommand(g, argc, argv);
	if (r >= 0)
		return r;
	if (optind == argc)
		return cli_usage("port", "which box?");
	if (argc - optind > 2)
		return cli_usage("port", "'%s' is too much", argv[optind + 2]);
	w.box = argv[optind];
	r = argc - optind == 2 ? take_guest(argv[optind + 1], &w) : 0;
	if (r == 0)
		r = cli_open(g, &b);
	if (r)
		return r;
	r = show_ports(b, &w);
	boxlite_close(b);
	return r;
}

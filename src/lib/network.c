/* The network of a box that is there: other ports, other rules, and connections into it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "box/netchange.h"
#include "lib/lib.h"

int lib_add_rules(const char *const *rules, struct net_spec *net, struct error *err)
{
	int r = 0;

	for (; r == 0 && rules && *rules; rules++) {
		bool allow = str_starts(*rules, "allow ");

		if (!allow && !str_starts(*rules, "deny "))
			return error_set(err, -EINVAL, "'%s' is not a rule: it begins with 'allow ' or 'deny '", *rules);
		r = net_spec_add_rule(net, strchr(*rules, ' ') + 1, allow, err);
	}
	return r;
}

int lib_check_open(unsigned net_open, struct error *err)
{
	const unsigned all = NET_OPEN_HOST | NET_OPEN_PRIVATE | NET_OPEN_LINK_LOCAL | NET_OPEN_METADATA;

	if (net_open & ~all)
		return error_set(err, -EINVAL, "there is no class of addresses 0x%x", net_open & ~all);
	return 0;
}

/* The handle has another description of it than there is now. */
static void forget_spec(struct boxlite_box *box)
{
	struct db_box row = { 0 };

	if (db_box_get(box->home->db, box->row.id, &row, NULL) < 0)
		return;
	/* Its id stays in place: the caller may have asked for it. */
	free(box->row.spec);
	box->row.spec = take_ptr(&row.spec);
	db_box_fini(&row);
	if (box->spec)
		box_spec_fini(box->spec);
	free(take_ptr(&box->spec));
}

static int change(struct boxlite_box *box, struct net_change *c, struct net_spec *ret_ports, struct error *err)
{
	int r = box_change_network(box->home, box->row.id, c, ret_ports, err);

	net_change_fini(c);
	if (r >= 0)
		forget_spec(box);
	return r;
}

PUBLIC int boxlite_box_publish(struct boxlite_box *box, const char *port, char *actual, size_t n,
			       struct boxlite_error *err)
{
	struct net_change c = { .type = FRAME_PUBLISH };
	struct net_spec ports = { 0 };
	char text[NET_RULE_TEXT_MAX];
	struct error e = { 0 };
	int r = box && port ? net_port_parse(port, &c.port, &e) : lib_missing(&e);

	net_port_format(&c.port, text);
	if (r == 0)
		r = change(box, &c, &ports, &e);
	if (r < 0)
		return lib_fail(err, &e, r);
	if (r == 1 && ports.nports == 1)
		net_port_format(&ports.ports[0], text);
	net_spec_fini(&ports);
	if (actual && n)
		snprintf(actual, n, "%s", text);
	return r;
}

PUBLIC int boxlite_box_unpublish(struct boxlite_box *box, const char *port, struct boxlite_error *err)
{
	struct net_change c = { .type = FRAME_UNPUBLISH };
	struct error e = { 0 };
	int r = box && port ? net_pick_parse(port, &c.pick, &e) : lib_missing(&e);

	if (r == 0)
		r = change(box, &c, NULL, &e);
	return r < 0 ? lib_fail(err, &e, r) : r;
}

PUBLIC int boxlite_box_set_network_rules(struct boxlite_box *box, const char *const *rules, unsigned net_open,
					 struct boxlite_error *err)
{
	struct net_change c = { .type = FRAME_RULES, .rules = { .open = net_open } };
	struct error e = { 0 };
	int r = box ? lib_check_open(net_open, &e) : lib_missing(&e);

	if (r == 0)
		r = lib_add_rules(rules, &c.rules, &e);
	if (r == 0)
		r = change(box, &c, NULL, &e);
	else
		net_change_fini(&c);
	return r < 0 ? lib_fail(err, &e, r) : r;
}

PUBLIC int boxlite_box_dial(struct boxlite_box *box, unsigned port, int *fd, struct boxlite_error *err)
{
	struct error e = { 0 };
	int r = box && fd ? 0 : lib_missing(&e);

	if (r == 0 && (port == 0 || port > UINT16_MAX))
		r = error_set(&e, -EINVAL, "there is no port %u", port);
	if (r == 0)
		r = box_dial(box->home, box->row.id, (uint16_t)port, NULL, &e);
	if (r < 0)
		return lib_fail(err, &e, r);
	*fd = r;
	return 0;
}

PUBLIC int boxlite_box_dial_unix(struct boxlite_box *box, const char *path, int *fd, struct boxlite_error *err)
{
	struct error e = { 0 };
	int r = box && path && fd ? 0 : lib_missing(&e);

	if (r == 0 && *path != '/')
		r = error_set(&e, -EINVAL, "'%.100s' is not an absolute path", path);
	if (r == 0 && strlen(path) > SOCKET_PATH_MAX)
		r = error_set(&e, -ENAMETOOLONG, "a path of %zu characters", strlen(path));
	if (r == 0)
		r = box_dial(box->home, box->row.id, 0, path, &e);
	if (r < 0)
		return lib_fail(err, &e, r);
	*fd = r;
	return 0;
}

/* Boxes as they are now: a row of the database, and what their folders say. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/clean.h"
#include "box/look.h"
#include "lib/lib.h"
#include "wire/health.h"

/* From the last stage that was reached to this one: 0 if it was not reached. Claims of a guest may lie outside. */
static uint64_t stretch(uint64_t *last, uint64_t at)
{
	uint64_t n = at > *last ? at - *last : 0;

	*last += n;
	return n;
}

void lib_timing(const struct timing *t, uint64_t start_ns, struct boxlite_timing *out)
{
	const uint64_t *at = t->at;
	uint64_t last = start_ns;

	out->setup = stretch(&last, at[TIMING_ENGINE]);
	out->machine = stretch(&last, at[TIMING_GUEST]);
	out->kernel = stretch(&last, at[TIMING_AGENT]);
	out->agent = stretch(&last, at[TIMING_MAIN]);
	out->process = stretch(&last, at[TIMING_EXIT]);
	out->end = stretch(&last, at[TIMING_END]);
}

/* argv in one line, for people. */
static int join_argv(const struct proc_spec *s, struct buf *out)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < s->argv.n; i++)
		r = buf_printf(out, "%s%s", i ? " " : "", s->argv.v[i]);
	return r == -ENOBUFS ? 0 : r; /* a long one is cut */
}

static const char *const *list_of(const struct strv *s)
{
	static const char *const none[] = { NULL };

	return s->n ? (const char *const *)s->v : none;
}

static void fill_spec(struct boxlite_box_info *i, const struct box_spec *s)
{
	i->image_digest = s->image_digest;
	i->argv = list_of(&s->main.argv);
	i->env = list_of(&s->main.env);
	i->entrypoint_words = s->entrypoint_words;
	i->workdir = s->main.cwd;
	i->user = s->main.user;
	i->engine = s->engine ? s->engine : "auto";
	i->cpus = s->cpus;
	i->stop_grace_ms = s->stop_grace_ms;
	i->memory_bytes = s->memory_bytes;
	i->disk_bytes = s->disk_bytes;
	i->tty = s->main.tty;
	i->stdin_open = s->main.stdin_open;
	i->debug = s->debug;
	i->restart = (int)s->restart;
	i->restart_max = s->restart_max;
}

/* What a box was made with, and is published; as texts. */
struct network {
	struct strv rules, ports, secrets;
};

static int add_ports(struct strv *to, const struct net_spec *net)
{
	char text[NET_RULE_TEXT_MAX];
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < net->nports; i++)
		r = strv_add(to, net_port_format(&net->ports[i], text));
	return r;
}

static int add_secrets(struct strv *to, const struct net_spec *net)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < net->nsecrets; i++) {
		auto_free char *text = secret_format(&net->secrets[i]);

		r = text ? strv_add(to, text) : -ENOMEM;
	}
	return r;
}

static int fill_network(struct boxlite_box_info *i, const struct net_spec *net, const struct net_spec *published,
			struct network *n)
{
	char text[NET_RULE_TEXT_MAX];
	int r = add_ports(&n->ports, published);
	size_t k;

	for (k = 0; r == 0 && k < net->nrules; k++)
		r = strv_addf(&n->rules, "%s %s", net->rules[k].allow ? "allow" : "deny",
			      net_rule_format(&net->rules[k], text));
	if (r == 0)
		r = add_secrets(&n->secrets, net);
	i->network = net->none ? BOXLITE_NETWORK_NONE : BOXLITE_NETWORK_INTERNET;
	i->net_open = net->open;
	i->net_rate = net->rate;
	i->net_connections = net->flows;
	i->net_rules = list_of(&n->rules);
	i->ports = list_of(&n->ports);
	i->secrets = list_of(&n->secrets);
	return r;
}

static void fill_state(struct boxlite_box_info *i, const struct box_state *s, struct boxlite_timing *timing)
{
	const uint64_t *at = s->last.timing.at;

	i->running = s->running;
	i->ended = s->ended;
	lib_exit(&s->last.exit, &i->exit);
	i->started_at = s->last.started_at;
	i->finished_at = s->last.finished_at;
	i->disk_used_bytes = s->disk_bytes;
	i->again = s->again;
	if (s->has_health) {
		i->health = health_name(s->health.health);
		i->health_failing = s->health.failing;
		i->health_output = s->health.output;
	}
	if (!at[TIMING_END])
		return;
	lib_timing(&s->last.timing, at[TIMING_SHIM], timing);
	i->timing = timing;
}

int lib_describe(struct home *home, const struct db_box *b, boxlite_box_fn *fn, void *ud, struct error *err)
{
	auto_buf struct buf command = BUF_INIT(4 * KIB);
	char folder[PATH_MAX + 32];
	struct boxlite_timing timing = BOXLITE_OPTIONS(boxlite_timing);
	struct box_spec spec = BOX_SPEC_INIT;
	struct box_state state = { 0 };
	struct network network = { STRV_INIT(NET_RULES_MAX), STRV_INIT(NET_PORTS_MAX), STRV_INIT(SECRETS_MAX) };
	struct net_spec published = { 0 };
	struct boxlite_box_info info = {
		.id = b->id,
		.name = b->name,
		.image = b->image,
		.created_at = b->created_at,
		.auto_remove = b->auto_remove,
	};
	int r;

	snprintf(folder, sizeof(folder), "%s/boxes/%s", home->path, b->id);
	info.folder = folder;
	/* A row that cannot be read, or a folder that is going, is still a box. */
	if (box_spec_parse(b->spec, &spec, NULL) == 0 && join_argv(&spec.main, &command) < 0)
		buf_consume(&command, buf_len(&command));
	fill_spec(&info, &spec);
	info.command = buf_str(&command);
	if (!info.command)
		info.command = "";
	r = box_look(home, b->id, &state);
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && state.running && spec.net.nports && box_look_at_ports(home, b->id, &published) == -ENOMEM)
		r = -ENOMEM;
	if (r == 0)
		r = fill_network(&info, &spec.net, state.running ? &published : &spec.net, &network);
	if (r == 0) {
		fill_state(&info, &state, &timing);
		r = fn(&info, ud);
	} else {
		error_code(err, r, "cannot look at box %s", b->id);
	}
	strv_fini(&network.rules);
	strv_fini(&network.ports);
	strv_fini(&network.secrets);
	net_spec_fini(&published);
	box_spec_fini(&spec);
	return r;
}

struct list {
	struct home *home;
	boxlite_box_fn *fn;
	void *ud;
	struct error *err;
};

static int on_box(const struct db_box *b, void *ud)
{
	const struct list *l = ud;

	return lib_describe(l->home, b, l->fn, l->ud, l->err);
}

PUBLIC int boxlite_box_list(struct boxlite *b, boxlite_box_fn *fn, void *ud, struct boxlite_error *err)
{
	struct error e = { 0 };
	struct list l = { .home = b ? b->home : NULL, .fn = fn, .ud = ud, .err = &e };
	int r;

	if (!b || !fn)
		return lib_fail(err, &e, lib_missing(&e));
	home_reap(b->home);
	r = db_box_each(b->home->db, on_box, &l, &e);

	return r < 0 ? lib_fail(err, &e, r) : r;
}

PUBLIC int boxlite_box_info(struct boxlite_box *box, boxlite_box_fn *fn, void *ud, struct boxlite_error *err)
{
	struct db_box row = { 0 };
	struct error e = { 0 };
	int r = box && fn ? db_box_get(box->home->db, box->row.id, &row, &e) : lib_missing(&e);

	/* As it is in the database: it may have another name by now. */
	if (r < 0)
		return lib_fail(err, &e, r);
	r = lib_describe(box->home, &row, fn, ud, &e);
	db_box_fini(&row);
	return e.code ? lib_fail(err, &e, r) : r;
}

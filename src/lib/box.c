#include "box/box.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "box/merge.h"
#include "lib/lib.h"

#define DEFAULT_MEMORY GIB
#define DEFAULT_DISK (10 * GIB)
#define DEFAULT_GRACE_MS 10000

void lib_exit(const struct proc_exit *e, struct boxlite_exit *out)
{
	*out = (struct boxlite_exit){
		.kind = (int)e->kind,
		.code = e->code,
		.signal = e->signal,
		.status = proc_exit_status(e),
		.timed_out = e->timed_out,
		.duration_ns = e->duration_ns,
		.error = e->error,
	};
}

/* A handle without its box: what can fail is done before there is one. */
static int new_handle(struct boxlite *b, struct boxlite_box **ret, struct error *err)
{
	struct boxlite_box *box = calloc(1, sizeof(*box));
	size_t n = strlen(b->home->path) + sizeof("/boxes/") + BOX_ID_LEN;

	if (box)
		box->folder = malloc(n);
	if (!box || !box->folder) {
		free(box);
		return error_nomem(err);
	}
	box->b = b;
	box->home = b->home;
	box->maker_fd = -1;
	*ret = box;
	return 0;
}

static void take_row(struct boxlite_box *box, struct db_box *row)
{
	size_t n = strlen(box->home->path) + sizeof("/boxes/") + BOX_ID_LEN;

	snprintf(box->folder, n, "%s/boxes/%.*s", box->home->path, BOX_ID_LEN, row->id);
	box->row = *row;
}

/* A handle of a box that is there. Takes the row. */
static int wrap(struct boxlite *b, struct db_box *row, struct boxlite_box **out, struct error *err)
{
	struct boxlite_box *box;
	int r = new_handle(b, &box, err);

	if (r < 0) {
		db_box_fini(row);
		return r;
	}
	take_row(box, row);
	*out = box;
	return 0;
}

/* Of a box without a network: nothing may be said about one. */
static int check_no_network(const struct boxlite_box_options *o, struct error *err)
{
	if (o->net_rate || o->net_connections)
		return error_set(err, -EINVAL, "a box without a network has nothing to limit");
	if ((o->net_rules && *o->net_rules) || o->net_open)
		return error_set(err, -EINVAL, "a box without a network has nothing to allow or deny");
	if (o->ports && *o->ports)
		return error_set(err, -EINVAL, "a box without a network cannot publish ports");
	if (o->secrets && *o->secrets)
		return error_set(err, -EINVAL, "a box without a network has no use for secrets");
	return 0;
}

static int fill_limits(const struct boxlite_box_options *o, struct net_spec *net, struct error *err)
{
	if (o->net_rate && (o->net_rate < NET_RATE_MIN || o->net_rate > NET_RATE_MAX))
		return error_set(err, -EINVAL, "a network rate of %llu bytes a second is not between %llu and %llu",
				 (unsigned long long)o->net_rate, (unsigned long long)NET_RATE_MIN,
				 (unsigned long long)NET_RATE_MAX);
	if (o->net_connections > NET_FLOWS_MAX)
		return error_set(err, -EINVAL, "%u connections at once are more than %u", o->net_connections,
				 NET_FLOWS_MAX);
	net->rate = o->net_rate;
	net->flows = o->net_connections;
	return 0;
}

/* -EINVAL and not -EEXIST, which is about a box's name. */
static int add_port(struct net_spec *net, const char *text, struct error *err)
{
	struct net_port p;
	int r = net_port_parse(text, &p, err);

	if (r == 0)
		r = net_spec_check_port(net, &p, err);
	if (r == -EEXIST) {
		error_prefix(err, "port number %zu (-p)", net->nports + 1);
		return err->code = -EINVAL;
	}
	return r < 0 ? r : net_spec_push_port(net, &p, err);
}

static int fill_network(const struct boxlite_box_options *o, struct net_spec *net, struct error *err)
{
	const char *const *port, *const *secret;
	int r = lib_check_open(o->net_open, err);

	if (r < 0)
		return r;

	if (o->network != BOXLITE_NETWORK_INTERNET && o->network != BOXLITE_NETWORK_NONE)
		return error_set(err, -EINVAL, "there is no network %d", o->network);
	net->none = o->network == BOXLITE_NETWORK_NONE;
	if (net->none)
		return check_no_network(o, err);
	r = fill_limits(o, net, err);
	if (r < 0)
		return r;
	net->open = o->net_open;
	r = lib_add_rules(o->net_rules, net, err);
	for (port = o->ports; r == 0 && port && *port; port++)
		r = add_port(net, *port, err);
	for (secret = o->secrets; r == 0 && secret && *secret; secret++)
		r = net_spec_add_secret(net, *secret, err);
	return r;
}

/* One of both would win without a word; over the image's variables both go. */
static int check_env(const struct boxlite_box_options *o, const struct net_spec *net, struct error *err)
{
	const char *const *e;
	size_t i, n;

	for (i = 0; i < net->nsecrets; i++) {
		n = strlen(net->secrets[i].name);
		for (e = o->env; e && *e; e++)
			if (str_starts(*e, net->secrets[i].name) && ((*e)[n] == '=' || !(*e)[n]))
				return error_set(err, -EINVAL, "the variable %s is set twice, by --env and by "
						 "--secret: leave one of them out", net->secrets[i].name);
	}
	return 0;
}

static int fill_spec(const struct boxlite *b, const struct boxlite_box_options *o, struct box_spec *s,
		     struct error *err)
{
	const char *engine = o->engine ? o->engine : "auto", *const *arg;
	int r;

	if (!str_eq(engine, "auto") && !str_eq(engine, "qemu") && !str_eq(engine, "kvm"))
		return error_set(err, -EINVAL, "no engine is called '%s'; there are auto, kvm and qemu", engine);
	s->engine = strdup(engine);
	s->accel = strdup(b->home->accel);
	if (!s->engine || !s->accel)
		return error_nomem(err);
	s->cpus = o->cpus ? o->cpus : 1;
	/* Whole MiB: the guest's memory ends on a large page of its tables. */
	s->memory_bytes = (o->memory_bytes ? o->memory_bytes : DEFAULT_MEMORY) & ~(MIB - 1);
	s->disk_bytes = ALIGN_UP(o->disk_bytes ? o->disk_bytes : DEFAULT_DISK, MIB);
	s->stop_grace_ms = o->stop_grace_ms ? o->stop_grace_ms : DEFAULT_GRACE_MS;
	s->restart = (enum box_restart)o->restart;
	s->restart_max = o->restart_max;
	s->health.interval_ms = o->health_interval_ms;
	s->health.timeout_ms = o->health_timeout_ms;
	s->health.start_period_ms = o->health_start_ms;
	s->health.retries = o->health_retries;
	for (arg = o->health; arg && *arg; arg++)
		if (strv_add(&s->health.argv, *arg) < 0)
			return error_nomem(err);
	s->keep_disk = !o->auto_remove;
	s->debug = o->debug != 0;
	r = fill_network(o, &s->net, err);
	return r < 0 ? r : check_env(o, &s->net, err);
}

PUBLIC int boxlite_box_create(struct boxlite *b, const struct boxlite_box_options *opts,
			      struct boxlite_box **out, struct boxlite_error *err)
{
	struct boxlite_box_options o;
	struct box_spec spec = BOX_SPEC_INIT;
	struct boxlite_box *box = NULL;
	struct db_box row = { 0 };
	struct error e = { 0 };
	auto_fd int maker = -1;
	int r = lib_copy_options(&o, sizeof(o), opts, err);

	if (r < 0)
		return r;
	struct merge_options process = {
		.command = o.command,
		.entrypoint = o.entrypoint,
		.env = o.env,
		.workdir = o.workdir,
		.user = o.user,
		.idle = o.idle != 0,
		.stop_signal = o.stop_signal,
		.tty = o.tty != 0,
		.stdin_open = o.stdin_open != 0,
	};
	struct box_request q = {
		.image = o.image,
		.name = o.name,
		.auto_remove = o.auto_remove != 0,
		.spec = &spec,
		.no_health = o.health && !o.health[0],
		.process = &process,
	};
	if (!b || !out)
		r = lib_missing(&e);
	else if (!o.image)
		r = error_set(&e, -EINVAL, "no image was named");
	else if (o.idle && (o.command || o.entrypoint))
		r = error_set(&e, -EINVAL, "a box that idles runs no command");
	else if (o.restart < BOXLITE_RESTART_NO || o.restart > BOXLITE_RESTART_ALWAYS)
		r = error_set(&e, -EINVAL, "there is no restart policy %d", o.restart);
	else if (o.restart && o.auto_remove)
		r = error_set(&e, -EINVAL, "a box that goes when it ends cannot start again");
	else if (o.stop_signal < 0 || o.stop_signal > SIGRTMAX)
		r = error_set(&e, -EINVAL, "there is no signal %d", o.stop_signal);
	else
		r = fill_spec(b, &o, &spec, &e);
	if (r == 0)
		r = new_handle(b, &box, &e);
	if (r == 0)
		r = box_create(b->home, &q, &row, &maker, &e);
	box_spec_fini(&spec);
	if (r < 0) {
		boxlite_box_close(box);
		return lib_fail(err, &e, r);
	}
	take_row(box, &row);
	box->maker_fd = take_fd(&maker);
	*out = box;
	return 0;
}

/* A box of just that name; no id is meant. */
static int find_name(struct boxlite *b, const char *name, struct db_box *ret, struct error *err)
{
	int r = db_box_get(b->home->db, name, ret, err);

	if (r == 0 && !(ret->name && str_eq(ret->name, name))) {
		db_box_fini(ret);
		r = -ENOENT;
	}
	return r == -ENOTUNIQ ? -ENOENT : r;
}

PUBLIC int boxlite_box_get_or_create(struct boxlite *b, const struct boxlite_box_options *opts,
				     struct boxlite_box **out, int *created, struct boxlite_error *err)
{
	struct boxlite_box_options o;
	struct db_box row = { 0 };
	struct error e = { 0 };
	int r = lib_copy_options(&o, sizeof(o), opts, err);

	if (r < 0)
		return r;
	if (!b || !out)
		return lib_fail(err, &e, lib_missing(&e));
	if (!o.name) {
		error_set(&e, -EINVAL, "no name was given");
		return lib_fail(err, &e, -EINVAL);
	}
	/* Another one may make it, or remove it, in between; who makes it last has it. */
	do {
		r = find_name(b, o.name, &row, &e);
		if (r == 0)
			r = wrap(b, &row, out, &e);
		if (r == 0 && created)
			*created = 0;
		if (r != -ENOENT)
			return r < 0 ? lib_fail(err, &e, r) : 0;
		r = boxlite_box_create(b, &o, out, err);
	} while (r == -EEXIST);
	if (r == 0 && created)
		*created = 1;
	return r;
}

PUBLIC int boxlite_box_open(struct boxlite *b, const char *id_or_name, struct boxlite_box **out,
			    struct boxlite_error *err)
{
	struct db_box row = { 0 };
	struct error e = { 0 };
	int r = b && id_or_name && out ? db_box_get(b->home->db, id_or_name, &row, &e) : lib_missing(&e);

	if (r == 0)
		r = wrap(b, &row, out, &e);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

PUBLIC void boxlite_box_close(struct boxlite_box *box)
{
	if (!box)
		return;
	close_fd(&box->maker_fd);
	db_box_fini(&box->row);
	if (box->spec)
		box_spec_fini(box->spec);
	free(box->spec);
	free(box->folder);
	free(box);
}

PUBLIC const char *boxlite_box_id(const struct boxlite_box *box)
{
	return box ? box->row.id : NULL;
}

PUBLIC const char *boxlite_box_folder(const struct boxlite_box *box)
{
	return box ? box->folder : NULL;
}

/* What the box was made with; a row that cannot be read has none of it. */
struct traits {
	bool tty, idle, debug;
};

static struct traits traits_of(const struct boxlite_box *box)
{
	struct box_spec spec = BOX_SPEC_INIT;
	struct traits t = { 0 };

	if (box && box_spec_parse(box->row.spec, &spec, NULL) == 0)
		t = (struct traits){ spec.main.tty, spec.main.argv.n == 0, spec.debug };
	box_spec_fini(&spec);
	return t;
}

int lib_spec(struct boxlite_box *box, const struct box_spec **ret, struct error *err)
{
	struct box_spec spec = BOX_SPEC_INIT;
	int r;

	if (!box->spec) {
		r = box_spec_parse(box->row.spec, &spec, err);
		if (r < 0)
			return r;
		box->spec = malloc(sizeof(*box->spec));
		if (!box->spec) {
			box_spec_fini(&spec);
			return error_nomem(err);
		}
		*box->spec = spec;
	}
	*ret = box->spec;
	return 0;
}

PUBLIC int boxlite_box_has_tty(const struct boxlite_box *box)
{
	return traits_of(box).tty;
}

PUBLIC int boxlite_box_is_idle(const struct boxlite_box *box)
{
	return traits_of(box).idle;
}

PUBLIC int boxlite_box_start(struct boxlite_box *box, const struct boxlite_start_options *opts,
			     struct boxlite_process **out, struct boxlite_error *err)
{
	struct boxlite_start_options none = BOXLITE_OPTIONS(boxlite_start_options), o;
	struct child shim = CHILD_NONE;
	struct box_start how;
	struct buf opening = BUF_INIT(4 * KIB);
	struct error e = { 0 };
	uint64_t start_ns = clock_ns();
	int sock = -1, r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);

	if (r < 0)
		return r;
	how = (struct box_start){ o.rows, o.cols, o.trace_kernel != 0, o.detach != 0, false };
	r = box && out ? 0 : lib_missing(&e);
	if (r == 0 && wire_put_hello(&opening, "library") < 0)
		r = error_nomem(&e);
	if (r == 0)
		r = box_start(box->home, &box->row, &how, &sock, &shim, &e);
	if (r == 0)
		r = lib_process_new(box->b, sock, &shim, &opening, out, &e);
	if (r == 0)
		lib_process_starts_box(*out, start_ns, how.detached);
	if (r == 0 && box->row.auto_remove) {
		lib_process_removes(*out, box->row.id, traits_of(box).debug);
		close_fd(&box->maker_fd); /* it has a log by now, which says that it was started */
	}
	buf_fini(&opening);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

PUBLIC int boxlite_box_is_running(struct boxlite_box *box, struct boxlite_error *err)
{
	struct error e = { 0 };
	int r = box ? box_is_running(box->home, box->row.id, &e) : lib_missing(&e);

	return r < 0 ? lib_fail(err, &e, r) : r;
}

PUBLIC int boxlite_box_wait(struct boxlite_box *box, struct boxlite_error *err)
{
	struct error e = { 0 };
	int r = box ? box_wait(box->home, box->row.id, &e) : lib_missing(&e);

	return r < 0 ? lib_fail(err, &e, r) : 0;
}

PUBLIC int boxlite_box_remove(struct boxlite_box *box, int force, struct boxlite_error *err)
{
	struct error e = { 0 };
	int r = box ? box_remove(box->home, box->row.id, force != 0, &e) : lib_missing(&e);

	return r < 0 ? lib_fail(err, &e, r) : 0;
}

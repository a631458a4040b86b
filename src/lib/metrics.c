/*
 * What boxes use. Each shim is asked over box.sock (wire/metrics.h). A list asks many of them before it waits for the
 * first: guests that do not answer are then waited for together. Not all, because each is a connection: BATCH of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "box/ask.h"
#include "box/look.h"
#include "lib/lib.h"
#include "wire/metrics.h"

#define BATCH 64
#define BOXES_MAX 1000000

/* of: the box or the home that they are to be of. */
static int check(const void *of, const struct boxlite_metrics *out, struct error *err)
{
	if (!of || !out)
		return lib_missing(err);
	return out->size >= sizeof(size_t) ? 0 : error_set(err, -EINVAL, "metrics without a size");
}

static void copy_out(struct boxlite_metrics *out, const struct boxlite_metrics *m)
{
	size_t size = out->size;

	memcpy(out, m, MIN(size, sizeof(*m)));
	out->size = size;
}

/* Both count in one order. */
#define SAME(name) _Static_assert((int)NET_REASON_##name == (int)BOXLITE_DENIED_##name, #name)
SAME(RULE); SAME(NOT_ALLOWED); SAME(DNS_SERVER); SAME(NAME); SAME(CLAIM); SAME(HOST); SAME(PRIVATE);
SAME(LINK_LOCAL); SAME(METADATA); SAME(SPECIAL); SAME(LIMIT); SAME(TLS_VERIFY); SAME(ALPN); SAME(AUTHORITY);
SAME(METHOD); SAME(MALFORMED); SAME(TOO_LONG); SAME(SECRET_LATE);
#undef SAME
_Static_assert(NET_REASONS == BOXLITE_DENIED_SECRET_LATE + 1 &&
		       NET_REASONS <= ARRAY_SIZE(((struct boxlite_metrics *)0)->net_denied_for),
	       "and there is room for all");

PUBLIC const char *boxlite_denied_name(int why)
{
	return why >= 0 && why < NET_REASONS ? net_reason_word((enum net_reason)why) : NULL;
}

static void fill(struct boxlite_metrics *out, const struct box_metrics *m)
{
	const struct guest_metrics *g = &m->guest;
	const struct host_metrics *h = &m->host;
	struct boxlite_timing timing = { 0 };

	lib_timing(&m->timing, m->timing.at[TIMING_SHIM], &timing);
	*out = (struct boxlite_metrics){
		.size = sizeof(*out), .boxes = 1, .guests = m->has_guest,
		.pid = (int)MIN(h->pid, (uint64_t)INT32_MAX),
		.cpu_user_ns = h->cpu_user_ns, .cpu_system_ns = h->cpu_system_ns,
		.memory_bytes = h->memory_bytes, .memory_peak_bytes = h->memory_peak_bytes,
		.memory_private_bytes = h->memory_private_bytes, .threads = h->threads,
		.read_bytes = h->read_bytes, .written_bytes = h->written_bytes,
		.uptime_ns = m->uptime_ns, .execs_started = m->execs_started, .execs_running = m->execs_running,
		.execs_failed = m->execs_failed, .input_bytes = m->input_bytes, .output_bytes = m->output_bytes,
		.boot_setup_ns = timing.setup, .boot_machine_ns = timing.machine, .boot_kernel_ns = timing.kernel,
		.boot_agent_ns = timing.agent,
		.guest_memory_bytes = g->memory_bytes, .guest_memory_available_bytes = g->memory_available_bytes,
		.guest_box_memory_bytes = g->box_memory_bytes, .guest_cpu_user_ns = g->cpu_user_ns,
		.guest_cpu_system_ns = g->cpu_system_ns, .guest_processes = g->processes,
		.guest_read_bytes = g->read_bytes, .guest_written_bytes = g->written_bytes,
		.guest_disk_bytes = g->disk_bytes, .guest_disk_used_bytes = g->disk_used_bytes,
		.guest_received_bytes = g->received_bytes, .guest_sent_bytes = g->sent_bytes,
		.net_received_packets = h->net_received_packets, .net_sent_packets = h->net_sent_packets,
		.net_connections = h->net_connections, .net_flows = h->net_flows, .net_denied = h->net_denied,
	};
	memcpy(out->net_denied_for, h->net_denied_for, sizeof(h->net_denied_for));
}

static int ask(struct home *h, const char *id, bool guest, struct conn *ret, struct error *err)
{
	auto_buf struct buf message = BUF_INIT(KIB);

	if (wire_put_metrics_request(&message, guest) < 0)
		return error_nomem(err);
	return ask_start(h, id, &message, ret, err);
}

static int await(struct conn *c, const char *id, struct boxlite_metrics *out, struct error *err)
{
	struct box_metrics m;
	struct frame f;
	int r = ask_await(c, id, FRAME_METRICS, &f, err);

	if (r == 0 && wire_get_metrics(&f, &m) < 0)
		r = error_set(err, -EBADMSG, "the shim of box %s broke the protocol", id);
	if (r == 0)
		fill(out, &m);
	return r;
}

PUBLIC int boxlite_box_metrics(struct boxlite_box *box, struct boxlite_metrics *out, struct boxlite_error *err)
{
	struct boxlite_metrics m;
	struct box_state state;
	struct error e = { 0 };
	struct conn c;
	int r = check(box, out, &e);

	if (r == 0)
		r = ask(box->home, box->row.id, true, &c, &e);
	if (r < 0)
		return lib_fail(err, &e, r);
	r = await(&c, box->row.id, &m, &e);
	conn_fini(&c);
	if (r < 0)
		return lib_fail(err, &e, r);
	if (box_look(box->home, box->row.id, &state) == 0)
		m.disk_used_bytes = state.disk_bytes;
	copy_out(out, &m);
	return 0;
}

/* --- lists ---------------------------------------------------------------------------------------- */

struct list {
	struct home *home;
	const struct boxlite_metrics_options *o;
	boxlite_metrics_fn *fn;
	void *ud;
	struct strv ids;
	struct error *err; /* has no code after what is not a failure of this process */
};

static int add_running(const struct db_box *b, void *ud)
{
	struct list *l = ud;

	int r = box_is_running(l->home, b->id, l->err);

	if (r == 1 && strv_add(&l->ids, b->id) < 0)
		r = error_nomem(l->err);
	return MIN(r, 0);
}

/* Of the row of a box, and what its shim has said, which may be nothing. */
struct told {
	const struct list *l;
	struct boxlite_metrics m;
};

static int tell(const struct boxlite_box_info *i, void *ud)
{
	struct told *t = ud;

	if (!t->m.boxes && !t->l->o->boxes)
		return 0; /* it has ended meanwhile, and nobody has named it */
	t->m.disk_used_bytes = i->disk_used_bytes;
	return t->l->fn(i, &t->m, t->l->ud);
}

/* A box that ends meanwhile has no figures any more, nor has one whose shim makes trouble: that is no failure of the
 * list. What this process lacks is one. */
static bool is_of_box(int code)
{
	return code == -ENOTCONN || code == -ETIMEDOUT || code == -EBADMSG || code == -EPROTO;
}

static int take_one(const struct list *l, const char *id, struct conn *c)
{
	struct told t = { .l = l, .m = { .size = sizeof(t.m) } };
	struct db_box row = { 0 };
	struct error e = { 0 };
	int r = c->fd >= 0 ? await(c, id, &t.m, &e) : 0;

	conn_fini(c);
	if (r < 0) {
		if (!is_of_box(r)) {
			*l->err = e;
			return r;
		}
		e = (struct error){ 0 };
		t.m = (struct boxlite_metrics){ .size = sizeof(t.m) };
	}
	r = db_box_get(l->home->db, id, &row, &e);
	if (r == -ENOENT)
		return 0; /* it was removed */
	if (r == 0)
		r = lib_describe(l->home, &row, tell, &t, &e);
	db_box_fini(&row);
	*l->err = e;
	return r;
}

static int take_batch(const struct list *l, char **ids, size_t n)
{
	struct conn c[BATCH];
	struct error e;
	size_t i;
	int r = 0, asked;

	for (i = 0; i < n; i++) {
		e = (struct error){ 0 };
		asked = r == 0 ? ask(l->home, ids[i], !l->o->host_only, &c[i], &e) : r;
		if (asked < 0)
			c[i] = (struct conn){ .fd = -1 };
		if (asked < 0 && r == 0 && !is_of_box(asked)) {
			*l->err = e;
			r = asked;
		}
	}
	for (i = 0; i < n; i++) {
		if (r == 0)
			r = take_one(l, ids[i], &c[i]);
		else
			conn_fini(&c[i]);
	}
	return r;
}

static int collect_ids(struct list *l, struct error *err)
{
	const char *const *id;
	int r = 0;

	if (!l->o->boxes)
		return db_box_each(l->home->db, add_running, l, err);
	for (id = l->o->boxes; r == 0 && *id; id++)
		r = strv_add(&l->ids, *id);
	return r < 0 ? error_nomem(err) : 0;
}

PUBLIC int boxlite_metrics_list(struct boxlite *b, const struct boxlite_metrics_options *opts, boxlite_metrics_fn *fn,
				void *ud, struct boxlite_error *err)
{
	struct boxlite_metrics_options none = BOXLITE_OPTIONS(boxlite_metrics_options), o;
	struct error e = { 0 };
	struct list l = {
		.home = b ? b->home : NULL, .o = &o, .fn = fn, .ud = ud, .ids = STRV_INIT(BOXES_MAX), .err = &e,
	};
	int r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);
	size_t i;

	if (r < 0)
		return r;
	r = b && fn ? collect_ids(&l, &e) : lib_missing(&e);
	if (r < 0) {
		strv_fini(&l.ids);
		return lib_fail(err, &e, r);
	}
	for (i = 0; r == 0 && i < l.ids.n; i += BATCH)
		r = take_batch(&l, l.ids.v + i, MIN(l.ids.n - i, (size_t)BATCH));
	strv_fini(&l.ids);
	return e.code ? lib_fail(err, &e, r) : r;
}

/* --- the sum -------------------------------------------------------------------------------------- */

/* Every number of the structure that is a uint64_t; but for those of net_denied_for, which are the last ones. */
static const size_t summed[] = {
#define AT(name) offsetof(struct boxlite_metrics, name)
	AT(cpu_user_ns), AT(cpu_system_ns), AT(memory_bytes), AT(memory_peak_bytes), AT(memory_private_bytes),
	AT(threads), AT(read_bytes), AT(written_bytes), AT(disk_used_bytes), AT(uptime_ns), AT(execs_started),
	AT(execs_running), AT(execs_failed), AT(input_bytes), AT(output_bytes), AT(boot_setup_ns), AT(boot_machine_ns),
	AT(boot_kernel_ns), AT(boot_agent_ns), AT(guest_memory_bytes), AT(guest_memory_available_bytes),
	AT(guest_box_memory_bytes), AT(guest_cpu_user_ns), AT(guest_cpu_system_ns), AT(guest_processes),
	AT(guest_read_bytes), AT(guest_written_bytes), AT(guest_disk_bytes), AT(guest_disk_used_bytes),
	AT(guest_received_bytes), AT(guest_sent_bytes), AT(net_received_packets), AT(net_sent_packets),
	AT(net_connections), AT(net_flows), AT(net_denied),
#undef AT
};

_Static_assert(offsetof(struct boxlite_metrics, net_denied_for) ==
		       offsetof(struct boxlite_metrics, cpu_user_ns) + ARRAY_SIZE(summed) * sizeof(uint64_t),
	       "all of them");

/* A guest may claim any number: the sum stays at its largest. */
static void add_number(uint64_t *to, uint64_t more)
{
	if (__builtin_add_overflow(*to, more, to))
		*to = UINT64_MAX;
}

static int add(const struct boxlite_box_info *i, const struct boxlite_metrics *m, void *ud)
{
	struct boxlite_metrics *sum = ud;
	size_t k;

	(void)i;
	sum->boxes += m->boxes;
	sum->guests += m->guests;
	for (k = 0; k < ARRAY_SIZE(summed); k++)
		add_number((uint64_t *)(void *)((char *)sum + summed[k]),
			   *(const uint64_t *)(const void *)((const char *)m + summed[k]));
	for (k = 0; k < ARRAY_SIZE(sum->net_denied_for); k++)
		add_number(&sum->net_denied_for[k], m->net_denied_for[k]);
	return 0;
}

PUBLIC int boxlite_metrics(struct boxlite *b, struct boxlite_metrics *out, struct boxlite_error *err)
{
	struct boxlite_metrics sum = { .size = sizeof(sum) };
	struct error e = { 0 };
	int r = check(b, out, &e);

	if (r < 0)
		return lib_fail(err, &e, r);
	r = boxlite_metrics_list(b, NULL, add, &sum, err);
	if (r == 0)
		copy_out(out, &sum);
	return r;
}

/* --- top ------------------------------------------------------------------------------------------ */

static int tell_tasks(const struct top_list *l, boxlite_task_fn *fn, void *ud)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < l->n; i++) {
		const struct top_process *p = &l->v[i];
		struct boxlite_task t = {
			.pid = p->pid,
			.ppid = p->ppid,
			.uid = p->uid,
			.user = *p->user ? p->user : NULL,
			.state = p->state,
			.cpu_ns = p->cpu_ns,
			.memory_bytes = p->memory_bytes,
			.command = p->command,
			.truncated = l->truncated,
		};

		r = fn(&t, ud);
	}
	return r;
}

PUBLIC int boxlite_box_top(struct boxlite_box *box, boxlite_task_fn *fn, void *ud, struct boxlite_error *err)
{
	auto_buf struct buf message = BUF_INIT(KIB);
	struct top_list l = { 0 };
	const char *id = boxlite_box_id(box);
	struct error e = { 0 };
	struct frame f;
	struct conn c;
	int r = id && fn ? 0 : lib_missing(&e);

	if (r == 0)
		r = wire_put_empty(&message, FRAME_TOP, 0) < 0 ? error_nomem(&e)
							       : ask_start(box->home, id, &message, &c, &e);
	if (r < 0)
		return lib_fail(err, &e, r);
	r = ask_await(&c, id, FRAME_TOP, &f, &e);
	if (r == 0)
		r = wire_get_top(&f, TOP_MAX, &l, &e);
	if (r == -EIO)
		error_prefix(&e, "box %s", id);
	conn_fini(&c);
	if (r < 0)
		return lib_fail(err, &e, r);
	r = tell_tasks(&l, fn, ud);
	top_list_fini(&l);
	return r;
}

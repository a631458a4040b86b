/* What can be done to a box from outside, whoever has started it. */
#include <errno.h>
#include <signal.h>

#include "box/output.h"
#include "box/secrets.h"
#include "lib/lib.h"

PUBLIC int boxlite_box_stop(struct boxlite_box *box, const struct boxlite_stop_options *opts, struct boxlite_error *err)
{
	struct boxlite_stop_options none = BOXLITE_OPTIONS(boxlite_stop_options), o;
	const struct box_spec *spec;
	struct error e = { 0 };
	uint32_t grace_ms;
	int r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);

	if (r < 0)
		return r;
	r = box ? lib_spec(box, &spec, &e) : lib_missing(&e);
	if (r == 0 && o.to_restart)
		r = secrets_check(&spec->net, &e);
	if (r < 0)
		return lib_fail(err, &e, r);
	grace_ms = o.at_once ? 0 : o.grace_ms ? o.grace_ms : spec->stop_grace_ms;
	r = o.no_wait ? box_ask_to_stop(box->home, box->row.id, grace_ms, &e)
		      : box_stop(box->home, box->row.id, grace_ms, &e);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

PUBLIC int boxlite_box_signal(struct boxlite_box *box, int signo, struct boxlite_error *err)
{
	struct error e = { 0 };
	int r = box ? 0 : lib_missing(&e);

	if (r == 0 && (signo < 1 || signo > SIGRTMAX))
		r = error_set(&e, -EINVAL, "there is no signal %d", signo);
	if (r == 0)
		r = box_signal(box->home, box->row.id, signo, &e);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

PUBLIC int boxlite_box_rename(struct boxlite_box *box, const char *name, struct boxlite_error *err)
{
	struct error e = { 0 };
	int r = !box ? lib_missing(&e) : name ? box_rename(box->home, box->row.id, name, &e) : error_set(&e, -EINVAL, "no name was given");

	return r < 0 ? lib_fail(err, &e, r) : 0;
}

/* --- logs ------------------------------------------------------------------------------------- */

struct logs {
	boxlite_log_fn *fn;
	void *ud;
};

static int on_record(const struct logrec *r, const char *data, void *ud)
{
	const struct logs *l = ud;
	struct boxlite_log_entry e = {
		.channel = r->channel == CHANNEL_STDERR ? BOXLITE_STDERR : BOXLITE_STDOUT,
		.time_ns = (int64_t)r->time_ns,
		.data = data,
		.len = r->len,
	};

	return l->fn(&e, l->ud);
}

PUBLIC int boxlite_box_logs(struct boxlite_box *box, const struct boxlite_logs_options *opts, boxlite_log_fn *fn,
			    void *ud, struct boxlite_error *err)
{
	struct boxlite_logs_options none = BOXLITE_OPTIONS(boxlite_logs_options), o;
	struct logs l = { fn, ud };
	struct error e = { 0 };
	int r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);
	struct output_query q;
	int said;

	if (r < 0)
		return r;
	q = (struct output_query){
		.follow = o.follow != 0,
		.since_ns = o.since_ns > 0 ? (uint64_t)o.since_ns : 0,
		.tail = o.tail > 0 ? o.tail : -1,
		.cancel_fd = o.cancel_fd > 0 ? o.cancel_fd : -1,
	};
	r = box && fn ? output_read(box->home, box->row.id, &q, on_record, &l, &said, &e) : lib_missing(&e);
	return r < 0 ? lib_fail(err, &e, r) : said;
}

#include <errno.h>
#include <string.h>

#include "lib/lib.h"

/* The box's environment with the caller's over it, its folder and user unless the caller says otherwise. */
static int fill(struct proc_spec *s, const struct boxlite_exec_options *o, const struct box_spec *box)
{
	const char *const *v;
	const char *cwd = o->workdir && *o->workdir ? o->workdir : box->main.cwd;
	const char *user = o->user && *o->user ? o->user : box->main.user;
	size_t i;
	int r = 0;

	for (v = o->argv; r == 0 && v && *v; v++)
		r = strv_add(&s->argv, *v);
	for (i = 0; r == 0 && i < box->main.env.n; i++)
		r = strv_add(&s->env, box->main.env.v[i]);
	if (r == 0 && o->tty && !strv_get_env(&s->env, "TERM"))
		r = strv_add(&s->env, "TERM=xterm");
	for (v = o->env; r == 0 && v && *v; v++)
		r = strv_set_env(&s->env, *v);
	s->cwd = cwd ? strdup(cwd) : NULL;
	s->user = user ? strdup(user) : NULL;
	s->tty = o->tty != 0;
	s->stdin_open = o->stdin_open != 0;
	s->rows = o->rows;
	s->cols = o->cols;
	return r < 0 || (cwd && !s->cwd) || (user && !s->user) ? (r < 0 ? r : -ENOMEM) : 0;
}

static int build_opening(struct boxlite_box *box, const struct boxlite_exec_options *o, struct buf *opening,
			 struct error *err)
{
	struct box_spec spec = BOX_SPEC_INIT;
	struct proc_spec proc = PROC_SPEC_INIT;
	int r = box_spec_parse(box->row.spec, &spec, err);

	if (r < 0)
		return r;
	r = fill(&proc, o, &spec);
	if (r == 0)
		r = wire_put_hello(opening, "library");
	if (r == 0)
		r = wire_put_start(opening, SPEC_ATTACH_STREAM, &proc);
	if (r < 0)
		error_code(err, r, "cannot describe the process");
	proc_spec_fini(&proc);
	box_spec_fini(&spec);
	return r;
}

PUBLIC int boxlite_box_exec(struct boxlite_box *box, const struct boxlite_exec_options *opts,
			    struct boxlite_process **out, struct boxlite_error *err)
{
	struct buf opening = BUF_INIT(2 * (FRAME_HEADER + FRAME_PAYLOAD_MAX));
	struct boxlite_exec_options o;
	struct child none = CHILD_NONE;
	struct error e = { 0 };
	int sock, r = lib_copy_options(&o, sizeof(o), opts, err);

	if (r < 0)
		return r;
	if (!o.argv || !o.argv[0]) {
		error_set(&e, -EINVAL, "no program to run was given");
		return lib_fail(err, &e, -EINVAL);
	}
	r = build_opening(box, &o, &opening, &e);
	sock = r < 0 ? r : box_connect(box->home, box->row.id, &e);
	if (sock >= 0)
		r = lib_process_new(box->home, sock, &none, &opening, out, &e);
	else
		r = sock;
	buf_fini(&opening);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

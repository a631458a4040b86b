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
	s->detached = o->detach != 0;
	s->timeout_ms = o->timeout_ms;
	s->rows = o->rows;
	s->cols = o->cols;
	return r < 0 || (cwd && !s->cwd) || (user && !s->user) ? (r < 0 ? r : -ENOMEM) : 0;
}

static int build_opening(struct boxlite_box *box, const struct boxlite_exec_options *o, struct buf *opening,
			 struct error *err)
{
	const struct box_spec *spec;
	struct proc_spec proc = PROC_SPEC_INIT;
	int r = lib_spec(box, &spec, err);

	if (r < 0)
		return r;
	r = fill(&proc, o, spec);
	if (r == 0)
		r = wire_put_hello(opening, "library");
	if (r == 0)
		r = wire_put_start(opening, SPEC_ATTACH_STREAM, &proc);
	if (r == -EINVAL)
		error_set(err, r, "a variable has no name");
	else if (r == -EMSGSIZE || r == -ENOBUFS || r == -E2BIG)
		r = error_set(err, -E2BIG, "the arguments and variables of a process may have 4 MB at most");
	else if (r < 0)
		error_code(err, r, "cannot describe the process");
	proc_spec_fini(&proc);
	return r;
}

/* A process whose opening says which one it is. */
static int open_process(struct boxlite_box *box, struct buf *opening, struct boxlite_process **out, struct error *err)
{
	struct child none = CHILD_NONE;
	int sock = box_connect(box->home, box->row.id, err);

	return sock < 0 ? sock : lib_process_new(box->b, sock, &none, opening, out, err);
}

PUBLIC int boxlite_box_exec(struct boxlite_box *box, const struct boxlite_exec_options *opts,
			    struct boxlite_process **out, struct boxlite_error *err)
{
	struct buf opening = BUF_INIT(2 * (FRAME_HEADER + FRAME_PAYLOAD_MAX));
	struct boxlite_exec_options o;
	struct error e = { 0 };
	int r = lib_copy_options(&o, sizeof(o), opts, err);

	if (r < 0)
		return r;
	if (!box || !out)
		r = lib_missing(&e);
	else if (!o.argv || !o.argv[0])
		r = error_set(&e, -EINVAL, "no program to run was given");
	else
		r = build_opening(box, &o, &opening, &e);
	if (r == 0)
		r = open_process(box, &opening, out, &e);
	buf_fini(&opening);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

PUBLIC int boxlite_box_attach(struct boxlite_box *box, const struct boxlite_attach_options *opts,
			      struct boxlite_process **out, struct boxlite_error *err)
{
	struct boxlite_attach_options none = BOXLITE_OPTIONS(boxlite_attach_options), o;
	auto_buf struct buf opening = BUF_INIT(4 * KIB);
	struct error e = { 0 };
	int r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);

	if (r < 0)
		return r;
	if (!box || !out)
		return lib_fail(err, &e, lib_missing(&e));
	r = wire_put_hello(&opening, "library");
	if (r == 0)
		r = wire_put_attach(&opening, SPEC_ATTACH_STREAM, o.exec, o.input != 0);
	if (r == 0 && o.rows && o.cols)
		r = wire_put_resize(&opening, SPEC_ATTACH_STREAM, o.rows, o.cols);
	if (r < 0)
		error_code(&e, r, "cannot ask for a process");
	else
		r = open_process(box, &opening, out, &e);
	if (r == 0)
		lib_process_is_attached(*out, o.exec == 0, o.input != 0);
	return r < 0 ? lib_fail(err, &e, r) : 0;
}

#include "box/doctor.h"

#include "lib/lib.h"

struct report {
	boxlite_finding_fn *fn;
	void *ud;
};

static int on_finding(const struct finding *f, void *ud)
{
	const struct report *r = ud;
	struct boxlite_finding out = {
		.id = f->id,
		.level = (int)f->level,
		.what = f->what,
		.remedy = f->remedy,
	};

	return r->fn(&out, r->ud);
}

PUBLIC int boxlite_doctor(const struct boxlite_doctor_options *opts, boxlite_finding_fn *fn, void *ud,
			  struct boxlite_error *err)
{
	struct boxlite_doctor_options none = BOXLITE_OPTIONS(boxlite_doctor_options), o;
	struct report report = { .fn = fn, .ud = ud };
	struct error e = { 0 };
	int r = lib_copy_options(&o, sizeof(o), opts ? opts : &none, err);

	if (r < 0)
		return r;
	r = fn ? doctor_run(o.home, on_finding, &report, &e) : lib_missing(&e);
	return r < 0 ? lib_fail(err, &e, r) : r;
}

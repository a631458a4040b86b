#include "lib/lib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "box/events.h"

int lib_fail(struct boxlite_error *out, const struct error *err, int code_fallback)
{
	int code = err->code ? err->code : code_fallback;
	struct error unsaid = { 0 };

	if (!err->code) { /* where it failed nobody had an error to write to */
		error_set(&unsaid, code, "%s", strerror(-code));
		err = &unsaid;
	}
	if (out) {
		out->code = code;
		memcpy(out->text, err->text, sizeof(out->text));
		_Static_assert(sizeof(out->text) == sizeof(err->text), "same length");
	}
	return code;
}

int lib_missing(struct error *err)
{
	return error_set(err, -EINVAL, "an argument that must be given is NULL");
}

int lib_copy_options(void *to, size_t to_size, const void *from, struct boxlite_error *err)
{
	struct error e = { 0 };
	size_t from_size = 0;

	if (from)
		memcpy(&from_size, from, sizeof(from_size));
	if (from_size < sizeof(size_t)) {
		error_set(&e, -EINVAL, "options without a size");
		return lib_fail(err, &e, -EINVAL);
	}
	memset(to, 0, to_size);
	memcpy(to, from, MIN(to_size, from_size));
	return 0;
}

PUBLIC const char *boxlite_version(void)
{
	return BOXLITE_VERSION;
}

PUBLIC int boxlite_open(const char *home, struct boxlite **out, struct boxlite_error *err)
{
	struct error e = { 0 };
	struct boxlite *b = out ? calloc(1, sizeof(*b)) : NULL;
	int r = b ? home_open(home, &b->home, &e) : out ? error_nomem(&e) : lib_missing(&e);

	if (r < 0) {
		free(b);
		return lib_fail(err, &e, r);
	}
	dispatch_init(&b->d);
	box_recover(b->home);
	events_trim(b->home);
	*out = b;
	return 0;
}

PUBLIC void boxlite_close(struct boxlite *b)
{
	if (!b)
		return;
	lib_close_watches(b);
	dispatch_fini(&b->d);
	home_close(b->home);
	free(b);
}

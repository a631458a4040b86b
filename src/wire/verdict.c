#include "wire/verdict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"

int verdict_fails(struct verdict *v, const char *step, const char *fmt, ...)
{
	va_list ap;

	v->works = false;
	snprintf(v->step, sizeof(v->step), "%s", step);
	va_start(ap, fmt);
	vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
	va_end(ap);
	error_flatten(v->reason);
	return 0;
}

int verdict_put(struct buf *out, const struct verdict *v)
{
	auto_json json_t *j = json_pack("{s:b, s:s, s:s, s:I, s:I}", "works", v->works, "step", v->step,
					"reason", v->reason, "create_us", (json_int_t)v->create_us,
					"run_us", (json_int_t)v->run_us);
	char *text = j ? json_dumps(j, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	int r = text ? buf_printf(out, "%s\n", text) : -ENOMEM;

	free(text);
	return r;
}

static uint32_t get_us(const json_t *j, const char *key, bool *bad)
{
	uint64_t us = json_get_u64(j, key, 0, bad);

	return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

int verdict_get(const void *p, size_t n, struct verdict *ret, struct error *err)
{
	auto_json json_t *j = json_parse(p, n, "the probe's verdict", err);
	struct verdict v = { 0 };
	bool bad = false;

	if (!j)
		return -EBADMSG;
	v.works = json_get_bool(j, "works", false, &bad);
	snprintf(v.step, sizeof(v.step), "%s", json_get_str(j, "step", "", &bad));
	snprintf(v.reason, sizeof(v.reason), "%s", json_get_str(j, "reason", "", &bad));
	v.create_us = get_us(j, "create_us", &bad);
	v.run_us = get_us(j, "run_us", &bad);
	if (bad || !json_object_get(j, "works"))
		return error_set(err, -EBADMSG, "the probe's verdict is malformed");
	error_flatten(v.step);
	error_flatten(v.reason);
	*ret = v;
	return 0;
}

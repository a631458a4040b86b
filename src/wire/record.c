#include "wire/record.h"

#include <errno.h>
#include <string.h>

#include "base/clean.h"
#include "base/newfile.h"

json_t *exit_record_to_json(const struct exit_record *r)
{
	json_t *j = proc_exit_to_json(&r->exit);

	if (j && (json_object_set_new(j, "started_at", json_integer((json_int_t)r->started_at)) < 0 ||
		  json_object_set_new(j, "finished_at", json_integer((json_int_t)r->finished_at)) < 0 ||
		  json_object_set_new(j, "timing", timing_to_json(&r->timing)) < 0)) {
		json_decref(j);
		return NULL;
	}
	return j;
}

int exit_record_write(int box_fd, const struct exit_record *r)
{
	auto_json json_t *j = exit_record_to_json(r);
	auto_free char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	return text ? newfile_write(box_fd, "exit.json", text, strlen(text)) : -ENOMEM;
}

int exit_record_from_json(const json_t *j, struct exit_record *ret)
{
	struct exit_record r = { 0 };
	bool bad = false;
	const json_t *timing = json_get_obj(j, "timing", &bad);

	r.started_at = (int64_t)json_get_u64(j, "started_at", 0, &bad);
	r.finished_at = (int64_t)json_get_u64(j, "finished_at", 0, &bad);
	if (bad || proc_exit_from_json(j, &r.exit) < 0 || (timing && timing_from_json(timing, &r.timing) < 0))
		return -EBADMSG;
	*ret = r;
	return 0;
}

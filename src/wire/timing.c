#include "wire/timing.h"

#include <errno.h>

#include "wire/message.h"

static const char *const names[TIMING_STAGES] = { "shim", "engine", "vmm", "guest", "agent",
						  "ready", "main", "exit", "end" };

int wire_put_timing(struct buf *out, const struct timing *t)
{
	json_t *j = json_object();
	unsigned i;

	for (i = 0; j && i < TIMING_STAGES; i++)
		if (json_object_set_new(j, names[i], json_integer((json_int_t)t->at[i])) < 0) {
			json_decref(j);
			j = NULL;
		}
	return message_put(out, FRAME_TIMING, 0, j);
}

int wire_get_timing(const struct frame *f, struct timing *ret)
{
	auto_json json_t *j = message_get(f, NULL);
	struct timing t;
	bool bad = false;
	unsigned i;

	for (i = 0; j && i < TIMING_STAGES; i++)
		t.at[i] = json_get_u64(j, names[i], 0, &bad);
	if (!j || bad)
		return -EBADMSG;
	*ret = t;
	return 0;
}

int wire_put_ready(struct buf *out, uint64_t since_start)
{
	return message_put(out, FRAME_READY, 0, json_pack("{s:I}", "since_start", (json_int_t)since_start));
}

int wire_get_ready(const struct frame *f, uint64_t *ret_since_start)
{
	auto_json json_t *j = message_get(f, NULL);
	bool bad = false;
	uint64_t n = json_get_u64(j, "since_start", 0, &bad);

	if (!j || bad)
		return -EBADMSG;
	*ret_since_start = n;
	return 0;
}

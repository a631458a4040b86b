#include "wire/timing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wire/message.h"

static const char *const names[TIMING_STAGES] = { "shim", "engine", "vmm", "guest", "agent",
						  "ready", "main", "exit", "end" };

static json_t *parts_to_json(const struct timing_parts *t)
{
	json_t *j = json_array();
	unsigned i;

	for (i = 0; j && i < t->n; i++)
		if (json_array_append_new(j, json_pack("[s,I]", t->part[i].name, (json_int_t)t->part[i].ns)) < 0) {
			json_decref(j);
			return NULL;
		}
	return j;
}

static bool is_printable(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

/* An object without any has none. */
static int parts_from_json(const json_t *object, struct timing_parts *ret)
{
	const json_t *j = json_object_get(object, "kernel");
	struct timing_parts t = { 0 };
	const char *name;
	json_int_t ns;

	if (j && (!json_is_array(j) || json_array_size(j) > TIMING_PARTS_MAX))
		return -EBADMSG;
	for (t.n = 0; t.n < json_array_size(j); t.n++) {
		if (json_unpack(json_array_get(j, t.n), "[s,I!]", &name, &ns) < 0 || ns < 0 ||
		    strlen(name) >= TIMING_PART_NAME || !is_printable(name))
			return -EBADMSG;
		snprintf(t.part[t.n].name, TIMING_PART_NAME, "%s", name);
		t.part[t.n].ns = (uint64_t)ns;
	}
	*ret = t;
	return 0;
}

json_t *timing_to_json(const struct timing *t)
{
	json_t *j = json_object();
	unsigned i;

	for (i = 0; j && i < TIMING_STAGES; i++)
		if (json_object_set_new(j, names[i], json_integer((json_int_t)t->at[i])) < 0) {
			json_decref(j);
			j = NULL;
		}
	if (j && t->kernel.n && json_object_set_new(j, "kernel", parts_to_json(&t->kernel)) < 0) {
		json_decref(j);
		j = NULL;
	}
	return j;
}

int timing_from_json(const json_t *j, struct timing *ret)
{
	struct timing t = { 0 };
	bool bad = false;
	unsigned i;

	for (i = 0; j && i < TIMING_STAGES; i++)
		t.at[i] = json_get_u64(j, names[i], 0, &bad);
	if (!j || bad || parts_from_json(j, &t.kernel) < 0)
		return -EBADMSG;
	*ret = t;
	return 0;
}

int wire_put_timing(struct buf *out, const struct timing *t)
{
	return message_put(out, FRAME_TIMING, 0, timing_to_json(t));
}

int wire_get_timing(const struct frame *f, struct timing *ret)
{
	auto_json json_t *j = message_get(f, NULL);

	return timing_from_json(j, ret);
}

int wire_put_ready(struct buf *out, uint64_t since_start, const struct timing_parts *kernel)
{
	json_t *parts = kernel->n ? parts_to_json(kernel) : NULL;

	if (kernel->n && !parts)
		return -ENOMEM;
	return message_put(out, FRAME_READY, 0,
			   json_pack("{s:I, s:o*}", "since_start", (json_int_t)since_start, "kernel", parts));
}

int wire_get_ready(const struct frame *f, uint64_t *ret_since_start, struct timing_parts *ret_kernel)
{
	auto_json json_t *j = message_get(f, NULL);
	bool bad = false;
	uint64_t n = json_get_u64(j, "since_start", 0, &bad);

	if (!j || bad || parts_from_json(j, ret_kernel) < 0)
		return -EBADMSG;
	*ret_since_start = n;
	return 0;
}

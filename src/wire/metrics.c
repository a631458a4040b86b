#include "wire/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

/* The members of a structure that are numbers, under the same names in JSON. */
struct field {
	const char *name;
	size_t at;
};

#define FIELD(type, name) { #name, offsetof(struct type, name) }

static const struct field guest_fields[] = {
	FIELD(guest_metrics, memory_bytes),    FIELD(guest_metrics, memory_available_bytes),
	FIELD(guest_metrics, box_memory_bytes), FIELD(guest_metrics, cpu_user_ns),
	FIELD(guest_metrics, cpu_system_ns),   FIELD(guest_metrics, processes),
	FIELD(guest_metrics, read_bytes),      FIELD(guest_metrics, written_bytes),
	FIELD(guest_metrics, disk_bytes),      FIELD(guest_metrics, disk_used_bytes),
	FIELD(guest_metrics, received_bytes),  FIELD(guest_metrics, sent_bytes),
};

static const struct field host_fields[] = {
	FIELD(host_metrics, pid),	       FIELD(host_metrics, cpu_user_ns),
	FIELD(host_metrics, cpu_system_ns),    FIELD(host_metrics, memory_bytes),
	FIELD(host_metrics, memory_peak_bytes), FIELD(host_metrics, memory_private_bytes),
	FIELD(host_metrics, threads),	       FIELD(host_metrics, read_bytes),
	FIELD(host_metrics, written_bytes),    FIELD(host_metrics, net_sent_packets),
	FIELD(host_metrics, net_received_packets), FIELD(host_metrics, net_connections),
	FIELD(host_metrics, net_flows),	       FIELD(host_metrics, net_denied),
};

static const struct field box_fields[] = {
	FIELD(box_metrics, uptime_ns),	  FIELD(box_metrics, execs_started), FIELD(box_metrics, execs_running),
	FIELD(box_metrics, execs_failed), FIELD(box_metrics, input_bytes),   FIELD(box_metrics, output_bytes),
};

_Static_assert(sizeof(struct guest_metrics) == ARRAY_SIZE(guest_fields) * sizeof(uint64_t), "all of them");
_Static_assert(sizeof(struct host_metrics) == (ARRAY_SIZE(host_fields) + NET_REASONS) * sizeof(uint64_t), "all of them");

static json_t *put_fields(const struct field *f, size_t n, const void *from)
{
	json_t *j = json_object();
	uint64_t v;

	for (; j && n; n--, f++) {
		memcpy(&v, (const char *)from + f->at, sizeof(v));
		if (json_object_set_new(j, f->name, json_integer((json_int_t)MIN(v, (uint64_t)INT64_MAX))) < 0) {
			json_decref(j);
			j = NULL;
		}
	}
	return j;
}

static void get_fields(const json_t *j, const struct field *f, size_t n, void *ret, bool *bad)
{
	uint64_t v;

	for (; n; n--, f++) {
		v = json_get_u64(j, f->name, 0, bad);
		memcpy((char *)ret + f->at, &v, sizeof(v));
	}
}

static json_t *host_to_json(const struct host_metrics *m)
{
	json_t *j = put_fields(host_fields, ARRAY_SIZE(host_fields), m);

	if (j && json_object_set_new(j, "net_denied_for", net_reasons_to_json(m->net_denied_for)) < 0) {
		json_decref(j);
		j = NULL;
	}
	return j;
}

static void host_from_json(const json_t *j, struct host_metrics *ret, bool *bad)
{
	get_fields(j, host_fields, ARRAY_SIZE(host_fields), ret, bad);
	net_reasons_from_json(json_get_obj(j, "net_denied_for", bad), ret->net_denied_for, bad);
}

/* --- METRICS -------------------------------------------------------------------------------------- */

int wire_put_metrics_request(struct buf *out, bool guest)
{
	return message_put(out, FRAME_METRICS, 0, json_pack("{s:b}", "guest", guest));
}

int wire_get_metrics_request(const struct frame *f, bool *ret_guest)
{
	auto_json json_t *j = message_get(f, NULL);
	bool bad = !j, guest = json_get_bool(j, "guest", false, &bad);

	if (bad)
		return -EBADMSG;
	*ret_guest = guest;
	return 0;
}

int wire_put_guest_metrics(struct buf *out, const struct guest_metrics *m)
{
	return message_put(out, FRAME_METRICS, 0, put_fields(guest_fields, ARRAY_SIZE(guest_fields), m));
}

int wire_get_guest_metrics(const struct frame *f, struct guest_metrics *ret)
{
	auto_json json_t *j = message_get(f, NULL);
	struct guest_metrics m;
	bool bad = !j;

	get_fields(j, guest_fields, ARRAY_SIZE(guest_fields), &m, &bad);
	if (bad)
		return -EBADMSG;
	*ret = m;
	return 0;
}

int wire_put_metrics(struct buf *out, const struct box_metrics *m)
{
	json_t *j = put_fields(box_fields, ARRAY_SIZE(box_fields), m);

	if (j && (json_object_set_new(j, "engine", json_string(m->engine)) < 0 ||
		  json_object_set_new(j, "host", host_to_json(&m->host)) < 0 ||
		  json_object_set_new(j, "timing", timing_to_json(&m->timing)) < 0 ||
		  (m->has_guest &&
		   json_object_set_new(j, "guest", put_fields(guest_fields, ARRAY_SIZE(guest_fields), &m->guest)) < 0))) {
		json_decref(j);
		return -ENOMEM;
	}
	return message_put(out, FRAME_METRICS, 0, j);
}

int wire_get_metrics(const struct frame *f, struct box_metrics *ret)
{
	auto_json json_t *j = message_get(f, NULL);
	struct box_metrics m = { 0 };
	bool bad = !j;
	const json_t *guest = json_get_obj(j, "guest", &bad);
	const char *engine = json_get_str(j, "engine", "", &bad);

	get_fields(j, box_fields, ARRAY_SIZE(box_fields), &m, &bad);
	host_from_json(json_get_obj(j, "host", &bad), &m.host, &bad);
	m.has_guest = guest != NULL;
	if (guest)
		get_fields(guest, guest_fields, ARRAY_SIZE(guest_fields), &m.guest, &bad);
	if (bad || strlen(engine) >= sizeof(m.engine) || timing_from_json(json_get_obj(j, "timing", &bad), &m.timing) < 0)
		return -EBADMSG;
	memcpy(m.engine, engine, strlen(engine) + 1);
	error_flatten(m.engine);
	*ret = m;
	return 0;
}

/* --- TOP ------------------------------------------------------------------------------------------ */

void top_list_fini(struct top_list *l)
{
	free(l->v);
	*l = (struct top_list){ 0 };
}

int wire_put_top_error(struct buf *out, const char *error)
{
	return message_put(out, FRAME_TOP, 0, json_pack("{s:o}", "error", message_text(error)));
}

/* [pid, ppid, uid, user, state, cpu_ns, memory_bytes, command] */
static json_t *process_to_json(const struct top_process *p)
{
	char state[2] = { p->state, 0 };

	return json_pack("[i, i, I, o, s, I, I, o]", (int)p->pid, (int)p->ppid, (json_int_t)p->uid,
			 message_text(p->user), state, (json_int_t)MIN(p->cpu_ns, (uint64_t)INT64_MAX),
			 (json_int_t)MIN(p->memory_bytes, (uint64_t)INT64_MAX), message_text(p->command));
}

int wire_put_top(struct buf *out, const struct top_list *l)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < l->n; i++)
		if (json_array_append_new(list, process_to_json(&l->v[i])) < 0) {
			json_decref(list);
			list = NULL;
		}
	if (!list)
		return -ENOMEM;
	return message_put(out, FRAME_TOP, 0, json_pack("{s:o, s:b, s:b}", "processes", list, "last", l->last,
							"truncated", l->truncated));
}

/* A text that is all there and fits, made safe to print. */
static bool take_text(const char *text, char *out, size_t size)
{
	size_t n = strlen(text);

	if (n >= size)
		return false;
	memcpy(out, text, n + 1);
	error_flatten(out);
	return true;
}

static int process_from_json(json_t *j, struct top_process *ret)
{
	const char *user, *state, *command;
	struct top_process p = { 0 };
	json_int_t pid, ppid, uid, cpu, memory;

	if (json_unpack(j, "[I, I, I, s, s, I, I, s!]", &pid, &ppid, &uid, &user, &state, &cpu, &memory, &command) < 0)
		return -EBADMSG;
	if (pid < 1 || pid > INT32_MAX || ppid < 0 || ppid > INT32_MAX || uid < 0 || uid > UINT32_MAX || cpu < 0 ||
	    memory < 0 || strlen(state) != 1 || state[0] < 'A' || state[0] > 'z')
		return -EBADMSG;
	if (!take_text(user, p.user, sizeof(p.user)) || !take_text(command, p.command, sizeof(p.command)))
		return -EBADMSG;
	p.pid = (int32_t)pid;
	p.ppid = (int32_t)ppid;
	p.uid = (uint32_t)uid;
	p.state = state[0];
	p.cpu_ns = (uint64_t)cpu;
	p.memory_bytes = (uint64_t)memory;
	*ret = p;
	return 0;
}

int wire_get_top(const struct frame *f, size_t most, struct top_list *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	struct top_list l = { 0 };
	bool bad = !j;
	const char *error = json_get_str(j, "error", NULL, &bad);
	json_t *list = json_get_list(j, "processes", &bad);
	size_t n = json_array_size(list);

	l.last = json_get_bool(j, "last", false, &bad);
	l.truncated = json_get_bool(j, "truncated", false, &bad);
	if (!bad && error)
		return error_set(err, -EIO, "%s", error);
	if (bad || !list || n > most)
		return error_set(err, -EBADMSG, "malformed list of processes");
	l.v = calloc(n ? n : 1, sizeof(*l.v));
	if (!l.v)
		return error_nomem(err);
	for (; l.n < n; l.n++)
		if (process_from_json(json_array_get(list, l.n), &l.v[l.n]) < 0) {
			top_list_fini(&l);
			return error_set(err, -EBADMSG, "malformed list of processes");
		}
	*ret = l;
	return 0;
}

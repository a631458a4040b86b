#include "wire/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

void box_spec_fini(struct box_spec *s)
{
	strv_fini(&s->health.argv);
	net_spec_fini(&s->net);
	free(s->id);
	free(s->hostname);
	free(s->name);
	free(s->image);
	free(s->image_digest);
	free(s->engine);
	free(s->engine_program);
	free(s->net_program);
	free(s->accel);
	free(s->template_key);
	proc_spec_fini(&s->main);
	*s = BOX_SPEC_INIT;
}

static json_t *health_to_json(const struct box_health *h)
{
	if (h->argv.n == 0)
		return json_object();
	return json_pack("{s:o, s:I, s:I, s:I, s:I}", "argv", json_from_strv(&h->argv), "interval_ms",
			 (json_int_t)h->interval_ms, "timeout_ms", (json_int_t)h->timeout_ms, "start_period_ms",
			 (json_int_t)h->start_period_ms, "retries", (json_int_t)h->retries);
}

/* An unsigned member that fits a u32. */
static uint32_t get_u32(const json_t *j, const char *key, bool *bad)
{
	uint64_t v = json_get_u64(j, key, 0, bad);

	*bad = *bad || v > UINT32_MAX;
	return (uint32_t)v;
}

static int health_from_json(const json_t *j, struct box_health *ret, bool *bad)
{
	int r;

	if (!j || json_object_size(j) == 0)
		return 0;
	ret->interval_ms = get_u32(j, "interval_ms", bad);
	ret->timeout_ms = get_u32(j, "timeout_ms", bad);
	ret->start_period_ms = get_u32(j, "start_period_ms", bad);
	ret->retries = get_u32(j, "retries", bad);
	r = json_get_strv(j, "argv", &ret->argv, bad);
	*bad = *bad || ret->argv.n == 0 || ret->interval_ms == 0 || ret->timeout_ms == 0 || ret->retries == 0;
	return r;
}

static json_t *settings_to_json(const struct box_spec *s)
{
	json_t *j = json_pack(
		"{s:s, s:s, s:I, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:b, s:b, s:i, s:I, s:b}", "id",
		s->id, "hostname", s->hostname, "entrypoint_words", (json_int_t)s->entrypoint_words, "engine", s->engine,
		"accel", s->accel, "from_template", s->from_template, "tsc_khz", (json_int_t)s->tsc_khz, "cpus",
		(json_int_t)s->cpus, "memory_bytes", (json_int_t)s->memory_bytes, "disk_bytes",
		(json_int_t)s->disk_bytes, "stop_grace_ms", (json_int_t)s->stop_grace_ms, "keep_disk", s->keep_disk,
		"attach", s->attach, "detached", s->detached, "debug", s->debug, "trace_kernel", s->trace_kernel,
		"restart", (int)s->restart, "restart_max", (json_int_t)s->restart_max, "no_main", s->no_main);

	return json_with_texts(j, "image_digest", s->image_digest, "engine_program", s->engine_program, "net_program",
			       s->net_program, "template_key", s->template_key, "name", s->name, "image", s->image, NULL);
}

json_t *box_spec_to_json(const struct box_spec *s)
{
	json_t *j = settings_to_json(s);

	if (j && (json_object_set_new(j, "main", proc_spec_to_json(&s->main)) < 0 ||
		  json_object_set_new(j, "health", health_to_json(&s->health)) < 0 ||
		  json_object_set_new(j, "network", net_spec_to_json(&s->net)) < 0)) {
		json_decref(j);
		return NULL;
	}
	return j;
}

/* Boxes were made before there were networks: what says nothing of one has none. */
static int network_from_json(const json_t *j, struct net_spec *ret, bool *bad, struct error *err)
{
	const json_t *network = json_get_obj(j, "network", bad);

	if (network)
		return net_spec_from_json(network, ret, err);
	ret->none = true;
	return 0;
}

static int copy(const json_t *j, const char *key, char **ret, bool *bad)
{
	const char *s = json_get_str(j, key, NULL, bad);

	if (!s)
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

int box_spec_from_json(const json_t *j, struct box_spec *ret, struct error *err)
{
	struct box_spec s = BOX_SPEC_INIT;
	bool bad = false;
	uint64_t cpus = json_get_u64(j, "cpus", 0, &bad), grace = json_get_u64(j, "stop_grace_ms", 0, &bad);
	int r = 0;

	uint64_t tsc_khz = json_get_u64(j, "tsc_khz", 0, &bad);
	uint64_t restart = json_get_u64(j, "restart", RESTART_NO, &bad);
	uint64_t words = json_get_u64(j, "entrypoint_words", 0, &bad);
	s.restart_max = get_u32(j, "restart_max", &bad);
	s.memory_bytes = json_get_u64(j, "memory_bytes", 0, &bad);
	s.disk_bytes = json_get_u64(j, "disk_bytes", 0, &bad);
	s.keep_disk = json_get_bool(j, "keep_disk", true, &bad);
	s.attach = json_get_bool(j, "attach", false, &bad);
	s.detached = json_get_bool(j, "detached", false, &bad);
	s.debug = json_get_bool(j, "debug", false, &bad);
	s.trace_kernel = json_get_bool(j, "trace_kernel", false, &bad);
	s.no_main = json_get_bool(j, "no_main", false, &bad);
	s.from_template = json_get_bool(j, "from_template", false, &bad);
	if (copy(j, "id", &s.id, &bad) < 0 || copy(j, "hostname", &s.hostname, &bad) < 0 ||
	    copy(j, "name", &s.name, &bad) < 0 || copy(j, "image", &s.image, &bad) < 0 ||
	    copy(j, "image_digest", &s.image_digest, &bad) < 0 ||
	    copy(j, "engine", &s.engine, &bad) < 0 || copy(j, "accel", &s.accel, &bad) < 0 ||
	    copy(j, "engine_program", &s.engine_program, &bad) < 0 ||
	    copy(j, "net_program", &s.net_program, &bad) < 0 ||
	    copy(j, "template_key", &s.template_key, &bad) < 0)
		r = error_nomem(err);
	if (r == 0 && (bad || !s.id || !s.hostname || !s.engine || !s.accel || cpus < 1 ||
		       cpus > SPEC_CPUS_MAX || s.memory_bytes < SPEC_MEMORY_MIN || grace > UINT32_MAX ||
		       tsc_khz > UINT32_MAX || restart > RESTART_ALWAYS))
		r = error_set(err, -EBADMSG, "malformed box description");
	if (r == 0)
		r = proc_spec_from_json(json_get_obj(j, "main", &bad), &s.main, err);
	if (r == 0 && health_from_json(json_get_obj(j, "health", &bad), &s.health, &bad) < 0)
		r = error_nomem(err);
	if (r == 0)
		r = network_from_json(j, &s.net, &bad, err);
	if (r == 0 && bad)
		r = error_set(err, -EBADMSG, "malformed box description");
	if (r == 0 && words > s.main.argv.n)
		r = error_set(err, -EBADMSG, "malformed box description");
	if (r < 0) {
		box_spec_fini(&s);
		return r;
	}
	s.restart = (enum box_restart)restart;
	s.cpus = (uint32_t)cpus;
	s.entrypoint_words = (uint32_t)words;
	s.tsc_khz = (uint32_t)tsc_khz;
	s.stop_grace_ms = (uint32_t)grace;
	*ret = s;
	return 0;
}

int box_spec_parse(const char *text, struct box_spec *ret, struct error *err)
{
	auto_json json_t *j = json_parse(text, strlen(text), "the box's description", err);

	return j ? box_spec_from_json(j, ret, err) : -EBADMSG;
}

int wire_put_spec(struct buf *out, const struct box_spec *s)
{
	return message_put(out, FRAME_SPEC, 0, box_spec_to_json(s));
}

int wire_get_spec(const struct frame *f, struct box_spec *ret, struct error *err)
{
	auto_json json_t *j = f->type == FRAME_SPEC ? message_get(f, err) : NULL;

	if (f->type != FRAME_SPEC)
		return error_set(err, -EBADMSG, "the first message is not a box description");
	return j ? box_spec_from_json(j, ret, err) : -EBADMSG;
}

/* inspect: all that is known of boxes and images, as JSON or by a template. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/net.h"

#define PREFIX_MIN 4 /* digits of an image's id */

struct inspect {
	struct boxlite *b;
	const char *format;
	json_t *found; /* owned; array of what was found, unless there is a template */
	json_t *one;   /* owned; what the last name stands for */
	const char *name;
	unsigned matches;
};

/* --- boxes ---------------------------------------------------------------------------------------- */

static json_t *list(const char *const *v, size_t n)
{
	json_t *j = json_array();
	size_t i;

	for (i = 0; j && i < n && v[i]; i++)
		json_array_append_new(j, json_text(v[i]));
	return j;
}

static json_t *timing_json(const struct boxlite_timing *t)
{
	if (!t)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "setup_ns", (json_int_t)t->setup, "machine_ns",
			 (json_int_t)t->machine, "kernel_ns", (json_int_t)t->kernel, "agent_ns", (json_int_t)t->agent,
			 "process_ns", (json_int_t)t->process, "end_ns", (json_int_t)t->end);
}

/* Of a box that runs: as far as it has come. */
static int on_running(const struct boxlite_box_info *i, const struct boxlite_metrics *m, void *ud)
{
	struct inspect *s = ud;
	json_t *j;

	if (!i->running || !m->boxes)
		return 0;
	j = json_pack("{s:I, s:I, s:I, s:I, s:n, s:n}", "setup_ns", (json_int_t)m->boot_setup_ns, "machine_ns",
		      (json_int_t)m->boot_machine_ns, "kernel_ns", (json_int_t)m->boot_kernel_ns, "agent_ns",
		      (json_int_t)m->boot_agent_ns, "process_ns", "end_ns");
	net_add_counters(json_object_get(s->one, "network"), m);
	return j ? json_object_set_new(json_object_get(s->one, "state"), "timing", j) : 0;
}

static void add_running(struct inspect *s)
{
	struct boxlite_metrics_options o = BOXLITE_OPTIONS(boxlite_metrics_options);
	const char *ids[] = { json_string_value(json_object_get(s->one, "id")), NULL };

	if (!ids[0] || !json_is_true(json_object_get(json_object_get(s->one, "state"), "running")))
		return;
	o.boxes = ids;
	o.host_only = 1;
	/* One that ends just now has no such figures any more. */
	(void)boxlite_metrics_list(s->b, &o, on_running, s, NULL);
}

static json_t *health_json(const struct boxlite_box_info *i)
{
	if (!i->health)
		return json_null();
	return json_pack("{s:s, s:I, s:o}", "status", i->health, "failing", (json_int_t)i->health_failing, "output",
			 json_text(i->health_output));
}

static json_t *restart_json(const struct boxlite_box_info *i)
{
	static const char *const names[] = { "no", "on-failure", "always" };

	return json_pack("{s:s, s:I}", "policy", names[i->restart], "max", (json_int_t)i->restart_max);
}

static json_t *state_json(const struct boxlite_box_info *i)
{
	bool ended = i->ended || i->again, signalled = ended && i->exit.kind == BOXLITE_SIGNALLED;

	return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "status", table_state(i), "running",
			 i->running, "health", health_json(i),
			 "exit_code", ended ? json_integer(i->exit.status) : json_null(), "signal",
			 signalled ? json_text(sigabbrev_np(i->exit.signal)) : json_null(), "error",
			 json_text(ended ? i->exit.error : ""), "started_at", json_time(i->started_at),
			 "finished_at", json_time(i->finished_at), "timing", timing_json(i->timing));
}

static json_t *spec_json(const struct boxlite_box_info *i)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:I, s:I, s:I, s:s, s:I, s:b, s:b, s:o}", "entrypoint",
			 list(i->argv, i->entrypoint_words), "command", list(i->argv + i->entrypoint_words, SIZE_MAX),
			 "env", list(i->env, SIZE_MAX), "workdir", json_text(i->workdir ? i->workdir : "/"), "user",
			 json_text(i->user ? i->user : ""), "tty", i->tty, "stdin_open", i->stdin_open, "cpus",
			 (json_int_t)i->cpus, "memory_bytes", (json_int_t)i->memory_bytes, "disk_bytes",
			 (json_int_t)i->disk_bytes, "engine", i->engine, "stop_grace_ms",
			 (json_int_t)i->stop_grace_ms, "auto_remove", i->auto_remove, "debug", i->debug, "restart",
			 restart_json(i));
}

static json_t *path(const char *folder, const char *name)
{
	char *text;
	json_t *j;

	if (asprintf(&text, "%s/%s", folder, name) < 0)
		return NULL;
	j = json_text(text);
	free(text);
	return j;
}

static int on_box(const struct boxlite_box_info *i, void *ud)
{
	struct inspect *s = ud;

	s->one = json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}, s:I, s:o}", "id", json_text(i->id),
			   "name", json_text(i->name), "type", "box", "image", json_text(i->image), "image_digest",
			   json_text(i->image_digest), "created_at", json_time(i->created_at), "state", state_json(i),
			   "spec", spec_json(i), "folder", json_text(i->folder), "logs", "output",
			   path(i->folder, "log/output.log"), "console", path(i->folder, "log/console.log"), "shim",
			   path(i->folder, "log/shim.log"), "disk_used_bytes", (json_int_t)i->disk_used_bytes, "network",
			   net_json(i));
	return 0;
}

/* --- images --------------------------------------------------------------------------------------- */

static int on_image(const struct boxlite_image_info *i, void *ud)
{
	struct inspect *s = ud;
	json_t *config = json_loads(i->config, 0, NULL);

	json_decref(s->one);
	s->one = json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:o}", "id", json_text(i->config_digest), "type", "image",
			   "reference", json_text(i->reference), "digest", json_text(i->digest), "created_at",
			   json_time(i->created_at), "pulled_at", json_time(i->pulled_at), "bytes",
			   (json_int_t)i->bytes, "config", config ? config : json_null());
	return 0;
}

/* An image may have several references: the first is taken. Another image with such an id is one too many. */
static int on_candidate(const struct boxlite_image_info *i, void *ud)
{
	struct inspect *s = ud;
	const char *id = i->config_digest + strlen("sha256:");

	if (!str_starts(id, s->name) && !str_starts(i->config_digest, s->name))
		return 0;
	if (s->one && str_eq(json_string_value(json_object_get(s->one, "id")), i->config_digest))
		return 0;
	s->matches++;
	return s->one ? 0 : on_image(i, s);
}

static int find_image(struct inspect *s, const char *name, struct boxlite_error *err)
{
	int r = boxlite_image_info(s->b, name, on_image, s, err);

	if (r == 0 || strlen(name) < PREFIX_MIN)
		return r;
	s->name = name;
	s->matches = 0;
	r = boxlite_image_list(s->b, on_candidate, s, err);
	if (r < 0)
		return r;
	if (s->matches == 1)
		return 0;
	snprintf(err->text, sizeof(err->text), s->matches ? "several images have an id that begins with '%s'"
							  : "there is no box and no image '%s'", name);
	return -ENOENT;
}

/* --- the command ---------------------------------------------------------------------------------- */

/* Of which kinds a name may be. */
enum { BOX = 1, IMAGE = 2 };

static int inspect_one(struct inspect *s, const char *name, unsigned kinds)
{
	struct boxlite_error err = { .code = -ENOENT };
	struct boxlite_box *box;
	int r = -ENOENT;

	s->one = NULL;
	if (kinds & BOX) {
		r = boxlite_box_open(s->b, name, &box, &err);
		if (r == 0) {
			r = boxlite_box_info(box, on_box, s, &err);
			boxlite_box_close(box);
			if (r == 0)
				add_running(s);
		}
	}
	if (r == -ENOENT && (kinds & IMAGE)) {
		r = find_image(s, name, &err);
		if (r == -ENOENT && (kinds & BOX))
			return cli_failf("there is no box and no image '%s'", name);
	}
	/* The beginning of several boxes' ids may be the whole name of an image. */
	if (r == -ENOTUNIQ && (kinds & IMAGE) && boxlite_image_info(s->b, name, on_image, s, NULL) == 0)
		r = 0;
	if (r < 0)
		return cli_fail(&err);
	if (!s->one)
		return cli_failf("out of memory");
	if (!s->format)
		return json_array_append_new(s->found, s->one) < 0 ? cli_failf("out of memory") : 0;
	r = format_print("inspect", s->format, s->one);
	json_decref(s->one);
	return r;
}

static int print_found(const struct inspect *s)
{
	char *text = json_dumps(s->found, JSON_INDENT(2));

	if (!text)
		return cli_failf("out of memory");
	printf("%s\n", text);
	free(text);
	return 0;
}

static int inspect_all(const struct global *g, struct inspect *s, unsigned kinds, char **names)
{
	int r = cli_open(g, &s->b), one, status = 0;

	if (r)
		return r;
	s->found = json_array();
	/* All are tried; one that fails makes the whole fail. */
	for (; *names; names++) {
		one = inspect_one(s, *names, kinds);
		if (one)
			status = one;
	}
	if (!s->format && print_found(s))
		status = EXIT_BOXLITE;
	json_decref(s->found);
	boxlite_close(s->b);
	return status;
}

int cmd_inspect(const struct global *g, int argc, char **argv)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' }, { "type", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' },	    { "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct inspect s = { 0 };
	unsigned kinds = BOX | IMAGE;
	int opt;

	while ((opt = getopt_long(argc, argv, "f:h", options, NULL)) != -1) {
		switch (opt) {
		case 'f': s.format = str_eq(optarg, "json") ? NULL : optarg; break;
		case 'j': s.format = NULL; break;
		case 't':
			kinds = str_eq(optarg, "box") ? BOX : str_eq(optarg, "image") ? IMAGE : 0;
			if (!kinds)
				return cli_usage("inspect", "--type is box or image, not '%s'", optarg);
			break;
		case 'h':
			return cli_help("inspect",
					"  -f, --format json|TEMPLATE   such as '{{.State.ExitCode}}' or '{{json .Spec}}'\n"
					"  --type box|image             what the names are of; else a box goes before an image\n\n"
					"Boxes by name, id or the beginning of one; images by reference, id or its beginning.\n");
		default: return cli_usage("inspect", "unknown option %s, or one without its value", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return cli_usage("inspect", "which box or image?");
	return inspect_all(g, &s, kinds, argv + optind);
}

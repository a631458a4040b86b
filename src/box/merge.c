#include "box/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/signame.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int add_all(struct strv *to, const char *const *from)
{
	int r = 0;

	for (; r == 0 && from && *from; from++)
		r = strv_add(to, *from);
	return r;
}

/* argv: entrypoint, then command. A new entrypoint makes the image's command meaningless. */
static int merge_argv(const json_t *image, const struct merge_options *o, struct proc_spec *s, bool *bad)
{
	int r;

	if (o->idle)
		return 0;
	r = o->entrypoint ? add_all(&s->argv, o->entrypoint) : json_get_strv(image, "Entrypoint", &s->argv, bad);
	if (o->entrypoint_words)
		*o->entrypoint_words = (uint32_t)s->argv.n;
	if (r == 0 && o->command)
		r = add_all(&s->argv, o->command);
	else if (r == 0 && !o->entrypoint)
		r = json_get_strv(image, "Cmd", &s->argv, bad);
	return r;
}

/* The image's variables, then what docker adds, then the caller's; a later one of a name wins. */
static int merge_env(const json_t *image, const struct merge_options *o, struct proc_spec *s, bool *bad)
{
	struct strv given = STRV_INIT(PROC_STRINGS_MAX);
	const char *const *e;
	size_t i;
	int r;

	r = strv_add(&s->env, DEFAULT_PATH);
	if (r == 0)
		r = strv_addf(&s->env, "HOSTNAME=%s", o->hostname);
	if (r == 0 && o->tty)
		r = strv_add(&s->env, "TERM=xterm");
	if (r == 0)
		r = json_get_strv(image, "Env", &given, bad);
	for (i = 0; r == 0 && i < given.n; i++)
		if (strchr(given.v[i], '=') > given.v[i])
			r = strv_set_env(&s->env, given.v[i]);
	for (e = o->env; r == 0 && e && *e; e++)
		r = strv_set_env(&s->env, *e);
	strv_fini(&given);
	return r;
}

static int copy(const char *text, char **ret)
{
	if (!text || !*text)
		return 0;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

int merge_process(const char *config_json, const struct merge_options *o, struct proc_spec *ret,
		  struct error *err)
{
	auto_json json_t *image = json_parse(config_json, strlen(config_json), "the image's configuration", err);
	struct proc_spec s = PROC_SPEC_INIT;
	bool bad = false;
	int r;

	if (!image)
		return -EBADMSG;
	r = merge_argv(image, o, &s, &bad);
	if (r == 0)
		r = merge_env(image, o, &s, &bad);
	if (r == 0)
		r = copy(o->workdir && *o->workdir ? o->workdir : json_get_str(image, "WorkingDir", NULL, &bad), &s.cwd);
	if (r == 0)
		r = copy(o->user && *o->user ? o->user : json_get_str(image, "User", NULL, &bad), &s.user);
	/* A name that is none is the image's affair: it ends as any other. */
	s.stop_signal = (uint8_t)(o->stop_signal ? o->stop_signal
						 : signal_by_name(json_get_str(image, "StopSignal", "", &bad)));
	s.tty = o->tty;
	s.stdin_open = o->stdin_open;
	s.main = true;
	if (r == -EINVAL)
		error_set(err, r, "a variable has no name");
	else if (r == -E2BIG)
		error_set(err, r, "more than %d arguments or variables", PROC_STRINGS_MAX);
	else if (r < 0)
		error_nomem(err);
	else if (bad)
		r = error_set(err, -EBADMSG, "the image's configuration is malformed");
	else if (s.argv.n == 0 && !o->idle)
		r = error_set(err, -EINVAL, "the image names no command: give one behind its name");
	else if (!json_can_have_all(&s.argv) || !json_can_have_all(&s.env))
		r = error_set(err, -EINVAL, "an argument or variable is not UTF-8 text");
	else if (!json_can_have(s.cwd) || !json_can_have(s.user))
		r = error_set(err, -EINVAL, "the working folder or the user is not UTF-8 text");
	else if (s.cwd && s.cwd[0] != '/')
		r = error_set(err, -EINVAL, "the working folder '%s' is not an absolute path", s.cwd);
	if (r < 0)
		proc_spec_fini(&s);
	else
		*ret = s;
	return r;
}

/* ["CMD", argv...], ["CMD-SHELL", text], ["NONE"], or nothing. */
static int image_test(const json_t *check, struct strv *argv, bool *bad)
{
	struct strv test = STRV_INIT(PROC_STRINGS_MAX);
	int r = json_get_strv(check, "Test", &test, bad);
	size_t i;

	if (r == 0 && test.n == 2 && str_eq(test.v[0], "CMD-SHELL")) {
		r = strv_add(argv, "/bin/sh");
		if (r == 0)
			r = strv_add(argv, "-c");
		if (r == 0)
			r = strv_add(argv, test.v[1]);
	} else if (r == 0 && test.n > 1 && str_eq(test.v[0], "CMD")) {
		for (i = 1; r == 0 && i < test.n; i++)
			r = strv_add(argv, test.v[i]);
	}
	strv_fini(&test);
	return r;
}

/* A time of the image, which has nanoseconds. */
static void default_time(const json_t *check, const char *key, uint32_t otherwise_ms, uint32_t *ms, bool *bad)
{
	uint64_t ns = json_get_u64(check, key, 0, bad);

	if (*ms == 0)
		*ms = ns / 1000000 ? (uint32_t)MIN(ns / 1000000, (uint64_t)UINT32_MAX) : otherwise_ms;
}

int merge_health(const char *config_json, bool none, struct box_health *h, struct error *err)
{
	auto_json json_t *image = json_parse(config_json, strlen(config_json), "the image's configuration", err);
	const json_t *check;
	bool bad = false, own = h->argv.n > 0;
	uint64_t retries;
	int r = 0;

	if (!image)
		return -EBADMSG;
	check = json_get_obj(image, "Healthcheck", &bad);
	if (none || (!own && !check && !bad))
		return 0;
	if (!own && !bad)
		r = image_test(check, &h->argv, &bad);
	if (r < 0)
		return error_nomem(err);
	if (!json_can_have_all(&h->argv))
		return error_set(err, -EINVAL, "the health check is not UTF-8 text");
	default_time(check, "Interval", 30000, &h->interval_ms, &bad);
	default_time(check, "Timeout", 30000, &h->timeout_ms, &bad);
	default_time(check, "StartPeriod", 0, &h->start_period_ms, &bad);
	retries = json_get_u64(check, "Retries", 0, &bad);
	if (h->retries == 0)
		h->retries = retries && retries <= UINT32_MAX ? (uint32_t)retries : 3;
	return bad ? error_set(err, -EBADMSG, "the image's health check is malformed") : 0;
}

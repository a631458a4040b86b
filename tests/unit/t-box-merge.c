/* Image configuration and the caller's choices, as docker run merges them; docker's credentials. */
#include <errno.h>
#include <stdlib.h>

#include "box/dockercfg.h"
#include "box/merge.h"
#include "lib/tap.h"

static const char config[] = "{\"Entrypoint\":[\"/entry\"],\"Cmd\":[\"a\",\"b\"],\"Env\":[\"PATH=/bin\",\"X=1\",\"junk\"],"
			     "\"WorkingDir\":\"/w\",\"User\":\"u:g\"}";

/* argv joined by '|', or the error number. */
static const char *argv_of(const char *text, const struct merge_options *o, struct proc_spec *s)
{
	static char joined[256];
	size_t i, at = 0;
	int r = merge_process(text, o, s, NULL);

	if (r < 0) {
		snprintf(joined, sizeof(joined), "%d", r);
		return joined;
	}
	joined[0] = 0;
	for (i = 0; i < s->argv.n; i++)
		at += (size_t)snprintf(joined + at, sizeof(joined) - at, "%s%s", i ? "|" : "", s->argv.v[i]);
	return joined;
}

static void test_argv(void)
{
	const char *const cmd[] = { "c", NULL }, *const entry[] = { "/e", NULL }, *const none[] = { NULL };
	struct proc_spec s = PROC_SPEC_INIT;
	struct merge_options o = { .hostname = "h" };
	char want[16];

	is_str(argv_of(config, &o, &s), "/entry|a|b", "the image's entrypoint and command");
	proc_spec_fini(&s);
	o.command = cmd;
	is_str(argv_of(config, &o, &s), "/entry|c", "a command replaces the image's");
	proc_spec_fini(&s);
	o.entrypoint = entry;
	is_str(argv_of(config, &o, &s), "/e|c", "an entrypoint replaces the image's");
	proc_spec_fini(&s);
	o.command = NULL;
	is_str(argv_of(config, &o, &s), "/e", "and makes the image's command meaningless");
	proc_spec_fini(&s);
	o.entrypoint = none;
	o.command = cmd;
	is_str(argv_of(config, &o, &s), "c", "an empty one clears it");
	proc_spec_fini(&s);
	o = (struct merge_options){ .hostname = "h" };
	snprintf(want, sizeof(want), "%d", -EINVAL);
	is_str(argv_of("{}", &o, &s), want, "nothing to run is an error");
	snprintf(want, sizeof(want), "%d", -EBADMSG);
	is_str(argv_of("{\"Cmd\":[1]}", &o, &s), want, "a malformed configuration is an error");
	is_str(argv_of("[", &o, &s), want, "so is one that is not JSON");
	o.command = (const char *const[]){ "\xff", NULL };
	snprintf(want, sizeof(want), "%d", -EINVAL);
	is_str(argv_of("{}", &o, &s), want, "so is an argument that is not UTF-8");
	o.command = cmd;
	o.workdir = "relative";
	is_str(argv_of("{}", &o, &s), want, "so is a relative folder");
	o.workdir = "/\xff";
	is_str(argv_of("{}", &o, &s), want, "so is one that is not UTF-8");
	o.workdir = NULL;
	o.user = "\xff";
	is_str(argv_of("{}", &o, &s), want, "so is such a user");
}

/* argv of a check joined by '|', and its settings. */
static const char *health_of(const char *text, bool none, struct box_health *h)
{
	static char said[256];
	size_t i, at = 0;

	said[0] = 0;
	if (merge_health(text, none, h, NULL) < 0)
		return "refused";
	for (i = 0; i < h->argv.n; i++)
		at += (size_t)snprintf(said + at, sizeof(said) - at, "%s|", h->argv.v[i]);
	snprintf(said + at, sizeof(said) - at, " %u %u %u %u", h->interval_ms, h->timeout_ms, h->start_period_ms,
		 h->retries);
	strv_fini(&h->argv);
	return said;
}

static void test_health(void)
{
	const struct box_health none = { .argv = STRV_INIT(16) };
	struct box_health h = none;
	struct proc_spec s = PROC_SPEC_INIT;
	struct merge_options o = { .hostname = "h", .idle = true };

	is_str(health_of("{}", false, &h), " 0 0 0 0", "no health check");
	is_str(health_of("{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\",\"b\"]}}", false, &h), "a|b| 30000 30000 0 3",
	       "the image's, with docker's times");
	h = none;
	is_str(health_of("{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"x y\"],\"Interval\":5000000000,"
			 "\"Timeout\":1000000,\"StartPeriod\":2000000000,\"Retries\":7}}",
			 false, &h),
	       "/bin/sh|-c|x y| 5000 1 2000 7", "a shell's, with times of its own");
	h = none;
	h.interval_ms = 9;
	h.retries = 1;
	ok(strv_add(&h.argv, "mine") == 0, "the caller's");
	is_str(health_of("{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\"],\"Interval\":5000000000,\"Timeout\":2000000000}}",
			 false, &h),
	       "mine| 9 2000 0 1", "goes before the image's");
	h = none;
	is_str(health_of("{\"Healthcheck\":{\"Test\":[\"NONE\"]}}", false, &h), " 30000 30000 0 3", "NONE is none");
	h = none;
	is_str(health_of("{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\"]}}", true, &h), " 0 0 0 0", "nor if none is wanted");
	is_str(health_of("{\"Healthcheck\":{\"Test\":[\"CMD\",1]}}", false, &h), "refused", "a malformed one");
	strv_fini(&h.argv);
	h = none;
	is_str(health_of("{\"Healthcheck\":[]}", false, &h), "refused", "or one that is none");

	is_str(argv_of(config, &o, &s), "", "a box that idles runs nothing of the image's");
	proc_spec_fini(&s);
	is_str(argv_of("{\"StopSignal\":\"SIGQUIT\"}", &o, &s), "", "a stop signal");
	is_int(s.stop_signal, 3, "is the image's");
	proc_spec_fini(&s);
	o.stop_signal = 9;
	is_str(argv_of("{\"StopSignal\":\"SIGQUIT\"}", &o, &s), "", "or");
	is_int(s.stop_signal, 9, "the caller's");
	proc_spec_fini(&s);
}

static void test_env(void)
{
	const char *const env[] = { "X=2", "Y=", NULL };
	struct merge_options o = { .hostname = "h", .env = env, .tty = true };
	struct proc_spec s = PROC_SPEC_INIT;

	is_int(merge_process(config, &o, &s, NULL), 0, "merges");
	is_str(strv_get_env(&s.env, "PATH"), "/bin", "the image's PATH over the default");
	is_str(strv_get_env(&s.env, "X"), "2", "the caller's value over the image's");
	is_str(strv_get_env(&s.env, "Y"), "", "an empty value is a value");
	is_str(strv_get_env(&s.env, "HOSTNAME"), "h", "HOSTNAME");
	is_str(strv_get_env(&s.env, "TERM"), "xterm", "TERM with a terminal");
	is_int(s.env.n, 5, "and nothing else");
	is_str(s.cwd, "/w", "the image's folder");
	is_str(s.user, "u:g", "the image's user");
	ok(s.main && s.tty && !s.stdin_open, "the main process");
	proc_spec_fini(&s);
}

static int find(const char *text, const char *key, struct credentials *c)
{
	return dockercfg_parse(text, strlen(text), key, c, NULL);
}

static void test_credentials(void)
{
	static const char text[] = "{\"auths\":{\"r:5000\":{\"auth\":\"dXNlcjpwYTpzcw==\"},"
				   "\"t\":{\"auth\":\"dTo=\",\"identitytoken\":\"tok\"},\"bad\":{\"auth\":\"!\"}},"
				   "\"credsStore\":\"x\"}";
	struct credentials c = { 0 };

	ok(find(text, "r:5000", &c) == 0, "an entry");
	is_str(c.username, "user", "its user");
	is_str(c.password, "pa:ss", "its password, colons and all");
	credentials_fini(&c);
	ok(find(text, "t", &c) == 0 && c.identity_token && !strcmp(c.identity_token, "tok") && !c.password,
	   "a token stands for the password");
	credentials_fini(&c);
	ok(find(text, "other", &c) == 0 && !c.username, "no entry is fine");
	is_int(find(text, "bad", &c), -EBADMSG, "a malformed one is not");
	is_int(find("{", "x", &c), -EBADMSG, "nor is a malformed file");
}

int main(void)
{
	test_argv();
	test_health();
	test_env();
	test_credentials();
	return tap_done();
}

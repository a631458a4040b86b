#include "box/helper.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/str.h"

#define PASSED_ON_MAX 32

/* What tests turn, of each of them. */
static const char *const of_sanitizers[] = { "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", NULL };

int helper_pass_on(const char *const *names, struct strv *env)
{
	int r = 0;

	for (; r == 0 && *names; names++)
		if (getenv(*names))
			r = strv_addf(env, "%s=%s", *names, getenv(*names));
	return r;
}

int helper_start(struct home *h, const struct helper *p, struct child *ret, struct error *err)
{
	auto_free char *path = NULL;
	auto_strv struct strv env = STRV_INIT(PASSED_ON_MAX);
	auto_fd int quiet = getenv("BOXLITE_DEBUG") ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct spawn_fd fds[SPAWN_FDS_MAX];
	struct spawn s = { .argv = p->argv, .fds = fds, .nfds = p->nfds, .new_session = true };

	memcpy(fds, p->fds, p->nfds * sizeof(*fds));
	if (quiet >= 0)
		fds[s.nfds++] = (struct spawn_fd){ quiet, STDERR_FILENO };
	if (asprintf(&path, "%s/%s", h->programs, p->argv[0]) < 0 || helper_pass_on(p->passed_on, &env) < 0 ||
	    helper_pass_on(of_sanitizers, &env) < 0)
		return error_nomem(err);
	s.path = path;
	s.envp = (const char *const *)env.v;
	return spawn_start(&s, ret, err);
}

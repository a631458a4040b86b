/* What a box runs: the image's configuration with the caller's choices over it, as `docker run` merges them. */
#ifndef BOX_MERGE_H
#define BOX_MERGE_H

#include "wire/spec.h"

struct merge_options { /* all borrowed; NULL: the image's */
	const char *const *command, *const *entrypoint, *const *env;
	const char *workdir, *user, *hostname;
	bool tty, stdin_open;
	bool idle;       /* no program, whatever the image says */
	int stop_signal; /* 0: the image's, else SIGTERM */
	uint32_t *entrypoint_words; /* if not NULL: set to how many words of argv are the entrypoint's */
};

/*
 * config_json: the "config" object of an OCI image configuration (Entrypoint,
 * Cmd, Env, WorkingDir, User, StopSignal). -EINVAL: there is nothing to run, or a text is
 * not UTF-8; -EBADMSG: the image's configuration is malformed.
 */
int merge_process(const char *config_json, const struct merge_options *o, struct proc_spec *ret,
		  struct error *err) MUST_CHECK;

/*
 * The health check: h->argv is filled already if the caller has one; else it is the image's (Healthcheck.Test), unless
 * `none`. What is 0 of its times and its retries becomes the image's, else docker's. 0, -ENOMEM, -EBADMSG.
 */
int merge_health(const char *config_json, bool none, struct box_health *h, struct error *err) MUST_CHECK;

#endif

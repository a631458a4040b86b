/*
 * One repository of one registry: GET with login, redirects, retries and
 * resumption. Everything arrives through callbacks from the loop.
 *
 * Login. Nothing is asked in advance: a request goes out with what authorised
 * the last one, and a 401 says what is wanted. One token serves all transfers;
 * when it expires in the middle of a pull, the first 401 fetches another while
 * the rest wait for it. A 401 to a token just fetched is final.
 *
 * Retries. Failures that may pass (network, 408, 429, 5xx, a stall, a body cut
 * short) are tried again after a growing, jittered pause, REGISTRY_ATTEMPTS
 * times in all ($BOXLITE_PULL_ATTEMPTS); an attempt that moved a mebibyte
 * starts the count afresh. So are those of the token server, as failures of
 * the attempts that wanted the token. Each attempt asks only for the bytes still missing.
 */
#ifndef IMAGE_REGISTRY_H
#define IMAGE_REGISTRY_H

#include "image/auth.h"
#include "image/http.h"
#include "wire/image.h"

#define REGISTRY_ATTEMPTS 5
#define REGISTRY_ATTEMPTS_MAX 100

struct registry_get;

struct registry {
	struct http *http;               /* borrowed */
	struct image_ref ref;
	const struct image_request *req; /* borrowed: credentials, plain_http */
	unsigned attempts;               /* for each get */
	char *authorization;             /* owned, secret: header of every request; NULL = none yet */
	unsigned generation;             /* counts what `authorization` has been */
	struct http_call login;
	struct buf login_body;
	bool login_busy;
	struct registry_get *waiting;    /* for the login */
};

void registry_init(struct registry *g, struct http *http, const struct image_ref *ref,
		   const struct image_request *req);
void registry_fini(struct registry *g); /* all gets must have ended or been cancelled */

struct registry_get {
	/* Set by the owner before registry_start(); the struct lives until on_done. */
	char path[256];     /* "blobs/sha256:..." */
	const char *accept; /* or NULL */
	bool brief;         /* the content is small, so it must not trickle */
	const char *what;   /* for messages: "the manifest of x", "layer 0123abcd" */
	uint64_t size;      /* of the whole content, when it is known; else 0 */
	uint64_t offset;    /* next byte wanted: moved on here, may begin above 0 to resume */
	/* The content begins again at byte 0, because the server does not resume: 0 or negative errno. */
	int (*on_restart)(struct registry_get *g, struct error *err);
	int (*on_data)(struct registry_get *g, const void *p, size_t n, struct error *err);
	/* Last. err is NULL on success. The get may be started again or freed in it. */
	void (*on_done)(struct registry_get *g, const struct error *err);

	/* Private. */
	struct registry *registry;
	struct http_call call;
	struct registry_get *next; /* in registry.waiting */
	struct watch timer;
	int timer_fd;
	unsigned attempts;
	unsigned generation;     /* of the authorization this attempt used */
	bool logged_in;          /* the last answer was 401: another one is final */
	uint64_t furthest;       /* offset that counts as reached: attempts count afresh only well beyond it */
	struct buf complaint;    /* body of an error response, its beginning */
	bool checked;            /* the head of this response has been looked at */
	bool misplaced;          /* it goes on at another place than `offset` */
	struct error failure;    /* of a callback of the owner, or of the response's head */
};

/* Begins: 0, or -errno (then on_done is not called). */
int registry_start(struct registry *g, struct registry_get *get, struct error *err) MUST_CHECK;

/* Ends without on_done; a no-op when it is not running. */
void registry_cancel(struct registry_get *get);

#endif

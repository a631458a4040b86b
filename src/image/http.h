/*
 * HTTP transfers in the event loop, over libcurl's multi interface. One call
 * is one request with its redirects; retries and logins are the business of
 * registry.h.
 *
 * What a call promises whatever the server does: only http and https, never
 * from https down to http; the Authorization header goes to the origin (scheme,
 * host, port) of the first URL only; headers, redirects and the bodies of
 * errors are bounded; a transfer that stands still ends, and so does one that
 * trickles unless it may be long.
 */
#ifndef IMAGE_HTTP_H
#define IMAGE_HTTP_H

#include <curl/curl.h>

#include "base/error.h"
#include "base/loop.h"

#define HTTP_URL_MAX (16 * 1024)
#define HTTP_HEADER_MAX (8 * 1024) /* of one header that is kept */
#define HTTP_HOST_MAX 256

struct http {
	struct loop *loop;
	CURLM *multi;
	struct watch timer;
	int timer_fd;
	unsigned stall_s; /* a transfer has failed when nothing comes for this long; a brief one may not take longer */
};

int http_init(struct http *h, struct loop *loop, struct error *err) MUST_CHECK;
void http_fini(struct http *h); /* all calls must have ended or been cancelled */

struct http_request {
	const char *url;
	const char *accept;        /* value of the Accept header, or NULL */
	const char *authorization; /* value of the Authorization header, or NULL; secret */
	const char *form;          /* body of a POST, or NULL for GET; secret */
	uint64_t from;             /* first byte wanted (Range), 0 = all */
	bool redirects;            /* follow them */
	bool brief;                /* the answer is small: it must not trickle */
};

struct http_call {
	/* Set by the owner before http_start(). */
	/* Bytes of the body of the last response (never of a redirect): 0, or negative to abort. */
	int (*on_body)(struct http_call *c, const void *p, size_t n);
	void (*on_done)(struct http_call *c); /* last; may start the call again, or free it */

	/* Results, valid in on_body and on_done. */
	long status;                         /* 0 = no response */
	char content_range[128];             /* header values, "" if absent or longer */
	char challenge[HTTP_HEADER_MAX];     /* all WWW-Authenticate values, joined by ", " */
	long retry_after_s;                  /* 0 = not said */
	/* Results, valid in on_done. */
	CURLcode code;
	long os_error;                       /* errno of a connection that failed; 0 = unknown */
	char host[HTTP_HOST_MAX];            /* host[:port] that this was about, after redirects */
	char error[CURL_ERROR_SIZE];         /* libcurl's words, maybe "" */
	bool refused_redirect;               /* ended because a redirect was not allowed; error says why */
	bool slow;                           /* timed out although something came */
	bool elsewhere;                      /* redirected to another origin: what it asks for is not the registry's */

	/* Private. */
	struct http *http;
	CURL *easy;
	struct watch stall;           /* fires when nothing has come for stall_s */
	int stall_fd;
	struct curl_slist *headers;
	char *authorization, *accept; /* owned copies */
	char *origin;                 /* owned: "https://host:port" of the first URL */
	unsigned redirects_left;
	bool brief;
	size_t aside;                 /* bytes of the response's body that are no content */
};

#define HTTP_CALL_NONE ((struct http_call){ .stall = WATCH_NONE, .stall_fd = -1 })

/* Begins: 0 or negative errno; on_done is called later if and only if it was 0. */
int http_start(struct http *h, struct http_call *c, const struct http_request *q,
	       struct error *err) MUST_CHECK;

/* Ends a running call without on_done; a no-op on one that is not running. */
void http_cancel(struct http_call *c);

#endif

#include "image/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/timerfd.h>

#include "base/clean.h"
#include "base/str.h"

#define REDIRECTS_MAX 5
#define CONNECT_TIMEOUT_S 15L
#define STALL_DEFAULT_S 30
#define STALL_MAX_S 3600
#define ASIDE_MAX (64 * KIB) /* of the body of an error or redirect */

/* --- the loop --------------------------------------------------------------------------------- */

/* One socket of libcurl's in our loop. */
struct http_sock {
	struct watch watch;
	struct http *http;
	int fd; /* libcurl's */
};

static void finish(struct http_call *c, CURLcode code);

/* Hands ended transfers back. Their owners may start or cancel others meanwhile. */
static void reap(struct http *h)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct http_call *c = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
		finish(c, m->data.result);
	}
}

static void on_socket(struct watch *w, uint32_t events)
{
	struct http_sock *s = container_of(w, struct http_sock, watch);
	struct http *h = s->http; /* s may be gone after the action */
	int what = 0, running;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		what |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (events & EPOLLERR)
		what |= CURL_CSELECT_ERR;
	curl_multi_socket_action(h->multi, s->fd, what, &running);
	reap(h);
}

static void on_timer(struct watch *w, uint32_t events)
{
	struct http *h = container_of(w, struct http, timer);
	uint64_t expirations;
	int running;

	(void)events;
	if (read(h->timer_fd, &expirations, sizeof(expirations)) < 0)
		return; /* it was set again meanwhile */
	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(h);
}

static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *user, void *sock)
{
	struct http *h = user;
	struct http_sock *s = sock;
	uint32_t events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s) {
			loop_remove(h->loop, &s->watch);
			free(s);
		}
		curl_multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (s) {
		loop_change(h->loop, &s->watch, events);
		return 0;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -1;
	*s = (struct http_sock){ .watch = WATCH_NONE, .http = h, .fd = fd };
	if (loop_add(h->loop, &s->watch, fd, events, on_socket) < 0) {
		free(s);
		return -1;
	}
	curl_multi_assign(h->multi, fd, s);
	return 0;
}

static int timer_changed(CURLM *multi, long ms, void *user)
{
	struct http *h = user;

	struct itimerspec at = { .it_value = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 } };

	(void)multi;
	if (ms < 0)
		at.it_value = (struct timespec){ 0 }; /* never */
	else if (ms == 0)
		at.it_value.tv_nsec = 1; /* at once, but from the loop, not from in here */
	timerfd_settime(h->timer_fd, 0, &at, NULL);
	return 0;
}

static unsigned stall_seconds(void)
{
	const char *s = getenv("BOXLITE_PULL_STALL_SECONDS");
	uint64_t v;

	return s && str_parse_u64(s, STALL_MAX_S, &v) == 0 && v ? (unsigned)v : STALL_DEFAULT_S;
}

int http_init(struct http *h, struct loop *loop, struct error *err)
{
	*h = (struct http){ .loop = loop, .timer = WATCH_NONE, .timer_fd = -1, .stall_s = stall_seconds() };
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(err, -EIO, "libcurl does not start");
	h->multi = curl_multi_init();
	h->timer_fd = loop_timer_fd();
	if (!h->multi || h->timer_fd < 0 || loop_add(loop, &h->timer, h->timer_fd, EPOLLIN, on_timer) < 0) {
		http_fini(h);
		return error_nomem(err);
	}
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, timer_changed);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	return 0;
}

void http_fini(struct http *h)
{
	if (h->multi)
		curl_multi_cleanup(h->multi); /* calls socket_changed() for what is still open */
	h->multi = NULL;
	if (h->loop)
		loop_remove(h->loop, &h->timer);
	close_fd(&h->timer_fd);
}

/* --- URLs --------------------------------------------------------------------------------------- */

/* One part of a URL; owned by the caller, curl_free(). NULL if there is none. */
static char *url_part(CURLU *u, CURLUPart part, unsigned flags)
{
	char *s = NULL;

	return curl_url_get(u, part, &s, flags) == CURLUE_OK ? s : NULL;
}

/* "https://host:port" of a URL with the port always written, and its host[:port] as people write it; NULL if
 * it is no http or https URL, or one with a user name in it. */
static char *origin_of(const char *url, char host[HTTP_HOST_MAX])
{
	CURLU *u = curl_url();
	char *scheme, *name, *port, *shown, *user, *origin = NULL;

	if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK) {
		curl_url_cleanup(u);
		return NULL;
	}
	scheme = url_part(u, CURLUPART_SCHEME, 0);
	name = url_part(u, CURLUPART_HOST, 0);
	port = url_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	shown = url_part(u, CURLUPART_PORT, 0);
	user = url_part(u, CURLUPART_USER, 0);
	if (scheme && name && port && !user && (str_eq(scheme, "http") || str_eq(scheme, "https"))) {
		if (asprintf(&origin, "%s://%s:%s", scheme, name, port) < 0)
			origin = NULL;
		snprintf(host, HTTP_HOST_MAX, "%.200s%s%.8s", name, shown ? ":" : "", shown ? shown : "");
	}
	curl_free(scheme);
	curl_free(name);
	curl_free(port);
	curl_free(shown);
	curl_free(user);
	curl_url_cleanup(u);
	return origin;
}

/* --- one call ------------------------------------------------------------------------------------- */

static void free_secret(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

static void forget_headers(struct http_call *c)
{
	struct curl_slist *h;

	for (h = c->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(c->headers);
	c->headers = NULL;
}

/* A response began or long content moved on: the clock for a stall begins anew. libcurl's own
 * (CURLOPT_LOW_SPEED_TIME) goes by an average over seconds and notices late. */
static void alive(struct http_call *c)
{
	loop_timer_set(c->stall_fd, (uint64_t)c->http->stall_s * 1000);
}

static void on_stall(struct watch *w, uint32_t events)
{
	struct http_call *c = container_of(w, struct http_call, stall);

	(void)events;
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status);
	c->slow = c->brief && c->status;
	finish(c, CURLE_OPERATION_TIMEDOUT);
}

static int watch_stall(struct http_call *c)
{
	int r;

	c->stall = WATCH_NONE;
	c->stall_fd = loop_timer_fd();
	r = c->stall_fd < 0 ? c->stall_fd : loop_add(c->http->loop, &c->stall, c->stall_fd, EPOLLIN, on_stall);
	if (r == 0)
		alive(c);
	return r;
}

static void release(struct http_call *c)
{
	if (!c->easy)
		return;
	loop_remove(c->http->loop, &c->stall);
	close_fd(&c->stall_fd);
	curl_multi_remove_handle(c->http->multi, c->easy);
	curl_easy_cleanup(c->easy);
	c->easy = NULL;
	forget_headers(c);
	free_secret(c->authorization);
	free(c->accept);
	free(c->origin);
	c->authorization = c->accept = c->origin = NULL;
}

void http_cancel(struct http_call *c)
{
	release(c);
}

/* The value of header line p if its name is `name`; its length in *ret_n. */
static const char *header_value(const char *p, size_t n, const char *name, size_t *ret_n)
{
	size_t k = strlen(name);

	if (n <= k || p[k] != ':' || strncasecmp(p, name, k) != 0)
		return NULL;
	p += k + 1;
	n -= k + 1;
	while (n && (*p == ' ' || *p == '\t')) {
		p++;
		n--;
	}
	while (n && (p[n - 1] == '\r' || p[n - 1] == '\n' || p[n - 1] == ' '))
		n--;
	*ret_n = n;
	return p;
}

/* Appends a value to a header that may come several times; what does not fit is left out. */
static void keep_header(char *to, size_t max, const char *v, size_t n)
{
	size_t have = strlen(to);

	if (memchr(v, 0, n) || have + 2 + n + 1 > max)
		return;
	if (have) {
		memcpy(to + have, ", ", 2);
		have += 2;
	}
	memcpy(to + have, v, n);
	to[have + n] = 0;
}

static size_t on_header(char *p, size_t size, size_t n, void *user)
{
	struct http_call *c = user;
	const char *v;
	size_t len;

	n *= size;
	if (n > 5 && strncmp(p, "HTTP/", 5) == 0) { /* a new response: of a redirect, or after 100 Continue */
		alive(c);
		c->content_range[0] = c->challenge[0] = 0;
		c->aside = 0;
		return n;
	}
	v = header_value(p, n, "www-authenticate", &len);
	if (v)
		keep_header(c->challenge, sizeof(c->challenge), v, len);
	v = header_value(p, n, "content-range", &len);
	if (v)
		keep_header(c->content_range, sizeof(c->content_range), v, len);
	return n;
}

static bool is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool is_content(long status)
{
	return status == 200 || status == 206;
}

static size_t on_body(char *p, size_t size, size_t n, void *user)
{
	struct http_call *c = user;

	n *= size;
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status);
	if (is_content(c->status)) {
		if (!c->brief)
			alive(c);
	} else {
		c->aside += n;
		if (c->aside > ASIDE_MAX)
			return CURL_WRITEFUNC_ERROR;
	}
	if (is_redirect(c->status))
		return n;
	return c->on_body(c, p, n) < 0 ? CURL_WRITEFUNC_ERROR : n;
}

static int add_header(struct http_call *c, const char *name, const char *value)
{
	char *line = NULL;
	struct curl_slist *list;

	if (!value)
		return 0;
	if (asprintf(&line, "%s: %s", name, value) < 0)
		return -ENOMEM;
	list = curl_slist_append(c->headers, line);
	free_secret(line);
	if (!list)
		return -ENOMEM;
	c->headers = list;
	return 0;
}

/* Points the handle at url; `authorized` sends the Authorization header there. */
static int aim(struct http_call *c, const char *url, bool authorized)
{
	forget_headers(c);
	if (add_header(c, "Accept", c->accept) < 0 ||
	    (authorized && add_header(c, "Authorization", c->authorization) < 0) ||
	    curl_easy_setopt(c->easy, CURLOPT_URL, url) != CURLE_OK)
		return -ENOMEM;
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
	return 0;
}

static int set_options(struct http_call *c, const struct http_request *q)
{
	CURL *e = c->easy;
	char range[32];

	curl_easy_setopt(e, CURLOPT_PRIVATE, c);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* do not wait for a resolver thread when cancelled */
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L); /* see follow() */
	curl_easy_setopt(e, CURLOPT_USERAGENT, "boxlite-image");
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->error);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, c);
	/* libcurl itself does not read these variables; users of OpenSSL and of curl(1) expect it. */
	if (getenv("SSL_CERT_DIR"))
		curl_easy_setopt(e, CURLOPT_CAPATH, getenv("SSL_CERT_DIR"));
	if (getenv("SSL_CERT_FILE"))
		curl_easy_setopt(e, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
	else if (getenv("CURL_CA_BUNDLE"))
		curl_easy_setopt(e, CURLOPT_CAINFO, getenv("CURL_CA_BUNDLE"));
	if (q->form && curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, q->form) != CURLE_OK)
		return -ENOMEM;
	if (q->from) {
		snprintf(range, sizeof(range), "%llu-", (unsigned long long)q->from);
		curl_easy_setopt(e, CURLOPT_RANGE, range);
	}
	return aim(c, q->url, true);
}

static void clear_results(struct http_call *c)
{
	c->status = c->retry_after_s = c->os_error = 0;
	c->content_range[0] = c->challenge[0] = c->error[0] = c->host[0] = 0;
	c->code = CURLE_OK;
	c->refused_redirect = c->elsewhere = c->slow = false;
	c->aside = 0;
}

int http_start(struct http *h, struct http_call *c, const struct http_request *q, struct error *err)
{
	int r = -ENOMEM;

	clear_results(c);
	c->http = h;
	c->headers = NULL;
	c->stall = WATCH_NONE;
	c->stall_fd = -1;
	c->redirects_left = q->redirects ? REDIRECTS_MAX : 0;
	c->brief = q->brief;
	c->authorization = q->authorization ? strdup(q->authorization) : NULL;
	c->accept = q->accept ? strdup(q->accept) : NULL;
	c->easy = curl_easy_init();
	c->origin = origin_of(q->url, c->host);
	if (!c->easy) {
		free_secret(c->authorization);
		free(c->accept);
		free(c->origin);
		return error_nomem(err);
	}
	if (!c->origin)
		r = -EINVAL;
	else if ((c->authorization || !q->authorization) && (c->accept || !q->accept))
		r = set_options(c, q);
	if (r == 0)
		r = watch_stall(c);
	if (r == 0 && curl_multi_add_handle(h->multi, c->easy) != CURLM_OK)
		r = -ENOMEM;
	if (r < 0) {
		release(c);
		return error_set(err, r, r == -EINVAL ? "not an http or https address" : "out of memory");
	}
	return 0;
}

/* Why a redirect to `origin` is not followed; NULL = it is. */
static const char *redirect_objection(const struct http_call *c, const char *origin)
{
	if (!origin)
		return "the server redirects to something that is not http or https";
	if (str_starts(c->origin, "https:") && !str_starts(origin, "https:"))
		return "the server redirects from https to http, which is refused";
	if (c->redirects_left == 0)
		return "too many redirects";
	return NULL;
}

/* Goes on to the redirect's target: true, or false when the call ends here. */
static bool follow(struct http_call *c)
{
	char *url = NULL, *origin, *copy;
	const char *objection;
	bool ok;

	curl_easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &url);
	if (!url || strlen(url) > HTTP_URL_MAX)
		return false;
	origin = origin_of(url, c->host);
	objection = redirect_objection(c, origin);
	if (objection) {
		c->refused_redirect = true;
		snprintf(c->error, sizeof(c->error), "%s", objection);
		free(origin);
		return false;
	}
	c->redirects_left--;
	c->elsewhere = !str_eq(origin, c->origin);
	free(origin);
	copy = strdup(url); /* libcurl's memory of it ends with the next transfer */
	curl_multi_remove_handle(c->http->multi, c->easy);
	ok = copy && aim(c, copy, !c->elsewhere) == 0 && curl_multi_add_handle(c->http->multi, c->easy) == CURLM_OK;
	free(copy);
	return ok;
}

static void finish(struct http_call *c, CURLcode code)
{
	curl_off_t retry_after = 0;

	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status);
	if (code == CURLE_OK && is_redirect(c->status) && follow(c))
		return;
	curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &retry_after);
	/* A date that has passed, by this host's clock, comes as a negative number: now. */
	c->retry_after_s = (long)MAX(MIN(retry_after, (curl_off_t)STALL_MAX_S * 24), (curl_off_t)0);
	if (c->aside > ASIDE_MAX)
		snprintf(c->error, sizeof(c->error), "its answer %ld does not end", c->status);
	/* An error is known by its head, whatever became of its body. */
	c->code = c->status >= 400 ? CURLE_OK : code;
	curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &c->os_error);
	release(c);
	c->on_done(c);
}

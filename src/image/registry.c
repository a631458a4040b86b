#include "image/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clean.h"
#include "base/log.h"
#include "base/str.h"
#include "image/explain.h"

#define PAUSE_FIRST_MS 250
#define PAUSE_MAX_MS 8000
#define RETRY_AFTER_MAX_S 60 /* a longer wait is for the user to decide */
#define PROGRESS_BYTES MIB   /* an attempt that moved this much was not in vain */
#define COMPLAINT_MAX (16 * KIB)
#define LOGIN_BODY_MAX (AUTH_TOKEN_MAX * 3ULL)

static void attempt(struct registry_get *get);
static void get_failed(struct registry_get *get, const struct error *err);
static void later_or_never(struct registry_get *get, long retry_after_s, const struct error *err);
static void login_done(struct http_call *c);
static int login_body(struct http_call *c, const void *p, size_t n);

static unsigned attempts_allowed(void)
{
	const char *s = getenv("BOXLITE_PULL_ATTEMPTS");
	uint64_t v;

	return s && str_parse_u64(s, REGISTRY_ATTEMPTS_MAX, &v) == 0 && v ? (unsigned)v : REGISTRY_ATTEMPTS;
}

void registry_init(struct registry *g, struct http *http, const struct image_ref *ref,
		   const struct image_request *req)
{
	*g = (struct registry){
		.http = http, .ref = *ref, .req = req, .attempts = attempts_allowed(), .login = HTTP_CALL_NONE,
		.login_body = BUF_INIT(LOGIN_BODY_MAX),
	};
	g->login.on_body = login_body;
	g->login.on_done = login_done;
}

static void forget_login_body(struct registry *g)
{
	if (g->login_body.mem)
		explicit_bzero(g->login_body.mem, g->login_body.cap);
	buf_fini(&g->login_body);
}

void registry_fini(struct registry *g)
{
	http_cancel(&g->login);
	forget_login_body(g);
	auth_free(g->authorization);
	g->authorization = NULL;
}

static bool has_credentials(const struct registry *g)
{
	return g->req->identity_token || (g->req->username && g->req->password);
}

static int explain(struct registry_get *get, const struct http_call *c, struct error *err)
{
	struct registry *g = get->registry;
	char name[IMAGE_REF_MAX + 1], code[48];
	struct explain_context x = {
		.what = get->what, .registry = g->ref.registry, .name = name, .code = code,
		.plain_http = g->req->plain_http, .had_credentials = has_credentials(g), .stall_s = g->http->stall_s,
	};

	image_ref_format(&g->ref, name);
	explain_code(buf_data(&get->complaint), buf_len(&get->complaint), code);
	return explain_failure(c, &x, err);
}

/* --- login ------------------------------------------------------------------------------------ */

static void set_authorization(struct registry *g, char *header)
{
	auth_free(g->authorization);
	g->authorization = header;
	g->generation++;
}

/* Lets everyone go who waited for the login; with err, to their ends, or if it may pass to another attempt of their
 * own, of which the first logs in again for all. */
static void wake_waiting(struct registry *g, bool may_pass, const struct error *err)
{
	struct registry_get *list = g->waiting, *get;

	g->waiting = NULL;
	while ((get = list)) {
		list = get->next;
		get->next = NULL;
		if (!err)
			attempt(get);
		else if (may_pass)
			later_or_never(get, g->login.retry_after_s, err);
		else
			get_failed(get, err);
	}
}

static int login_body(struct http_call *c, const void *p, size_t n)
{
	struct registry *g = container_of(c, struct registry, login);

	return buf_append(&g->login_body, p, n);
}

static void login_done(struct http_call *c)
{
	struct registry *g = container_of(c, struct registry, login);
	struct error err = { 0 };
	char *header = NULL;

	g->login_busy = false;
	if (c->code != CURLE_OK || c->status != 200) {
		if (c->code == CURLE_OK && (c->status == 401 || c->status == 403 || c->status == 400))
			error_set(&err, -EACCES, "login to %s failed: %s answers %ld; `docker login %s` renews the "
						 "credentials", g->ref.registry, c->host, c->status, g->ref.registry);
		else
			explain_failure(c, &(struct explain_context){ .what = "the login", .registry = g->ref.registry,
				.name = "", .code = "", .had_credentials = true, .stall_s = g->http->stall_s }, &err);
	} else if (auth_parse_token(buf_data(&g->login_body), buf_len(&g->login_body), &header) < 0) {
		error_set(&err, -EPROTO, "login to %s failed: %s sent no usable token", g->ref.registry, c->host);
	} else {
		set_authorization(g, header);
	}
	forget_login_body(g);
	wake_waiting(g, explain_may_pass(c), err.code ? &err : NULL);
}

/* Asks the token server. */
static int login_bearer(struct registry *g, const struct auth_challenge *ch, struct error *err)
{
	const struct image_request *req = g->req;
	struct http_request q = { .accept = "application/json", .redirects = true, .brief = true };
	char scope[IMAGE_NAME_MAX + 32], *url, *basic = NULL, *form = NULL;
	int r;

	snprintf(scope, sizeof(scope), "repository:%s:pull", g->ref.repository);
	if (req->identity_token) {
		form = auth_refresh_form(ch, scope, req->identity_token);
		url = strdup(ch->realm);
		q.redirects = false; /* the body is the secret, and it would be sent on */
	} else {
		if (has_credentials(g))
			basic = auth_basic(req->username, req->password);
		url = auth_token_url(ch, scope);
	}
	q.url = url;
	q.form = form;
	q.authorization = basic;
	if (!url || (req->identity_token && !form) || (!req->identity_token && has_credentials(g) && !basic))
		r = error_set(err, -EPROTO, "%s names a login server that cannot be used", g->ref.registry);
	else
		r = http_start(g->http, &g->login, &q, err);
	auth_free(form);
	auth_free(basic);
	free(url);
	return r;
}

/* Acts on a 401: 0 (the get waits in g->waiting, or has been tried again) or the failure. */
static int log_in(struct registry_get *get, struct error *err)
{
	struct registry *g = get->registry;
	struct auth_challenge ch;
	char *header;
	int r;

	if (!g->login_busy && get->generation != g->generation) {
		attempt(get); /* somebody else's login came meanwhile */
		return 0;
	}
	if (!g->login_busy) {
		r = auth_parse_challenge(get->call.challenge, &ch);
		if (r < 0)
			return error_set(err, -EACCES, "%s wants a login of a kind that is not supported",
					 g->ref.registry);
		if (ch.scheme == AUTH_BASIC) {
			if (!g->req->username || !g->req->password || g->authorization)
				return explain(get, &get->call, err);
			header = auth_basic(g->req->username, g->req->password);
			if (!header)
				return error_nomem(err);
			set_authorization(g, header);
			attempt(get);
			return 0;
		}
		if (!auth_realm_allowed(&ch, g->req->plain_http))
			return error_set(err, -EACCES, "%s sends logins to a server without https, which is refused",
					 g->ref.registry);
		r = login_bearer(g, &ch, err);
		if (r < 0)
			return r;
		g->login_busy = true;
	}
	get->next = g->waiting;
	g->waiting = get;
	return 0;
}

/* --- one get ------------------------------------------------------------------------------------ */

static void release(struct registry_get *get)
{
	http_cancel(&get->call);
	loop_remove(get->registry->http->loop, &get->timer);
	close_fd(&get->timer_fd);
	buf_fini(&get->complaint);
}

void registry_cancel(struct registry_get *get)
{
	struct registry_get **at;

	if (!get->registry)
		return;
	for (at = &get->registry->waiting; *at; at = &(*at)->next)
		if (*at == get) {
			*at = get->next;
			break;
		}
	release(get);
	get->registry = NULL;
}

static void get_failed(struct registry_get *get, const struct error *err)
{
	struct error copy = *err;

	release(get);
	get->registry = NULL;
	get->on_done(get, &copy);
}

/* Where in the content a 206 begins; the server's Content-Range is "bytes N-M/T" or "bytes N-M/" and a star. */
static bool parse_content_range(const char *s, uint64_t *ret_from, uint64_t *ret_total)
{
	unsigned long long from, to, total = 0;
	char star = 0;

	if (sscanf(s, "bytes %19llu-%19llu/%19llu", &from, &to, &total) != 3 &&
	    (sscanf(s, "bytes %19llu-%19llu/%c", &from, &to, &star) != 3 || star != '*'))
		return false;
	*ret_from = from;
	*ret_total = total;
	return true;
}

/* Looks at the head of a good response before its first byte is used. */
static int check_head(struct registry_get *get, struct error *err)
{
	uint64_t from, total;
	int r = 0;

	if (get->call.status == 206) {
		get->misplaced = !parse_content_range(get->call.content_range, &from, &total) ||
				 from != get->offset || (total && get->size && total != get->size);
		if (get->misplaced)
			return error_set(err, -EPROTO, "%s: %s resumed at the wrong place", get->what,
					 get->call.host);
	} else if (get->offset) {
		r = get->on_restart(get, err);
		get->offset = 0;
	}
	return r;
}

static int on_body(struct http_call *c, const void *p, size_t n)
{
	struct registry_get *get = container_of(c, struct registry_get, call);
	int r = 0;

	if (c->status != 200 && c->status != 206) {
		/* The beginning is enough to find the error's code, which comes first. */
		return buf_append(&get->complaint, p, MIN(n, buf_room(&get->complaint))) == -ENOMEM ? -ENOMEM : 0;
	}
	if (!get->checked)
		r = check_head(get, &get->failure);
	get->checked = true;
	if (r == 0 && get->size && n > get->size - get->offset)
		r = error_set(&get->failure, -EFBIG, "%s: %s sends more than the %llu bytes announced", get->what,
			      c->host, (unsigned long long)get->size);
	if (r == 0)
		r = get->on_data(get, p, n, &get->failure);
	if (r == 0)
		get->offset += n;
	return r;
}

static void on_pause_end(struct watch *w, uint32_t events)
{
	struct registry_get *get = container_of(w, struct registry_get, timer);

	(void)events;
	loop_remove(get->registry->http->loop, &get->timer);
	attempt(get);
}

/* How long to wait before the next attempt: what the server asked for, else doubled each time; then jittered,
 * so that those who failed together do not come back together. */
static uint64_t pause_ms(const struct registry_get *get, long retry_after_s)
{
	uint64_t ms = MIN((uint64_t)PAUSE_FIRST_MS << MIN(get->attempts - 1, 16U), (uint64_t)PAUSE_MAX_MS);
	uint16_t jitter = 0;

	if (getrandom(&jitter, sizeof(jitter), GRND_NONBLOCK) < 0)
		jitter = 0;
	ms += ms * jitter / UINT16_MAX / 2;
	return MAX(ms, (uint64_t)retry_after_s * 1000);
}

/* Another attempt after a pause: 0, or -errno when there is to be none. */
static int try_later(struct registry_get *get, long retry_after_s)
{
	struct loop *loop = get->registry->http->loop;
	uint64_t ms;

	/* Bytes that came before do not count again: a server that never resumes and always cuts must end. */
	if (get->offset >= get->furthest + PROGRESS_BYTES) {
		get->attempts = 1;
		get->furthest = get->offset;
	}
	if (get->attempts >= get->registry->attempts || retry_after_s > RETRY_AFTER_MAX_S)
		return -ETIMEDOUT;
	if (get->timer_fd < 0)
		get->timer_fd = loop_timer_fd();
	if (get->timer_fd < 0)
		return -errno;
	ms = pause_ms(get, retry_after_s);
	loop_timer_set(get->timer_fd, ms);
	return loop_add(loop, &get->timer, get->timer_fd, EPOLLIN, on_pause_end);
}

/* After a failure that may pass. */
static void later_or_never(struct registry_get *get, long retry_after_s, const struct error *err)
{
	get->logged_in = false;
	if (try_later(get, retry_after_s) < 0)
		get_failed(get, err);
	else
		log_info("attempt %u of %u: %s", get->attempts, get->registry->attempts, err->text);
}

/* Is the body that just ended complete? A server that closes without a length can only be caught by the size. */
static bool is_whole(struct registry_get *get, struct error *err)
{
	if (!get->size || get->offset == get->size)
		return true;
	error_set(err, -EIO, "%s: %s cut the transfer short", get->what, get->call.host);
	return false;
}

/* Did the server refuse to go on at our offset (it knows another length), or go on elsewhere? */
static bool cannot_resume(const struct registry_get *get)
{
	return get->offset && (get->misplaced || (get->call.code == CURLE_OK && get->call.status == 416));
}

/* Has the owner drop what it has, or the next pull would try to resume it too, and fail in the same way. */
static int begin_again(struct registry_get *get, struct error *err)
{
	int r = get->on_restart(get, err);

	get->offset = 0;
	get->failure = (struct error){ 0 };
	return r;
}

static void on_done(struct http_call *c)
{
	struct registry_get *get = container_of(c, struct registry_get, call);
	bool good = c->code == CURLE_OK && (c->status == 200 || c->status == 206);
	bool may_pass = explain_may_pass(c);
	struct error err = { 0 };

	if (get->failure.code && !cannot_resume(get)) {
		get_failed(get, &get->failure);
		return;
	}
	if (good && is_whole(get, &err)) {
		release(get);
		get->registry = NULL;
		get->on_done(get, NULL);
		return;
	}
	if (c->code == CURLE_OK && c->status == 401 && !c->elsewhere && !get->logged_in) {
		get->logged_in = true;
		if (log_in(get, &err) < 0)
			get_failed(get, &err);
		return;
	}
	if (cannot_resume(get)) {
		err = get->failure;
		may_pass = begin_again(get, &err) == 0;
	}
	if (!err.code)
		explain(get, c, &err);
	if (may_pass || good)
		later_or_never(get, c->retry_after_s, &err);
	else
		get_failed(get, &err);
}

static int attempt_or_fail(struct registry_get *get, struct error *err)
{
	struct registry *g = get->registry;
	char url[IMAGE_NAME_MAX * 2 + 320];
	struct http_request q = {
		.url = url, .accept = get->accept, .authorization = g->authorization,
		.from = get->offset, .redirects = true, .brief = get->brief,
	};

	snprintf(url, sizeof(url), "%s://%s/v2/%s/%s", g->req->plain_http ? "http" : "https",
		 image_ref_api_host(&g->ref), g->ref.repository, get->path);
	if (!get->logged_in) /* the repetition with a login belongs to the same attempt */
		get->attempts++;
	get->generation = g->generation;
	get->checked = get->misplaced = false;
	buf_fini(&get->complaint);
	return http_start(g->http, &get->call, &q, err);
}

/* From the loop, where the owner may be told of a failure at once. */
static void attempt(struct registry_get *get)
{
	struct error err = { 0 };

	if (attempt_or_fail(get, &err) < 0)
		get_failed(get, &err);
}

int registry_start(struct registry *g, struct registry_get *get, struct error *err)
{
	int r;

	get->registry = g;
	get->call = HTTP_CALL_NONE;
	get->call.on_body = on_body;
	get->call.on_done = on_done;
	get->next = NULL;
	get->timer = WATCH_NONE;
	get->timer_fd = -1;
	get->attempts = 0;
	get->furthest = get->offset;
	get->logged_in = false;
	get->complaint = BUF_INIT(COMPLAINT_MAX);
	get->failure = (struct error){ 0 };
	r = attempt_or_fail(get, err);
	if (r < 0)
		registry_cancel(get);
	return r;
}

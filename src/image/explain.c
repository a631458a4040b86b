#include "image/explain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

/* What OpenSSL says when the peer's first bytes are not TLS. */
static bool speaks_no_tls(const struct http_call *c)
{
	return c->code == CURLE_SSL_CONNECT_ERROR &&
	       (strstr(c->error, "wrong version number") || strstr(c->error, "packet length too long"));
}

bool explain_may_pass(const struct http_call *c)
{
	switch (c->code) {
	case CURLE_OK:
		return c->status == 408 || c->status == 429 || c->status >= 500;
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return true;
	case CURLE_SSL_CONNECT_ERROR:
		return !speaks_no_tls(c);
	default:
		return false;
	}
}

void explain_code(const void *body, size_t n, char out[48])
{
	auto_json json_t *j = json_parse(body, n, "", NULL);
	bool bad = false;
	json_t *list = j && json_is_object(j) ? json_get_list(j, "errors", &bad) : NULL;
	const char *code = json_get_str(json_array_get(list, 0), "code", "", &bad);
	size_t k = strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");

	out[0] = 0;
	if (k && k < 48 && !code[k])
		memcpy(out, code, k + 1);
}

static int explain_transport(const struct http_call *c, const struct explain_context *x, struct error *err)
{
	switch (c->code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return error_set(err, -EHOSTUNREACH, "cannot find the host %s: is its name right, and is there a "
						     "network?", c->host);
	case CURLE_COULDNT_RESOLVE_PROXY:
		return error_set(err, -EHOSTUNREACH, "cannot find the proxy that the environment names for %s", c->host);
	case CURLE_COULDNT_CONNECT:
		return error_set(err, -ECONNREFUSED, "cannot connect to %s: %s (is it running there?)", c->host,
				 c->os_error ? strerror((int)c->os_error) : c->error);
	case CURLE_PEER_FAILED_VERIFICATION:
		return error_set(err, -EPERM, "the TLS certificate of %s is not trusted: %s (SSL_CERT_FILE can name the "
					      "file of another authority)", c->host, c->error);
	case CURLE_SSL_CONNECT_ERROR:
		if (speaks_no_tls(c))
			return error_set(err, -EPROTO, "%s speaks plain http: use --plain-http", c->host);
		return error_set(err, -EPROTO, "no TLS connection with %s: %s", c->host, c->error);
	case CURLE_OPERATION_TIMEDOUT:
		if (c->slow)
			return error_set(err, -ETIMEDOUT, "%s: %s is too slow: its answer was not whole after %u s",
					 x->what, c->host, x->stall_s);
		return error_set(err, -ETIMEDOUT, "%s: %s stalled: nothing arrived for %u s", x->what, c->host,
				 x->stall_s);
	case CURLE_PARTIAL_FILE:
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		if (x->plain_http && !c->status)
			return error_set(err, -EIO, "%s does not answer in plain http: it may want https, without "
						    "--plain-http", c->host);
		return error_set(err, -EIO, "%s: %s cut the transfer short", x->what, c->host);
	default:
		return error_set(err, -EIO, "%s: transfer from %s failed: %s", x->what, c->host,
				 c->error[0] ? c->error : curl_easy_strerror(c->code));
	}
}

static int explain_denied(const struct http_call *c, const struct explain_context *x, struct error *err)
{
	if (x->had_credentials)
		return error_set(err, -EACCES, "%s refuses %s for these credentials (%ld): no such image, or no right "
					       "to it; `docker login %s` renews them", x->registry, x->name, c->status,
				 x->registry);
	return error_set(err, -EACCES, "%s refuses %s without a login (%ld): no such image, or it is private; "
				       "`docker login %s` first", x->registry, x->name, c->status, x->registry);
}

static int explain_rate(const struct http_call *c, const struct explain_context *x, struct error *err)
{
	if (c->retry_after_s)
		return error_set(err, -EBUSY, "rate limit of %s reached (429): try again in %ld s%s", c->host,
				 c->retry_after_s, x->had_credentials ? "" : ", or log in for a higher limit");
	return error_set(err, -EBUSY, "rate limit of %s reached (429): try again later%s", c->host,
			 x->had_credentials ? "" : ", or log in for a higher limit");
}

int explain_failure(const struct http_call *c, const struct explain_context *x, struct error *err)
{
	if (c->refused_redirect)
		return error_set(err, -EPROTO, "%s: %s", x->what, c->error);
	if (c->code != CURLE_OK)
		return explain_transport(c, x, err);
	switch (c->status) {
	case 401:
	case 403:
		return explain_denied(c, x, err);
	case 404:
		return error_set(err, -ENOENT, "%s has no %s", x->registry, x->what);
	case 429:
		return explain_rate(c, x, err);
	case 400:
		if (x->plain_http)
			return error_set(err, -EPROTO, "%s answers %ld to plain http: it may want https, without "
						       "--plain-http", c->host, c->status);
		break;
	}
	return error_set(err, -EPROTO, "%s: %s answers %ld%s%s", x->what, c->host, c->status, x->code[0] ? " " : "",
			 x->code);
}

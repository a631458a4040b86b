/* Secrets: how a person writes one, what is kept of it, and how values travel. */
#include <errno.h>
#include <stdlib.h>

#include "lib/tap.h"
#include "wire/netspec.h"

static void good(const char *text, const char *name, const char *from, const char *host, unsigned port)
{
	struct error err = { 0 };
	struct secret s = { 0 }, again = { 0 };
	char *written;

	ok(secret_parse(text, &s, &err) == 0, "%s %s", text, err.text);
	written = secret_format(&s);
	ok(written && secret_parse(written, &again, &err) == 0 && !strcmp(s.name, again.name) &&
	   !strcmp(s.from, again.from) && !strcmp(s.host, again.host) && s.port == again.port, "as %s", written);
	free(written);
	secret_fini(&again);
	is_str(s.name, name, "its name");
	is_str(s.from, from, "its source");
	is_str(s.host, host, "its host");
	is_int(s.port, port, "its port");
	secret_fini(&s);
}

static void bad(const char *text)
{
	struct error err = { 0 };
	struct secret s = { .port = 7 };

	ok(secret_parse(text, &s, &err) == -EINVAL && s.port == 7 && strstr(err.text, text), "%s: %s", text, err.text);
}

static void test_parse(void)
{
	good("KEY,host=api.example.com", "KEY", "env:KEY", "api.example.com", 443);
	good("KEY=OTHER,host=*.Example.com.", "KEY", "env:OTHER", "*.example.com", 443);
	good("KEY=@/run/a,host=x,host=b.example:8443", "KEY", "file:/run/a,host=x", "b.example", 8443);
	bad("KEY");
	bad("KEY=V");
	bad(",host=a.example");
	bad("1KEY,host=a.example");
	bad("KEY=,host=a.example");
	bad("KEY=A B,host=a.example");
	bad("KEY=@rel/ative,host=a.example");
	bad("KEY,host=");
	bad("KEY,host=*");
	bad("KEY,host=10.0.0.1");
	bad("KEY,host=tcp:a.example");
	bad("KEY,host=a.example:1-2");
}

static void test_kept(void)
{
	struct net_spec s = { 0 }, again = { 0 };
	struct error err = { 0 };
	json_t *j;

	is_int(net_spec_add_secret(&s, "KEY,host=a.example", &err), 0, "one of a box");
	ok(strlen(s.secrets[0].placeholder) == 47 && !strncmp(s.secrets[0].placeholder, "boxlite-secret-", 15),
	   "has a placeholder");
	is_int(net_spec_add_secret(&s, "KEY,host=b.example", &err), -EINVAL, "a second one of that name");
	is_int(net_spec_add_secret(&s, "KEY2=@/f,host=*.b.example:8443", &err), 0, "one of another name");
	j = net_spec_to_json(&s);
	ok(net_spec_from_json(j, &again, &err) == 0 && again.nsecrets == 2, "both are read back");
	is_str(again.secrets[0].placeholder, s.secrets[0].placeholder, "with their placeholders");
	is_str(again.secrets[1].host, "*.b.example", "hosts");
	ok(again.secrets[1].port == 8443 && !strcmp(again.secrets[1].from, "file:/f"), "ports and sources");
	json_decref(j);
	net_spec_fini(&s);
	net_spec_fini(&again);
}

static int get(const struct buf *b, size_t n, struct net_secrets *ret)
{
	/* A copy of exactly this size, so that a sanitizer sees a read past the end. What is read borrows it. */
	static void *exact;

	free(exact);
	exact = malloc(n ? n : 1);
	memcpy(exact, buf_data(b) + FRAME_HEADER, n);
	return wire_get_net_secrets(exact, n, ret, NULL);
}

static void test_values(void)
{
	struct net_secrets s = { .n = 2, .v = {
		{ "KEY", "a.example", "boxlite-secret-1", 443, (const uint8_t *)"s3\0ret", 6 },
		{ "KEY2", "*.b.example", "boxlite-secret-2", 8443, (const uint8_t *)"x", 1 },
	} }, again;
	struct buf b = BUF_INIT(64 * KIB);
	struct frame f;
	size_t i;
	int wrong = 0;

	is_int(wire_put_net_secrets(&b, &s), 0, "values are written");
	ok(frame_peek(&b, &f) == 1 && f.type == FRAME_NET_SECRETS, "as one frame");
	is_int(get(&b, f.len, &again), 0, "and read");
	ok(again.n == 2 && again.v[0].value_len == 6 && !memcmp(again.v[0].value, "s3\0ret", 6), "any bytes");
	ok(again.v[1].port == 8443 && !strcmp(again.v[1].host, "*.b.example"), "with their hosts");
	for (i = 0; i < f.len; i++)
		wrong += get(&b, i, &again) == 0;
	is_int(wrong, 0, "cut anywhere they are none");
	buf_fini(&b);
	s.v[0].host = "A.example";
	ok(wire_put_net_secrets(&b, &s) == 0 && frame_peek(&b, &f) == 1 && get(&b, f.len, &again) < 0,
	   "a host in capitals is refused");
	buf_fini(&b);
	s.v[0].host = "a.example";
	s.v[0].placeholder = "with space";
	ok(wire_put_net_secrets(&b, &s) == 0 && frame_peek(&b, &f) == 1 && get(&b, f.len, &again) < 0,
	   "and a placeholder with a space");
	buf_fini(&b);
}

int main(void)
{
	test_parse();
	test_kept();
	test_values();
	return tap_done();
}

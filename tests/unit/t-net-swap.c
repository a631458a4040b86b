/* Replacing in a stream: whatever its pieces are, the same comes out. And which secrets are for whom. */
#include <errno.h>
#include <stdlib.h>

#include "lib/tap.h"
#include "net/secrets.h"

/* Through swap_move() in pieces, with this much room each time. */
static const char *moved(const struct swaps *s, const char *text, size_t step, size_t room)
{
	static char out[4096];
	struct buf in = BUF_INIT(4096), to = BUF_INIT(4096);
	size_t n = strlen(text), at = 0;
	ssize_t r;

	do {
		size_t piece = MIN(step, n - at);

		if (buf_append(&in, text + at, piece) < 0)
			return "no room";
		at += piece;
		while ((r = swap_move(s, &in, &to, room, at == n)) > 0)
			;
	} while (at < n && r >= 0);
	snprintf(out, sizeof(out), "%.*s%s", (int)buf_len(&to), (char *)buf_data(&to), buf_len(&in) ? "(left)" : "");
	buf_fini(&in);
	buf_fini(&to);
	return out;
}

static void same(const struct swaps *s, const char *text, const char *want)
{
	struct buf out = BUF_INIT(4096);
	size_t step, room;
	int bad = 0;

	for (step = 1; step <= strlen(text) + 1; step++)
		for (room = s->longest + 1; room < 60; room += 7)
			bad += strcmp(moved(s, text, step, room), want) != 0;
	is_int(bad, 0, text);
	is_str(moved(s, text, 1000, 1000), want, "at once");
	is_int(swap_length(s, text, strlen(text), 4096), strlen(want), "its length is known before");
	ok(swap_put(s, text, strlen(text), &out) == 0 && buf_len(&out) == strlen(want) &&
	   (!*want || !memcmp(buf_data(&out), want, strlen(want))), "and it can be put as a whole");
	buf_fini(&out);
}

static void test_streams(void)
{
	struct swaps s = { .n = 0 }, none = { .n = 0 };

	swaps_add(&s, "PLACE", 5, "a-longer-value", 14);
	swaps_add(&s, "LONGPLACEHOLDER", 15, "x", 1);
	swaps_add(&s, "PLACEB", 6, "b", 1);
	swaps_add(&s, "aba", 3, "", 0);
	swaps_done(&s);
	swaps_done(&none);
	same(&s, "nothing of it", "nothing of it");
	same(&s, "", "");
	same(&s, "PLACE", "a-longer-value");
	same(&s, "PLACEPLACE PLACE", "a-longer-valuea-longer-value a-longer-value");
	same(&s, "1LONGPLACEHOLDER2", "1x2");
	same(&s, "PLACEB PLACEX PLAC", "b a-longer-valueX PLAC");
	same(&s, "PLAPLACE LONGPLACEHOLDE", "PLAa-longer-value LONGa-longer-valueHOLDE");
	same(&s, "ababa aab aba", "ba aab ");
	same(&none, "PLACE", "PLACE");
	is_int(swap_length(&s, "PLACEPLACE", 10, 27), -ERANGE, "a length that is too much");
	ok(!swaps_keep_length(&s) && swaps_keep_length(&none), "whether lengths change");
}

/* The plainest way to do it. */
static const char *plainly(const struct swaps *s, const char *text)
{
	static char out[4096];
	size_t n = 0, i;

	while (*text) {
		const struct swap *best = NULL;

		for (i = 0; i < s->n; i++)
			if (!strncmp(text, (const char *)s->v[i].from, s->v[i].from_len) &&
			    (!best || s->v[i].from_len > best->from_len))
				best = &s->v[i];
		if (best)
			memcpy(out + n, best->to, best->to_len);
		else
			out[n] = *text;
		n += best ? best->to_len : 1;
		text += best ? best->from_len : 1;
	}
	out[n] = 0;
	return out;
}

/* Strings of few letters, which are in each other's way. */
static void test_search(void)
{
	static struct swaps s;
	static char from[8][16], text[400];
	size_t i, k;
	int round, bad = 0;

	srand(1);
	for (round = 0; round < 3000; round++) {
		memset(&s, 0, sizeof(s));
		for (i = 0; i < 1 + (size_t)round % 8; i++) {
			size_t n = 1 + (size_t)rand() % (round % 3 ? 15 : 4);

			for (k = 0; k < n; k++)
				from[i][k] = (char)('a' + rand() % 3);
			swaps_add(&s, from[i], n, "XYZ", (size_t)rand() % 4);
		}
		swaps_done(&s);
		for (k = 0; k < sizeof(text) - 1; k++)
			text[k] = (char)('a' + rand() % 3);
		bad += strcmp(moved(&s, text, 1 + (size_t)rand() % 40, 200), plainly(&s, text)) != 0;
	}
	is_int(bad, 0, "what is found is what comparing each string at each place finds");
}

static struct secrets *three(void)
{
	struct net_secrets list = { .n = 3, .v = {
		{ "A", "api.example.com", "boxlite-secret-a", 443, (const uint8_t *)"p&q \"x", 6 },
		{ "B", "*.example.com", "boxlite-secret-b", 443, (const uint8_t *)"plain", 5 },
		{ "C", "api.example.com", "boxlite-secret-c", 8443, (const uint8_t *)"line\nline", 9 },
	} };
	struct buf b = BUF_INIT(64 * KIB);
	struct error err = { 0 };
	struct secrets *s = NULL;

	if (wire_put_net_secrets(&b, &list) == 0)
		s = secrets_new(buf_data(&b) + FRAME_HEADER, buf_len(&b) - FRAME_HEADER, &err);
	buf_fini(&b);
	return s;
}

static void test_hosts(void)
{
	struct secrets *s = three();
	const struct secret_set *set;

	ok(s != NULL, "values are kept");
	if (!s)
		return;
	ok(secrets_has(s, "api.example.com", 443) && secrets_has(s, "other.example.com", 443), "hosts that have some");
	ok(!secrets_has(s, "example.com", 443) && !secrets_has(s, "xapi.example.org", 443) &&
	   !secrets_has(s, "badexample.com", 443) && !secrets_has(s, "other.example.com", 8443), "and that do not");
	ok(secrets_has_port(s, 8443) && !secrets_has_port(s, 80), "ports");
	set = secrets_of(s, "api.example.com", 443);
	is_str(moved(&set->body, "boxlite-secret-a boxlite-secret-b boxlite-secret-c", 9, 100),
	       "p&q \"x plain boxlite-secret-c", "those of a host and port");
	is_str(moved(&set->url, "/?boxlite-secret-a&boxlite-secret-b", 9, 100), "/?p%26q%20%22x&plain", "in a URL");
	is_str(moved(&set->json, "\"boxlite-secret-a\"", 9, 100), "\"p&q \\\"x\"", "in JSON");
	is_str(moved(&set->scrub, "p&q \"x p%26q%20%22x p&q \\\"x plain", 9, 100),
	       "boxlite-secret-a boxlite-secret-a boxlite-secret-a boxlite-secret-b", "and back");
	set = secrets_of(s, "api.example.com", 8443);
	is_int(set->header.n, 0, "a value of two lines does not go into a header");
	is_str(moved(&set->json, "boxlite-secret-c", 9, 100), "line\\nline", "but into a body");
	ok(secrets_of(s, "api.example.com", 8443) == set, "what was made for one connection serves the next one");
	ok(secrets_of(s, "other.example.com", 443) != set, "but not that for another host");
	secrets_free(s);
}

static struct secrets *one(const char *value)
{
	struct net_secrets list = {
		.n = 1, .v = { { "A", "a.example", "boxlite-secret-a", 443, (const uint8_t *)value, strlen(value) } },
	};
	struct buf b = BUF_INIT(64 * KIB);
	struct secrets *s = NULL;

	if (wire_put_net_secrets(&b, &list) == 0)
		s = secrets_new(buf_data(&b) + FRAME_HEADER, buf_len(&b) - FRAME_HEADER, NULL);
	buf_fini(&b);
	return s;
}

/* However it comes in pieces, the value in this form becomes the placeholder. */
static void scrubbed(const struct secret_set *set, const char *what, const char *text, const char *want)
{
	size_t step;
	int bad = 0;

	for (step = 1; step <= strlen(text) + 1; step++)
		bad += strcmp(moved(&set->scrub, text, step, 100), want) != 0;
	is_int(bad, 0, what);
	if (bad)
		printf("# %s\n# becomes %s\n", text, moved(&set->scrub, text, 1000, 1000));
}

static void test_forms(void)
{
	static const struct {
		const char *what, *text;
	} forms[] = {
		{ "as it is", "k/ey+<a&b>\"'=Z>" },
		{ "in a URL", "k%2Fey%2B%3Ca%26b%3E%22%27%3DZ%3E" },
		{ "in a URL, small digits", "k%2fey%2b%3ca%26b%3e%22%27%3dZ%3e" },
		{ "in a URL, with its slashes", "k/ey%2B%3Ca%26b%3E%22%27%3DZ%3E" },
		{ "in a URL, JavaScript's", "k%2Fey%2B%3Ca%26b%3E%22'%3DZ%3E" },
		{ "in a path", "k/ey+%3Ca&b%3E%22'=Z%3E" },
		{ "in JSON", "k/ey+<a&b>\\\"'=Z>" },
		{ "in JSON, with escaped slashes", "k\\/ey+<a&b>\\\"'=Z>" },
		{ "in JSON, Go's", "k/ey+\\u003ca\\u0026b\\u003e\\\"'=Z\\u003e" },
		{ "in JSON, Gson's", "k/ey+\\u003ca\\u0026b\\u003e\\\"\\u0027\\u003dZ\\u003e" },
		{ "in JSON, .NET's", "k/ey\\u002B\\u003Ca\\u0026b\\u003E\\u0022\\u0027=Z\\u003E" },
		{ "in JSON, all escaped",
		  "k\\u002fey\\u002b\\u003ca\\u0026b\\u003e\\u0022\\u0027\\u003dZ\\u003e" },
		{ "in HTML", "k/ey+&lt;a&amp;b&gt;&quot;'=Z&gt;" },
		{ "in HTML, quotes as well", "k/ey+&lt;a&amp;b&gt;&quot;&#39;=Z&gt;" },
		{ "in HTML, Go's", "k/ey+&lt;a&amp;b&gt;&#34;&#39;=Z&gt;" },
		{ "in HTML, Python's", "k/ey+&lt;a&amp;b&gt;&quot;&#x27;=Z&gt;" },
		{ "in HTML, PHP's", "k/ey+&lt;a&amp;b&gt;&quot;&#039;=Z&gt;" },
		{ "in HTML, Mustache's", "k&#x2F;ey+&lt;a&amp;b&gt;&quot;&#39;&#x3D;Z&gt;" },
	};
	struct secrets *s = one("k/ey+<a&b>\"'=Z>");
	const struct secret_set *set = s ? secrets_of(s, "a.example", 443) : NULL;
	char text[256];
	size_t i;

	ok(set != NULL, "a value that many would escape");
	for (i = 0; set && i < ARRAY_SIZE(forms); i++) {
		snprintf(text, sizeof(text), "{%s} %s", forms[i].text, forms[i].text);
		scrubbed(set, forms[i].what, text, "{boxlite-secret-a} boxlite-secret-a");
	}
	secrets_free(s);
}

/* What is left of it at its borders are characters that have bits of its neighbours. */
static void test_base64(void)
{
	struct secrets *s = one("tok>>>en???12"), *short_one = one("abcd"), *plain = one("abcdefghijkl");
	const struct secret_set *set = s ? secrets_of(s, "a.example", 443) : NULL;
	const struct secret_set *few = short_one ? secrets_of(short_one, "a.example", 443) : NULL;
	const struct secret_set *same = plain ? secrets_of(plain, "a.example", 443) : NULL;

	ok(set && few && same, "values");
	scrubbed(set, "Base64", "x dG9rPj4+ZW4/Pz8xMg== y", "x boxlite-secret-ag== y");
	scrubbed(set, "Base64, one byte before it", "OnRvaz4+PmVuPz8/MTI=", "Onboxlite-secret-aI=");
	scrubbed(set, "Base64, two bytes before it", "YTp0b2s+Pj5lbj8/PzEy", "YTpboxlite-secret-a");
	scrubbed(set, "Basic", "Basic dXNlcjp0b2s+Pj5lbj8/PzEy", "Basic dXNlcjpboxlite-secret-a");
	scrubbed(set, "Base64 of URLs", "dG9rPj4-ZW4_Pz8xMg", "boxlite-secret-ag");
	scrubbed(set, "and one byte before it", "OnRvaz4-PmVuPz8_MTI", "Onboxlite-secret-aI");
	scrubbed(set, "and two", "YTp0b2s-Pj5lbj8_PzEy", "YTpboxlite-secret-a");
	scrubbed(few, "of few bytes there is none", "YWJjZA== 0YWJjZ", "YWJjZA== 0YWJjZ");
	is_int(same->scrub.n, 4, "what comes to the same is looked for once");
	secrets_free(s);
	secrets_free(short_one);
	secrets_free(plain);
}

int main(void)
{
	test_streams();
	test_search();
	test_hosts();
	test_forms();
	test_base64();
	return tap_done();
}

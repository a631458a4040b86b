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
	struct secret_set *set;

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
	free(set);
	set = secrets_of(s, "api.example.com", 8443);
	is_int(set->header.n, 0, "a value of two lines does not go into a header");
	is_str(moved(&set->json, "boxlite-secret-c", 9, 100), "line\\nline", "but into a body");
	free(set);
	secrets_free(s);
}

int main(void)
{
	test_streams();
	test_hosts();
	return tap_done();
}

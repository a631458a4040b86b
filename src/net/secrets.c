/*
 * Where values are. They come in one message on the control socket and go, with the other ways to write them, into one
 * mapping that is locked (never on a swap device), left out of core dumps, and wiped at the end. The buffer that the
 * message was read into is wiped by who has it (control.c). From the mapping a value is copied only into what is sent
 * to its host: buffers of a connection, wiped when they go, and those of OpenSSL and nghttp2, which are ordinary
 * memory of this process. For these it is that the process is not dumpable (main.c): no core, no ptrace, no
 * /proc/PID/mem for others of the same user.
 */
#include "net/secrets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/str.h"
#include "net/forms.h"

struct form {
	const uint8_t *p;
	size_t n;
};

/* One that was asked for, and of which secrets it is. What to look for takes some time and memory to be prepared. */
struct kept_set {
	struct kept_set *next;
	bool has[SECRETS_MAX];
	struct secret_set set;
};

struct secrets {
	uint8_t *map; /* owned, locked */
	size_t map_len, used;
	struct net_secrets list; /* all in the map */
	struct form forms[SECRETS_MAX][FORMS]; /* p NULL: as it is, or as an earlier one */
	struct kept_set *kept; /* owned; at most one for each set of hosts that differ */
};

/* Room for all that may be made of these. */
static size_t forms_size(const struct net_secrets *list)
{
	size_t total = 0, i;
	unsigned f;

	for (i = 0; i < list->n; i++)
		for (f = 0; f < FORMS; f++)
			total += form_put(f, list->v[i].value, list->v[i].value_len, NULL);
	return total;
}

static void make_forms(struct secrets *s, size_t i)
{
	const struct net_secret *v = &s->list.v[i];
	struct form *forms = s->forms[i];
	unsigned f, k;

	for (f = 0; f < FORMS; f++) {
		uint8_t *to = s->map + s->used;
		size_t n = form_put(f, v->value, v->value_len, to);

		for (k = 0; n && k < f && !(forms[k].n == n && !memcmp(forms[k].p, to, n)); k++)
			;
		if (!n || k < f)
			continue;
		forms[f] = (struct form){ to, n };
		s->used += n;
	}
}

/* A mapping of this length: -1 with the reason. */
static int map_locked(struct secrets *s, size_t n, struct error *err)
{
	void *map = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED) {
		error_nomem(err);
		return -1;
	}
	s->map = map;
	s->map_len = n;
	if (mlock(map, n) < 0 || madvise(map, n, MADV_DONTDUMP) < 0) {
		error_sys(err, "cannot lock %zu bytes of memory for secrets (see ulimit -l)", n);
		return -1;
	}
	return 0;
}

struct secrets *secrets_new(const void *payload, size_t n, struct error *err)
{
	struct secrets *s = calloc(1, sizeof(*s));
	size_t i;

	if (!s) {
		error_nomem(err);
		return NULL;
	}
	if (wire_get_net_secrets(payload, n, &s->list, err) < 0 ||
	    map_locked(s, n + forms_size(&s->list) + 1, err) < 0) {
		secrets_free(s);
		return NULL;
	}
	if (n)
		memcpy(s->map, payload, n);
	s->used = n;
	if (wire_get_net_secrets(s->map, n, &s->list, err) < 0) { /* the same, but there */
		secrets_free(s);
		return NULL;
	}
	for (i = 0; i < s->list.n; i++)
		make_forms(s, i);
	return s;
}

void secrets_free(struct secrets *s)
{
	struct kept_set *k;

	if (!s)
		return;
	while ((k = s->kept)) {
		s->kept = k->next;
		explicit_bzero(k, sizeof(*k)); /* which bytes are at the end of a value says something of it */
		free(k);
	}
	if (s->map) {
		explicit_bzero(s->map, s->map_len);
		munmap(s->map, s->map_len);
	}
	free(s);
}

static bool is_for(const struct net_secret *v, const char *name, uint16_t port)
{
	size_t n = strlen(name), sub;

	if (v->port != port)
		return false;
	if (!str_starts(v->host, "*."))
		return str_eq(v->host, name);
	sub = strlen(v->host) - 1; /* with its dot */
	return n > sub && str_eq(name + n - sub, v->host + 1);
}

bool secrets_has(const struct secrets *s, const char *name, uint16_t port)
{
	size_t i;

	for (i = 0; i < s->list.n && !is_for(&s->list.v[i], name, port); i++)
		;
	return i < s->list.n;
}

bool secrets_has_port(const struct secrets *s, uint16_t port)
{
	size_t i;

	for (i = 0; i < s->list.n && s->list.v[i].port != port; i++)
		;
	return i < s->list.n;
}

/* A value that would end a header does not go into one: its placeholder does. */
static bool fits_header(const struct net_secret *v)
{
	size_t i;

	for (i = 0; i < v->value_len; i++)
		if ((v->value[i] < ' ' && v->value[i] != '\t') || v->value[i] == 0x7f)
			return false;
	return true;
}

static void add(struct secret_set *set, const struct secrets *s, size_t i)
{
	const struct net_secret *v = &s->list.v[i];
	const struct form *forms = s->forms[i], raw = { v->value, v->value_len };
	const struct form *url = forms[FORM_URL].n ? &forms[FORM_URL] : &raw;
	const struct form *json = forms[FORM_JSON].n ? &forms[FORM_JSON] : &raw;
	size_t n = strlen(v->placeholder);
	unsigned f;

	if (fits_header(v))
		swaps_add(&set->header, v->placeholder, n, v->value, v->value_len);
	swaps_add(&set->url, v->placeholder, n, url->p, url->n);
	swaps_add(&set->json, v->placeholder, n, json->p, json->n);
	swaps_add(&set->body, v->placeholder, n, v->value, v->value_len);
	swaps_add(&set->scrub, v->value, v->value_len, v->placeholder, n);
	for (f = 0; f < FORMS; f++)
		if (forms[f].n)
			swaps_add(&set->scrub, forms[f].p, forms[f].n, v->placeholder, n);
}

/* NULL: no memory. */
static struct kept_set *make_set(const struct secrets *s, const bool *has)
{
	struct kept_set *k = calloc(1, sizeof(*k));
	size_t i;

	_Static_assert(SECRETS_MAX * (FORMS + 1) <= SWAPS_MAX, "each form of each value has its place");
	if (!k)
		return NULL;
	memcpy(k->has, has, sizeof(k->has));
	for (i = 0; i < s->list.n; i++)
		if (has[i])
			add(&k->set, s, i);
	swaps_done(&k->set.header);
	swaps_done(&k->set.url);
	swaps_done(&k->set.json);
	swaps_done(&k->set.body);
	swaps_done(&k->set.scrub);
	return k;
}

const struct secret_set *secrets_of(struct secrets *s, const char *name, uint16_t port)
{
	bool has[SECRETS_MAX] = { false };
	struct kept_set *k;
	size_t i;

	for (i = 0; i < s->list.n; i++)
		has[i] = is_for(&s->list.v[i], name, port);
	for (k = s->kept; k && memcmp(k->has, has, sizeof(has)) != 0; k = k->next)
		;
	if (!k) {
		k = make_set(s, has);
		if (!k)
			return NULL;
		k->next = s->kept;
		s->kept = k;
	}
	return &k->set;
}

#include "net/names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/str.h"

#define BUCKETS 4096 /* a power of two */
#define NONE UINT16_MAX

struct entry {
	struct ip_addr addr;
	uint64_t until_ms;
	char *name;    /* owned */
	uint16_t rule;
	uint16_t next; /* in its bucket */
};

struct names {
	uint64_t seed[2]; /* a guest that knew them could put all in one bucket */
	struct entry *v; /* of NAMES_MAX, the first n of them used */
	uint16_t n;
	uint16_t buckets[BUCKETS];
	uint16_t of_rule[NAMES_NO_RULE + 1]; /* how many each has */
};

struct names *names_new(void)
{
	struct names *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->v = calloc(NAMES_MAX, sizeof(*n->v));
	if (!n->v || getrandom(n->seed, sizeof(n->seed), 0) != sizeof(n->seed)) {
		names_free(n);
		return NULL;
	}
	memset(n->buckets, 0xff, sizeof(n->buckets));
	return n;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	while (n->n)
		free(n->v[--n->n].name);
	free(n->v);
	free(n);
}

static size_t bucket_of(const struct names *n, const struct ip_addr *a)
{
	unsigned __int128 product;
	uint64_t half[2];

	memcpy(half, a, sizeof(half));
	product = (unsigned __int128)(half[0] ^ n->seed[0]) * (half[1] ^ n->seed[1]);
	return (size_t)((uint64_t)product ^ (uint64_t)(product >> 64)) % BUCKETS;
}

static struct entry *lookup(const struct names *n, unsigned rule, const struct ip_addr *a)
{
	uint16_t i;

	for (i = n->buckets[bucket_of(n, a)]; i != NONE; i = n->v[i].next)
		if (n->v[i].rule == rule && ip_eq(&n->v[i].addr, a))
			return &n->v[i];
	return NULL;
}

const char *names_find(const struct names *n, unsigned rule, const struct ip_addr *a, uint64_t now_ms)
{
	const struct entry *e = lookup(n, rule, a);

	return e && e->until_ms > now_ms ? e->name : NULL;
}

const char *names_any(const struct names *n, const struct ip_addr *a, uint64_t now_ms)
{
	uint16_t i;

	for (i = n->buckets[bucket_of(n, a)]; i != NONE; i = n->v[i].next)
		if (ip_eq(&n->v[i].addr, a) && n->v[i].until_ms > now_ms)
			return n->v[i].name;
	return NULL;
}

/* The link that leads to an entry. */
static uint16_t *link_to(struct names *n, uint16_t at)
{
	uint16_t *link = &n->buckets[bucket_of(n, &n->v[at].addr)];

	while (*link != at)
		link = &n->v[*link].next;
	return link;
}

/* The last entry takes the place of the one that goes. */
static void forget(struct names *n, uint16_t at)
{
	uint16_t last = n->n - 1;

	*link_to(n, at) = n->v[at].next;
	n->of_rule[n->v[at].rule]--;
	free(n->v[at].name);
	if (at != last) {
		*link_to(n, last) = at;
		n->v[at] = n->v[last];
	}
	n->n = last;
}

/* What expired first; or, if nothing has, what will be the first of the rule that has most. */
static uint16_t least_wanted(const struct names *n, uint64_t now_ms)
{
	uint16_t i, oldest = 0, most = 0, best = NONE;

	for (i = 0; i < n->n; i++)
		if (n->v[i].until_ms < n->v[oldest].until_ms)
			oldest = i;
	if (n->v[oldest].until_ms <= now_ms)
		return oldest;
	for (i = 0; i <= NAMES_NO_RULE; i++)
		if (n->of_rule[i] > n->of_rule[most])
			most = i;
	for (i = 0; i < n->n; i++)
		if (n->v[i].rule == most && (best == NONE || n->v[i].until_ms < n->v[best].until_ms))
			best = i;
	return best;
}

uint64_t names_ttl_ms(uint32_t ttl)
{
	return 1000ULL * MAX(MIN(ttl, NAMES_TTL_MAX), NAMES_TTL_MIN);
}

void names_each(const struct names *n, uint64_t now_ms, names_fn *fn, void *ud)
{
	uint16_t i;

	for (i = 0; i < n->n; i++)
		if (n->v[i].until_ms > now_ms)
			fn(ud, n->v[i].name, &n->v[i].addr, n->v[i].until_ms);
}

void names_learn(struct names *n, unsigned rule, const char *name, const struct ip_addr *a, uint64_t until_ms,
		 uint64_t now_ms)
{
	struct entry *e = lookup(n, rule, a);
	uint16_t *bucket;
	char *copy;

	if (!e && n->n == NAMES_MAX && until_ms <= now_ms)
		return;
	copy = e && str_eq(e->name, name) ? NULL : strdup(name);
	if (e && (copy || str_eq(e->name, name))) {
		if (copy) {
			free(e->name);
			e->name = copy;
		}
		e->until_ms = MAX(e->until_ms, until_ms);
		return;
	}
	if (!copy)
		return;
	if (n->n == NAMES_MAX)
		forget(n, least_wanted(n, now_ms));
	bucket = &n->buckets[bucket_of(n, a)];
	n->v[n->n] = (struct entry){ *a, until_ms, copy, (uint16_t)rule, *bucket };
	*bucket = n->n++;
	n->of_rule[rule]++;
}

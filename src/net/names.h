/*
 * Which addresses are known for the names of which rule. The memory is bounded, and no rule's addresses are forgotten
 * for those of a rule that has more of them: who owns one name cannot drive out another by answers without end.
 */
#ifndef NET_NAMES_H
#define NET_NAMES_H

#include "base/ip.h"
#include "wire/netspec.h"

#define NAMES_MAX 4096
#define NAMES_TTL_MIN 60 /* seconds; programs keep an answer for a while, whatever its TTL says */
#define NAMES_TTL_MAX (24 * 60 * 60)
#define NAMES_NO_RULE NET_RULES_MAX /* a name that no rule is about, remembered for people */

struct names; /* opaque */

struct names *names_new(void); /* NULL: no memory */
void names_free(struct names *n);

uint64_t names_ttl_ms(uint32_t ttl); /* how long an answer is known: its ttl, in the bounds above */

/* Known from now on, until that moment. No memory: not known; nor if it has passed, and there is no place left. */
void names_learn(struct names *n, unsigned rule, const char *name, const struct ip_addr *a, uint64_t until_ms,
		 uint64_t now_ms);

/* Calls fn for all that is known at that moment, once for each of its rules. What has expired is forgotten when others
 * need its place; so a moment that is past finds what was known then, if it does. */
typedef void names_fn(void *ud, const char *name, const struct ip_addr *a, uint64_t until_ms);
void names_each(const struct names *n, uint64_t now_ms, names_fn *fn, void *ud);

/* The name by which the address is known for this rule, until the next names_learn(); NULL: it is not. */
const char *names_find(const struct names *n, unsigned rule, const struct ip_addr *a, uint64_t now_ms);

/* The same for any rule. */
const char *names_any(const struct names *n, const struct ip_addr *a, uint64_t now_ms);

#endif

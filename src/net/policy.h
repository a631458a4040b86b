/*
 * What the guest may reach: one question, one answer, for TCP, UDP, ICMP and DNS alike.
 *
 * Names are enforced by what they resolve to: the resolver (resolver.h) tells which addresses it has answered for which
 * name, and an address is allowed for a name while such an answer is valid. A connection that has begun by then may
 * last: programs keep one for hours, and do not ask again for its name.
 */
#ifndef NET_POLICY_H
#define NET_POLICY_H

#include "wire/netchange.h"

struct policy; /* opaque */

struct policy_answer {
	bool allow;
	const char *reason; /* static; of a denial: a reason of struct net_denied */
	const char *name;   /* borrowed until the next call; the name that the address is known by, or NULL */
	bool by_name;       /* names have a say in it: what a connection claims to come for is to be checked, too */
};

/* The spec is borrowed and must outlive it. NULL: no memory. */
struct policy *policy_new(const struct net_spec *spec, struct error *err);
void policy_free(struct policy *p);

/*
 * Gives `spec`, the one that it was made with, the rules and switches of another one, and asks by those from now on.
 * What is known of names stays known, as far as it is remembered: of each address one name for each rule that was about
 * it, and one if none was. All or nothing: -ENOMEM.
 */
int policy_set_rules(struct policy *p, struct net_spec *spec, const struct net_spec *rules,
		     struct error *err) MUST_CHECK;

/* May the guest send to this address, which is the one that the host's kernel would be asked to reach? `to_host`: the
 * guest has used the address of the host (NET_V4_HOST, NET_V6_HOST), and addr is the loopback that it stands for.
 * `since_ms`: when that has begun, for which an answer is good that was valid then; POLICY_NOW: it is about to. */
#define POLICY_NOW UINT64_MAX
struct policy_answer policy_check(struct policy *p, enum net_proto proto, const struct ip_addr *addr, uint16_t port,
				  bool to_host, uint64_t since_ms);

/* May a connection to this address go on, that says that it comes for this name? For answers that are by_name: a rule
 * that allows a name does so at an address of that very name, one that denies it does so anywhere. */
struct policy_answer policy_check_claim(struct policy *p, const struct ip_addr *addr, uint16_t port, bool to_host,
					uint64_t since_ms, const char *name);

/* May this name be asked for? Lower case, without the last dot. */
struct policy_answer policy_check_name(struct policy *p, const char *name);

/* The resolver has given this answer for a name: valid for so many seconds. */
void policy_learn(struct policy *p, const char *name, const struct ip_addr *addr, uint32_t ttl);

/* Is the address known by the name of a host that has a secret, at this port? */
bool policy_has_secret(struct policy *p, const struct ip_addr *addr, uint16_t port);

/* The answer for NET_HOST_NAME: whether the host may be reached at all. */
bool policy_host_open(const struct policy *p);

#endif

/*
 * Two questions are asked of each address. Do the rules allow it: the first that matches decides, and what none matches
 * is allowed if no rule allows anything. And is its class open: by a switch, or by a rule that allows an address or a
 * network within the class. Both must be so.
 *
 * A rule with a name matches an address that the resolver has answered for such a name, while that answer is valid
 * (names.h). It never opens a class: who controls a name can let it point anywhere.
 */
#include "net/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/clock.h"
#include "base/str.h"
#include "net/class.h"
#include "net/names.h"
#include "net/route.h"

#define PORT_DNS 53
#define PORT_DNS_TLS 853
#define PORT_QUIC 443

struct policy {
	const struct net_spec *spec;
	struct names *names;
	struct names *secrets; /* of hosts with a secret, by its place in the spec */
	int route_fd;
	bool allows; /* something, so that nothing else is */
	bool has_names; /* in its rules */
	struct ip_addr link_host[2]; /* NET_V4_HOST, NET_V6_HOST: what the guest sends to */
	struct ip_addr loopback[2];  /* and what that stands for */
};

/* What is asked about. */
struct subject {
	enum net_proto proto;
	uint16_t port;
	bool to_host;
	struct ip_addr addr;
	struct ip_addr also; /* of to_host: the address by which the guest knows it */
	const char *claim;   /* the name for which a connection says that it comes; NULL: none is known */
	struct ip_addr embedded[CLASS_EMBEDDED_MAX];
	size_t nembedded;
	uint64_t since_ms; /* the answers that were valid then count */
};

static bool rule_names(const struct net_rule *r)
{
	return r->target == TARGET_NAME || r->target == TARGET_SUBNAMES;
}

static void sum_up(struct policy *p)
{
	size_t i;

	p->allows = p->has_names = false;
	for (i = 0; i < p->spec->nrules; i++) {
		const struct net_rule *r = &p->spec->rules[i];

		p->allows |= r->allow;
		p->has_names |= rule_names(r);
	}
}

struct policy *policy_new(const struct net_spec *spec, struct error *err)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (!p) {
		error_nomem(err);
		return NULL;
	}
	p->spec = spec;
	p->route_fd = route_open();
	if (p->route_fd < 0) {
		error_code(err, p->route_fd, "cannot ask the kernel for routes");
		free(p);
		return NULL;
	}
	p->names = names_new();
	p->secrets = names_new();
	if (!p->names || !p->secrets || ip_parse(NET_V4_HOST, &p->link_host[0]) < 0 ||
	    ip_parse(NET_V6_HOST, &p->link_host[1]) < 0 || ip_parse("127.0.0.1", &p->loopback[0]) < 0 ||
	    ip_parse("::1", &p->loopback[1]) < 0) {
		error_nomem(err);
		policy_free(p);
		return NULL;
	}
	sum_up(p);
	return p;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	close_fd(&p->route_fd);
	names_free(p->names);
	names_free(p->secrets);
	free(p);
}

/* --- names ------------------------------------------------------------------------------------------------ */

/* Is this rule about this name? */
static bool rule_has_name(const struct net_rule *r, const char *name)
{
	size_t n, sub;

	if (r->target == TARGET_NAME)
		return str_eq(r->name, name);
	if (r->target != TARGET_SUBNAMES)
		return false;
	n = strlen(name);
	sub = strlen(r->name);
	return n > sub + 1 && name[n - sub - 1] == '.' && str_eq(name + n - sub, r->name);
}

static bool secret_has_name(const struct secret *s, const char *name)
{
	size_t n, sub;

	if (!str_starts(s->host, "*."))
		return str_eq(s->host, name);
	n = strlen(name);
	sub = strlen(s->host) - 1; /* with its dot */
	return n > sub && str_eq(name + n - sub, s->host + 1);
}

bool policy_has_secret(struct policy *p, const struct ip_addr *addr, uint16_t port)
{
	size_t i;

	for (i = 0; i < p->spec->nsecrets; i++)
		if (p->spec->secrets[i].port == port && names_find(p->secrets, (unsigned)i, addr, clock_ms()))
			return true;
	return false;
}

static void learn(struct policy *p, const char *name, const struct ip_addr *addr, uint64_t until_ms, uint64_t now_ms)
{
	bool known = false;
	size_t i;

	for (i = 0; i < p->spec->nrules; i++)
		if (rule_has_name(&p->spec->rules[i], name)) {
			names_learn(p->names, (unsigned)i, name, addr, until_ms, now_ms);
			known = true;
		}
	if (!known)
		names_learn(p->names, NAMES_NO_RULE, name, addr, until_ms, now_ms);
}

static void learn_secrets(struct policy *p, const char *name, const struct ip_addr *addr, uint64_t now_ms)
{
	size_t i;

	for (i = 0; i < p->spec->nsecrets; i++)
		if (secret_has_name(&p->spec->secrets[i], name))
			/* As long as can be: its certificate proves that it is the host, and a program may keep an
			 * address for longer than it was good for. */
			names_learn(p->secrets, (unsigned)i, name, addr, now_ms + NAMES_TTL_MAX * 1000ULL, now_ms);
}

void policy_learn(struct policy *p, const char *name, const struct ip_addr *addr, uint32_t ttl)
{
	uint64_t now_ms = clock_ms();

	learn(p, name, addr, now_ms + names_ttl_ms(ttl), now_ms);
	learn_secrets(p, name, addr, now_ms);
}

static void learn_again(void *ud, const char *name, const struct ip_addr *addr, uint64_t until_ms)
{
	learn(ud, name, addr, until_ms, clock_ms());
}

/* What is known belongs to rules by their places, which are others now. */
int policy_set_rules(struct policy *p, struct net_spec *spec, const struct net_spec *rules, struct error *err)
{
	struct names *old = p->names, *fresh = names_new();
	int r = fresh ? net_spec_set_rules(spec, rules, err) : error_nomem(err);

	if (r < 0) {
		names_free(fresh);
		return r;
	}
	sum_up(p);
	p->names = fresh;
	/* Also what has expired: connections that began before that are asked about by it. */
	names_each(old, 0, learn_again, p);
	names_free(old);
	return 0;
}

struct policy_answer policy_check_name(struct policy *p, const char *name)
{
	size_t i;

	for (i = 0; i < p->spec->nrules; i++) {
		const struct net_rule *r = &p->spec->rules[i];

		if (r->target != TARGET_ALL && !rule_has_name(r, name))
			continue;
		if (r->allow)
			return (struct policy_answer){ .allow = true, .name = name };
		/* A port of it is denied, not the name. */
		if (r->proto == NET_ANY && !r->first_port)
			return (struct policy_answer){ .reason = "rule", .name = name };
	}
	return (struct policy_answer){ .allow = !p->allows, .reason = p->allows ? "name" : NULL, .name = name };
}

/* --- addresses -------------------------------------------------------------------------------------------- */

/* The addresses in a translated one count for what denies, not for what allows: they are not where it goes. */
static bool rule_has_addr(const struct net_rule *r, const struct subject *s)
{
	size_t i;

	if (ip_in(&s->addr, &r->net) || (s->to_host && ip_in(&s->also, &r->net)))
		return true;
	for (i = 0; !r->allow && i < s->nembedded; i++)
		if (ip_in(&s->embedded[i], &r->net))
			return true;
	return false;
}

static bool rule_has_port(const struct net_rule *r, const struct subject *s)
{
	if (r->proto != NET_ANY && r->proto != s->proto)
		return false;
	if (!r->first_port)
		return true;
	return (s->proto == NET_TCP || s->proto == NET_UDP) && s->port >= r->first_port && s->port <= r->last_port;
}

/* *name: by which it matches, if it is by name. */
static bool rule_matches(const struct policy *p, size_t i, const struct subject *s, const char **name)
{
	const struct net_rule *r = &p->spec->rules[i];
	const char *known;

	if (!rule_has_port(r, s))
		return false;
	switch (r->target) {
	case TARGET_ALL:
		return true;
	case TARGET_NET:
		return rule_has_addr(r, s);
	case TARGET_NAME:
	case TARGET_SUBNAMES:
		if (s->claim && !rule_has_name(r, s->claim))
			return false;
		if (s->claim && !r->allow)
			return true;
		if (s->to_host)
			return rule_has_name(r, NET_HOST_NAME);
		/* QUIC is encrypted, so nobody can see for whom it comes: only a rule for UDP means it. */
		if (r->allow && s->proto == NET_UDP && r->proto == NET_ANY && s->port == PORT_QUIC)
			return false;
		known = names_find(p->names, (unsigned)i, &s->addr, s->since_ms);
		if (known)
			*name = known;
		return known != NULL;
	}
	return false;
}

static enum net_class classify(const struct policy *p, const struct ip_addr *a, bool to_host)
{
	enum net_class c;

	if (to_host && class_loopback(a))
		return CLASS_HOST;
	c = class_of(a);
	if (c == CLASS_SPECIAL || c == CLASS_METADATA) /* also if the host itself has that address */
		return c;
	switch (route_ask(p->route_fd, a)) {
	case ROUTE_LOCAL:
		return CLASS_HOST;
	case ROUTE_SPECIAL:
		return CLASS_SPECIAL;
	case ROUTE_AWAY:
		break;
	}
	return c;
}

/* Does the rule open its class for this address? The host's are opened one by one. */
static bool rule_opens(const struct net_rule *r, enum net_class c, const struct ip_addr *a, const struct subject *s)
{
	if (!r->allow || r->target != TARGET_NET || !rule_has_port(r, s))
		return false;
	if (c != CLASS_HOST)
		return ip_in(a, &r->net) && class_has(c, &r->net);
	return r->net.bits == 128 && (ip_eq(a, &r->net.addr) || (s->to_host && ip_eq(&s->also, &r->net.addr)));
}

static bool class_open(const struct policy *p, enum net_class c, const struct ip_addr *a, const struct subject *s)
{
	static const unsigned switches[] = {
		[CLASS_HOST] = NET_OPEN_HOST,		  [CLASS_PRIVATE] = NET_OPEN_PRIVATE,
		[CLASS_LINK_LOCAL] = NET_OPEN_LINK_LOCAL, [CLASS_METADATA] = NET_OPEN_METADATA,
		[CLASS_SPECIAL] = 0,
	};
	size_t i;

	if (c == CLASS_PUBLIC || (p->spec->open & switches[c]))
		return true;
	if (c == CLASS_SPECIAL)
		return false;
	for (i = 0; i < p->spec->nrules; i++)
		if (rule_opens(&p->spec->rules[i], c, a, s))
			return true;
	return false;
}

/* The class that is closed, of the address or of one in it; CLASS_PUBLIC: none is. */
static enum net_class closed_class(const struct policy *p, const struct subject *s)
{
	enum net_class c = classify(p, &s->addr, s->to_host);
	size_t i;

	if (!class_open(p, c, &s->addr, s))
		return c;
	for (i = 0; i < s->nembedded; i++) {
		c = classify(p, &s->embedded[i], false);
		if (!class_open(p, c, &s->embedded[i], s))
			return c;
	}
	return CLASS_PUBLIC;
}

/* The first rule that matches, or nrules. */
static size_t first_match(const struct policy *p, const struct subject *s, const char **name)
{
	size_t i;

	for (i = 0; i < p->spec->nrules; i++)
		if (rule_matches(p, i, s, name))
			break;
	return i;
}

/* Is a connection that the i-th rule allows, or none, to be asked for its name? Not at an address that is allowed by
 * itself, unless a name that is denied stands before that. */
static bool names_matter(const struct policy *p, size_t i, const struct subject *s)
{
	const struct net_rule *r = p->spec->rules;
	size_t k;

	if (i == p->spec->nrules || r[i].target != TARGET_NET)
		return p->has_names;
	for (k = 0; k < i && !(!r[k].allow && rule_names(&r[k]) && rule_has_port(&r[k], s)); k++)
		;
	return k < i;
}

static const char *reason_of_none(const struct subject *s)
{
	bool ports = s->proto == NET_TCP || s->proto == NET_UDP;

	/* Programs with a DNS server of their own: what to do about it is another advice. */
	return ports && (s->port == PORT_DNS || s->port == PORT_DNS_TLS) ? "dns-server" : "not-allowed";
}

static struct policy_answer check(struct policy *p, struct subject *s)
{
	const char *known = names_any(p->names, &s->addr, s->since_ms);
	struct policy_answer answer = { .name = s->to_host ? NET_HOST_NAME : known };
	enum net_class closed;
	size_t i;

	s->also = p->link_host[ip_is_v4(&s->addr) ? 0 : 1];
	s->nembedded = s->to_host ? 0 : class_embedded(&s->addr, s->embedded);
	closed = closed_class(p, s);
	i = first_match(p, s, &answer.name);
	if (closed == CLASS_SPECIAL)
		answer.reason = class_name(closed);
	else if (i < p->spec->nrules && !p->spec->rules[i].allow)
		answer.reason = "rule";
	else if (closed != CLASS_PUBLIC)
		answer.reason = class_name(closed);
	else if (i == p->spec->nrules && p->allows)
		answer.reason = reason_of_none(s);
	answer.allow = !answer.reason;
	answer.by_name = names_matter(p, i, s);
	return answer;
}

struct policy_answer policy_check(struct policy *p, enum net_proto proto, const struct ip_addr *addr, uint16_t port,
				  bool to_host, uint64_t since_ms)
{
	struct subject s = { .proto = proto, .port = port, .to_host = to_host, .addr = *addr,
			     .since_ms = MIN(since_ms, clock_ms()) };

	return check(p, &s);
}

struct policy_answer policy_check_claim(struct policy *p, const struct ip_addr *addr, uint16_t port, bool to_host,
					uint64_t since_ms, const char *name)
{
	struct subject s = { .proto = NET_TCP, .port = port, .to_host = to_host, .addr = *addr, .claim = name,
			     .since_ms = MIN(since_ms, clock_ms()) };
	struct policy_answer answer = check(p, &s);

	if (!answer.allow)
		answer = (struct policy_answer){ .reason = "claim", .name = name };
	return answer;
}

bool policy_host_open(const struct policy *p)
{
	size_t i, k;

	if (p->spec->open & NET_OPEN_HOST)
		return true;
	for (i = 0; i < p->spec->nrules; i++) {
		const struct net_rule *r = &p->spec->rules[i];

		if (!r->allow || r->target != TARGET_NET || r->net.bits != 128)
			continue;
		for (k = 0; k < ARRAY_SIZE(p->link_host); k++)
			if (ip_eq(&r->net.addr, &p->link_host[k]) || ip_eq(&r->net.addr, &p->loopback[k]))
				return true;
	}
	return false;
}

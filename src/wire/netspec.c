#include "wire/netspec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

static const struct {
	unsigned bit;
	const char *name;
} opens[] = {
	{ NET_OPEN_HOST, "host" },
	{ NET_OPEN_PRIVATE, "private" },
	{ NET_OPEN_LINK_LOCAL, "link-local" },
	{ NET_OPEN_METADATA, "metadata" },
};

void net_spec_fini(struct net_spec *s)
{
	size_t i;

	for (i = 0; i < s->nrules; i++)
		free(s->rules[i].name);
	for (i = 0; i < s->nsecrets; i++)
		secret_fini(&s->secrets[i]);
	free(s->rules);
	free(s->ports);
	free(s->secrets);
	*s = (struct net_spec){ 0 };
}

/* Room for one more of n: called at each, but a box has few. */
static int grow(void *array, size_t n, size_t most, size_t size, const char *what, struct error *err)
{
	void *more;

	if (n >= most)
		return error_set(err, -E2BIG, "more than %zu %s", most, what);
	more = reallocarray(*(void **)array, n + 1, size);
	if (!more)
		return error_nomem(err);
	*(void **)array = more;
	return 0;
}

int net_spec_add_rule(struct net_spec *s, const char *text, bool allow, struct error *err)
{
	int r = grow(&s->rules, s->nrules, NET_RULES_MAX, sizeof(*s->rules), "network rules", err);

	if (r == 0)
		r = net_rule_parse(text, allow, &s->rules[s->nrules], err);
	if (r == 0)
		s->nrules++;
	return r;
}

int net_spec_push_port(struct net_spec *s, const struct net_port *p, struct error *err)
{
	int r = grow(&s->ports, s->nports, NET_PORTS_MAX, sizeof(*s->ports), "ports", err);

	if (r == 0)
		s->ports[s->nports++] = *p;
	return r;
}

int net_spec_add_port(struct net_spec *s, const char *text, struct error *err)
{
	struct net_port p;
	int r = net_port_parse(text, &p, err);

	return r < 0 ? r : net_spec_push_port(s, &p, err);
}

/* An address that is all of its family: the host listens by IPv4 and by IPv6 apart. */
static bool is_wildcard(const struct ip_addr *a)
{
	static const struct ip_addr all6;
	struct ip_addr all4 = ip_v4(0, 0, 0, 0);

	return ip_eq(a, &all4) || ip_eq(a, &all6);
}

static bool in_the_way(const struct net_port *a, const struct net_port *b)
{
	if (!a->host_port || a->host_port != b->host_port || a->proto != b->proto ||
	    ip_is_v4(&a->host) != ip_is_v4(&b->host))
		return false;
	return ip_eq(&a->host, &b->host) || is_wildcard(&a->host) || is_wildcard(&b->host);
}

int net_spec_check_port(const struct net_spec *s, const struct net_port *p, struct error *err)
{
	char text[NET_RULE_TEXT_MAX], other[NET_RULE_TEXT_MAX];
	size_t i;

	for (i = 0; i < s->nports && !in_the_way(&s->ports[i], p); i++)
		;
	if (i == s->nports)
		return 0;
	net_port_format(p, text);
	net_port_format(&s->ports[i], other);
	if (str_eq(text, other))
		return error_set(err, -EEXIST, "%s is published already", text);
	return error_set(err, -EEXIST, "%s cannot be published: %s is published already, and the host can listen there "
			 "only once; take another port, or 0 for one that is free", text, other);
}

/* Takes it. A name is a variable of the guest: there is one of each. */
static int add_secret(struct net_spec *s, struct secret *new, struct error *err)
{
	int r = grow(&s->secrets, s->nsecrets, SECRETS_MAX, sizeof(*s->secrets), "secrets", err);
	size_t i;

	for (i = 0; r == 0 && i < s->nsecrets; i++)
		if (str_eq(s->secrets[i].name, new->name))
			r = error_set(err, -EINVAL, "two secrets are called %s", new->name);
	if (r < 0)
		secret_fini(new);
	else
		s->secrets[s->nsecrets++] = *new;
	return r;
}

int net_spec_add_secret(struct net_spec *s, const char *text, struct error *err)
{
	struct secret new = { 0 };
	int r = secret_parse(text, &new, err);

	if (r == 0)
		r = secret_make_placeholder(&new, err);
	if (r < 0) {
		secret_fini(&new);
		return r;
	}
	return add_secret(s, &new, err);
}

int net_open_parse(const char *text, unsigned *open, struct error *err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(opens); i++)
		if (str_eq(text, opens[i].name)) {
			*open |= opens[i].bit;
			return 0;
		}
	return error_set(err, -EINVAL, "'%.100s' at character 1 is not host, private, link-local or metadata", text);
}

/* --- JSON ------------------------------------------------------------------------------------------------- */

static json_t *rules_to_json(const struct net_spec *s)
{
	char rule[NET_RULE_TEXT_MAX], text[NET_RULE_TEXT_MAX + 8];
	json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < s->nrules; i++) {
		snprintf(text, sizeof(text), "%s %s", s->rules[i].allow ? "allow" : "deny",
			 net_rule_format(&s->rules[i], rule));
		if (json_array_append_new(list, json_string(text)) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

static json_t *ports_to_json(const struct net_spec *s)
{
	char text[NET_RULE_TEXT_MAX];
	json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < s->nports; i++)
		if (json_array_append_new(list, json_string(net_port_format(&s->ports[i], text))) < 0) {
			json_decref(list);
			list = NULL;
		}
	return list;
}

static json_t *open_to_json(unsigned open)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < ARRAY_SIZE(opens); i++)
		if ((open & opens[i].bit) && json_array_append_new(list, json_string(opens[i].name)) < 0) {
			json_decref(list);
			list = NULL;
		}
	return list;
}

static json_t *secrets_to_json(const struct net_spec *s)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < s->nsecrets; i++)
		if (json_array_append_new(list, secret_to_json(&s->secrets[i])) < 0) {
			json_decref(list);
			list = NULL;
		}
	return list;
}

json_t *net_spec_to_json(const struct net_spec *s)
{
	return json_pack("{s:b, s:I, s:I, s:o, s:o, s:o, s:o}", "none", s->none, "rate", (json_int_t)s->rate, "flows",
			 (json_int_t)s->flows, "open", open_to_json(s->open), "rules", rules_to_json(s), "ports",
			 ports_to_json(s), "secrets", secrets_to_json(s));
}

static int take_secrets(const json_t *j, struct net_spec *s, struct error *err)
{
	bool bad = false;
	const json_t *list = json_get_list(j, "secrets", &bad);
	size_t i;
	int r = bad ? error_set(err, -EBADMSG, "network: 'secrets' is not a list") : 0;

	for (i = 0; r == 0 && i < json_array_size(list); i++) {
		struct secret new = { 0 };

		r = secret_from_json(json_array_get(list, i), &new, err);
		if (r == 0)
			r = add_secret(s, &new, err);
	}
	return r;
}

static int take_rule(struct net_spec *s, const char *text, struct error *err)
{
	bool allow = str_starts(text, "allow ");

	if (!allow && !str_starts(text, "deny "))
		return error_set(err, -EBADMSG, "a network rule begins with neither 'allow' nor 'deny'");
	return net_spec_add_rule(s, text + (allow ? strlen("allow ") : strlen("deny ")), allow, err);
}

static int take_open(struct net_spec *s, const char *text, struct error *err)
{
	return net_open_parse(text, &s->open, err);
}

/* Each text of a list to a function. */
static int take_list(const json_t *j, const char *key, size_t most, struct net_spec *s,
		     int (*take)(struct net_spec *s, const char *text, struct error *err), struct error *err)
{
	auto_strv struct strv list = STRV_INIT(most);
	bool bad = false;
	int r = json_get_strv(j, key, &list, &bad);
	size_t i;

	if (r == -ENOMEM)
		return error_nomem(err);
	if (r < 0 || bad)
		return error_set(err, -EBADMSG, "network: '%s' is not a list of at most %zu texts", key, most);
	for (i = 0; r == 0 && i < list.n; i++)
		r = take(s, list.v[i], err);
	return r;
}

int net_spec_from_json(const json_t *j, struct net_spec *ret, struct error *err)
{
	struct net_spec s = { 0 };
	bool bad = j && !json_is_object(j);
	uint64_t flows;
	int r;

	s.rate = json_get_u64(j, "rate", 0, &bad);
	flows = json_get_u64(j, "flows", 0, &bad);
	bad |= (s.rate && s.rate < NET_RATE_MIN) || s.rate > NET_RATE_MAX || flows > NET_FLOWS_MAX;
	s.flows = (uint32_t)flows;
	s.none = json_get_bool(j, "none", false, &bad);
	r = bad ? error_set(err, -EBADMSG, "malformed description of a network") : 0;
	if (r == 0)
		r = take_list(j, "open", 16, &s, take_open, err);
	if (r == 0)
		r = take_list(j, "rules", NET_RULES_MAX, &s, take_rule, err);
	if (r == 0)
		r = take_list(j, "ports", NET_PORTS_MAX, &s, net_spec_add_port, err);
	if (r == 0)
		r = take_secrets(j, &s, err);
	if (r == 0 && s.none && (s.open || s.nrules || s.nports || s.nsecrets))
		r = error_set(err, -EBADMSG, "a box without network has rules, ports, secrets or something opened");
	if (r == 0) {
		*ret = s;
		return 0;
	}
	net_spec_fini(&s);
	if (r == -ENOMEM)
		return r;
	if (err)
		err->code = -EBADMSG;
	return -EBADMSG;
}

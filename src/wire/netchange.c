#include "wire/netchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

#define CODE_MAX 4095 /* of an errno, as the kernel has it */

void net_change_fini(struct net_change *c)
{
	net_spec_fini(&c->rules);
	*c = (struct net_change){ 0 };
}

void net_done_fini(struct net_done *d)
{
	net_spec_fini(&d->ports);
	*d = (struct net_done){ 0 };
}

int net_done_failed(struct net_done *d, const struct error *err, int code)
{
	net_done_fini(d);
	d->code = err->code ? err->code : code;
	snprintf(d->error, sizeof(d->error), "%s", err->code ? err->text : strerror(-code));
	return 0;
}

/* --- ports ------------------------------------------------------------------------------------------------ */

int net_pick_parse(const char *text, struct net_pick *ret, struct error *err)
{
	struct net_pick k = { .whole = strchr(text, ':') != NULL };
	char port[NET_RULE_TEXT_MAX];
	int r;

	if (strlen(text) >= sizeof(port) - 1)
		return error_set(err, -EINVAL, "a port of %zu characters", strlen(text));
	snprintf(port, sizeof(port), "%s%s", k.whole ? "" : ":", text);
	r = net_port_parse(port, &k.port, err);
	if (r < 0 && !k.whole)
		r = error_set(err, r, "'%.100s' is neither a port of the box, 80 or 53/udp, nor one that is published, "
			      "127.0.0.1:8080:80", text);
	if (r == 0)
		*ret = k;
	return r;
}

static bool same_end(const struct net_port *a, const struct net_port *b)
{
	return a->proto == b->proto && a->guest_port == b->guest_port;
}

bool net_pick_matches(const struct net_pick *k, const struct net_port *asked, const struct net_port *real)
{
	if (!same_end(&k->port, asked))
		return false;
	return !k->whole || (ip_eq(&k->port.host, &asked->host) && (k->port.host_port == asked->host_port ||
								   k->port.host_port == real->host_port));
}

int net_spec_find_ports(const struct net_spec *s, const struct net_spec *real, const struct net_pick *k,
			struct error *err)
{
	size_t i;

	for (i = 0; i < s->nports; i++)
		if (net_pick_matches(k, &s->ports[i], real ? &real->ports[i] : &s->ports[i]))
			return 0;
	return error_set(err, -ENOENT, "port %u/%s of the box is not published%s: 'boxlite port' lists those that are",
			 k->port.guest_port, net_proto_name(k->port.proto), k->whole ? " like that" : "");
}

int net_spec_take_ports(struct net_spec *s, struct net_spec *real, const struct net_pick *k, struct net_spec *ret,
			struct error *err)
{
	struct net_spec gone = { 0 };
	size_t i, kept = 0;
	int r = net_spec_find_ports(s, real, k, err);

	for (i = 0; r == 0 && i < s->nports; i++)
		if (net_pick_matches(k, &s->ports[i], real ? &real->ports[i] : &s->ports[i]))
			r = net_spec_push_port(&gone, &s->ports[i], err);
	if (r < 0) {
		net_spec_fini(&gone);
		return r;
	}
	for (i = 0; i < s->nports; i++) {
		if (net_pick_matches(k, &s->ports[i], real ? &real->ports[i] : &s->ports[i]))
			continue;
		s->ports[kept] = s->ports[i];
		if (real)
			real->ports[kept] = real->ports[i];
		kept++;
	}
	s->nports = kept;
	if (real)
		real->nports = kept;
	*ret = gone;
	return 0;
}

/* --- descriptions ------------------------------------------------------------------------------------------ */

int net_spec_set_rules(struct net_spec *s, const struct net_spec *rules, struct error *err)
{
	struct net_spec now = { .open = rules->open }, old;
	char text[NET_RULE_TEXT_MAX];
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < rules->nrules; i++)
		r = net_spec_add_rule(&now, net_rule_format(&rules->rules[i], text), rules->rules[i].allow, err);
	if (r < 0) {
		net_spec_fini(&now);
		return r;
	}
	old = (struct net_spec){ .rules = s->rules, .nrules = s->nrules };
	s->open = now.open;
	s->rules = now.rules;
	s->nrules = now.nrules;
	net_spec_fini(&old);
	return 0;
}

static int add_port(struct net_spec *s, const struct net_port *p, struct error *err)
{
	int r = net_spec_check_port(s, p, err);

	return r < 0 ? r : net_spec_push_port(s, p, err);
}

int net_spec_change(struct net_spec *s, const struct net_change *c, struct error *err)
{
	struct net_spec gone = { 0 };
	int r;

	switch (c->type) {
	case FRAME_PUBLISH:
		return add_port(s, &c->port, err);
	case FRAME_UNPUBLISH:
		r = net_spec_take_ports(s, NULL, &c->pick, &gone, err);
		net_spec_fini(&gone);
		return r;
	case FRAME_RULES:
		return net_spec_set_rules(s, &c->rules, err);
	default:
		return error_set(err, -EINVAL, "%s changes no description", frame_name(c->type));
	}
}

/* --- messages ---------------------------------------------------------------------------------------------- */

int wire_put_net_change(struct buf *out, const struct net_change *c)
{
	const struct net_spec rules = { .open = c->rules.open, .rules = c->rules.rules, .nrules = c->rules.nrules };
	char text[NET_RULE_TEXT_MAX];
	json_t *j = NULL;

	if (c->type == FRAME_PUBLISH)
		j = json_pack("{s:s}", "port", net_port_format(&c->port, text));
	else if (c->type == FRAME_UNPUBLISH)
		j = json_pack("{s:s, s:b}", "port", net_port_format(&c->pick.port, text), "whole", c->pick.whole);
	else if (c->type == FRAME_RULES)
		j = net_spec_to_json(&rules);
	else if (c->type == FRAME_DIAL)
		j = json_pack("{s:i}", "port", (int)c->guest_port);
	return message_put(out, c->type, 0, j);
}

static int get_rules(const json_t *j, struct net_change *c, struct error *err)
{
	int r = net_spec_from_json(j, &c->rules, err);

	if (r == 0 && (c->rules.none || c->rules.nports || c->rules.rate || c->rules.flows))
		r = error_set(err, -EBADMSG, "RULES with more than rules");
	return r;
}

static int get_dial(const json_t *j, struct net_change *c, struct error *err)
{
	bool bad = false;
	uint64_t port = json_get_u64(j, "port", 0, &bad);

	if (bad || port == 0 || port > UINT16_MAX)
		return error_set(err, -EBADMSG, "DIAL without a port");
	c->guest_port = (uint16_t)port;
	return 0;
}

static int get_port(const json_t *j, struct net_change *c, struct error *err)
{
	struct net_port port;
	bool bad = false;
	const char *text = json_get_str(j, "port", "", &bad);

	if (c->type == FRAME_UNPUBLISH)
		c->pick.whole = json_get_bool(j, "whole", false, &bad);
	if (bad || net_port_parse(text, &port, err) < 0)
		return error_set(err, -EBADMSG, "%s with a malformed port", frame_name(c->type));
	if (c->type == FRAME_PUBLISH)
		c->port = port;
	else
		c->pick.port = port;
	return 0;
}

int wire_get_net_change(const struct frame *f, struct net_change *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	struct net_change c = { .type = f->type };
	int r;

	if (!j)
		return -EBADMSG;
	switch (f->type) {
	case FRAME_PUBLISH:
	case FRAME_UNPUBLISH: r = get_port(j, &c, err); break;
	case FRAME_RULES: r = get_rules(j, &c, err); break;
	case FRAME_DIAL: r = get_dial(j, &c, err); break;
	default: r = error_set(err, -EBADMSG, "%s changes no network", frame_name(f->type));
	}
	if (r < 0)
		net_change_fini(&c);
	else
		*ret = c;
	return r;
}

int wire_put_net_done(struct buf *out, uint8_t type, const struct net_done *d)
{
	const struct net_spec ports = { .ports = d->ports.ports, .nports = d->ports.nports };

	return message_put(out, type, 0, json_pack("{s:i, s:o, s:o}", "code", -d->code, "error", message_text(d->error),
						   "done", net_spec_to_json(&ports)));
}

int wire_get_net_done(const struct frame *f, struct net_done *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	struct net_done d = { 0 };
	bool bad = false;
	uint64_t code = json_get_u64(j, "code", 0, &bad);
	const char *text = json_get_str(j, "error", "", &bad);
	json_t *done = json_get_obj(j, "done", &bad);
	int r;

	if (!j)
		return -EBADMSG;
	if (bad || code > CODE_MAX || (!code && *text))
		return error_set(err, -EBADMSG, "%s with a malformed answer", frame_name(f->type));
	d.code = -(int)code;
	snprintf(d.error, sizeof(d.error), "%s", text);
	error_flatten(d.error);
	r = done ? net_spec_from_json(done, &d.ports, err) : 0;
	if (r == 0 && (d.ports.none || d.ports.open || d.ports.nrules || (code && d.ports.nports)))
		r = error_set(err, -EBADMSG, "%s with a malformed answer", frame_name(f->type));
	if (r < 0)
		net_done_fini(&d);
	else
		*ret = d;
	return r;
}

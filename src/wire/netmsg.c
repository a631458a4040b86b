#include "wire/netmsg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/message.h"

static json_t *resolv_to_json(const char *text)
{
	return json_clean(text, NET_RESOLV_MAX);
}

/* 0 and a new text; -EBADMSG, -ENOMEM. */
static int take_resolv(const char *text, char **ret, struct error *err)
{
	char *copy;

	if (!text || strlen(text) > NET_RESOLV_MAX)
		return error_set(err, -EBADMSG, "a resolv.conf is missing or longer than %llu bytes", NET_RESOLV_MAX);
	copy = strdup(text);
	if (!copy)
		return error_nomem(err);
	*ret = copy;
	return 0;
}

/* --- NET -------------------------------------------------------------------------------------------------- */

void net_start_fini(struct net_start *s)
{
	net_spec_fini(&s->spec);
	free(s->resolv);
	*s = (struct net_start){ 0 };
}

int wire_put_net(struct buf *out, const struct net_start *s)
{
	const char *resolv = s->resolv ? s->resolv : "";

	if (strlen(resolv) > NET_RESOLV_MAX)
		return -EMSGSIZE;
	return message_put(out, FRAME_NET, 0,
			   json_pack("{s:o, s:b, s:b, s:o}", "network", net_spec_to_json(&s->spec), "headers",
				     s->headers, "debug", s->debug, "resolv", resolv_to_json(resolv)));
}

int wire_get_net(const struct frame *f, struct net_start *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	struct net_start s = { 0 };
	bool bad = false;
	json_t *network = json_get_obj(j, "network", &bad);
	const char *resolv = json_get_str(j, "resolv", "", &bad);
	int r;

	if (!j)
		return -EBADMSG;
	s.headers = json_get_bool(j, "headers", false, &bad);
	s.debug = json_get_bool(j, "debug", false, &bad);
	if (bad || !network)
		return error_set(err, -EBADMSG, "malformed message to boxlite-net");
	r = net_spec_from_json(network, &s.spec, err);
	if (r == 0)
		r = take_resolv(resolv, &s.resolv, err);
	if (r < 0)
		net_start_fini(&s);
	else
		*ret = s;
	return r;
}

/* --- NET_READY -------------------------------------------------------------------------------------------- */

int wire_put_net_ready(struct buf *out, const struct net_port *ports, size_t n)
{
	char text[NET_RULE_TEXT_MAX];
	json_t *list = json_array();
	size_t i;

	for (i = 0; list && i < n; i++)
		if (json_array_append_new(list, json_string(net_port_format(&ports[i], text))) < 0) {
			json_decref(list);
			list = NULL;
		}
	return message_put(out, FRAME_NET_READY, 0, json_pack("{s:o}", "ports", list));
}

int wire_get_net_ready(const struct frame *f, struct net_spec *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	struct net_spec s = { 0 };
	size_t i;
	int r = j ? net_spec_from_json(j, &s, err) : -EBADMSG;

	if (r < 0)
		return r;
	for (i = 0; i < s.nports && s.ports[i].host_port; i++)
		;
	if (i < s.nports || s.none || s.open || s.nrules) {
		net_spec_fini(&s);
		return error_set(err, -EBADMSG, "boxlite-net has sent a malformed list of ports");
	}
	*ret = s;
	return 0;
}

/* --- NET_DENIED ------------------------------------------------------------------------------------------- */

int wire_put_net_denied(struct buf *out, const struct net_denied *d)
{
	static const struct ip_addr unset;
	char addr[IP_TEXT_MAX] = "";

	if (!ip_eq(&d->addr, &unset))
		ip_format(&d->addr, addr);
	return message_put(out, FRAME_NET_DENIED, 0,
			   json_pack("{s:s, s:s, s:i, s:o, s:s, s:I}", "proto", net_proto_name(d->proto), "addr", addr,
				     "port", (int)d->port, "name", json_clean(d->name, NET_NAME_MAX), "reason",
				     d->reason, "count", (json_int_t)d->count));
}

static bool proto_from(const char *name, enum net_proto *ret)
{
	static const enum net_proto all[] = { NET_ANY, NET_ICMP, NET_TCP, NET_UDP };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (str_eq(name, net_proto_name(all[i]))) {
			*ret = all[i];
			return true;
		}
	return false;
}

/* A word for machines: what goes into a log or an event as it is. */
static bool take_word(const char *word, char *out, size_t size)
{
	size_t n = strlen(word);

	if (n == 0 || n >= size || word[strspn(word, "abcdefghijklmnopqrstuvwxyz-")])
		return false;
	memcpy(out, word, n + 1);
	return true;
}

int wire_get_net_denied(const struct frame *f, struct net_denied *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	struct net_denied d = { 0 };
	bool bad = false;
	const char *proto = json_get_str(j, "proto", "", &bad), *addr = json_get_str(j, "addr", "", &bad);
	const char *name = json_get_str(j, "name", "", &bad), *reason = json_get_str(j, "reason", "", &bad);
	uint64_t port = json_get_u64(j, "port", 0, &bad), count = json_get_u64(j, "count", 0, &bad);

	if (!j)
		return -EBADMSG;
	if (bad || !proto_from(proto, &d.proto) || (*addr && ip_parse(addr, &d.addr) < 0) || port > UINT16_MAX ||
	    strlen(name) > NET_NAME_MAX || !take_word(reason, d.reason, sizeof(d.reason)) || count == 0 ||
	    count > UINT32_MAX)
		return error_set(err, -EBADMSG, "boxlite-net has sent a malformed refusal");
	d.port = (uint16_t)port;
	d.count = (uint32_t)count;
	snprintf(d.name, sizeof(d.name), "%s", name);
	error_flatten(d.name);
	*ret = d;
	return 0;
}

/* --- NET_STATS -------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t at;
} counters[] = {
#define COUNTER(name) { #name, offsetof(struct net_stats, name) }
	COUNTER(sent_bytes),  COUNTER(received_bytes), COUNTER(sent_packets), COUNTER(received_packets),
	COUNTER(connections), COUNTER(flows),	       COUNTER(denied),
#undef COUNTER
};

_Static_assert(sizeof(struct net_stats) == (ARRAY_SIZE(counters) + NET_REASONS) * sizeof(uint64_t), "all of them");

int wire_put_net_stats(struct buf *out, const struct net_stats *s)
{
	json_t *j = json_object();
	uint64_t v;
	size_t i;

	for (i = 0; j && s && i < ARRAY_SIZE(counters); i++) {
		memcpy(&v, (const char *)s + counters[i].at, sizeof(v));
		v = MIN(v, (uint64_t)INT64_MAX);
		if (json_object_set_new(j, counters[i].name, json_integer((json_int_t)v)) < 0) {
			json_decref(j);
			j = NULL;
		}
	}
	if (j && s && json_object_set_new(j, "denied_for", net_reasons_to_json(s->denied_for)) < 0) {
		json_decref(j);
		j = NULL;
	}
	return message_put(out, FRAME_NET_STATS, 0, j);
}

int wire_get_net_stats(const struct frame *f, struct net_stats *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	struct net_stats s = { 0 };
	bool bad = false;
	uint64_t v;
	size_t i;

	if (!j)
		return -EBADMSG;
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		v = json_get_u64(j, counters[i].name, 0, &bad);
		memcpy((char *)&s + counters[i].at, &v, sizeof(v));
	}
	net_reasons_from_json(json_get_obj(j, "denied_for", &bad), s.denied_for, &bad);
	if (bad)
		return error_set(err, -EBADMSG, "boxlite-net has sent malformed counters");
	*ret = s;
	return 0;
}

/* --- NET_RESOLV ------------------------------------------------------------------------------------------- */

int wire_put_net_resolv(struct buf *out, const char *text)
{
	if (!text)
		return message_put(out, FRAME_NET_RESOLV, 0, json_object());
	if (strlen(text) > NET_RESOLV_MAX)
		return -EMSGSIZE;
	return message_put(out, FRAME_NET_RESOLV, 0, json_pack("{s:o}", "resolv", resolv_to_json(text)));
}

int wire_get_net_resolv(const struct frame *f, char **ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	bool bad = false;
	const char *text = json_get_str(j, "resolv", NULL, &bad);

	return j ? take_resolv(bad ? NULL : text, ret, err) : -EBADMSG;
}

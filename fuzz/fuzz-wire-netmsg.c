/* What shim and boxlite-net, which meets the guest's frames, say to each other: what is read can be said again. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/netchange.h"
#include "wire/netmsg.h"

static struct frame framed(const struct buf *b)
{
	struct frame f;

	if (frame_peek(b, &f) != 1)
		abort();
	return f;
}

static void check_denied(const struct net_denied *d)
{
	struct buf b = BUF_INIT(64 * KIB);
	struct net_denied again;
	struct frame f;
	size_t i;

	for (i = 0; d->name[i]; i++)
		if ((unsigned char)d->name[i] < ' ' || d->name[i] == 0x7f)
			abort();
	if (d->count == 0 || !d->reason[0] || wire_put_net_denied(&b, d) < 0)
		abort();
	f = framed(&b);
	if (wire_get_net_denied(&f, &again, NULL) < 0 || !ip_eq(&again.addr, &d->addr) || again.port != d->port ||
	    strcmp(again.name, d->name) != 0 || strcmp(again.reason, d->reason) != 0)
		abort();
	buf_fini(&b);
}

static void check_ready(const struct net_spec *s)
{
	struct buf b = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	struct net_spec again;
	struct frame f;

	if (wire_put_net_ready(&b, s->ports, s->nports) < 0)
		abort();
	f = framed(&b);
	if (wire_get_net_ready(&f, &again, NULL) < 0 || again.nports != s->nports)
		abort();
	net_spec_fini(&again);
	buf_fini(&b);
}

static void check_start(const struct net_start *s)
{
	struct buf b = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	struct net_start again;
	struct frame f;

	if (wire_put_net(&b, s) < 0)
		abort();
	f = framed(&b);
	if (wire_get_net(&f, &again, NULL) < 0 || again.spec.nrules != s->spec.nrules ||
	    strcmp(again.resolv, s->resolv) != 0)
		abort();
	net_start_fini(&again);
	buf_fini(&b);
}

/* Of a client, and the answer to it: each is read as all of its kind. */
static void check_changes(struct frame f)
{
	struct net_spec s = { 0 };
	struct net_change c;
	struct net_done d;
	uint8_t type;

	for (type = FRAME_PUBLISH; type <= FRAME_DIAL; type++) {
		f.type = type;
		if (wire_get_net_change(&f, &c, NULL) < 0)
			continue;
		struct buf b = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
		struct frame again;
		struct net_change same;

		if (wire_put_net_change(&b, &c) < 0)
			abort();
		again = framed(&b);
		if (wire_get_net_change(&again, &same, NULL) < 0 || same.rules.nrules != c.rules.nrules ||
		    same.guest_port != c.guest_port || same.pick.whole != c.pick.whole)
			abort();
		if (type != FRAME_DIAL && type != FRAME_UNPUBLISH && net_spec_change(&s, &c, NULL) < 0)
			abort();
		net_spec_fini(&s);
		net_change_fini(&same);
		net_change_fini(&c);
		buf_fini(&b);
	}
	if (wire_get_net_done(&f, &d, NULL) == 0) {
		if (d.code > 0 || strchr(d.error, '\n') || strlen(d.error) >= sizeof(d.error))
			abort();
		net_done_fini(&d);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame f = { .type = FRAME_NET, .payload = size ? data : NULL, .len = (uint32_t)size };
	struct net_denied denied;
	struct net_start start;
	struct net_stats stats;
	struct net_spec ready;
	char *resolv;

	if (size > FRAME_PAYLOAD_MAX)
		return 0;
	if (wire_get_net_denied(&f, &denied, NULL) == 0)
		check_denied(&denied);
	if (wire_get_net_stats(&f, &stats, NULL) == 0 && stats.flows > INT64_MAX)
		abort();
	if (wire_get_net_ready(&f, &ready, NULL) == 0) {
		check_ready(&ready);
		net_spec_fini(&ready);
	}
	if (wire_get_net(&f, &start, NULL) == 0) {
		check_start(&start);
		net_start_fini(&start);
	}
	check_changes(f);
	if (wire_get_net_resolv(&f, &resolv, NULL) == 0) {
		if (strlen(resolv) > NET_RESOLV_MAX)
			abort();
		free(resolv);
	}
	return 0;
}

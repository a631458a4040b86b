/* Rules and ports of a network: whatever parses has one spelling, which parses to itself. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/netspec.h"

static void check_error(const struct error *err)
{
	if (!err->code || !err->text[0])
		abort();
}

static void check_rule(const char *text)
{
	char one[NET_RULE_TEXT_MAX], two[NET_RULE_TEXT_MAX];
	struct net_rule r, again;
	struct error err = { 0 };

	if (net_rule_parse(text, true, &r, &err) < 0) {
		check_error(&err);
		return;
	}
	net_rule_format(&r, one);
	if (net_rule_parse(one, true, &again, &err) < 0)
		abort();
	net_rule_format(&again, two);
	if (strcmp(one, two) != 0 || r.target != again.target || r.proto != again.proto ||
	    r.first_port != again.first_port || r.last_port != again.last_port ||
	    memcmp(&r.net, &again.net, sizeof(r.net)) != 0 || !r.name != !again.name ||
	    (r.name && strcmp(r.name, again.name) != 0))
		abort();
	free(r.name);
	free(again.name);
}

static void check_port(const char *text)
{
	char one[NET_RULE_TEXT_MAX];
	struct net_port p, again;
	struct error err = { 0 };

	if (net_port_parse(text, &p, &err) < 0) {
		check_error(&err);
		return;
	}
	if (net_port_parse(net_port_format(&p, one), &again, &err) < 0 || p.proto != again.proto ||
	    !ip_eq(&p.host, &again.host) || p.host_port != again.host_port || p.guest_port != again.guest_port)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	check_rule(text);
	check_port(text);
	free(text);
	return 0;
}

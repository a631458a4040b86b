/*
 * DNS between a hostile guest and a hostile server: the input is a question, its length in the first two bytes before
 * it, and then an answer, whose id and question are made those that were asked, as who guesses them would.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/dns.h"
#include "net/servers.h"

/* Whatever is built is itself understood, as the same question. */
static void check_built(const struct dns_question *q)
{
	uint8_t out[DNS_BUILD_MAX];
	struct dns_question again;
	struct ip_addr a = ip_v4(192, 0, 2, 1);
	size_t n = dns_build_query(q, 77, 4096, out);

	if (n > DNS_BUILD_MAX || (q->raw_len && dns_parse_question(out, n, &again) != 0))
		abort();
	if (q->raw_len && (again.id != 77 || strcmp(again.name, q->name) != 0 || again.edns != q->edns))
		abort();
	n = dns_build_reply(q, DNS_NXDOMAIN, out);
	if (n > DNS_BUILD_MAX || dns_parse_question(out, n, &again) >= 0)
		abort();
	if (q->raw_len && !(q->flags & DNS_OPCODE) && !dns_answers(out, n, q->id, q))
		abort();
	n = dns_build_address(q, &a, 60, out);
	if (n > DNS_BUILD_MAX)
		abort();
}

static void check_answer(const struct dns_question *q, const uint8_t *data, size_t size)
{
	struct dns_addrs found;
	uint8_t *msg;

	if (size < DNS_HEADER + q->raw_len || q->raw_len <= 4)
		return;
	msg = malloc(size);
	if (!msg)
		return;
	memcpy(msg, data, size);
	msg[2] = (msg[2] | 0x80) & ~0x78;
	msg[4] = 0;
	msg[5] = 1;
	dns_make_ours(msg, q);
	if (!dns_answers(msg, size, q->id, q))
		abort();
	dns_addresses(msg, size, q, &found);
	if (found.n > DNS_ADDRS_MAX)
		abort();
	if (dns_cut(msg, q) != DNS_HEADER + q->raw_len || !dns_truncated(msg))
		abort();
	free(msg);
}

static void check_servers(const uint8_t *data, size_t size)
{
	struct server servers[SERVERS_MAX];
	char *text = malloc(size + 1);
	size_t n;

	if (!text)
		return;
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	n = servers_parse(text, servers);
	if (n < 1 || n > SERVERS_MAX)
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_over(data, size);
	size_t len = rd_be16(&r);
	struct dns_question q;
	const uint8_t *msg;
	int k;

	check_servers(data, size);
	len = MIN(len, rd_left(&r));
	msg = rd_bytes(&r, len);
	k = dns_parse_question(msg, len, &q);
	if (k < 0)
		return 0;
	if (q.raw_len > DNS_QUESTION_MAX || strlen(q.name) >= DNS_TEXT_MAX || q.udp_max < DNS_UDP_PLAIN)
		abort();
	check_built(&q);
	if (k == 0)
		check_answer(&q, r.p, rd_left(&r));
	return 0;
}

#include "net/dns.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define NAME_WIRE_MAX 255 /* RFC 1035, 2.3.4 */
#define HOPS_MAX 32       /* pointers in a name */
#define CHAIN_MAX 16      /* CNAMEs */
#define RECORDS_MAX 256   /* of a section; those behind them are not looked at */
#define EXTRA_MAX 8       /* additional records of a question */

/* A message that is being read. */
struct reader {
	const uint8_t *msg;
	size_t n;
	struct rd r;
};

struct header {
	uint16_t id, flags, questions, answers, authorities, extras;
};

struct record {
	char name[DNS_TEXT_MAX];
	uint16_t type, class;
	uint32_t ttl;
	uint16_t len;
	size_t at; /* of the data, from the start of the message */
};

static struct reader reader_over(const void *msg, size_t n)
{
	return (struct reader){ msg, n, rd_over(msg, n) };
}

static struct header get_header(struct reader *m)
{
	struct header h;

	h.id = rd_be16(&m->r);
	h.flags = rd_be16(&m->r);
	h.questions = rd_be16(&m->r);
	h.answers = rd_be16(&m->r);
	h.authorities = rd_be16(&m->r);
	h.extras = rd_be16(&m->r);
	return h;
}

static void put_label(struct wr *text, const uint8_t *label, uint8_t len)
{
	uint8_t i;

	for (i = 0; label && i < len; i++) {
		uint8_t c = label[i];
		char escaped[5];

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (c > ' ' && c < 0x7f && c != '.' && c != '\\') {
			wr_u8(text, c);
			continue;
		}
		snprintf(escaped, sizeof(escaped), "\\%03u", c);
		wr_bytes(text, escaped, 4);
	}
}

/* The name at the cursor, which is moved behind it; bad if it is none. A pointer leads to before all that has been read
 * of the name, so there is no way round; and only so many are followed. */
static void get_name(struct reader *m, char out[DNS_TEXT_MAX])
{
	struct wr text = wr_over(out, DNS_TEXT_MAX - 1);
	size_t before = (size_t)(m->r.p - m->msg), wire = 1;
	struct rd at = m->r;
	unsigned hops = 0;
	uint8_t len;

	while ((len = rd_u8(&at)) && !at.bad) {
		if (len >= 0xc0) {
			size_t to = (size_t)(len & 0x3f) << 8 | rd_u8(&at);

			if (hops == 0)
				m->r = at;
			if (at.bad || to < DNS_HEADER || to >= before || ++hops > HOPS_MAX)
				break;
			before = to;
			at = rd_over(m->msg + to, m->n - to);
			continue;
		}
		wire += 1 + len;
		if (len > 63 || wire > NAME_WIRE_MAX)
			break;
		if (text.p != (uint8_t *)out)
			wr_u8(&text, '.');
		put_label(&text, rd_bytes(&at, len), len);
	}
	*text.p = 0;
	if (hops == 0)
		m->r = at;
	if (len || at.bad || text.bad)
		m->r.bad = true;
}

static bool get_record(struct reader *m, struct record *ret)
{
	get_name(m, ret->name);
	ret->type = rd_be16(&m->r);
	ret->class = rd_be16(&m->r);
	ret->ttl = rd_be32(&m->r);
	ret->len = rd_be16(&m->r);
	ret->at = (size_t)(m->r.p - m->msg);
	rd_bytes(&m->r, ret->len);
	return !m->r.bad;
}

/* --- questions -------------------------------------------------------------------------------------------- */

/* What the OPT record among the last ones says. */
static int take_extras(struct reader *m, unsigned n, struct dns_question *q)
{
	struct record rec;

	if (n > EXTRA_MAX)
		return DNS_FORMERR;
	for (; n; n--) {
		if (!get_record(m, &rec))
			return DNS_FORMERR;
		if (rec.type != DNS_OPT)
			continue;
		if (q->edns || rec.name[0]) /* RFC 6891, 6.1.1: one, of the root */
			return DNS_FORMERR;
		q->edns = true;
		q->udp_max = MAX(rec.class, DNS_UDP_PLAIN);
		q->dnssec_ok = rec.ttl & 0x8000;
	}
	return 0;
}

int dns_parse_question(const void *msg, size_t n, struct dns_question *ret)
{
	struct reader m = reader_over(msg, n);
	struct header h = get_header(&m);
	struct dns_question q = { .id = h.id, .flags = h.flags, .udp_max = DNS_UDP_PLAIN };
	size_t len;
	int r = 0;

	if (m.r.bad || (h.flags & DNS_QR))
		return -EBADMSG;
	if (h.flags & DNS_OPCODE) {
		r = DNS_NOTIMP;
	} else if (h.questions != 1 || h.answers || h.authorities) {
		r = DNS_FORMERR;
	} else {
		get_name(&m, q.name);
		q.type = rd_be16(&m.r);
		q.class = rd_be16(&m.r);
		len = (size_t)(m.r.p - m.msg) - DNS_HEADER;
		if (m.r.bad || len > sizeof(q.raw)) {
			r = DNS_FORMERR;
		} else {
			memcpy(q.raw, m.msg + DNS_HEADER, len);
			q.raw_len = len;
			r = take_extras(&m, h.extras, &q);
		}
	}
	*ret = q;
	return r;
}

/* --- building --------------------------------------------------------------------------------------------- */

static void put_header(struct wr *w, uint16_t id, uint16_t flags, const struct dns_question *q, uint16_t answers)
{
	wr_be16(w, id);
	wr_be16(w, flags);
	wr_be16(w, q->raw_len ? 1 : 0);
	wr_be16(w, answers);
	wr_be16(w, 0);
	wr_be16(w, q->edns ? 1 : 0);
	wr_bytes(w, q->raw, q->raw_len);
}

static void put_opt(struct wr *w, const struct dns_question *q, uint16_t udp_max)
{
	if (!q->edns)
		return;
	wr_u8(w, 0);
	wr_be16(w, DNS_OPT);
	wr_be16(w, udp_max);
	wr_be32(w, q->dnssec_ok ? 0x8000 : 0);
	wr_be16(w, 0);
}

/* Written anew: nothing that the guest has hidden in its message goes on. Nor that it wants no checks (CD): the policy
 * goes by the answer, and a server that validates may not be told by the guest to let through what is forged. */
size_t dns_build_query(const struct dns_question *q, uint16_t id, uint16_t udp_max, uint8_t *out)
{
	struct wr w = wr_over(out, DNS_BUILD_MAX);

	put_header(&w, id, q->flags & (DNS_RD | DNS_AD), q, 0);
	put_opt(&w, q, MIN(q->udp_max, udp_max));
	return (size_t)(w.p - out);
}

static uint16_t reply_flags(const struct dns_question *q, enum dns_rcode rcode)
{
	return (uint16_t)(DNS_QR | DNS_RA | (q->flags & (DNS_OPCODE | DNS_RD | DNS_CD)) | rcode);
}

size_t dns_build_reply(const struct dns_question *q, enum dns_rcode rcode, uint8_t *out)
{
	struct wr w = wr_over(out, DNS_BUILD_MAX);

	put_header(&w, q->id, reply_flags(q, rcode), q, 0);
	put_opt(&w, q, DNS_UDP_PLAIN);
	return (size_t)(w.p - out);
}

size_t dns_build_address(const struct dns_question *q, const struct ip_addr *a, uint32_t ttl, uint8_t *out)
{
	struct wr w = wr_over(out, DNS_BUILD_MAX);
	bool v4 = ip_is_v4(a);
	uint16_t len = v4 ? 4 : 16;

	put_header(&w, q->id, reply_flags(q, DNS_NOERROR), q, 1);
	wr_be16(&w, 0xc000 | DNS_HEADER); /* the question's name */
	wr_be16(&w, v4 ? DNS_A : DNS_AAAA);
	wr_be16(&w, DNS_IN);
	wr_be32(&w, ttl);
	wr_be16(&w, len);
	wr_bytes(&w, a->b + 16 - len, len);
	put_opt(&w, q, DNS_UDP_PLAIN);
	return (size_t)(w.p - out);
}

/* --- answers ---------------------------------------------------------------------------------------------- */

/* The bytes of a name are letters or lengths below 64, which have no case. */
static bool same_question(const uint8_t *a, const uint8_t *b, size_t n)
{
	size_t i;

	for (i = 0; i + 4 < n; i++) {
		uint8_t x = a[i], y = b[i];

		x += x >= 'A' && x <= 'Z' ? 'a' - 'A' : 0;
		y += y >= 'A' && y <= 'Z' ? 'a' - 'A' : 0;
		if (x != y)
			return false;
	}
	return memcmp(a + i, b + i, n - i) == 0;
}

bool dns_answers(const void *msg, size_t n, uint16_t id, const struct dns_question *q)
{
	struct reader m = reader_over(msg, n);
	struct header h = get_header(&m);
	const uint8_t *raw = rd_bytes(&m.r, q->raw_len);

	return !m.r.bad && h.id == id && (h.flags & (DNS_QR | DNS_OPCODE)) == DNS_QR && h.questions == 1 &&
	       q->raw_len > 4 && same_question(raw, q->raw, q->raw_len);
}

enum dns_rcode dns_rcode(const void *msg)
{
	return ((const uint8_t *)msg)[3] & DNS_RCODE;
}

bool dns_truncated(const void *msg)
{
	return ((const uint8_t *)msg)[2] & (DNS_TC >> 8);
}

void dns_make_ours(void *msg, const struct dns_question *q)
{
	struct wr w = wr_over(msg, DNS_HEADER + q->raw_len);

	wr_be16(&w, q->id);
	w.p += DNS_HEADER - 2;
	wr_bytes(&w, q->raw, q->raw_len); /* programs check that it has their upper and lower case */
}

size_t dns_cut(void *msg, const struct dns_question *q)
{
	uint8_t *p = msg;
	uint8_t flags[4];
	struct dns_question bare = *q;
	struct wr w = wr_over(msg, DNS_HEADER + q->raw_len);

	memcpy(flags, p, sizeof(flags));
	bare.edns = false; /* there is no room that is known for an OPT record */
	put_header(&w, q->id, (uint16_t)(flags[2] << 8 | flags[3] | DNS_TC), &bare, 0);
	return (size_t)(w.p - p);
}

static void take_address(struct dns_addrs *to, const struct reader *m, const struct record *rec)
{
	const uint8_t *data = m->msg + rec->at;
	struct ip_addr a;

	if (rec->type == DNS_A && rec->len == 4)
		a = ip_from_v4(data);
	else if (rec->type == DNS_AAAA && rec->len == 16)
		memcpy(a.b, data, sizeof(a.b));
	else
		return;
	if (to->n < DNS_ADDRS_MAX)
		to->v[to->n++] = a;
	to->ttl = MIN(to->ttl, rec->ttl);
}

/* One look at all records for those of `name`; a CNAME replaces it, and another look is needed: true. */
static bool look(struct reader m, unsigned records, char name[DNS_TEXT_MAX], struct dns_addrs *to)
{
	char next[DNS_TEXT_MAX];
	struct record rec;
	bool follow = false;

	for (; records && get_record(&m, &rec); records--) {
		if (rec.class != DNS_IN || strcmp(rec.name, name) != 0)
			continue;
		take_address(to, &m, &rec);
		if (rec.type == DNS_CNAME && !follow) {
			struct reader data = { m.msg, m.n, rd_over(m.msg + rec.at, rec.len) };

			get_name(&data, next);
			if (data.r.bad)
				continue;
			follow = true;
			to->ttl = MIN(to->ttl, rec.ttl);
		}
	}
	if (follow)
		memcpy(name, next, sizeof(next));
	return follow;
}

void dns_addresses(const void *msg, size_t n, const struct dns_question *q, struct dns_addrs *ret)
{
	struct reader m = reader_over(msg, n);
	struct header h = get_header(&m);
	char name[DNS_TEXT_MAX];
	unsigned hops;

	*ret = (struct dns_addrs){ .ttl = UINT32_MAX };
	memcpy(name, q->name, sizeof(name));
	rd_bytes(&m.r, q->raw_len);
	if (m.r.bad || (h.flags & DNS_RCODE))
		return;
	for (hops = 0; hops < CHAIN_MAX && look(m, MIN(h.answers, RECORDS_MAX), name, ret); hops++)
		;
}

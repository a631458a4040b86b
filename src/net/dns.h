/*
 * Messages of DNS (RFC 1035, RFC 6891): what a resolver that passes them on must understand. Both sides are hostile.
 *
 * Names are text in lower case without the last dot; what is no ordinary character, a dot within a label above all, is
 * written \DDD, so that no name looks like another.
 */
#ifndef NET_DNS_H
#define NET_DNS_H

#include "base/cursor.h"
#include "base/ip.h"

#define DNS_HEADER 12
#define DNS_TEXT_MAX 1024     /* of any name, with the NUL */
#define DNS_QUESTION_MAX 259  /* name, type, class */
#define DNS_BUILD_MAX 512     /* what the functions below build is never longer */
#define DNS_UDP_PLAIN 512     /* longest answer by UDP for who does not say otherwise */

enum dns_rcode { DNS_NOERROR, DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NOTIMP, DNS_REFUSED };
enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28, DNS_OPT = 41, DNS_TKEY = 249, DNS_ANY = 255 };
#define DNS_IN 1

#define DNS_QR 0x8000
#define DNS_OPCODE 0x7800
#define DNS_TC 0x0200
#define DNS_RD 0x0100
#define DNS_RA 0x0080
#define DNS_AD 0x0020
#define DNS_CD 0x0010
#define DNS_RCODE 0x000f

struct dns_question {
	uint16_t id, flags;
	uint16_t type, class;
	bool edns, dnssec_ok;
	uint16_t udp_max; /* longest answer by UDP; at least DNS_UDP_PLAIN */
	char name[DNS_TEXT_MAX];
	uint8_t raw[DNS_QUESTION_MAX]; /* the question as it was written */
	size_t raw_len;                /* 0: there is none that could be understood */
};

/* 0; the rcode that is to be answered (*ret serves for that); or -EBADMSG: to be dropped, no question at all. */
int dns_parse_question(const void *msg, size_t n, struct dns_question *ret) MUST_CHECK;

/* These write at most DNS_BUILD_MAX bytes, and return how many. */
size_t dns_build_query(const struct dns_question *q, uint16_t id, uint16_t udp_max, uint8_t *out);
size_t dns_build_reply(const struct dns_question *q, enum dns_rcode rcode, uint8_t *out);
size_t dns_build_address(const struct dns_question *q, const struct ip_addr *a, uint32_t ttl, uint8_t *out);

/* Is this an answer, with this id, to this question? */
bool dns_answers(const void *msg, size_t n, uint16_t id, const struct dns_question *q);

/* Of such an answer. */
enum dns_rcode dns_rcode(const void *msg);
bool dns_truncated(const void *msg);
void dns_make_ours(void *msg, const struct dns_question *q); /* its id and question as in the one that was asked */
size_t dns_cut(void *msg, const struct dns_question *q);     /* leaves header (TC) and question: how many bytes */

#define DNS_ADDRS_MAX 64

struct dns_addrs {
	struct ip_addr v[DNS_ADDRS_MAX];
	size_t n;
	uint32_t ttl; /* the least of all records that led to them */
};

/* The addresses that the answer section gives for the question's name, by way of CNAMEs if need be. What cannot be
 * understood ends them. */
void dns_addresses(const void *msg, size_t n, const struct dns_question *q, struct dns_addrs *ret);

#endif

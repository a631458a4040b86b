/*
 * BOOT, shim -> agent: everything the agent needs to know before the first
 * process. JSON: {hostname, channel-independent settings}.
 */
#ifndef WIRE_BOOT_H
#define WIRE_BOOT_H

#include "wire/proc.h"

#define BOOT_SEED 32

struct boot_spec {
	char *hostname;      /* owned; of the container */
	uint64_t time_ns;    /* wall clock, CLOCK_REALTIME: the guest has no clock chip; 0 = leave it */
	uint64_t disk_bytes; /* size of the writable disk, for messages only */
	bool network;        /* there is a network device, to be configured (wire/netspec.h) */
	uint8_t seed[BOOT_SEED]; /* of the guest's random numbers: the machine may be one of many copies */
};

void boot_spec_fini(struct boot_spec *s);
int wire_put_boot(struct buf *out, const struct boot_spec *s) MUST_CHECK;
int wire_get_boot(const struct frame *f, struct boot_spec *ret, struct error *err) MUST_CHECK;

/* TRUST: a certificate as PEM, at most TRUST_PEM_MAX bytes; *ret is new. */
#define TRUST_PEM_MAX (16 * KIB)
int wire_put_trust(struct buf *out, const char *pem) MUST_CHECK;
int wire_get_trust(const struct frame *f, char **ret, struct error *err) MUST_CHECK;

/* CLOCK: what CLOCK_REALTIME says now. */
int wire_put_clock(struct buf *out, uint64_t time_ns) MUST_CHECK;
int wire_get_clock(const struct frame *f, uint64_t *ret_ns, struct error *err) MUST_CHECK;

#endif

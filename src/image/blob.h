/*
 * Gets one blob from the registry into the store: takes the claim (or waits
 * for whoever has it), hashes what an earlier attempt left, downloads the
 * rest, verifies, publishes. Never holds more than one network buffer.
 */
#ifndef IMAGE_BLOB_H
#define IMAGE_BLOB_H

#include "image/fetch.h"
#include "image/manifest.h"
#include "image/registry.h"
#include "image/work.h"

struct blob_get {
	/* Set by the owner before blob_start(). */
	struct fetch *fetch;
	struct registry *registry;
	struct descriptor desc;
	void *owner;            /* whatever on_done needs */
	char what[64];          /* for messages */
	uint32_t item, items;   /* for progress; 0 = report none */
	/* Last; err NULL = the blob is published. */
	void (*on_done)(struct blob_get *b, const struct error *err);

	/* Private. */
	struct claim claim;
	struct work work;
	struct digest digest;
	struct registry_get get;
	bool active;
	bool claim_in_thread;   /* a thread owns `claim`: it waits for it or publishes */
	bool resumed;           /* the content so far includes an earlier attempt's */
	uint64_t done_bytes;    /* in the file and hashed */
	uint64_t told_ms;
};

/* 1: it is there already. 0: begun, on_done follows. -errno: neither. */
int blob_start(struct blob_get *b, struct error *err) MUST_CHECK;

/* Just before _exit(2), with the reason in fetch->err: keeps what can be resumed, removes what cannot. */
void blob_abandon(struct blob_get *b);

void blob_fini(struct blob_get *b); /* of one that is not running */

#endif

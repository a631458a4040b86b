/*
 * Waiting in a machine that is being saved (docs/decisions/009-start-from-a-snapshot.md).
 *
 * A machine that boots with boxlite.park on its command line belongs to no box: it goes as far as it can
 * without one and waits. The host saves it there, and every box of that shape goes on from the copy.
 */
#ifndef AGENT_PARK_H
#define AGENT_PARK_H

#include "agent/channel.h"
#include "base/error.h"
#include "wire/boot.h"

/* Gives the disks up, says PARKED and returns when the host's first bytes are there: then this is a box, and its
 * disks are taken up again, whatever size they have now. */
int park(struct channel *c, struct error *err) MUST_CHECK;

/* Makes the kernel's random numbers new: a saved machine and all its copies would draw the same ones. */
int park_reseed(const uint8_t seed[BOOT_SEED], struct error *err) MUST_CHECK;

#endif

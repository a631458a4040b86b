/*
 * What the probe and its guest agree on. The numbers are part of the guest's assembly, so they are plain.
 *
 * The guest's memory is PROBE_MEMORY bytes from 0 on, mapped where it is, and beside it only the local
 * APIC's page.
 */
#ifndef VMM_PROBE_GUEST_H
#define VMM_PROBE_GUEST_H

#include <stdint.h>

#define PROBE_MEMORY 0x10000
#define PROBE_TABLES 0x1000 /* four pages of page tables */
#define PROBE_STACK 0x8000  /* its end */
#define PROBE_CODE 0x8000   /* the image of the guest: code, GDT and IDT */
#define PROBE_XSAVE 0xf000  /* a page for xsave */

/* Selectors of the guest's GDT, which are also what it is started with. */
#define PROBE_CS 0x08
#define PROBE_DS 0x10

/* Ports that the guest writes a byte to. */
#define PROBE_PORT_STEP 0x10      /* PROBE_STEP_x begins */
#define PROBE_PORT_WRONG 0x11     /* the step ran and its result is wrong */
#define PROBE_PORT_EXCEPTION 0x12 /* the step raised this exception */
#define PROBE_PORT_DONE 0x13      /* all of them passed */

#define PROBE_STEP_START 0 /* before the first report: entering 64-bit mode */
#define PROBE_STEP_EFER 1
#define PROBE_STEP_GS 2
#define PROBE_STEP_INT3 3
#define PROBE_STEP_CMPXCHG16B 4
#define PROBE_STEP_XSAVE 5
#define PROBE_STEP_TIMER 6
#define PROBE_STEPS 7

extern const uint8_t probe_guest[], probe_guest_end[];

#endif

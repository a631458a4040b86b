/*
 * What fails in embed-torture.c: allocations (torture-memory.c), or system calls (torture-calls.c, which needs
 * torture-tracer.c around it). One of the two is linked with it.
 */
#ifndef TORTURE_H
#define TORTURE_H

extern const char *const fault_name; /* "allocation", "system call" */

/* 1: of memory, and nothing works without what it needs. 0: of system calls, some of which are made again. */
extern const int fault_of_memory;

/* In so many ways each of them can fail; `thorough`: all of these are tried. */
int fault_ways(int thorough);

/* From here on they are counted, and the one with the number `at` (from 1; 0: none) fails. */
void fault_begin(long at, int way);

/* What comes now belongs to the test; and what comes now does not. No effect before fault_begin(). */
void fault_pause(void);
void fault_resume(void);

/* How many there were. */
long fault_end(void);

/* More about what has failed and how, for people: "", or text that begins with a space. */
const char *fault_what(void);

#endif

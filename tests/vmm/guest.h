/* What the files of the guest under test share. guest.c says what it is. */
#ifndef TESTS_VMM_GUEST_H
#define TESTS_VMM_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

/* A line to the host. */
void say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* A result: "ok NAME", or "not ok NAME: the last error" if there is one. Returns `good`. */
bool check(bool good, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Ends the program: something that must not fail has failed. */
_Noreturn void give_up(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Numbers that look random and are the same everywhere; *state is any seed but 0. */
uint64_t next_random(uint64_t *state);

/* 64-bit words that are one and the same for the same key, and other ones for any other. */
void fill_pattern(void *to, size_t bytes, uint64_t key);
bool is_pattern(const void *at, size_t bytes, uint64_t key);

/* The first line of a file, "" if there is none. Good until the next call. */
const char *read_text(const char *path);

/* guest_disk.c: /dev/vda. The other two are for the host. */
void test_disk(void);
void test_readonly(void);
void list_disks(void);
int verify_disk(const char *path);
int print_pattern(void);

/* guest_files.c: a file system on /dev/vda */
void test_files(void);
void write_until_killed(void);
void check_written(void);

/* guest_machine.c */
void test_cpus(void);
void test_memory(void);
void run_out_of_memory(void);

#endif

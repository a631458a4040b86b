/* Pseudo-terminals of the box. */
#ifndef AGENT_TTY_H
#define AGENT_TTY_H

#include <sys/types.h>

#include "base/base.h"
#include "base/error.h"

/*
 * Called in the box (its /dev/pts is the caller's): a new terminal of that size (0: 24 x 80).
 * Both fds are close-on-exec and become the caller's; the master does not block.
 */
int tty_open(uint16_t rows, uint16_t cols, int *ret_master, int *ret_slave, struct error *err) MUST_CHECK;

void tty_resize(int master, uint16_t rows, uint16_t cols);

/*
 * The input has ended: what a person says by ^D, if the terminal reads lines. A terminal
 * has no other end of file that would leave its output open.
 */
void tty_send_eof(int master);

/*
 * What typing these bytes has made the terminal send: SIGINT or SIGQUIT, or 0 when it sends none or its
 * foreground process group is not pgrp.
 */
int tty_signal_typed(int master, pid_t pgrp, const uint8_t *typed, size_t n);

#endif

/*
 * The serial port (8250), as far as a console needs it: what the guest sends appears on an fd at once, the
 * transmitter is always empty, nothing is ever received. The one interrupt is "transmitter empty": Linux
 * writes its messages without it, but a program's output only with it.
 */
#ifndef VMM_SERIAL_H
#define VMM_SERIAL_H

#include <pthread.h>

#include "base/base.h"

#define SERIAL_REGISTERS 8

struct serial {
	pthread_mutex_t lock;
	uint8_t divisor[2], ier, lcr, mcr, scratch;
	bool empty_pending; /* "transmitter empty" has not been read from IIR yet */
};

void serial_init(struct serial *s);
void serial_fini(struct serial *s);

uint8_t serial_read(struct serial *s, unsigned reg);

/*
 * n bytes to register reg, one after the other. What is sent goes to fd (-1: nowhere); what fd does not take
 * now is lost, as a vCPU never waits for a reader. Returns whether the interrupt is to be raised (edge).
 */
bool serial_write(struct serial *s, unsigned reg, const uint8_t *bytes, size_t n, int fd) MUST_CHECK;

#endif

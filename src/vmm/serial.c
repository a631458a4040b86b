#include "vmm/serial.h"

#include <poll.h>
#include <unistd.h>

/* Registers and bits: National Semiconductor's PC16550D data sheet, table II. This one has no FIFO. */
enum {
	REG_DATA = 0, /* divisor, low byte, while LCR_DLAB */
	REG_IER = 1,  /* divisor, high byte, while LCR_DLAB */
	REG_IIR = 2,  /* written: FIFO control */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCRATCH = 7,
};

#define IER_WRITABLE 0x0f
#define IER_EMPTY 0x02
#define IIR_NONE 0x01
#define IIR_EMPTY 0x02
#define LCR_DLAB 0x80
#define MCR_OUT2 0x08 /* on a PC: connects the interrupt line */
#define LSR_EMPTY 0x60 /* holding and shift register */
#define MSR_CONNECTED 0xb0 /* carrier, data set ready, clear to send */

void serial_init(struct serial *s)
{
	*s = (struct serial){ .divisor = { 12 } }; /* 9600 baud, as firmware leaves it */
	pthread_mutex_init(&s->lock, NULL);
}

void serial_fini(struct serial *s)
{
	pthread_mutex_destroy(&s->lock);
}

uint8_t serial_read(struct serial *s, unsigned reg)
{
	uint8_t v = 0;

	pthread_mutex_lock(&s->lock);
	switch (reg) {
	case REG_DATA:
		v = s->lcr & LCR_DLAB ? s->divisor[0] : 0;
		break;
	case REG_IER:
		v = s->lcr & LCR_DLAB ? s->divisor[1] : s->ier;
		break;
	case REG_IIR: /* reading it acknowledges "transmitter empty" */
		v = s->empty_pending && s->ier & IER_EMPTY ? IIR_EMPTY : IIR_NONE;
		s->empty_pending = false;
		break;
	case REG_LCR:
		v = s->lcr;
		break;
	case REG_MCR:
		v = s->mcr;
		break;
	case REG_LSR:
		v = LSR_EMPTY;
		break;
	case REG_MSR:
		v = MSR_CONNECTED;
		break;
	case REG_SCRATCH:
		v = s->scratch;
		break;
	}
	pthread_mutex_unlock(&s->lock);
	return v;
}

/* poll(2) instead of O_NONBLOCK: the fd's flags are shared with whoever gave it. A writer beside us may still
 * take the room between; pipes and terminals promise more than we write, and a stream that only we write to
 * keeps it. */
static void send_bytes(int fd, const uint8_t *bytes, size_t n)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (fd >= 0 && poll(&p, 1, 0) == 1 && p.revents & POLLOUT && write(fd, bytes, n) < 0)
		return;
}

static void set_ier(struct serial *s, uint8_t v)
{
	v &= IER_WRITABLE;
	/* The transmitter is empty at all times, and that is news to who asks for it. */
	if (v & ~s->ier & IER_EMPTY)
		s->empty_pending = true;
	s->ier = v;
}

static void write_register(struct serial *s, unsigned reg, uint8_t v)
{
	if (s->lcr & LCR_DLAB && reg <= REG_IER) {
		s->divisor[reg] = v;
		return;
	}
	switch (reg) {
	case REG_IER:
		set_ier(s, v);
		break;
	case REG_LCR:
		s->lcr = v;
		break;
	case REG_MCR:
		s->mcr = v;
		break;
	case REG_SCRATCH:
		s->scratch = v;
		break;
	}
}

static bool interrupt_line(const struct serial *s)
{
	return s->empty_pending && s->ier & IER_EMPTY && s->mcr & MCR_OUT2;
}

bool serial_write(struct serial *s, unsigned reg, const uint8_t *bytes, size_t n, int fd)
{
	bool was_raised, raise;

	pthread_mutex_lock(&s->lock);
	was_raised = interrupt_line(s);
	if (reg == REG_DATA && !(s->lcr & LCR_DLAB)) {
		send_bytes(fd, bytes, n);
		s->empty_pending = true;
		was_raised = false; /* it falls while sending: each byte has its edge */
	} else {
		for (size_t i = 0; i < n; i++)
			write_register(s, reg, bytes[i]);
	}
	raise = interrupt_line(s) && !was_raised;
	pthread_mutex_unlock(&s->lock);
	return raise;
}

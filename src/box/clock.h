/* The host's time stamp counter, which a guest under TCG sees as it is. */
#ifndef BOX_CLOCK_H
#define BOX_CLOCK_H

#include "box/home.h"

/* Its frequency in kHz, measured once per boot of the host (50 ms) and kept in the home; 0 if it makes no sense. */
uint32_t clock_tsc_khz(const struct home *h);

#endif

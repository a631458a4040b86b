/* The end of the guest. */
#ifndef AGENT_POWER_H
#define AGENT_POWER_H

/* Ends the machine at once. What is to reach the disk must be there already. */
_Noreturn void power_off(void);

#endif

/* Signals by name. */
#ifndef BASE_SIGNAME_H
#define BASE_SIGNAME_H

/* "9", "KILL", "SIGKILL", "sigkill": its number; 0: there is none of that name, or a number that is not one. */
int signal_by_name(const char *text);

#endif

/* Programs of ours that work for the library for a while: boxlite-image, boxlite-copy. */
#ifndef BOX_HELPER_H
#define BOX_HELPER_H

#include "base/spawn.h"
#include "base/str.h"
#include "box/home.h"

struct helper {
	const char *const *argv;       /* NULL-terminated; argv[0] is the program's name */
	const char *const *passed_on;  /* NULL-terminated: variables of our environment that it may see, beside those of
					  its sanitizers */
	const struct spawn_fd *fds;
	size_t nfds;
};

/*
 * Starts one, not to be reached by the caller's Ctrl-C. It is not killed with the caller either: it sees the end of its
 * socket. Its log is thrown away unless BOXLITE_DEBUG is set: it would stand between an embedder's own lines, and what
 * the user must know comes over the socket.
 */
int helper_start(struct home *h, const struct helper *p, struct child *ret, struct error *err) MUST_CHECK;

/* Of the variables of these names (NULL-terminated) those that this process has, appended: 0, -ENOMEM, -E2BIG. */
int helper_pass_on(const char *const *names, struct strv *env) MUST_CHECK;

#endif

/* Unix sockets: pairs, listening and connecting below a folder fd, passing fds. */
#ifndef BASE_SOCK_H
#define BASE_SOCK_H

#include <sys/types.h>

#include "base/base.h"

/* A connected pair of close-on-exec stream sockets: 0 or -errno. */
int sock_pair(int fds[2]) MUST_CHECK;

/* The same of seqpacket sockets, each of which holds `bytes` on their way if this system lets it, else what it lets. */
int sock_pair_packets(int fds[2], int bytes) MUST_CHECK;

/* Listens on a socket file `name` (mode 0600) in the folder dirfd; a stale file
 * of that name is replaced. No path is too deep: the name is bound through
 * /proc/self/fd. Returns the non-blocking, listening fd or -errno. */
int sock_listen_at(int dirfd, const char *name) MUST_CHECK;

/* Connects to a socket file in the folder dirfd: fd or -errno. */
int sock_connect_at(int dirfd, const char *name) MUST_CHECK;

/* User id of the process at the other end: 0 or -errno. */
int sock_peer_uid(int fd, uid_t *ret_uid) MUST_CHECK;

#define SOCK_FDS_MAX 16 /* fds in one message */

/* Sends all n bytes (n > 0), waiting if need be, with fds attached to the first of them (nfds 0: none):
 * 0 or -errno; a closed peer is -EPIPE without a signal. The fds stay the caller's. */
int sock_send_fds(int sock, const void *p, size_t n, const int *fds, size_t nfds) MUST_CHECK;

/* Sends what goes of n bytes (n > 0) without waiting, with an fd attached to the first: how many, or -errno (-EAGAIN:
 * none, and the fd did not go either). The fd stays the caller's. */
ssize_t sock_send_fd(int sock, const void *p, size_t n, int fd) MUST_CHECK;

/* Receives up to n bytes, and an fd if one came with them, else *ret_fd is -1: also if this process can have no more
 * files. The byte count, 0 at the end, -errno. */
ssize_t sock_recv_fd(int sock, void *p, size_t n, int *ret_fd) MUST_CHECK;

/* Receives up to n bytes and up to `most` fds, which become the caller's (close-on-exec).
 * Returns the byte count, 0 at the end, -errno; with more fds than `most`, all are closed and -EMSGSIZE. */
ssize_t sock_recv_fds(int sock, void *p, size_t n, int *fds, size_t most, size_t *ret_nfds) MUST_CHECK;

#endif

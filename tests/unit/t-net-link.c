/* The link to the guest: frames that are sent in pieces. */
#include <sys/socket.h>
#include <unistd.h>

#include "lib/tap.h"
#include "net/checksum.h"
#include "net/link.h"

#define HEAD 34 /* of Ethernet and IP, which no checksum of ours covers */
#define FRAME (HEAD + 120)

static struct loop loop;
static struct link l;
static int guest = -1;

/* Sends one with bytes up to FRAME in pieces up to these ends, and sums what comes up: a right one is 0. */
static int sum_of(size_t first, size_t second)
{
	uint8_t frame[FRAME], got[FRAME + 1];
	const struct link_sum sum = { .start = HEAD, .offset = 16 };
	struct iovec v[3] = {
		{ frame, first }, { frame + first, second - first }, { frame + second, sizeof(frame) - second },
	};
	size_t i;

	for (i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7 + 1);
	frame[HEAD + 16] = frame[HEAD + 17] = 0;
	if (!link_send(&l, v, 3, &sum) || recv(guest, got, sizeof(got), MSG_DONTWAIT) != sizeof(frame))
		return -1;
	return checksum_fold(checksum_add(0, got + HEAD, sizeof(frame) - HEAD));
}

int main(void)
{
	static const struct link_ops none = { .frame = NULL };
	struct error err = { 0 };
	int pair[2];

	if (loop_init(&loop) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return 1;
	guest = pair[1];
	l = (struct link){ .watch = WATCH_NONE, .timer = WATCH_NONE, .fd = -1 };
	if (link_open(&l, &loop, pair[0], false, &none, NULL, &err) < 0)
		return 1;
	is_int(sum_of(HEAD + 20, HEAD + 60), 0, "a frame in pieces of an even length has the right checksum");
	is_int(sum_of(HEAD + 20, HEAD + 61), 0, "and one where a piece begins in the middle of a word");
	is_int(sum_of(HEAD + 19, HEAD + 20), 0, "or two do");
	link_close(&l);
	close(guest);
	loop_fini(&loop);
	return tap_done();
}

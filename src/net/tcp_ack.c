/*
 * Acknowledgements. One that goes at once costs the guest an interrupt, and often the answer to its question is about
 * to come and could take it along. So it waits: until the end of the batch of frames if much is owed, else ACK_MS to
 * twice that, which is less than what a sender notices that waits for it (RFC 896).
 *
 * Those who owe one are in a list, the latest at its end; one timer runs while it is not empty, and sends for those who
 * were in it already when it ran out before: an exchange of short messages is not disturbed by it. An acknowledgement
 * that the link has no room for stays in the list.
 */
#include <unistd.h>

#include "base/clean.h"
#include "base/clock.h"
#include "net/tcp.h"

#define ACK_MS 2
#define ACK_BYTES (2 * NET_LINK_MTU) /* so much is acknowledged with the batch it came in */

static TAILQ_HEAD(owing_list, tcp) owing = TAILQ_HEAD_INITIALIZER(owing);
static struct watch timer = { .fd = -1 };
static bool ticking;
static unsigned turn; /* the timer has run out so often */

static void start_timer(void)
{
	if (!ticking)
		loop_timer_set(timer.fd, ACK_MS);
	ticking = true;
}

void tcp_forget_ack(struct tcp *t)
{
	if (t->owes_ack)
		TAILQ_REMOVE(&owing, t, ack);
	t->owes_ack = false;
}

void tcp_owe_ack(struct tcp *t, bool now)
{
	if ((now && tcp_send(t, SEG_ACK, t->snd_nxt)) || t->owes_ack)
		return;
	t->owes_ack = true;
	t->owes_since = turn;
	TAILQ_INSERT_TAIL(&owing, t, ack);
	start_timer();
}

/* Sends those of at least so many bytes; of these only the old ones. */
static void settle(uint32_t least, bool old)
{
	struct tcp *t, *next;

	for (t = TAILQ_FIRST(&owing); t; t = next) {
		next = TAILQ_NEXT(t, ack);
		if (t->rcv_nxt - t->acked < least || (old && t->owes_since == turn))
			continue;
		if (!tcp_send(t, SEG_ACK, t->snd_nxt))
			return; /* no room: the link tells when there is */
		tcp_end_if_over(t);
	}
}

void tcp_batch(struct net *n)
{
	(void)n;
	settle(ACK_BYTES, false);
}

static void on_timer(struct watch *w, uint32_t events)
{
	const struct tcp *latest;
	uint64_t expired;

	(void)events;
	if (read(w->fd, &expired, sizeof(expired)) != sizeof(expired))
		return;
	ticking = false;
	settle(0, true);
	latest = TAILQ_LAST(&owing, owing_list);
	if (latest && latest->owes_since == turn)
		start_timer();
	turn++;
}

void tcp_room(void)
{
	settle(0, false);
}

int tcp_open(struct net *n, struct error *err)
{
	int fd = loop_timer_fd(), r = fd < 0 ? fd : loop_add(&n->loop, &timer, fd, EPOLLIN, on_timer);

	return r < 0 ? error_code(err, r, "cannot make a timer") : 0;
}

void tcp_close(struct net *n)
{
	int fd = timer.fd;

	loop_remove(&n->loop, &timer);
	close_fd(&fd);
	ticking = false;
}

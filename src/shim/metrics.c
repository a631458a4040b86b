/*
 * METRICS and TOP of clients (wire/metrics.h).
 *
 * Theory of operation. What the shim knows by itself it tells at once: of the engine's process by files of /proc,
 * whose folder it holds open from that process's start, and of what has passed through its hands. What the guest knows
 * has to be asked for; and so has what boxlite-net has counted, which is asked at the same time. Of each kind one
 * question is with the agent at a time; every client that waits when the answer comes gets it. Each has a time limit of
 * its own: then it gets what there is without the guest, and the question stays with the agent, whose answer may still
 * come, or never.
 *
 *	client: METRICS --> waits --> answer of the agent, or QUERY_WAIT_MS, or the end of the box's time --> METRICS
 *
 * The agent's answers are a stranger's: bounded here, decoded in wire/, and one that nobody asked for ends the box.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/str.h"

#define FILE_MAX (16 * KIB)

void metrics_of_machine(struct shim *s)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)s->machine.pid);
	close_fd(&s->machine_proc);
	s->machine_proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* --- the engine's process --------------------------------------------------------------------------- */

static const char *read_text(const struct shim *s, const char *name, struct buf *b)
{
	buf_consume(b, buf_len(b));
	if (s->machine_proc < 0 || io_read_file_at(s->machine_proc, name, b) < 0)
		return "";
	return buf_str(b) ? buf_str(b) : "";
}

/* The number of the line "name: 123"; 0 without it. */
static uint64_t value_of(const char *text, const char *name)
{
	const char *line;
	size_t n = strlen(name);

	for (line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (!strncmp(line, name, n) && line[n] == ':')
			return strtoull(line + n + 1, NULL, 10);
	return 0;
}

/* "12 (name) S 1 ...": behind the name the 12th and 13th words are its times, the 18th its threads. */
static void read_times(const char *stat, struct host_metrics *m)
{
	const uint64_t tick_ns = 1000000000U / (uint64_t)sysconf(_SC_CLK_TCK);
	const char *p = strrchr(stat, ')');
	uint64_t user, system, threads;

	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %*d %*d %*d %*d %" SCNu64,
			 &user, &system, &threads) != 3)
		return;
	m->cpu_user_ns = user * tick_ns;
	m->cpu_system_ns = system * tick_ns;
	m->threads = threads;
}

static void look_at_engine(const struct shim *s, struct host_metrics *m)
{
	auto_buf struct buf b = BUF_INIT(FILE_MAX);
	const char *text;

	m->pid = s->machine.pid > 0 ? (uint64_t)s->machine.pid : 0;
	read_times(read_text(s, "stat", &b), m);
	text = read_text(s, "status", &b);
	m->memory_bytes = value_of(text, "VmRSS") * KIB;
	m->memory_peak_bytes = value_of(text, "VmHWM") * KIB;
	m->memory_private_bytes = (value_of(text, "RssAnon") + value_of(text, "RssShmem")) * KIB;
	/* Not of a process that has made itself private (boxlite-vmm), unless we are root. */
	text = read_text(s, "io", &b);
	m->read_bytes = value_of(text, "read_bytes");
	m->written_bytes = value_of(text, "write_bytes");
}

/* --- answers ----------------------------------------------------------------------------------------- */

static bool waits_for(const struct client *c, enum query q)
{
	return c->waits_until_ns[q] != 0;
}

/* What boxlite-net has counted is no claim of the guest's. */
static void count_network(const struct shim *s, struct box_metrics *m)
{
	if (!s->net)
		return;
	m->host.net_sent_packets = s->net_stats.sent_packets;
	m->host.net_received_packets = s->net_stats.received_packets;
	m->host.net_connections = s->net_stats.connections;
	m->host.net_flows = s->net_stats.flows;
	m->host.net_denied = s->net_stats.denied;
	memcpy(m->host.net_denied_for, s->net_stats.denied_for, sizeof(m->host.net_denied_for));
	if (!m->has_guest)
		return;
	m->guest.received_bytes = MIN(s->net_stats.received_bytes, (uint64_t)INT64_MAX);
	m->guest.sent_bytes = MIN(s->net_stats.sent_bytes, (uint64_t)INT64_MAX);
}

static void answer_metrics(struct client *c, const struct guest_metrics *guest)
{
	struct shim *s = c->shim;
	const struct stream *st;
	struct box_metrics m = {
		.uptime_ns = clock_ns() - s->timing.at[TIMING_SHIM],
		.execs_started = s->counts.execs_started,
		.execs_failed = s->counts.execs_failed,
		.input_bytes = s->counts.input_bytes,
		.output_bytes = s->counts.output_bytes,
		.timing = s->timing,
		.has_guest = guest != NULL,
	};

	c->waits_until_ns[QUERY_METRICS] = 0;
	snprintf(m.engine, sizeof(m.engine), "%s", s->engine ? s->engine->name : "");
	for (st = s->streams; st; st = st->next)
		m.execs_running += st->agent_id != MAIN_STREAM && !st->ended && !st->copies && !st->connects &&
				     !st->is_health;
	if (guest)
		m.guest = *guest;
	look_at_engine(s, &m.host);
	count_network(s, &m);
	if (wire_put_metrics(&c->conn.out, &m) < 0)
		client_drop(c);
	else
		client_flush(c);
}

static void answer_top(struct client *c, const struct top_list *l, const char *why)
{
	int r;

	c->waits_until_ns[QUERY_TOP] = 0;
	r = l ? wire_put_top(&c->conn.out, l) : wire_put_top_error(&c->conn.out, why);
	if (r < 0)
		client_drop(c);
	else
		client_flush(c);
}

static void answer_without_guest(struct client *c, enum query q)
{
	if (q == QUERY_METRICS)
		answer_metrics(c, NULL);
	else
		answer_top(c, NULL, c->shim->life == LIFE_BOOTING    ? "the box is just starting"
				    : c->shim->life == LIFE_RUNNING ? "the guest does not answer"
								    : "the box is just ending");
}

/* --- time limits ------------------------------------------------------------------------------------- */

static void set_timer(struct shim *s)
{
	uint64_t first = UINT64_MAX, now = clock_ns();
	const struct client *c;
	int q;

	for (c = s->clients; c; c = c->next)
		for (q = 0; q < QUERIES; q++)
			if (c->waits_until_ns[q])
				first = MIN(first, c->waits_until_ns[q]);
	if (first != UINT64_MAX)
		loop_timer_set(s->query_watch.fd, first > now ? (first - now) / 1000000 + 1 : 1);
}

/* With what there is. The guest may have answered, and boxlite-net not. */
static void answer_late(struct client *c, enum query q)
{
	if (q == QUERY_METRICS && !c->shim->asked[q] && !c->host_only)
		answer_metrics(c, &c->shim->guest);
	else
		answer_without_guest(c, q);
}

static void on_limit(struct watch *w, uint32_t events)
{
	struct shim *s = container_of(w, struct shim, query_watch);
	uint64_t expired, now = clock_ns();
	struct client *c, *next;
	int q;

	(void)events;
	if (read(w->fd, &expired, sizeof(expired)) != sizeof(expired))
		return;
	for (c = s->clients; c; c = next) {
		next = c->next;
		for (q = 0; q < QUERIES && !c->dropped; q++)
			if (waits_for(c, q) && c->waits_until_ns[q] <= now)
				answer_late(c, q);
	}
	s->asked_net = false; /* it may have had no memory to answer: the next one asks it again */
	set_timer(s);
}

/* --- questions --------------------------------------------------------------------------------------- */

/* The first question that has to wait for the guest makes the timer. */
static int make_timer(struct shim *s)
{
	int fd, r;

	if (s->query_watch.fd >= 0)
		return 0;
	fd = loop_timer_fd();
	r = fd < 0 ? fd : loop_add(&s->loop, &s->query_watch, fd, EPOLLIN, on_limit);
	if (r < 0 && fd >= 0)
		close(fd);
	return r;
}

static int ask_agent(struct shim *s, enum query q)
{
	int r = make_timer(s);

	if (r == 0 && !s->asked[q])
		r = wire_put_empty(agent_queue(s), q == QUERY_METRICS ? FRAME_METRICS : FRAME_TOP, 0);
	if (r == 0) {
		s->asked[q] = true;
		agent_flush(s);
	}
	return r;
}

int query_from_client(struct client *c, const struct frame *f)
{
	enum query q = f->type == FRAME_METRICS ? QUERY_METRICS : QUERY_TOP;
	struct shim *s = c->shim;
	bool guest = true;

	if (f->stream != 0 || waits_for(c, q) || (q == QUERY_METRICS && wire_get_metrics_request(f, &guest) < 0))
		return -EBADMSG;
	if (q == QUERY_METRICS && !s->asked_net && make_timer(s) == 0)
		s->asked_net = net_ask_stats(s) == 0;
	guest = guest && s->life == LIFE_RUNNING && ask_agent(s, q) == 0;
	if (!guest && (q != QUERY_METRICS || !s->asked_net)) {
		answer_without_guest(c, q);
		return 0;
	}
	if (q == QUERY_METRICS)
		c->host_only = !guest;
	c->waits_until_ns[q] = clock_ns() + QUERY_WAIT_MS * 1000000ULL;
	set_timer(s);
	return 0;
}

/* Once all that were asked have answered. */
static void answer_all(struct shim *s)
{
	struct client *c, *next;

	for (c = s->clients; c && !s->asked_net; c = next) {
		next = c->next;
		if (waits_for(c, QUERY_METRICS) && (c->host_only || !s->asked[QUERY_METRICS]))
			answer_metrics(c, c->host_only ? NULL : &s->guest);
	}
}

static void metrics_from_agent(struct shim *s, const struct frame *f)
{
	if (!s->asked[QUERY_METRICS] || wire_get_guest_metrics(f, &s->guest) < 0) {
		life_fail(s, "the guest broke the protocol: METRICS that %s",
			  s->asked[QUERY_METRICS] ? "are malformed" : "nobody asked for");
		return;
	}
	s->asked[QUERY_METRICS] = false;
	answer_all(s);
}

void query_from_net(struct shim *s, const struct net_stats *stats)
{
	s->net_stats = *stats;
	s->asked_net = false;
	answer_all(s);
}

/* A part of the answer: kept until the last one is there. */
static int add_top(struct shim *s, const struct frame *f, bool *ret_last)
{
	struct top_process *more;
	struct top_list part;
	int r = wire_get_top(f, MIN((size_t)TOP_PER_FRAME, TOP_MAX - s->top.n), &part, NULL);

	if (r < 0)
		return r;
	/* A guest that sends empty parts for ever keeps nobody busy but itself, yet it does not get away with it. */
	if (part.n == 0 && !part.last) {
		top_list_fini(&part);
		return -EBADMSG;
	}
	more = realloc(s->top.v, (s->top.n + part.n + 1) * sizeof(*more));
	if (!more) {
		top_list_fini(&part);
		return -ENOMEM;
	}
	s->top.v = more;
	memcpy(s->top.v + s->top.n, part.v, part.n * sizeof(*more));
	s->top.n += part.n;
	s->top.truncated = part.truncated;
	*ret_last = part.last;
	top_list_fini(&part);
	return 0;
}

static void top_from_agent(struct shim *s, const struct frame *f)
{
	struct client *c, *next;
	bool last = false;

	if (!s->asked[QUERY_TOP] || add_top(s, f, &last) < 0) {
		life_fail(s, "the guest broke the protocol: TOP that %s",
			  s->asked[QUERY_TOP] ? "is malformed" : "nobody asked for");
		return;
	}
	if (!last)
		return;
	s->asked[QUERY_TOP] = false;
	for (c = s->clients; c; c = next) {
		next = c->next;
		if (waits_for(c, QUERY_TOP))
			answer_top(c, &s->top, NULL);
	}
	top_list_fini(&s->top);
}

void query_from_agent(struct shim *s, const struct frame *f)
{
	if (f->type == FRAME_METRICS)
		metrics_from_agent(s, f);
	else
		top_from_agent(s, f);
}

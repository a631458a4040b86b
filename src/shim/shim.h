/*
 * What the files of the shim share. Theory of operation: main.c.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "shim/engine.h"
#include "shim/qmp.h"
#include "wire/conn.h"
#include "wire/copy.h"
#include "wire/metrics.h"
#include "wire/netmsg.h"
#include "wire/spec.h"
#include "wire/timing.h"

#define AGENT_OUT_MAX (64 * MIB)  /* bounded by the credit of all streams long before */
#define AGENT_CONTROL_MAX (16 * KIB) /* a frame that is not DATA; its JSON takes a hundred times that in memory */
#define CLIENT_OUT_MAX (64 * MIB)
#define CLIENTS_MAX 256
#define STREAMS_MAX 4096
#define DIALS_MAX 256 /* connections to sockets in the box; what they may have on its way fits AGENT_OUT_MAX */
#define MAIN_STREAM SPEC_MAIN_EXEC /* the main process's id towards the agent */

#define BOOT_TIMEOUT_MS 120000 /* a guest under TCG on a busy machine is slow, but not that slow */
#define RESTORE_TIMEOUT_MS 15000 /* HELLO from a template: 60 ms. Then a machine is booted */
#define STOP_SLACK_MS 10000    /* what sync and unmount may take beyond the grace */
#define LINGER_MS 3000         /* what clients but the owner have to read their last bytes after the end */

/* The life of a box only goes forward, but for one that is started again. */
enum life {
	LIFE_BOOTING,  /* machine started; the agent has not said READY */
	LIFE_RUNNING,
	LIFE_STOPPING, /* SHUTDOWN sent; waiting for BYE */
	LIFE_ENDING,   /* machine killed; waiting for its end */
	LIFE_RESTING,  /* the machine is gone; another one is started in a moment (restart.c): back to LIFE_BOOTING */
	LIFE_DONE,     /* exit.json is written; waiting until clients have their last bytes */
};

/* How the machine comes to be. Whatever it was, it is WAY_BOOT from where it is like any other. */
enum way {
	WAY_BOOT,
	WAY_PARK,    /* it boots until it needs a box and waits; a template is made of it, then it goes on */
	WAY_RESTORE, /* it goes on from a template */
};

/* What the guest is asked about; see metrics.c. */
enum query { QUERY_METRICS, QUERY_TOP, QUERIES };

struct shim;

struct client {
	struct client *next;
	struct shim *shim;
	struct conn conn;
	struct watch watch;
	bool creator; /* the control connection: its end is the owner's end */
	bool hello;   /* the peer has said HELLO */
	bool dropped; /* waits for clients_reap() */
	bool expects; /* it has started a process and heard nothing yet, not even HELLO, */
	size_t hello_len; /* which is so long and waits for company */
	uint64_t waits_until_ns[QUERIES]; /* for an answer; 0: it does not */
	bool host_only; /* its METRICS wait for boxlite-net, not for the guest */
	bool changing; /* it has asked for a change of the network: netchange.c */
};

/* A client's part in a process. */
struct attachment {
	struct attachment *next; /* of the stream */
	struct stream *stream;
	struct client *client;
	uint32_t id;             /* the client's for the stream */
	uint32_t debt[CHANNELS]; /* output that was sent to it and is not credited yet */
	bool closed[CHANNELS];   /* it does not want that output any more */
	bool owner;              /* it has started the process */
};

/* A process, a copy, or a connection to a socket in the box, seen from both sides. */
struct stream {
	struct stream *next; /* an older one */
	uint32_t agent_id;   /* for clients the number of the exec */
	struct attachment *attachments;
	struct attachment *input; /* the one whose input the process reads, or NULL */
	/* What the sender of each channel may still send: the client's stdin, the agent's stdout and stderr. */
	uint32_t credit[CHANNELS];
	struct buf backlog; /* the last frames of output */
	struct proc_started started; /* .pid is 0 until it runs */
	bool detached;      /* its input stays open without a client */
	bool stdin_ended;   /* the agent takes one end of a stdin, and nothing after it */
	bool output_ended[CHANNELS]; /* the agent has said so */
	bool ended;         /* `exit` waits for somebody to ask */
	bool copies;        /* files, instead of being a process */
	bool is_health;     /* the shim has started it, see health.c */
	bool connects;      /* to a socket in the box, instead of being a process: dial.c */
	struct dial *dial;  /* of `connects`: its other end, NULL once that has gone */
	struct proc_exit exit;
};

struct shim {
	struct loop loop;
	struct box_spec spec;
	int box_fd, lock_fd;
	enum life life;

	const struct engine *engine;
	struct child machine;
	struct watch machine_watch;
	enum way way;
	struct qmp monitor; /* this and the next two: not open in WAY_BOOT */
	int memory_fd;      /* owned; the guest's memory */
	int state_fd;       /* owned; the devices' state, saved or to be restored */
	bool has_template;  /* SHIM_FD_TEMPLATE is open */
	bool saving;        /* WAY_PARK: the agent has said PARKED */
	bool given_up;      /* it was killed for another to take its place */
	unsigned continues; /* times that it was asked to go on */
	struct conn agent;
	struct watch agent_watch;
	struct buf early; /* for the agent, until it is sure which machine it is in, and the main process is sent */
	bool agent_hello;
	bool opening_sent; /* HELLO and BOOT are on their way to the agent */
	bool main_sent;    /* the main process, too: what is in `early` may follow it */
	bool agent_ready;  /* it has said READY */

	struct net *net;   /* owned; boxlite-net of this machine, NULL: none */
	bool net_refused;  /* it could not do what it was to do */

	struct watch listen_watch, timer_watch, signal_watch, clock_watch;
	struct client *clients, *dropped_clients;
	struct stream *streams;
	struct dial *dials;
	size_t nclients, nstreams, ndials;
	size_t nended; /* streams that have */
	uint32_t next_agent_id;

	struct {
		uint64_t execs_started, execs_failed, input_bytes, output_bytes;
	} counts;
	bool asked[QUERIES];      /* a question is with the agent */
	struct top_list top;      /* its answer so far */
	struct guest_metrics guest; /* its last one */
	bool asked_net;           /* a question is with boxlite-net */
	struct net_stats net_stats; /* its last answer */
	struct watch query_watch; /* the time limit of those who wait */
	int machine_proc;         /* owned; /proc/<pid> of the engine */

	struct timing timing; /* stamped where it happens */
	int report_fd;        /* owned; our end of where the engine says how far it came (wire/machine.h) */
	int vm_fd;            /* owned; came with that, to be closed last of all */
	struct console *console;
	int output_fd;         /* owned; the log of the main process's output, -1: none */
	uint64_t output_bytes; /* in it */
	bool output_lost;      /* some could not be written */
	bool has_events;       /* SHIM_FD_EVENTS is open */
	unsigned events_said;
	struct proc_exit main_exit; /* meaningful once main_ended */
	bool main_ended;
	uint32_t grace_ms; /* of LIFE_STOPPING */
	bool stop_asked;   /* somebody wants it to end for good */
	unsigned restarts, failures; /* all of them; those in a row that were soon over */
	uint64_t delay_ms;           /* of LIFE_RESTING */
	struct proc_exit last_end;   /* likewise: what the box ends with if it is not started again */
	struct health *health;       /* owned; NULL: it has no command for that */
	char failure[ERROR_TEXT_MAX]; /* why the box failed, "" if it did not */
};

/* life.c: what happens when */
void life_ready(struct shim *s, uint64_t since_start); /* ns, as the guest says */
void life_net_ready(struct shim *s); /* the box may run */
void life_main_ended(struct shim *s, const struct proc_exit *e);
void life_stop(struct shim *s, uint32_t grace_ms);
void life_stop_for_good(struct shim *s, uint32_t grace_ms); /* somebody wants it */
/* A signal that asks the main process to end, or makes it, is meant for good, as docker takes it. */
bool life_is_end(const struct shim *s, int signo);
void life_unwatched(struct shim *s); /* a box for copies only, from which a client has gone */
void life_failed_start(struct shim *s, const struct error *err);
void life_bye(struct shim *s, const char *error);
void life_fail(struct shim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
void life_agent_gone(struct shim *s);
void life_machine_ended(struct shim *s);
void life_timeout(struct shim *s);
void life_interrupt(struct shim *s, struct stream *st, int signo); /* of a main process that does not run yet */
void life_check_done(struct shim *s); /* after each batch: leaves the loop when nobody waits for bytes any more */
void life_release(struct shim *s);    /* the box is not this shim's any more */

/* machine.c: its start; BOOT_TIMEOUT_MS runs from here */
int machine_start(struct shim *s, struct error *err);
void machine_parked(struct shim *s);     /* the agent says so */
void machine_has_agent(struct shim *s);  /* HELLO: it is like any other from now on */
void machine_is_ready(struct shim *s);   /* READY */
void machine_read_report(struct shim *s); /* once the machine has ended: its part of s->timing */
void machine_give_up(struct shim *s, const char *what, const char *why); /* unless WAY_BOOT: another is booted */
void machine_blames_template(struct shim *s); /* it failed before READY, and may have come from one */
bool machine_boots_again(struct shim *s); /* it has ended before HELLO: true if another takes its place */

int machine_restart(struct shim *s, struct error *err); /* after the end of one: booted */

/* wallclock.c: the box hears when the host's clock was set */
int wallclock_open(struct shim *s) MUST_CHECK;

/* restart.c */
bool restart_wanted(const struct shim *s, const struct proc_exit *e);
void restart_rest(struct shim *s, const struct proc_exit *e); /* LIFE_RESTING */
void restart_now(struct shim *s);

/* health.c */
void health_start(struct shim *s); /* the main process runs */
void health_result(struct shim *s, struct stream *st, const struct proc_exit *e); /* st: that of the command */
void health_stop(struct shim *s);

/* events.c */
void events_action(struct shim *s, const char *action, const char *detail); /* detail may be NULL */
void events_signal(struct shim *s, int signo);
void events_ended(struct shim *s, const struct proc_exit *e); /* the main process, or the machine without it */
void events_exec(struct shim *s, const struct stream *st, const struct proc_exit *e); /* e NULL: it runs */

/* output.c: the log of the main process's output */
void output_open(struct shim *s);
void output_add(struct shim *s, enum frame_channel ch, const void *data, uint32_t len);
void output_close(struct shim *s);

/* metrics.c: what the box uses, and what runs in it */
void metrics_of_machine(struct shim *s); /* its process has just been started */
int query_from_client(struct client *c, const struct frame *f); /* METRICS, TOP; -EBADMSG */
void query_from_agent(struct shim *s, const struct frame *f);
void query_from_net(struct shim *s, const struct net_stats *stats);

/* net.c: boxlite-net */
bool net_is_wanted(const struct shim *s);
int net_lock_secrets(const struct shim *s, struct error *err); /* once, before the first start */
int net_start(struct shim *s, int link, struct error *err); /* link: its end, which stays the caller's */
const char *net_certificate(const struct shim *s); /* for the box to trust, NULL: none */
bool net_is_awaited(const struct shim *s);  /* it has not said NET_READY: nothing of the box may run */
int net_ask_stats(struct shim *s);          /* then query_from_net(); -ENOTCONN: there is none */
void net_stop(struct shim *s);              /* kills it: its end is awaited by */
void net_close(struct shim *s);

/* netchange.c: what clients ask of it while it runs; both: -EBADMSG, the client lies */
int change_from_client(struct client *c, const struct frame *f);
int dial_from_client(struct client *c, const struct frame *f);
void change_forget(struct client *c); /* it has gone */
/* Answers a question of that type with why not. 0. */
int change_refuse(struct client *c, uint8_t type, int code, const char *why);

/* dial.c: connections to UNIX sockets in the box */
int dial_unix_from_client(struct client *c, const struct frame *f); /* -EBADMSG: the client lies */
/* What its stream hears of the agent; st->dial may be gone after each of these. */
void dial_connected(struct stream *st);
void dial_data(struct stream *st, const struct frame *f); /* of stdout, and within its credit */
void dial_credit(struct stream *st);                      /* there is more for stdin */
void dial_ended(struct stream *st, const struct proc_exit *e);
void dials_close(struct shim *s); /* their clients do not read */
size_t dial_debt(const struct dial *d); /* bytes that its client has not taken yet */

/* agent.c: the agent channel */
int agent_open(struct shim *s, int fd, struct error *err);
void agent_send_opening(struct shim *s); /* what makes it this box's */
void agent_start_main(struct shim *s);   /* with it, or once the network is there */
void agent_release(struct shim *s);      /* what waits in s->early, if it need not wait any more */
void agent_drain(struct shim *s); /* what the agent has said before its machine ended */
void agent_close(struct shim *s);
struct buf *agent_queue(struct shim *s); /* where frames for the agent go, in order */
void agent_flush(struct shim *s);        /* after anything was put there */

/* client.c: box.sock and the control connection */
struct client *client_add(struct shim *s, int fd, bool creator);
void client_handle_input(struct client *c); /* every complete frame that has been read */
void client_flush(struct client *c);
void clients_flush(struct shim *s); /* after each batch of events */
void client_drop(struct client *c); /* c stays allocated until clients_reap() */
/* Whether f is all that it has ever asked for, so that its connection can become another's. */
bool client_only_asks(const struct client *c, const struct frame *f);
void clients_reap(struct shim *s);
int client_listen(struct shim *s, struct error *err);

/* stream.c */
struct stream *stream_add(struct shim *s, const struct proc_spec *p, bool detached);
struct stream *stream_of_agent(struct shim *s, uint32_t agent_id); /* one that has not ended */
struct stream *stream_find(struct shim *s, uint32_t agent_id);     /* also one that has */
struct attachment *attachment_of(struct client *c, uint32_t id);
/* The client has started the process, and gives its input: 0 or -ENOMEM. */
int stream_own(struct stream *st, struct client *c, uint32_t id) MUST_CHECK;
/* Joins a client, not yet attached to st. If that has ended it is gone afterwards. Negative: the client must go. */
int stream_attach(struct stream *st, struct client *c, uint32_t id, bool input) MUST_CHECK;
void stream_detach(struct attachment *a, struct shim *s);
void stream_detach_all(struct client *c);
void stream_from_agent(struct stream *st, struct shim *s, const struct frame *f);
int stream_from_client(struct attachment *a, struct shim *s, const struct frame *f); /* -EBADMSG: the client lies */
int stream_signal(struct stream *st, struct shim *s, const struct frame *f);         /* likewise */
/* Nobody gives its input any more, nor takes what a copy or a connection says. */
void stream_end_input(struct stream *st, struct shim *s);
void stream_taken(struct stream *st, struct shim *s); /* of stdout, by its dial */
void stream_end(struct stream *st, struct shim *s, const struct proc_exit *e);
void streams_end(struct shim *s, const struct proc_exit *e); /* all of them */

/* console.c: the guest's console and the engine's complaints, bounded, into log/ */
struct console *console_open(struct shim *s, int *ret_console_fd, int *ret_stderr_fd, struct error *err);
const char *console_last_complaint(const struct console *c); /* last line of the engine's stderr or "" */
int console_open_net(struct console *c, struct shim *s); /* the standard error of boxlite-net: fd, or -errno */
const char *console_last_of_net(const struct console *c); /* likewise */
const char *console_last_word(const struct console *c); /* of the guest, likewise */
const char *console_panic(const struct console *c);     /* why the guest's kernel panicked, "" if it says nothing of that */
void console_drain(struct console *c); /* takes what is still in the pipes, before the end */
void console_close(struct console *c);

#endif

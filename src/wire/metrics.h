/*
 * METRICS and TOP: what a box uses, and what runs in it. Both are asked on stream 0 and answered there.
 *
 *	client -> shim    METRICS {guest}   TOP {}
 *	shim -> agent     METRICS {}        TOP {}
 *	agent -> shim     METRICS: struct guest_metrics;   TOP: one or more of struct top_list, the last with `last`
 *	shim -> client    METRICS: struct box_metrics;     TOP: one struct top_list, or {error}
 *
 * Of each kind a client waits for one answer at a time, and the shim for one of the agent. An agent that does not
 * answer in QUERY_WAIT_MS keeps nobody from what the shim knows by itself.
 *
 * What the guest says are claims: numbers are numbers, texts are short and safe to print, and that is all that is sure.
 */
#ifndef WIRE_METRICS_H
#define WIRE_METRICS_H

#include "base/json.h"
#include "wire/frame.h"
#include "wire/reason.h"
#include "wire/timing.h"

#define QUERY_WAIT_MS 1000

/* 0: not known, where it cannot be 0. All numbers are below 2^63. */
struct guest_metrics {
	uint64_t memory_bytes, memory_available_bytes; /* of the guest */
	uint64_t box_memory_bytes;       /* of the box's processes, with the files that they keep in memory */
	uint64_t cpu_user_ns, cpu_system_ns; /* of the box's processes, those that have ended included */
	uint64_t processes;              /* and threads, in the box */
	uint64_t read_bytes, written_bytes; /* from and to disks, by the box's processes */
	uint64_t disk_bytes, disk_used_bytes; /* the box's file system */
	uint64_t received_bytes, sent_bytes; /* by network, without loopback */
};

/* The engine's process on the host; and of its network what boxlite-net has counted. */
struct host_metrics {
	uint64_t pid;
	uint64_t cpu_user_ns, cpu_system_ns; /* the guest's time is part of the first */
	uint64_t memory_bytes, memory_peak_bytes; /* resident */
	uint64_t memory_private_bytes;   /* of the first: without pages of files, which others may share */
	uint64_t threads;
	uint64_t read_bytes, written_bytes; /* from and to storage; 0 where the kernel does not tell us */
	uint64_t net_sent_packets, net_received_packets; /* IP, of the guest and to it */
	uint64_t net_connections, net_flows; /* TCP: all there were; of all protocols: now */
	uint64_t net_denied, net_denied_for[NET_REASONS];
};

struct box_metrics {
	char engine[8];
	uint64_t uptime_ns;              /* since the shim was told what to run */
	uint64_t execs_started, execs_running, execs_failed; /* failed: never ran */
	uint64_t input_bytes, output_bytes; /* of all streams of the agent */
	struct host_metrics host;
	struct guest_metrics guest;      /* all 0 without has_guest */
	bool has_guest;
	struct timing timing;            /* the stages so far */
};

#define TOP_MAX 1024     /* processes of one answer */
#define TOP_PER_FRAME 16 /* of a frame of the agent's: within the shim's limit for one */
#define TOP_COMMAND 256  /* with its end */
#define TOP_USER 33

struct top_process {
	int32_t pid, ppid; /* as the box sees them; ppid 0: its parent is not in the box */
	uint32_t uid;
	char user[TOP_USER]; /* by the box's passwd file; "" if that does not know */
	char state;          /* a letter of ps(1) */
	uint64_t cpu_ns, memory_bytes; /* memory: resident */
	char command[TOP_COMMAND];
};

struct top_list {
	struct top_process *v; /* owned */
	size_t n;
	bool last;             /* of the agent's frames */
	bool truncated;        /* there are more */
};

void top_list_fini(struct top_list *l);

/* Each appends one frame: 0, -ENOBUFS, -ENOMEM. */
int wire_put_metrics_request(struct buf *out, bool guest) MUST_CHECK;
int wire_put_guest_metrics(struct buf *out, const struct guest_metrics *m) MUST_CHECK;
int wire_put_metrics(struct buf *out, const struct box_metrics *m) MUST_CHECK;
int wire_put_top(struct buf *out, const struct top_list *l) MUST_CHECK;
int wire_put_top_error(struct buf *out, const char *error) MUST_CHECK;

/* Each decodes the payload of its frame: 0, -EBADMSG, -ENOMEM; *ret is untouched on failure. */
int wire_get_metrics_request(const struct frame *f, bool *ret_guest) MUST_CHECK;
int wire_get_guest_metrics(const struct frame *f, struct guest_metrics *ret) MUST_CHECK;
int wire_get_metrics(const struct frame *f, struct box_metrics *ret) MUST_CHECK;
/* `most` processes; an answer that is {error} is that error in err, -EIO. */
int wire_get_top(const struct frame *f, size_t most, struct top_list *ret, struct error *err) MUST_CHECK;

#endif

/*
 * libboxlite: run any OCI image in its own micro-VM. No daemon, no root.
 *
 * This header is the specification.
 *
 * Objects. A `struct boxlite` is one home folder opened by this process; any
 * number of processes may use one home. A `struct boxlite_box` is a box of it.
 * A `struct boxlite_process` is a process in a running box with its input and
 * output, a `struct boxlite_watch` one of events. All are opaque. Boxes and
 * processes must be closed before the home.
 *
 * Options. Structures named *_options are filled by the caller: set `size` to
 * sizeof the structure and zero the rest (BOXLITE_OPTIONS does both); zero
 * means the default. Fields are only ever appended.
 *
 * Errors. Functions that can fail return 0 or more on success and a negative
 * errno on failure, and describe it in `err`, which may be NULL: one line that
 * names the thing, the reason, the remedy. `err` is only written on failure,
 * and so are no out-parameters.
 *
 * NULL is an error, -EINVAL, where nothing says that it may be; what returns no
 * error then does nothing, and returns NULL, 0, or -1 for an fd. Options of a
 * size of 0 are one as well. What options have behind the fields that this
 * library knows is ignored.
 *
 * Secrets. What a box is made with - command, environment, health check - is in the home's database as it is, for the
 * home's owner alone to read, until the box is removed, and may stay in unused parts of that file. Of an exec, of a
 * password for a pull and of any input nothing is kept. Nothing of all that is in logs, in the arguments and
 * environment of the library's programs, or in core dumps of them, unless the box prints it.
 *
 * Strings passed in are copied. Pointers in structures given to callbacks are
 * valid during the call.
 *
 * Threads. A `struct boxlite` and all that came from it belong to one thread
 * at a time; different ones are independent. The library starts no threads,
 * installs no signal handlers, needs no SIGCHLD, never exits and never changes
 * the process's folder, umask, environment or standard streams.
 *
 * Environment read by boxlite_open(): BOXLITE_HOME, HOME, BOXLITE_LIBEXEC and
 * BOXLITE_GUEST (other places for the helper programs and guest files),
 * BOXLITE_QEMU (the qemu-system-x86_64 to run), BOXLITE_QEMU_ACCEL (tcg, kvm),
 * BOXLITE_ENGINE (what engine "auto" is: kvm, qemu), BOXLITE_NO_TEMPLATES (if
 * set, each box boots instead of starting from the memory of a booted machine
 * that the first one has left in the home).
 * BOXLITE_DEBUG, if set, lets a pull or load write its log to standard error.
 */
#ifndef BOXLITE_H
#define BOXLITE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BOXLITE_VERSION "0.1.0"

#ifdef __cplusplus /* whose designated initialisers came with C++20 */
#define BOXLITE_OPTIONS(type) [] { struct type o_ = {}; o_.size = sizeof(o_); return o_; }()
#else
#define BOXLITE_OPTIONS(type) { .size = sizeof(struct type) }
#endif

struct boxlite;
struct boxlite_box;
struct boxlite_process;
struct boxlite_watch;

#define BOXLITE_ERROR_MAX 512

struct boxlite_error {
	int code;                     /* negative errno */
	char text[BOXLITE_ERROR_MAX]; /* one line, no trailing period */
};

/* The library's version, "0.1.0". Any thread. Since 0.1. */
const char *boxlite_version(void);

/*
 * Opens a home folder, making it if it is missing, and puts away what a crash
 * left behind. `home` NULL: $BOXLITE_HOME, else ~/.boxlite.
 * Errors: -EPROTO the home was made by a newer version. Since 0.1.
 */
int boxlite_open(const char *home, struct boxlite **out, struct boxlite_error *err);

/* Closes it, after everything that came from it but watches; detached boxes keep running. NULL is fine. Since 0.1. */
void boxlite_close(struct boxlite *b);

/* --- an event loop ------------------------------------------------------------------------- */

/*
 * One fd for all that goes on in a home, to be polled for POLLIN (poll, epoll, any loop) and borrowed: when it is
 * readable, boxlite_dispatch() has something to do. What it sees to: processes with a handler
 * (boxlite_process_set_handler) or with streams that are connected (boxlite_process_connect), and watches of events
 * (boxlite_events_watch). The fd, or a negative errno. Since 0.1.
 */
int boxlite_get_fd(struct boxlite *b);

/*
 * Does what there is to do, without ever blocking, and calls the handlers that it concerns. These may call anything but
 * this function and boxlite_close(), for any object; also close what they are called for. Returns how many calls of
 * handlers there were; -EBUSY if it is called by one. Other errors are of watches: the rest is done even so. Since 0.1.
 */
int boxlite_dispatch(struct boxlite *b, struct boxlite_error *err);

/* --- the host ------------------------------------------------------------------------------ */

enum boxlite_level {
	BOXLITE_OK = 0,
	BOXLITE_WARN = 1, /* boxes run, and something is worse than it could be */
	BOXLITE_FAIL = 2, /* boxes cannot run */
};

/* One thing about this host that was looked at. */
struct boxlite_finding {
	const char *id;     /* "kvm", "kvm-create", "boxlite-shim", "boxlite-image", "boxlite-vmm", "boxlite-copy", "kernel",
			       "initramfs", "qemu", "e2fsprogs", "namespaces", "cgroup", "home", "disk-space",
			       "reflink", "settings"; more may come */
	int level;          /* enum boxlite_level */
	const char *what;   /* one line for people */
	const char *remedy; /* one line: what to do about it; NULL at BOXLITE_OK */
};

typedef int boxlite_finding_fn(const struct boxlite_finding *f, void *ud); /* other than 0 stops */

struct boxlite_doctor_options {
	size_t size;
	const char *home; /* as for boxlite_open(). It need not exist, and is not made */
};

/*
 * Looks at this host and calls fn for each finding. KVM is tried out with a small guest, for two seconds at
 * most; what comes of it is kept in the home if there is one. `o` may be NULL. Blocks.
 * Returns the worst level (enum boxlite_level). Since 0.1.
 */
int boxlite_doctor(const struct boxlite_doctor_options *o, boxlite_finding_fn *fn, void *ud,
		   struct boxlite_error *err);

/* What is installed here, what it runs on, and what is in a home. */
struct boxlite_info {
	const char *version, *home;
	const char *engine;       /* what "auto" means here: "kvm", "qemu" */
	const char *engine_reason; /* one line: why */
	const char *qemu;         /* its path; NULL: there is none */
	const char *programs, *guest; /* folders of the helper programs, of the guest's kernel and agent */
	const char *guest_kernel; /* its release; NULL: there is none, or it does not say */
	const char *kernel, *arch; /* of the host: release, "x86_64" */
	unsigned cpus;            /* of the host, as are the next two */
	uint64_t memory_bytes, memory_available_bytes;
	unsigned boxes, boxes_running, boxes_failed; /* failed: their last start was no success of boxlite's */
	unsigned images;
	/* What files take of the disk; unlike boxlite_image_info.bytes, what several images share counts once. */
	uint64_t images_bytes, boxes_bytes, templates_bytes;
	uint64_t disk_bytes, disk_free_bytes; /* of the home's file system; free: for this user */
};

typedef int boxlite_info_fn(const struct boxlite_info *i, void *ud);

/* Calls fn once; returns what that returned. It may try KVM out as boxlite_doctor() does. Blocks. Since 0.1. */
int boxlite_info(struct boxlite *b, boxlite_info_fn *fn, void *ud, struct boxlite_error *err);

/* --- images -------------------------------------------------------------------------------- */

/* Progress of a pull, a load or a copy. */
enum boxlite_phase {
	BOXLITE_RESOLVING = 0,   /* manifest and configuration */
	BOXLITE_DOWNLOADING = 1, /* layer `item` of `items` */
	BOXLITE_CONVERTING = 2,  /* layer `item` of `items` into the root file system */
	BOXLITE_WAITING = 3,     /* another process is doing the same work */
	BOXLITE_COPYING = 4,     /* files from or to a box */
};

struct boxlite_progress {
	int phase;             /* enum boxlite_phase */
	unsigned item, items;  /* item counts from 1; 0: not about one layer */
	const char *digest;    /* short name of the layer, or "" */
	uint64_t done, total;  /* bytes; total 0: unknown */
};

/* A return other than 0 cancels: the call fails with -ECANCELED. */
typedef int boxlite_progress_fn(const struct boxlite_progress *p, void *ud);

struct boxlite_image_info {
	const char *reference; /* "docker.io/library/busybox:latest" */
	const char *digest;    /* of the manifest, "sha256:..." */
	const char *config_digest; /* of the configuration: what docker shows as the image id */
	int64_t created_at, pulled_at; /* seconds since 1970; created_at 0: unknown */
	uint64_t bytes;        /* on disk: root file system and blobs; layers may be shared with other images */
	const char *config;    /* JSON: what its maker says of how to run it (Env, Cmd, Entrypoint, WorkingDir, ...) */
};

typedef int boxlite_image_fn(const struct boxlite_image_info *i, void *ud); /* other than 0 stops */

struct boxlite_pull_options {
	size_t size;
	boxlite_progress_fn *progress; /* may be NULL */
	void *ud;
	int plain_http;       /* 1: the registry speaks http. Also set by $BOXLITE_PLAIN_HTTP and home/config.json */
	unsigned parallel;    /* layers at once; 0: 4 */
	const char *username, *password; /* NULL: what ~/.docker/config.json says */
	boxlite_image_fn *image; /* load: called for each image that was added; may be NULL */
	int cancel_fd;        /* an fd whose readability cancels; 0 or -1: none */
};

/*
 * Pulls an image, whether it is here already or not. Blocks.
 * Errors: -EINVAL not a reference, -ENOENT no such image, -EACCES refused by
 * the registry, -ENOSPC, -ECANCELED. Since 0.1.
 */
int boxlite_image_pull(struct boxlite *b, const char *reference, const struct boxlite_pull_options *o,
		       struct boxlite_error *err);

/*
 * Adds the images of an OCI layout (`fd` is a folder, or a tar of one) or of
 * `docker save` (a tar). `name` NULL: as the source says. fd stays the
 * caller's. Errors: those of a pull, -EBADF. Blocks. Since 0.1.
 */
int boxlite_image_load(struct boxlite *b, int fd, const char *name, const struct boxlite_pull_options *o,
		       struct boxlite_error *err);

/* 1 if the image is here, 0 if not. Since 0.1. */
int boxlite_image_exists(struct boxlite *b, const char *reference, struct boxlite_error *err);

/* Calls fn once, for that image; returns what that returned. Errors: -ENOENT no such image here, -EINVAL. Since 0.1. */
int boxlite_image_info(struct boxlite *b, const char *reference, boxlite_image_fn *fn, void *ud,
		       struct boxlite_error *err);

/* Calls fn for each image, newest first. Since 0.1. */
int boxlite_image_list(struct boxlite *b, boxlite_image_fn *fn, void *ud, struct boxlite_error *err);

/* Removes a reference, and the files that nothing else needs.
 * Errors: -ENOENT, -EBUSY a box was made from it. Since 0.1. */
int boxlite_image_remove(struct boxlite *b, const char *reference, struct boxlite_error *err);

/* Removes every image that no box was made from, and what broken pulls left;
 * *freed (may be NULL) gets the bytes. Since 0.1. */
int boxlite_image_prune(struct boxlite *b, uint64_t *freed, struct boxlite_error *err);

/* --- boxes --------------------------------------------------------------------------------- */

/* When a box comes back whose command has ended, or whose machine has failed. */
enum boxlite_restart {
	BOXLITE_RESTART_NO = 0,
	BOXLITE_RESTART_ON_FAILURE = 1, /* its status was not 0 */
	BOXLITE_RESTART_ALWAYS = 2,
};

enum boxlite_network {
	BOXLITE_NETWORK_INTERNET = 0, /* what the host reaches, within the rules; what reaches the box are its ports */
	BOXLITE_NETWORK_NONE = 1,     /* no network card */
};

/* Addresses that no box reaches unless its net_open says so, or a rule that allows an address or network in them. */
enum boxlite_net_open {
	BOXLITE_NET_HOST = 1,       /* the host itself: host.boxlite.internal is its 127.0.0.1 and ::1 */
	BOXLITE_NET_PRIVATE = 2,    /* 10/8, 172.16/12, 192.168/16, 100.64/10, 192.0.0/24, fc00::/7 */
	BOXLITE_NET_LINK_LOCAL = 4, /* 169.254.0.0/16, fe80::/10 */
	BOXLITE_NET_METADATA = 8,   /* where clouds tell a machine its secrets: 169.254.169.254 and others */
};

struct boxlite_box_options {
	size_t size;
	const char *image;             /* a reference that is here already */
	const char *name;              /* NULL: none. [A-Za-z0-9][A-Za-z0-9_.-]*, at most 63 */
	const char *const *command;    /* NULL-terminated; NULL: the image's */
	const char *const *entrypoint; /* NULL-terminated, may be empty; NULL: the image's */
	const char *const *env;        /* NULL-terminated "NAME=value", over the image's; "NAME" takes that variable away */
	const char *workdir;           /* NULL: the image's */
	const char *user;              /* "name|uid[:group|gid]"; NULL: the image's */
	const char *engine;            /* "auto", "kvm", "qemu"; NULL: auto */
	unsigned cpus;                 /* 0: 1 */
	uint64_t memory_bytes;         /* 0: 1 GiB */
	uint64_t disk_bytes;           /* 0: 10 GiB; sparse */
	int auto_remove;               /* 1: the box goes when its main process has ended: removed by who started it,
					  else by the next boxlite_open(); and if it is never started, once
					  the handle that made it is closed */
	int tty;                       /* 1: the main process gets a terminal */
	int stdin_open;                /* 1: the main process has an input; 0: it reads end of file */
	unsigned stop_grace_ms;        /* between the stop signal and SIGKILL; 0: 10 s */
	int debug;                     /* 1: verbose logs; a box that failed is left by auto_remove to the caller or
					  the next boxlite_open() */
	int idle;                      /* 1: no program runs, and neither command nor entrypoint may be given: the box
					  waits, for execs, until it is stopped */
	int restart;                   /* enum boxlite_restart. Only while it runs detached and until it is stopped, or
					  sent SIGKILL or its stop signal; its shim does it, after 100 ms and then twice
					  as long each time, at most a minute. Not with auto_remove */
	unsigned restart_max;          /* of ON_FAILURE: so often in a row; 0: without end */
	const char *const *health;     /* a command that ends with 0 if the box is well, NULL-terminated. NULL: the
					  image's; an empty one: none */
	unsigned health_interval_ms, health_timeout_ms; /* from one to the next, and for one; 0: the image's, or 30 s */
	unsigned health_start_ms;      /* failures do not count in the beginning; 0: the image's, or they do */
	unsigned health_retries;       /* so many in a row make it unhealthy; 0: the image's, or 3 */
	int stop_signal;               /* what boxlite_box_stop() begins with; 0: the image's, else SIGTERM */
	int network;                   /* enum boxlite_network */
	const char *const *net_rules;  /* NULL-terminated; "allow RULE" or "deny RULE": the first that matches decides.
					  RULE: [tcp:|udp:|icmp:]TARGET[:PORT[-PORT]]; TARGET: *, name, *.name,
					  address[/bits]. None does: refused if there is any allow */
	const char *const *ports;      /* NULL-terminated; "[IP:]HOST:GUEST[/tcp|/udp]": the host listens at IP
					  (127.0.0.1) and HOST (0, empty: any) for the box's port GUEST */
	unsigned net_open;             /* enum boxlite_net_open, or'ed */
	uint64_t net_rate;             /* bytes a second, each way, at least 8 KiB; 0: no limit */
	unsigned net_connections;      /* connections at once, and the like of other protocols; 0: 4096, the most */
	const char *const *secrets;    /* NULL-terminated; "NAME[=VARIABLE|=@FILE],host=HOST[:PORT]". In the box $NAME is a
					  placeholder, which on TLS connections to HOST (a name or *.name; port 443)
					  becomes the value; that is read at each start, from a variable of the starting
					  process (NAME) or an absolute FILE, and kept nowhere. One that env has,
					  too, is refused */
};

/*
 * Makes a box; nothing runs yet.
 * Errors: -ENOENT no such image here, -EEXIST the name is taken, -EINVAL (of a malformed rule or port the text says
 * where; also two ports for which the host cannot listen at once), -E2BIG as for an exec. Since 0.1.
 */
int boxlite_box_create(struct boxlite *b, const struct boxlite_box_options *o, struct boxlite_box **out,
		       struct boxlite_error *err);

/*
 * The box of the name in `o`, made if there is none; *created (may be NULL) is 1 if it was. One that is there is
 * taken as it is, whatever else `o` says. Any number of programs may ask at once: all get the same.
 * Errors: -EINVAL no name, and those of boxlite_box_create(). Since 0.1.
 */
int boxlite_box_get_or_create(struct boxlite *b, const struct boxlite_box_options *o, struct boxlite_box **out,
			      int *created, struct boxlite_error *err);

/* Finds a box by id, unique prefix of one, or name. Errors: -ENOENT, -ENOTUNIQ. Since 0.1. */
int boxlite_box_open(struct boxlite *b, const char *id_or_name, struct boxlite_box **out,
		     struct boxlite_error *err);
void boxlite_box_close(struct boxlite_box *box); /* a running box keeps running; NULL is fine */

const char *boxlite_box_id(const struct boxlite_box *box); /* borrowed from the box */
const char *boxlite_box_folder(const struct boxlite_box *box); /* absolute; logs are in log/. Borrowed. Since 0.1. */
int boxlite_box_has_tty(const struct boxlite_box *box);    /* 1: its main process gets a terminal. Since 0.1. */
int boxlite_box_is_idle(const struct boxlite_box *box);    /* 1: it was made to run no program. Since 0.1. */

struct boxlite_start_options {
	size_t size;
	unsigned short rows, cols; /* of the terminal; 0: 24 x 80 */
	int trace_kernel; /* 1: for boxlite_timing.parts, at the price of some ms */
	int detach;       /* 1: the box goes on when *out is closed, or this process ends */
};

/*
 * Starts the box and its main process, attached: *out is the main process. It
 * does not wait for the guest. Closing *out before the main process has ended
 * stops the box in order, unless it is detached.
 * Errors: -EALREADY it runs. A box that cannot start says so in the exit of *out. Since 0.1.
 */
int boxlite_box_start(struct boxlite_box *box, const struct boxlite_start_options *o,
		      struct boxlite_process **out, struct boxlite_error *err);

/* 1 if it runs (or is starting or ending), 0 if not. Since 0.1. */
int boxlite_box_is_running(struct boxlite_box *box, struct boxlite_error *err);

/* Waits for the end of the run that there is now, with all that its policy starts again; 0 at once if it does not run.
 * What somebody starts after that end is another run, and is not waited for. Since 0.1. */
int boxlite_box_wait(struct boxlite_box *box, struct boxlite_error *err);

struct boxlite_stop_options {
	size_t size;
	unsigned grace_ms; /* between the stop signal and SIGKILL; 0: what the box was made with */
	int at_once;       /* 1: no grace */
	int no_wait;       /* 1: returns once it is asked for; the end is told by a process, or as an event */
	int to_restart;    /* 1: this process is to start it again. If it could not read the secrets of the box, it says
			      so as boxlite_box_start() would, and the box goes on */
};

/*
 * Ends a box in order, whoever has started it: the stop signal to the main process,
 * SIGKILL to all after the grace, file systems unmounted, machine off. Blocks
 * until that is over (see no_wait); 0 if it did not run. `o` may be NULL. Since 0.1.
 */
int boxlite_box_stop(struct boxlite_box *box, const struct boxlite_stop_options *o, struct boxlite_error *err);

/* A signal to the main process; its end is the box's end. It is delivered, or waits for the process to run, when this
 * returns; after SIGKILL the box has ended, as by boxlite_box_stop().
 * Errors: -ENOTCONN the box does not run, -EINVAL no such signal. Since 0.1. */
int boxlite_box_signal(struct boxlite_box *box, int signo, struct boxlite_error *err);

/* Gives it a (new) name. Errors: -EEXIST the name is taken, -EINVAL, -ENOENT it was removed. Since 0.1. */
int boxlite_box_rename(struct boxlite_box *box, const char *name, struct boxlite_error *err);

/*
 * The output of the main process is kept, of all starts, 16 MiB at most, the
 * oldest goes; unless the box goes with its owner (auto_remove, not detached).
 */
struct boxlite_log_entry {
	int channel;      /* BOXLITE_STDOUT, BOXLITE_STDERR; a terminal has the first only */
	int64_t time_ns;  /* since 1970, when it came */
	const void *data; /* a piece as it came, not a line */
	size_t len;
};

typedef int boxlite_log_fn(const struct boxlite_log_entry *e, void *ud); /* other than 0 stops */

struct boxlite_logs_options {
	size_t size;
	int follow;       /* 1: then waits for more, until the box has ended, even if it is started again */
	int64_t since_ns; /* nothing that came before; 0: from the beginning */
	long tail;        /* the last so many lines; 0: all */
	int cancel_fd;    /* an fd whose readability cancels (-ECANCELED); 0 or -1: none */
};

/* Calls fn for each piece of output; returns what it returned last. `o` may be NULL. Since 0.1. */
int boxlite_box_logs(struct boxlite_box *box, const struct boxlite_logs_options *o, boxlite_log_fn *fn, void *ud,
		     struct boxlite_error *err);

/* Removes a box and its disk. `force`: a running one is killed first.
 * Errors: -EBUSY it runs. Since 0.1. */
int boxlite_box_remove(struct boxlite_box *box, int force, struct boxlite_error *err);

/* How the main process ended, or an exec. */
enum boxlite_exit_kind {
	BOXLITE_EXITED = 0,     /* code */
	BOXLITE_SIGNALLED = 1,  /* signal */
	BOXLITE_NOT_FOUND = 2,  /* no such program in the image */
	BOXLITE_CANNOT_RUN = 3, /* not executable; an exec also: no such user or folder */
	BOXLITE_LOST = 4,       /* the box failed or was stopped under it */
	BOXLITE_CANNOT_START = 5, /* the main process: no such user or folder */
};

struct boxlite_exit {
	int kind;     /* enum boxlite_exit_kind */
	int code;     /* of BOXLITE_EXITED */
	int signal;   /* of BOXLITE_SIGNALLED */
	int status;   /* as a shell and timeout(1) say it: code, 128 + signal, 124, 127, 126, 125 */
	const char *error; /* one line, "" if there is none; borrowed from what gave it */
	int timed_out;     /* 1: killed by SIGKILL, because its time was over */
	uint64_t duration_ns; /* it ran so long, by the box's clock; 0: it never did, or nobody knows */
};

struct boxlite_timing;

struct boxlite_box_info {
	const char *id, *name, *image; /* name NULL: none */
	const char *command;           /* argv joined by spaces, for people */
	int64_t created_at;            /* seconds since 1970 */
	int running;
	int ended;                     /* 1: it ran before, and `exit` says how it ended; or its folder cannot be
						looked at, and exit.error says why */
	struct boxlite_exit exit;
	int64_t started_at, finished_at; /* of its last start; 0: never, or that was not written down */
	const struct boxlite_timing *timing; /* of its last start, once that is over; NULL: not known. `setup` is
						without what the process did that started it; no parts */
	/* what it was made with, and its image's share of that */
	const char *image_digest;      /* of the manifest; NULL: not known */
	const char *const *argv, *const *env; /* NULL-terminated */
	size_t entrypoint_words;       /* so many words of argv are the entrypoint, the others the command */
	const char *workdir, *user;    /* NULL: "/", root */
	const char *engine;            /* "auto", "kvm", "qemu": what was asked for */
	unsigned cpus, stop_grace_ms;
	uint64_t memory_bytes, disk_bytes;
	int tty, stdin_open, auto_remove, debug;
	const char *folder;            /* absolute; logs are in log/ */
	uint64_t disk_used_bytes;      /* what its disk takes of the host's */
	int restart;                   /* enum boxlite_restart */
	unsigned restart_max;
	int again;                     /* 1: it runs, but its command has ended as `exit` says, and is started again */
	const char *health;            /* of one that runs: "starting", "healthy", "unhealthy"; NULL: no checks */
	unsigned health_failing;       /* checks in a row that have failed */
	const char *health_output;     /* the end of what the last check has printed, of the box; NULL as health */
	int network;                   /* enum boxlite_network */
	unsigned net_open;             /* enum boxlite_net_open, or'ed */
	const char *const *net_rules;  /* NULL-terminated */
	const char *const *ports;      /* NULL-terminated; of one that runs: where the host listens, once it does */
	uint64_t net_rate;             /* 0: no limit */
	unsigned net_connections;      /* 0: 4096 */
	const char *const *secrets;    /* NULL-terminated; as boxlite_box_options has them, without values */
};

typedef int boxlite_box_fn(const struct boxlite_box_info *i, void *ud); /* other than 0 stops */

/* Calls fn once, for this box as it is now; returns what that returned. Errors: -ENOENT it was removed. Since 0.1. */
int boxlite_box_info(struct boxlite_box *box, boxlite_box_fn *fn, void *ud, struct boxlite_error *err);

/* Calls fn for each box, newest first. Since 0.1. */
int boxlite_box_list(struct boxlite *b, boxlite_box_fn *fn, void *ud, struct boxlite_error *err);

/* --- what boxes use ------------------------------------------------------------------------- */

/* Why the network of a box has refused something: what boxlite-events(1) explains, DENIALS. More may come, below 32. */
enum boxlite_denied {
	BOXLITE_DENIED_RULE = 0,
	BOXLITE_DENIED_NOT_ALLOWED = 1,
	BOXLITE_DENIED_DNS_SERVER = 2,
	BOXLITE_DENIED_NAME = 3,
	BOXLITE_DENIED_CLAIM = 4,
	BOXLITE_DENIED_HOST = 5,
	BOXLITE_DENIED_PRIVATE = 6,
	BOXLITE_DENIED_LINK_LOCAL = 7,
	BOXLITE_DENIED_METADATA = 8,
	BOXLITE_DENIED_SPECIAL = 9,
	BOXLITE_DENIED_LIMIT = 10,
	BOXLITE_DENIED_TLS_VERIFY = 11,
	BOXLITE_DENIED_ALPN = 12,
	BOXLITE_DENIED_AUTHORITY = 13,
	BOXLITE_DENIED_METHOD = 14,
	BOXLITE_DENIED_MALFORMED = 15,
	BOXLITE_DENIED_TOO_LONG = 16,
	BOXLITE_DENIED_SECRET_LATE = 17,
};

/* Its word, as events have it: "not-allowed". Static; NULL from the first number on that is no reason. Since 0.1. */
const char *boxlite_denied_name(int why);

/*
 * Of a box that runs, since its start; or the sum over those of a home that run. 0 also where something is not known.
 * Times are of CPUs. What is said of the guest is what the guest says.
 */
struct boxlite_metrics {
	size_t size;    /* sizeof(struct boxlite_metrics) */
	unsigned boxes; /* that these are the figures of */
	unsigned guests; /* of so many of them the guest has answered within a second; else its figures are missing */

	/* the engine's own process on the host */
	int pid; /* of one box */
	uint64_t cpu_user_ns, cpu_system_ns; /* the guest's time is in the first */
	uint64_t memory_bytes, memory_peak_bytes; /* resident */
	uint64_t memory_private_bytes; /* of the first, without pages of files, which it may share with others */
	uint64_t threads;
	uint64_t read_bytes, written_bytes; /* from and to storage; not known of engine kvm unless this is root */
	uint64_t disk_used_bytes; /* what the writable disk takes of the host's */

	/* what has passed through */
	uint64_t uptime_ns; /* of a sum: all of them */
	uint64_t execs_started, execs_running, execs_failed; /* failed: never ran */
	uint64_t input_bytes, output_bytes; /* of the main process, execs, health checks, copies and
					       dialled sockets */

	/* where the time of the start went, as in boxlite_timing; kernel: with `machine` until the box has ended */
	uint64_t boot_setup_ns, boot_machine_ns, boot_kernel_ns, boot_agent_ns;

	/* the guest */
	uint64_t guest_memory_bytes, guest_memory_available_bytes; /* of the machine */
	uint64_t guest_box_memory_bytes; /* of the box's processes, with the files that they keep in memory */
	uint64_t guest_cpu_user_ns, guest_cpu_system_ns; /* of the box's processes */
	uint64_t guest_processes; /* and threads, in the box */
	uint64_t guest_read_bytes, guest_written_bytes; /* from and to disks, by the box's processes */
	uint64_t guest_disk_bytes, guest_disk_used_bytes; /* of the writable disk's file system */
	uint64_t guest_received_bytes, guest_sent_bytes; /* by network, without loopback; counted by the host */

	/* the network, counted by the host */
	uint64_t net_received_packets, net_sent_packets; /* IP packets, to the guest and of it */
	uint64_t net_connections; /* of TCP, both ways, all there were */
	uint64_t net_flows;       /* of all protocols, now */
	uint64_t net_denied;      /* what was refused */
	uint64_t net_denied_for[32]; /* the same, by enum boxlite_denied: [BOXLITE_DENIED_HOST] */
};

/* What one box uses. Errors: -ENOTCONN it does not run, -EINVAL `out` says no size. Blocks, for a second if the guest
 * does not answer. Since 0.1. */
int boxlite_box_metrics(struct boxlite_box *box, struct boxlite_metrics *out, struct boxlite_error *err);

/* The sum over the boxes of a home that run. Blocks likewise; 64 boxes are asked at once. Since 0.1. */
int boxlite_metrics(struct boxlite *b, struct boxlite_metrics *out, struct boxlite_error *err);

struct boxlite_metrics_options {
	size_t size;
	const char *const *boxes; /* NULL-terminated ids; NULL: all */
	int host_only;            /* 1: guests are not asked, and not waited for */
};

/* `m` is the box's at its time; all 0 but disk_used_bytes if i->running is 0. Other than 0 stops. */
typedef int boxlite_metrics_fn(const struct boxlite_box_info *i, const struct boxlite_metrics *m, void *ud);

/* Calls fn for each box that runs and, of those that were named, also for the others. Returns what it returned last.
 * `o` may be NULL. Since 0.1. */
int boxlite_metrics_list(struct boxlite *b, const struct boxlite_metrics_options *o, boxlite_metrics_fn *fn, void *ud,
			 struct boxlite_error *err);

/* A process (or what is left of one) in a box. */
struct boxlite_task {
	int pid, ppid;       /* as the box sees them; ppid 0: its parent is not in the box */
	unsigned uid;
	const char *user;    /* by the image's passwd file; NULL: it does not know */
	char state;          /* a letter of ps(1): R S D Z T ... */
	uint64_t cpu_ns, memory_bytes; /* memory: resident */
	const char *command; /* its command line, or [name]; cut to 255 bytes, and safe to print */
	int truncated;       /* 1: the box has more processes than are listed (1024) */
};

typedef int boxlite_task_fn(const struct boxlite_task *t, void *ud); /* other than 0 stops */

/* Calls fn for each process in the box, by pid; returns what it returned last. The guest says what they are. Errors:
 * -ENOTCONN the box does not run, -EIO its guest does not answer. Since 0.1. */
int boxlite_box_top(struct boxlite_box *box, boxlite_task_fn *fn, void *ud, struct boxlite_error *err);

/* --- events ---------------------------------------------------------------------------------- */

/*
 * What has happened in a home, whoever did it: of type "box" create, start, stop (somebody wants its end), kill
 * (`signal`), die (`status`), restart (by its policy), health (`detail`: its new health), exec_start, exec_die
 * (`exec`, `status`), denied (`detail`: what the network has refused; 20 a second at most), rename, remove; of type
 * "image" pull, load, remove. More may come. The last 2 MiB of them at least are kept.
 */
struct boxlite_event {
	int64_t time_ns;          /* since 1970 */
	const char *type, *action;
	const char *id;           /* of the box; of an image its reference */
	const char *name, *image; /* of the box; NULL: none, or not known */
	unsigned exec;            /* 0: not about one */
	int status;               /* -1: none */
	int signal;               /* 0: none */
	const char *detail;       /* NULL: none */
};

typedef int boxlite_event_fn(const struct boxlite_event *e, void *ud); /* other than 0 stops */

struct boxlite_events_options {
	size_t size;
	int64_t since_ns, until_ns; /* those at or after the one and before the other; 0: all */
	int follow;                 /* 1: then waits for more, until until_ns if there is one */
	int cancel_fd;              /* an fd whose readability cancels (-ECANCELED); 0 or -1: none */
};

/* Calls fn for each event; returns what it returned last. `o` may be NULL. Blocks with `follow`. Since 0.1. */
int boxlite_events(struct boxlite *b, const struct boxlite_events_options *o, boxlite_event_fn *fn, void *ud,
		   struct boxlite_error *err);

/*
 * The same without blocking: boxlite_dispatch() calls fn for each event, until fn returns other than 0, *out is closed
 * or the home is. Here `since_ns` 0 means from now on (1: all that is kept), and `follow` and `cancel_fd` nothing.
 * Since 0.1.
 */
int boxlite_events_watch(struct boxlite *b, const struct boxlite_events_options *o, boxlite_event_fn *fn, void *ud,
			 struct boxlite_watch **out, struct boxlite_error *err);
void boxlite_events_unwatch(struct boxlite_watch *w); /* NULL is fine */

/* --- processes ------------------------------------------------------------------------------ */

struct boxlite_exec_options {
	size_t size;
	const char *const *argv; /* NULL-terminated */
	const char *const *env;  /* over the box's, likewise; may be NULL */
	const char *workdir;     /* NULL: the box's */
	const char *user;        /* NULL: the box's */
	int tty, stdin_open;
	unsigned short rows, cols;
	unsigned timeout_ms;     /* after so long it is killed, and all that it has started; 0: never */
	int detach;              /* 1: closing *out, or the end of this process, leaves its input open, and its end is
				    kept for boxlite_box_attach() (of the last 64 that ended so). 0: its input ends
				    then. It goes on in both cases */
};

/*
 * Starts one more process in a running box. In a box that is just starting it waits for the main process to run; if
 * that never does, the exit says so. Errors: -ENOTCONN the box does not run, -EINVAL no argv, or a variable without
 * a name, -E2BIG more than 4 MB of argv and env. Since 0.1.
 */
int boxlite_box_exec(struct boxlite_box *box, const struct boxlite_exec_options *o,
		     struct boxlite_process **out, struct boxlite_error *err);

struct boxlite_attach_options {
	size_t size;
	unsigned exec; /* what boxlite_process_exec() said, also in another program; 0: the main process */
	int input;     /* 1: boxlite_process_write() is to work; one at a time may have that */
	unsigned short rows, cols; /* a terminal is to have this size from now on; 0: as it is */
};

/*
 * Joins a process that is there, started by whomever: what it writes from now on, and before that the last of what it
 * has written (up to 128 KiB). Any number of programs may watch one process; it waits for the slowest reader. Closing
 * *out leaves it alone. That there is no such exec (any more), or that another one gives its input, is said by the
 * exit, of kind BOXLITE_LOST. `o` may be NULL. Errors: -ENOTCONN the box does not run. Since 0.1.
 */
int boxlite_box_attach(struct boxlite_box *box, const struct boxlite_attach_options *o,
		       struct boxlite_process **out, struct boxlite_error *err);

enum boxlite_channel { BOXLITE_STDOUT = 1, BOXLITE_STDERR = 2 };

/*
 * The process is seen to by boxlite_dispatch(), which calls fn when output has come, when it reads again after it did
 * not, when it runs, and when it has ended (boxlite_process_ended); maybe once without need. Output that fn leaves
 * brings no second call, and no more than 256 KiB of a channel come: who wants the rest consumes it, now or later.
 * fn may close p. fn NULL: no more. Since 0.1.
 */
typedef void boxlite_process_fn(struct boxlite_process *p, void *ud);

int boxlite_process_set_handler(struct boxlite_process *p, boxlite_process_fn *fn, void *ud,
				struct boxlite_error *err);

/*
 * Lets input come from fds of the caller, and output go to them: any that can be read or written. -1: not (any more).
 * boxlite_dispatch() and boxlite_process_wait() move the bytes, in order, as both sides take them; never blocking for
 * one that is not ready, whatever its flags, which are left alone (`in` should have no other reader). It keeps fds of
 * its own until the process has ended, so the caller may close his. End of file on `in` ends the input, which is not
 * read before the process runs, nor if it has none. When nobody reads `out` any more that channel is closed as by
 * boxlite_process_close_output(), without a SIGPIPE. A process has ended when all its output is written.
 * Errors: -EBADF. Since 0.1.
 */
int boxlite_process_connect(struct boxlite_process *p, int in, int out, int err_fd, struct boxlite_error *err);

/* 0, or the first error of reading or writing a connected fd (-ENOSPC ...), which closed that stream. That a reader has
 * left is none. boxlite_process_wait() fails with it at the end. Since 0.1. */
int boxlite_process_connect_status(const struct boxlite_process *p, struct boxlite_error *err);

/*
 * A process by itself, without the home's fd: one fd to poll. Poll it for what boxlite_process_events() says
 * (POLLIN, POLLOUT), then call boxlite_process_dispatch(): it never blocks. Since 0.1.
 */
int boxlite_process_fd(const struct boxlite_process *p); /* borrowed */
short boxlite_process_events(const struct boxlite_process *p);
int boxlite_process_dispatch(struct boxlite_process *p, struct boxlite_error *err);

/*
 * Output that has arrived and was not consumed: *data (borrowed until the next
 * call on p) and its length; 0 if there is none now. What is not consumed
 * stops the process in the box from writing more (256 KiB a channel wait at
 * most). Bytes, never text. Since 0.1.
 */
size_t boxlite_process_output(const struct boxlite_process *p, int channel, const void **data);
void boxlite_process_consume(struct boxlite_process *p, int channel, size_t n);

/*
 * Says that nobody will read the channel any more; what waits there is dropped. If this program has started the
 * process and no other is attached to it, it meets a broken pipe when it writes again (SIGPIPE, or EPIPE if it ignores
 * that), and a terminal hangs up. Since 0.1.
 */
void boxlite_process_close_output(struct boxlite_process *p, int channel);

/* Sends input: how many of the n bytes were taken, 0 if the process is not reading now. Since 0.1. */
size_t boxlite_process_write(struct boxlite_process *p, const void *data, size_t n);
size_t boxlite_process_write_room(const struct boxlite_process *p);
void boxlite_process_close_stdin(struct boxlite_process *p); /* the process reads end of file */

void boxlite_process_signal(struct boxlite_process *p, int signo); /* no such signal: nothing happens */
void boxlite_process_resize(struct boxlite_process *p, unsigned short rows, unsigned short cols);

/* 1 once the program was executed; stays 0 if it never was. Since 0.1. */
int boxlite_process_started(const struct boxlite_process *p);

/* The number of an exec in its box, for boxlite_box_attach(): known once it has started; 0: not yet, or a main
 * process. Since 0.1. */
unsigned boxlite_process_exec(const struct boxlite_process *p);

/* Once it has started: 1 if it has a terminal. Since 0.1. */
int boxlite_process_has_tty(const struct boxlite_process *p);

struct boxlite_timing_part {
	const char *name; /* of a function of the kernel, or in brackets a sum of others */
	uint64_t ns;
};

/*
 * Where the time of a box went, in nanoseconds: one stretch after the other, from boxlite_box_start() to the end of
 * its machine. 0: it did not come so far. How the part of the guest is divided is what the guest says.
 */
struct boxlite_timing {
	size_t size;      /* sizeof(struct boxlite_timing) */
	uint64_t setup;   /* until the engine's program is started: files, the shim */
	uint64_t machine; /* until the guest's first instruction; of engine kvm, else 0 and part of `kernel` */
	uint64_t kernel;  /* until the agent's first instruction */
	uint64_t agent;   /* until the main process runs */
	uint64_t process; /* until it has ended */
	uint64_t end;     /* until the machine is gone: unmounting, power-off */
	/* With trace_kernel: what the kernel's boot consisted of, before its initcalls, the longest of them, the
	 * others. They do not add up to `kernel`: it goes on where it waits for one. Borrowed from the process. */
	const struct boxlite_timing_part *parts;
	size_t nparts;
};

/* Of a main process that boxlite_box_start() gave, once boxlite_process_ended(): 0; else -EAGAIN. -ENODATA: not a
 * main process, or the shim was killed. -EINVAL: `out` says no size. Since 0.1. */
int boxlite_process_timing(const struct boxlite_process *p, struct boxlite_timing *out);

/*
 * 1 when the process has ended and all its output is consumed: *out tells how. 0 while it goes on.
 * Since 0.1.
 */
int boxlite_process_ended(const struct boxlite_process *p, struct boxlite_exit *out);

/* Blocks until the process has ended; output that is not connected is thrown away. Calls no handlers. Since 0.1. */
int boxlite_process_wait(struct boxlite_process *p, struct boxlite_exit *out, struct boxlite_error *err);
void boxlite_process_close(struct boxlite_process *p); /* NULL is fine */

/* --- copying files --------------------------------------------------------------------------- */

/*
 * Files from a box and into it, while it runs or not: a box that does not run gets a machine without its command for
 * the time of the copy, and is afterwards as it was (a start meanwhile says -EALREADY).
 *
 * Paths in the box are those that the box sees, with what is mounted there; a relative one is of its root. Links in it
 * are resolved in it and lead nowhere else. Modes, times to the nanosecond, symbolic and hard links, holes, and
 * attributes "user.*" are kept (capabilities of files, too, into a box), sockets are left out, and so is what is in
 * /proc and /sys when a folder above is copied. There is no limit of size.
 */
struct boxlite_copy_stream_options {
	size_t size;
	const char *path; /* in the box */
	int follow_link;  /* copy_out, 1: what a link at the end of path leads to */
	int as_root;      /* copy_in, 1: all belongs to root, not to whom the archive says; no set-user-ID bits */
};

/*
 * The file or folder of that path as a tar (pax), which is the standard output of *out. The archive's first entry is
 * called as the last part of path; of "folder/." it is "." and the rest "./...".
 * boxlite_process_ended() tells how it went: BOXLITE_EXITED with code 0, or an errno and the reason in `error`.
 * Errors: -EINVAL, those of boxlite_box_start(). Since 0.1.
 */
int boxlite_box_copy_out(struct boxlite_box *box, const struct boxlite_copy_stream_options *o,
			 struct boxlite_process **out, struct boxlite_error *err);

/*
 * Unpacks a tar, written to *out (boxlite_process_write, _close_stdin), into the folder of that path, which must be
 * there. Formats: ustar, pax, GNU's; not compressed. A folder of the archive becomes one with a folder that is there,
 * a file replaces one; neither replaces the other (-ENOTDIR, -EISDIR).
 * How it went is told as by copy_out; -ENODATA: the archive was cut off. Since 0.1.
 */
int boxlite_box_copy_in(struct boxlite_box *box, const struct boxlite_copy_stream_options *o,
			struct boxlite_process **out, struct boxlite_error *err);

typedef void boxlite_warn_fn(const char *text, void *ud); /* one line */

struct boxlite_copy_options {
	size_t size;
	int archive;     /* 1: owners as at the source, on this host for root only. 0: root in the box, the caller here,
			    and no set-user-ID bits */
	int follow_link; /* 1: what a link at the end of the source's path leads to, not the link */
	boxlite_progress_fn *progress; /* may be NULL. total is only known of a single file into the box */
	boxlite_warn_fn *warn; /* what was left out and is no error; may be NULL */
	void *ud;
	int cancel_fd;   /* an fd whose readability cancels; 0 or -1: none */
};

/*
 * A file or folder of this host to a path in the box, or of the box to one of this host. As by docker cp: if the
 * target is a folder, the source comes into it under its own name; if it is not there, but its folder is, the source
 * gets that name; a file replaces a file. "folder/." is what is in a folder. `o` may be NULL. Blocks.
 *
 * What comes from a box is unpacked by a program that can do so in the target folder only, never through a link, and
 * makes no devices there. What is half copied when something fails stays, but no file is left in part.
 * Errors: -ENOENT, -ENOTDIR, -EISDIR, -EACCES, -ENOSPC, -ECANCELED, those of boxlite_box_start(). Since 0.1.
 */
int boxlite_box_copy_from_host(struct boxlite_box *box, const char *host_path, const char *box_path,
			       const struct boxlite_copy_options *o, struct boxlite_error *err);
int boxlite_box_copy_to_host(struct boxlite_box *box, const char *box_path, const char *host_path,
			     const struct boxlite_copy_options *o, struct boxlite_error *err);

/* --- the network of a box that is there -------------------------------------------------------- */

/*
 * Publishes one more port, as those of boxlite_box_options.ports: in the description of the box, and at once if it
 * runs. Then 1 is returned, else 0. `actual` (may be NULL): gets the port, of a box that runs with the number that the
 * system has picked if it was to; 64 bytes are enough.
 * Errors: -EINVAL, -EEXIST it is published already, or another port of the box is in its way; -EADDRINUSE,
 * -EADDRNOTAVAIL the host has no such address, -EACCES (of a box that runs also for a low port that its start might
 * publish), -EOPNOTSUPP it has no network, -E2BIG, -EAGAIN it has just ended. Blocks for a moment. From any thread that
 * uses the home of the box. Since 0.1.
 */
int boxlite_box_publish(struct boxlite_box *box, const char *port, char *actual, size_t n, struct boxlite_error *err);

/*
 * Publishes a port no more: "80", "53/udp", all that leads to that port of the box; or one in full, as published or as
 * in the description. Connections that there are stay. 1: also of the box that runs; 0.
 * Errors: -EINVAL, -ENOENT there is no such port, those of boxlite_box_publish(). Since 0.1.
 */
int boxlite_box_unpublish(struct boxlite_box *box, const char *port, struct boxlite_error *err);

/*
 * Replaces net_rules (NULL: none) and net_open of the description, and of the box that runs: then 1 is returned, else
 * 0. Once it returns nothing goes on that the new ones do not allow: connections that they refuse are reset, and where
 * rules with names matter from now on, also those for which nobody has seen the name. Ports are not concerned.
 * Errors: -EINVAL, those of boxlite_box_publish(). Since 0.1.
 */
int boxlite_box_set_network_rules(struct boxlite_box *box, const char *const *rules, unsigned net_open,
				  struct boxlite_error *err);

/*
 * Connects to a TCP port of the box that runs, of its address: it need not be published. *fd is the caller's, a stream
 * socket, close-on-exec, that has nothing to do with the home or the handle any more; the end of the box is its end.
 * Errors: -EINVAL, -ENOTCONN it does not run, -ECONNREFUSED nothing listens there, -ETIMEDOUT nobody has answered for
 * 5 s, -EBUSY as many connections as it may have, -EOPNOTSUPP it has no network. Blocks so long. Since 0.1.
 */
int boxlite_box_dial(struct boxlite_box *box, unsigned port, int *fd, struct boxlite_error *err);

/*
 * Connects to a UNIX stream socket of the box that runs, by its absolute path there: as root of the box, in its file
 * systems, following its links; a box without a network has them, too. `path` is copied. *fd is as that of
 * boxlite_box_dial(), and each half of it ends by itself, by shutdown(2) of either side.
 * Errors: -EINVAL, -ENOTCONN it does not run, -ENOENT, -ENOTDIR, -ELOOP, -ENAMETOOLONG, -EACCES of the path, -ENOTSOCK
 * it is none, -EPROTOTYPE of another type, -ECONNREFUSED nobody listens there, -ETIMEDOUT too many wait there to be
 * accepted, for 5 s; -EBUSY the box has 256 such connections, or too much to do. Blocks so long.
 * From any thread that uses the home of the box. Since 0.1.
 */
int boxlite_box_dial_unix(struct boxlite_box *box, const char *path, int *fd, struct boxlite_error *err);

#ifdef __cplusplus
}
#endif

#endif

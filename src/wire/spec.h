/*
 * SPEC, library -> shim: what to run. The first and only frame before HELLO on
 * the control socket; never in argv, environment or a log. The same JSON is
 * the box's row in the database.
 *
 * The shim is started with these open files and opens nothing by path:
 */
#ifndef WIRE_SPEC_H
#define WIRE_SPEC_H

#include "wire/netspec.h"
#include "wire/proc.h"

enum shim_fd {
	SHIM_FD_CONTROL = 3, /* stream socket to the library: SPEC, then a client connection and the keepalive */
	SHIM_FD_BOX = 4,     /* folder boxes/<id>: run/, log/, exit.json */
	SHIM_FD_LOCK = 5,    /* boxes/<id>/lock, locked (box/lock.h): held until the box is over */
	SHIM_FD_KERNEL = 6,  /* vmlinux, read-only */
	SHIM_FD_INITRD = 7,  /* initramfs, read-only */
	SHIM_FD_IMAGE = 8,   /* the image's EROFS, read-only */
	SHIM_FD_DISK = 9,    /* the box's ext4 disk, read-write */
	SHIM_FD_EVENTS = 12, /* the home's events.log, for appending; may be missing */
	SHIM_FD_KVM = 11,    /* /dev/kvm, of engine kvm */
	SHIM_FD_ETC = 13,    /* the folder /etc (O_PATH), for its resolv.conf, of a box with a network; may miss */
	SHIM_FD_SECRETS = 14, /* values for boxlite-net, if the box has secrets (wire/secret.h); not read here */
	SHIM_FD_TEMPLATE = 10, /* see box_spec.template_key and .from_template; closed before code of the box runs */
};

/* When a box whose command has ended, or whose machine has failed, is started once more. */
enum box_restart { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS };

/* A command that tells whether a box does its work. */
struct box_health {
	struct strv argv; /* empty: there is none */
	uint32_t interval_ms, timeout_ms, start_period_ms;
	uint32_t retries; /* so many failures in a row make it unhealthy */
};

#define SPEC_CPUS_MAX 32
#define SPEC_COPYING_FILE "run/copying" /* in the box's folder, while its lock is held for copies only */
#define SPEC_PORTS_FILE "ports.json" /* likewise, while it runs: what of struct net_spec.ports the host listens at */
#define SPEC_ATTACH_STREAM 1 /* see box_spec.attach */
#define SPEC_MAIN_EXEC 1     /* the number of the main process, as STARTED says it */
#define SPEC_MEMORY_MIN (64 * MIB)

struct box_spec {
	char *id;       /* owned; folder name */
	char *hostname; /* owned */
	char *name, *image; /* owned; of one start: what its events call it. NULL = nothing */
	char *image_digest; /* owned; of the manifest that the box was made from; NULL = not known */
	uint32_t entrypoint_words; /* so many words of main.argv are the entrypoint's, the rest the command's */
	char *engine;   /* owned; "auto", "kvm" or "qemu" */
	char *engine_program; /* owned; absolute path of QEMU or boxlite-vmm. Not known before the start: NULL */
	char *net_program;    /* owned; absolute path of boxlite-net. NULL without a network and before the start */
	char *accel;    /* owned; of engine qemu: "tcg" or "kvm" */
	char *template_key; /* owned; not NULL: make a template (wire/template.h) in the folder SHIM_FD_TEMPLATE */
	bool from_template; /* the machine goes on from the template SHIM_FD_TEMPLATE */
	uint32_t tsc_khz; /* the host's time stamp counter; 0 = unknown */
	uint32_t cpus;
	uint64_t memory_bytes;
	uint64_t disk_bytes;
	uint32_t stop_grace_ms; /* between the stop signal and SIGKILL of the main process */
	bool keep_disk;         /* false: the box is removed at its end, so nothing needs to be synced */
	bool attach;            /* the control connection is attached to the main process, on its stream 1 */
	bool detached;          /* the box outlives the control connection */
	bool debug;             /* verbose logs */
	bool no_main;           /* of one start: no main process: it is there for copies, and ends with the last */
	bool trace_kernel;      /* of one start, not of the box: the kernel notes what its boot consists of */
	enum box_restart restart; /* only of a detached box, and not of one that was stopped */
	uint32_t restart_max;     /* of RESTART_ON_FAILURE: so often in a row; 0 = without end */
	struct box_health health;
	struct net_spec net;      /* of a box that was made before there was any: none */
	struct proc_spec main;
};

#define BOX_SPEC_INIT \
	((struct box_spec){ .main = PROC_SPEC_INIT, .health = { .argv = STRV_INIT(PROC_STRINGS_MAX) } })

void box_spec_fini(struct box_spec *s);
json_t *box_spec_to_json(const struct box_spec *s); /* new object, or NULL: out of memory or not UTF-8 */
int box_spec_from_json(const json_t *j, struct box_spec *ret, struct error *err) MUST_CHECK;
int box_spec_parse(const char *text, struct box_spec *ret, struct error *err) MUST_CHECK; /* of a row */

int wire_put_spec(struct buf *out, const struct box_spec *s) MUST_CHECK;
int wire_get_spec(const struct frame *f, struct box_spec *ret, struct error *err) MUST_CHECK;

#endif

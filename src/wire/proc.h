/*
 * Messages about a process in the box: START, EXIT and the small ones.
 * Encode and decode only. Every decoder takes the payload of a frame from a
 * peer that may lie: bounds and values are checked, and *ret is untouched on
 * failure.
 *
 * They are packed, and not JSON as the others: an exec is eight of them (docs/decisions/017-packed-messages.md). Their
 * fields follow one another without gaps; numbers are little-endian, str is bytes and a NUL ("" is also "not said"),
 * strv a u32 count and so many str.
 *
 *	HELLO     u32 generation (first, in all of them), str role
 *	START     u8 flags (1 tty, 2 stdin, 4 main, 8 detached), u8 stop_signal, u16 rows, u16 cols, u32 timeout_ms,
 *	          str cwd, str user, strv argv, strv env
 *	STARTED   u32 pid, u32 exec, u8 flags (1 tty, 2 stdin)
 *	ATTACH    u32 exec, u8 input
 *	SIGNAL    u8 signal
 *	RESIZE    u16 rows, u16 cols
 *	EXIT      u8 kind, u8 code, u8 signal, u8 flags (1 timed out, 2 again), u64 duration_ns, str error
 *	SHUTDOWN  u32 grace_ms
 *	BYE, FAILED  str error
 *	RENAME    str name
 *	DIAL_UNIX str path
 */
#ifndef WIRE_PROC_H
#define WIRE_PROC_H

#include "base/json.h"
#include "wire/frame.h"

#define BOX_NAME_MAX 63 /* bytes of what a box is called */
#define SOCKET_PATH_MAX 4095 /* bytes of the path of a socket in the box */
#define PROC_STRINGS_MAX 65536 /* entries of argv, of the environment */

/* START */
struct proc_spec {
	struct strv argv; /* argv[0] is looked up in PATH of env, inside the box, when it has no '/'. A main process
			   * without any runs no program: it waits for the end, and execs are what the box is for */
	struct strv env;  /* "NAME=value"; HOME is added from the user's entry when absent */
	char *cwd;        /* owned; absolute inside the box; made if missing; NULL = "/" */
	char *user;       /* owned; "name|uid[:group|gid]"; NULL or "" = root */
	bool tty;         /* a new pseudo-terminal; stderr is then part of stdout */
	bool stdin_open;  /* false: the process reads end of file at once */
	bool main;        /* the box's main process: pid 1 of new namespaces; others join them */
	bool detached;    /* goes on with its input open when its client leaves; its end is kept for another one */
	uint8_t stop_signal; /* what asks a main process to end; 0 = SIGTERM */
	uint32_t timeout_ms; /* after so long it and all that it has started are killed; 0 = never */
	uint16_t rows, cols; /* of the terminal; 0 = 24 x 80 */
};

#define PROC_SPEC_INIT \
	((struct proc_spec){ .argv = STRV_INIT(PROC_STRINGS_MAX), .env = STRV_INIT(PROC_STRINGS_MAX) })

void proc_spec_fini(struct proc_spec *s);
json_t *proc_spec_to_json(const struct proc_spec *s); /* new object or NULL */
int proc_spec_from_json(const json_t *j, struct proc_spec *ret, struct error *err) MUST_CHECK;

/* STARTED. The agent says the pid; a client hears all. */
struct proc_started {
	int pid;       /* in the box */
	uint32_t exec; /* what ATTACH calls it; 0 = not said */
	bool tty, stdin_open;
};

/* How a process ended: EXIT. The numbers are those of the wire. */
enum proc_end {
	PROC_EXITED,    /* code */
	PROC_SIGNALLED, /* signal */
	PROC_NOT_FOUND, /* never ran: no such program; error says which */
	PROC_CANNOT_RUN, /* never ran: found but not executable; an exec also: no such user, no such folder */
	PROC_LOST,      /* the box ended under it; error says why */
	PROC_CANNOT_START, /* a main process never ran: no such user, no such folder, the box could not be made */
};

struct proc_exit {
	enum proc_end kind;
	uint8_t code;   /* of PROC_EXITED */
	uint8_t signal; /* of PROC_SIGNALLED */
	bool timed_out; /* proc_spec.timeout_ms was over */
	bool again;     /* a main process, which the shim starts once more */
	uint64_t duration_ns; /* from its exec to its end, by the guest's clock; 0 = it never ran, or nobody knows */
	char error[ERROR_TEXT_MAX]; /* one line or "" */
};

json_t *proc_exit_to_json(const struct proc_exit *e); /* new object or NULL */
int proc_exit_from_json(const json_t *j, struct proc_exit *ret) MUST_CHECK; /* 0 or -EBADMSG */

/* What it is when the program was not even looked for: docker calls that a box (125) or an exec (126) that failed. */
static inline enum proc_end proc_end_unprepared(const struct proc_spec *s)
{
	return s->main ? PROC_CANNOT_START : PROC_CANNOT_RUN;
}

/* As a shell, timeout(1) and docker say it: code, 128 + signal, 124, 127, 126, 125. */
int proc_exit_status(const struct proc_exit *e);

/* Each appends one frame to out: 0, -ENOBUFS, -ENOMEM. */
int wire_put_hello(struct buf *out, const char *role) MUST_CHECK;
int wire_put_start(struct buf *out, uint32_t stream, const struct proc_spec *s) MUST_CHECK;
int wire_put_started(struct buf *out, uint32_t stream, const struct proc_started *s) MUST_CHECK;
int wire_put_attach(struct buf *out, uint32_t stream, uint32_t exec, bool input) MUST_CHECK;
int wire_put_signal(struct buf *out, uint32_t stream, int signo) MUST_CHECK;
int wire_put_resize(struct buf *out, uint32_t stream, uint16_t rows, uint16_t cols) MUST_CHECK;
int wire_put_exit(struct buf *out, uint32_t stream, const struct proc_exit *e) MUST_CHECK;
int wire_put_shutdown(struct buf *out, uint32_t grace_ms) MUST_CHECK;
int wire_put_rename(struct buf *out, const char *name) MUST_CHECK;
int wire_put_dial_unix(struct buf *out, uint32_t stream, const char *path) MUST_CHECK;
int wire_put_bye(struct buf *out, const char *error) MUST_CHECK;       /* error may be NULL */
int wire_put_failed(struct buf *out, const char *error) MUST_CHECK;
int wire_put_empty(struct buf *out, enum frame_type type, uint32_t stream) MUST_CHECK; /* {} */

/* Each decodes the payload of its frame: 0 or -EBADMSG (HELLO also -EPROTO: another generation). */
int wire_get_hello(const struct frame *f, struct error *err) MUST_CHECK;
int wire_get_start(const struct frame *f, struct proc_spec *ret, struct error *err) MUST_CHECK;
int wire_get_started(const struct frame *f, struct proc_started *ret) MUST_CHECK;
int wire_get_attach(const struct frame *f, uint32_t *ret_exec, bool *ret_input) MUST_CHECK;
int wire_get_signal(const struct frame *f, int *ret_signo) MUST_CHECK;
int wire_get_resize(const struct frame *f, uint16_t *ret_rows, uint16_t *ret_cols) MUST_CHECK;
int wire_get_exit(const struct frame *f, struct proc_exit *ret) MUST_CHECK;
int wire_get_shutdown(const struct frame *f, uint32_t *ret_grace_ms) MUST_CHECK;
int wire_get_rename(const struct frame *f, char **ret_name) MUST_CHECK; /* owned by the caller; or -ENOMEM */
int wire_get_dial_unix(const struct frame *f, char **ret_path) MUST_CHECK; /* likewise; it is absolute */
/* BYE and FAILED: the text ("" if none), at most ERROR_TEXT_MAX - 1 bytes of it, safe to print. */
int wire_get_error(const struct frame *f, char ret[ERROR_TEXT_MAX]) MUST_CHECK;

#endif

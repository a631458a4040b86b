/* What the commands share. The CLI uses the public header only, and base for terminal things. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boxlite.h"

/* Exit codes of boxlite itself, as docker's: the command in the box has the rest. */
enum {
	EXIT_BOXLITE = 125,     /* boxlite failed */
	EXIT_CANNOT_RUN = 126,  /* the command cannot be executed */
	EXIT_NOT_FOUND = 127,   /* there is no such command */
	EXIT_INTERRUPTED = 130, /* Ctrl-C while boxlite itself was working */
};

struct global {
	const char *home; /* --home, or NULL */
	bool debug;
};

struct command {
	const char *name;
	int (*run)(const struct global *g, int argc, char **argv); /* argv[0] is the command's name */
	const char *synopsis;
	const char *summary; /* NULL: not for people */
};

const struct command *cli_command(size_t i);                /* the i-th; NULL: there are no more */
const struct command *cli_find_command(const char *name);   /* NULL: there is none */

int cmd_run(const struct global *g, int argc, char **argv);
int cmd_create(const struct global *g, int argc, char **argv);
int cmd_stop(const struct global *g, int argc, char **argv);
int cmd_kill(const struct global *g, int argc, char **argv);
int cmd_restart(const struct global *g, int argc, char **argv);
int cmd_wait(const struct global *g, int argc, char **argv);
int cmd_rename(const struct global *g, int argc, char **argv);
int cmd_logs(const struct global *g, int argc, char **argv);
int cmd_start(const struct global *g, int argc, char **argv);
int cmd_attach(const struct global *g, int argc, char **argv);
int cmd_events(const struct global *g, int argc, char **argv);
int cmd_exec(const struct global *g, int argc, char **argv);
int cmd_cp(const struct global *g, int argc, char **argv);
int cmd_port(const struct global *g, int argc, char **argv);
int cmd_network(const struct global *g, int argc, char **argv);
int cmd_dial(const struct global *g, int argc, char **argv);
int cmd_ps(const struct global *g, int argc, char **argv);
int cmd_rm(const struct global *g, int argc, char **argv);
int cmd_pull(const struct global *g, int argc, char **argv);
int cmd_load(const struct global *g, int argc, char **argv);
int cmd_images(const struct global *g, int argc, char **argv);
int cmd_rmi(const struct global *g, int argc, char **argv);
int cmd_prune(const struct global *g, int argc, char **argv);
int cmd_inspect(const struct global *g, int argc, char **argv);
int cmd_stats(const struct global *g, int argc, char **argv);
int cmd_top(const struct global *g, int argc, char **argv);
int cmd_info(const struct global *g, int argc, char **argv);
int cmd_version(const struct global *g, int argc, char **argv);
int cmd_doctor(const struct global *g, int argc, char **argv);
int cmd_completion(const struct global *g, int argc, char **argv);
int cmd_help(const struct global *g, int argc, char **argv);
int cmd_complete(const struct global *g, int argc, char **argv);

/* "boxlite: <text>" on stderr; returns EXIT_BOXLITE. */
int cli_fail(const struct boxlite_error *err);
int cli_failf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "see 'boxlite <command> --help'"; returns EXIT_BOXLITE. */
int cli_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints the synopsis of a command and the options text; returns 0. */
int cli_help(const char *command, const char *options);

/* For a command without options of its own: the status to end with, or -1 to go on with argv[optind]. */
int cli_no_options(const char *command, const char *help, int argc, char **argv);

int cli_open(const struct global *g, struct boxlite **out); /* 0, or prints and returns EXIT_BOXLITE */

/* A box of the home, for a command about one. */
struct cli_box {
	struct boxlite *b;
	struct boxlite_box *box;
};

int cli_open_box(const struct global *g, const char *name, struct cli_box *out); /* as cli_open() */
void cli_close_box(struct cli_box *c);

/* A signalfd for the signals that a command in a box is to get; from then on they are read there. Those that are
 * ignored stay so. -1: none. */
int cli_signal_fd(void);
int cli_cancel_fd(void); /* the same without those that mean something else: a resized terminal cancels no pull */

/* progress.c: what a pull shows on stderr */
struct progress;
struct progress *progress_new(const char *reference, bool quiet);
int progress_update(const struct boxlite_progress *p, void *progress);
void progress_end(struct progress *p); /* NULL is fine */

/* pull.c: pulls with progress; 0, or prints and returns the exit code */
int cli_pull(struct boxlite *b, const char *reference, bool quiet, bool plain_http);

/* attach.c: moves bytes and signals between a process and this terminal until it has ended. Returns the exit code. */
struct attach_how {
	bool with_stdin;
	bool tty;    /* the process has a terminal, and so have we */
	bool joined; /* it was there before and goes on without us: ^P ^Q leaves it, and so does our reader's end */
	int signal_fd; /* of the signals to pass on, or -1 */
};
int attach_run(struct boxlite_process *p, const struct attach_how *how);
/* Until one that we join runs: -1; or else its exit code, and why. A signal of signal_fd ends the wait. */
int attach_wait(struct boxlite_process *p, int signal_fd);
/* Until one that is not ours to watch runs: 0; or it never will: says why and returns the exit code. */
int attach_until_started(struct boxlite_process *p);
void attach_window_size(unsigned short *rows, unsigned short *cols); /* of the terminal, or 0 */

/* table.c: what lists have in common */
struct list_options {
	bool all, quiet;
	const char *format; /* NULL: none was given */
};

/* The ends of a box's logs, for --debug when it has failed. */
void logs_print(const char *folder);

/* Reads -a, -q, --format and --json of a list of images: -1 to go on, else the exit code. */
int table_options(const char *command, const char *help, int argc, char **argv, struct list_options *o);
const char *table_state(const struct boxlite_box_info *i); /* "created", "running", "restarting", "exited", "failed" */
const char *table_reference(const char *reference);       /* without what docker implies; borrowed */
/* "2026-11-27T10:00:00Z", seconds since 1970, or an age (base/str.h): since 1970. False: none of these. */
bool table_time(const char *text, int64_t *ret_ns);
void table_age(int64_t when, char out[32]);              /* "3 hours ago" */
void table_span(int64_t seconds, char out[32]);          /* "3 hours" */
void json_print_string(const char *text);                /* with quotes; "null" for NULL */

#endif

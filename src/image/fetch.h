/*
 * One request's life: what all steps of a fetch share.
 *
 * fetch_main() reads the request, lets pull or load work in the loop until one
 * of them calls fetch_end(), and sends DONE or FAILED. When it fails or nobody
 * wants the answer any more it takes back what is unfinished and calls _exit(2):
 * threads may sleep in flock() on memory that ordinary clean-up would free.
 */
#ifndef IMAGE_FETCH_H
#define IMAGE_FETCH_H

#include "base/loop.h"
#include "image/store.h"
#include "wire/conn.h"
#include "wire/image.h"

struct fetch {
	struct loop loop;
	struct conn conn;
	struct watch conn_watch, signal_watch;
	int signal_fd;
	struct store store;
	struct image_request req;
	struct image_result result; /* grows as images become complete */
	bool requested;             /* the request has come */
	bool ended;
	struct error err; /* code 0 while nothing has failed */

	/* Of pull or load, set when it starts. */
	void *op;                          /* its state */
	void (*abandon)(struct fetch *f);  /* before _exit(2): takes back what is unfinished on disk */
	void (*finish)(struct fetch *f);   /* after success: frees op */
};

/* The role `boxlite-image fetch`: the exit status. */
int fetch_main(void);

/* Ends the request; err NULL = f->result is the answer. Only the first call counts. */
void fetch_end(struct fetch *f, const struct error *err);

/* Looks, without waiting, whether anybody still wants the result: 0 or -ECANCELED with err. For
 * code that works for long outside the loop; `also_fd` >= 0 waits until that can be read. */
int fetch_check(struct fetch *f, int also_fd, struct error *err) MUST_CHECK;

/* Tells the library how far something is. *last_ms belongs to the thing and keeps the reports rare; the
 * first (*last_ms 0) and the complete (done == total) always go out. */
void fetch_progress(struct fetch *f, const struct image_progress *p, uint64_t *last_ms);

/* The first hex digits of a digest for struct image_progress. */
void fetch_short(char out[IMAGE_SHORT_DIGEST + 1], const char *hex);

#endif

/*
 * The log of what the main process writes (wire/logrec.h). It is kept for whoever asks later; a box that goes with its
 * owner's command has nobody who could.
 *
 * Nothing of the box waits for it or fails with it: what cannot be written is said once, and is lost. A record that was
 * written in part is taken back, so that the file stays one of whole records.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "wire/logrec.h"

static int open_log(struct shim *s, int how)
{
	return openat(s->box_fd, LOGREC_FILE, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | how, 0600);
}

static void give_up(struct shim *s, int r)
{
	if (!s->output_lost)
		log_warn("the output of the main process is not logged: %s", strerror(-r));
	s->output_lost = true;
}

/* Cuts off what a host that lost power has left of a record. What is not a record ends the log, too. */
static int keep_whole_records(int fd, uint64_t *ret_bytes)
{
	char header[LOGREC_HEADER];
	struct logrec r;
	struct stat st;
	uint64_t at = 0, end;

	if (fstat(fd, &st) < 0)
		return -errno;
	end = (uint64_t)st.st_size;
	while (io_pread_full(fd, header, sizeof(header), at) == 0 && logrec_get(header, &r) == 0 &&
	       at + sizeof(header) + r.len <= end)
		at += sizeof(header) + r.len;
	*ret_bytes = at;
	return at < end && ftruncate(fd, (off_t)at) < 0 ? -errno : 0;
}

void output_open(struct shim *s)
{
	int r;

	if (s->spec.no_main || (!s->spec.keep_disk && !s->spec.detached))
		return;
	s->output_fd = open_log(s, 0);
	r = s->output_fd < 0 ? -errno : keep_whole_records(s->output_fd, &s->output_bytes);
	if (r < 0) {
		give_up(s, r);
		close_fd(&s->output_fd);
	}
}

static int begin_anew(struct shim *s)
{
	auto_fd int fd = -1;

	/* ENOENT: it was renamed, and no new one could be made then. */
	if (renameat(s->box_fd, LOGREC_FILE, s->box_fd, LOGREC_OLD) < 0 && errno != ENOENT)
		return -errno;
	fd = open_log(s, O_TRUNC);
	if (fd < 0)
		return -errno;
	close_fd(&s->output_fd);
	s->output_fd = take_fd(&fd);
	s->output_bytes = 0;
	return 0;
}

void output_add(struct shim *s, enum frame_channel ch, const void *data, uint32_t len)
{
	char header[LOGREC_HEADER];
	struct iovec v[2] = { { header, sizeof(header) }, { (void *)data, len } };
	ssize_t n;
	int r = 0;

	if (s->output_fd < 0 || !len)
		return;
	logrec_put(header, &(struct logrec){ clock_wall_ns(), ch, len });
	if (s->output_bytes + sizeof(header) + len > LOGREC_FILE_MAX)
		r = begin_anew(s);
	n = r < 0 ? r : writev(s->output_fd, v, 2);
	if (n == (ssize_t)(sizeof(header) + len)) {
		s->output_bytes += (uint64_t)n;
		return;
	}
	give_up(s, r < 0 ? r : n < 0 ? -errno : -ENOSPC);
	if (n > 0 && ftruncate(s->output_fd, (off_t)s->output_bytes) < 0)
		log_warn("a record of the output stays cut");
}

void output_close(struct shim *s)
{
	close_fd(&s->output_fd);
}

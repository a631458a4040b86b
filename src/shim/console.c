/*
 * What the guest prints on its console, and what the engine and boxlite-net complain about,
 * written to log/console.log, log/engine.log and log/net.log. The guest can print for ever,
 * so each log has a ceiling; what comes after it is read (a full pipe would
 * stop the guest) and dropped.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"
#include "base/sock.h"

#define LOG_MAX (4 * MIB)

struct pipe_log {
	struct loop *loop;
	struct watch watch; /* on the pipe, which is owned */
	int file;           /* owned; -1: no log */
	uint64_t written;
	char last[256];     /* start of the last line that was not empty */
	size_t last_len;
	bool line_done;
	char panic[256];    /* why the kernel panicked, if a line has said so */
};

struct console {
	struct pipe_log guest, engine, net;
};

/* Linux says this once, and then many lines of where it was. */
static void remember_panic(struct pipe_log *p)
{
	static const char words[] = "Kernel panic - not syncing: ";
	const char *found = strstr(p->last, words);
	size_t n;

	if (!found)
		return;
	snprintf(p->panic, sizeof(p->panic), "%s", found + strlen(words));
	n = strlen(p->panic);
	while (n && p->panic[n - 1] == ' ')
		p->panic[--n] = 0;
}

/* Keeps the last line that says something. */
static void remember_line(struct pipe_log *p, const char *text, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (text[i] == '\n') {
			p->line_done = true;
			remember_panic(p);
			continue;
		}
		if (p->line_done) {
			p->last_len = 0;
			p->line_done = false;
		}
		if (p->last_len + 1 < sizeof(p->last))
			p->last[p->last_len++] = text[i] >= ' ' ? text[i] : ' ';
		p->last[p->last_len] = 0;
	}
}

/* Takes one read's worth: bytes, 0 at the end, -errno. */
static ssize_t take(struct pipe_log *p)
{
	char chunk[4096];
	ssize_t got = read(p->watch.fd, chunk, sizeof(chunk));

	if (got <= 0)
		return got < 0 ? -errno : 0;
	remember_line(p, chunk, (size_t)got);
	if (p->file >= 0 && p->written < LOG_MAX) {
		if (io_write_full(p->file, chunk, (size_t)got) < 0)
			close_fd(&p->file); /* the disk is full: the box goes on without its log */
		p->written += (uint64_t)got;
		if (p->written >= LOG_MAX && p->file >= 0 && write(p->file, "\n[log full]\n", 12) < 0)
			close_fd(&p->file);
	}
	return got;
}

static void close_pipe(struct pipe_log *p)
{
	int fd = p->watch.fd;

	if (fd < 0)
		return;
	loop_remove(p->loop, &p->watch);
	close(fd);
}

static void on_pipe(struct watch *w, uint32_t events)
{
	struct pipe_log *p = container_of(w, struct pipe_log, watch);
	ssize_t got = take(p);

	(void)events;
	if (got == 0 || (got < 0 && got != -EAGAIN))
		close_pipe(p);
}

/* A socket pair: one end watched here, the other for the engine. */
static int open_log(struct pipe_log *p, struct shim *s, const char *path, int *ret_fd)
{
	int fds[2], r;

	*p = (struct pipe_log){ .loop = &s->loop, .watch = WATCH_NONE };
	p->file = openat(s->box_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = sock_pair(fds);
	if (r < 0)
		return r;
	r = io_set_nonblock(fds[0], true);
	if (r == 0)
		r = loop_add(&s->loop, &p->watch, fds[0], EPOLLIN, on_pipe);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	*ret_fd = fds[1];
	return 0;
}

struct console *console_open(struct shim *s, int *ret_console_fd, int *ret_stderr_fd, struct error *err)
{
	struct console *c = calloc(1, sizeof(*c));
	int r;

	if (c)
		c->net = (struct pipe_log){ .loop = &s->loop, .watch = WATCH_NONE, .file = -1 };
	r = c ? open_log(&c->guest, s, s->spec.no_main ? "log/copy-console.log" : "log/console.log",
			     ret_console_fd) : -ENOMEM;

	if (r == 0) {
		r = open_log(&c->engine, s, s->spec.no_main ? "log/copy-engine.log" : "log/engine.log", ret_stderr_fd);
		if (r < 0) {
			close_fd(ret_console_fd);
			close_pipe(&c->guest);
		}
	}
	if (r < 0) {
		free(c);
		error_code(err, r, "cannot open the console");
		return NULL;
	}
	return c;
}

int console_open_net(struct console *c, struct shim *s)
{
	int fd, r = open_log(&c->net, s, "log/net.log", &fd);

	return r < 0 ? r : fd;
}

const char *console_last_of_net(const struct console *c)
{
	return c ? c->net.last : "";
}

const char *console_last_complaint(const struct console *c)
{
	return c ? c->engine.last : "";
}

const char *console_last_word(const struct console *c)
{
	return c ? c->guest.last : "";
}

const char *console_panic(const struct console *c)
{
	return c ? c->guest.panic : "";
}

void console_drain(struct console *c)
{
	if (!c)
		return;
	while (c->guest.watch.fd >= 0 && take(&c->guest) > 0)
		;
	while (c->engine.watch.fd >= 0 && take(&c->engine) > 0)
		;
	while (c->net.watch.fd >= 0 && take(&c->net) > 0)
		;
}

void console_close(struct console *c)
{
	if (!c)
		return;
	close_pipe(&c->guest);
	close_pipe(&c->engine);
	close_pipe(&c->net);
	close_fd(&c->guest.file);
	close_fd(&c->engine.file);
	close_fd(&c->net.file);
	free(c);
}

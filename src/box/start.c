/*
 * Starting the shim of a box: every file it needs is opened here and passed
 * open; the description follows on the socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/newfile.h"
#include "base/sock.h"
#include "box/box.h"
#include "box/clock.h"
#include "box/engine.h"
#include "box/events.h"
#include "box/lock.h"
#include "box/helper.h"
#include "box/secrets.h"
#include "box/template.h"
#include "wire/health.h"
#include "wire/record.h"

struct parts {
	int box, lock, kernel, initrd, image, disk, template, kvm, log, events, etc, secrets;
};

static void close_parts(struct parts *p)
{
	close_fd(&p->box);
	close_fd(&p->lock);
	close_fd(&p->kernel);
	close_fd(&p->initrd);
	close_fd(&p->image);
	close_fd(&p->disk);
	close_fd(&p->template);
	close_fd(&p->kvm);
	close_fd(&p->log);
	close_fd(&p->events);
	close_fd(&p->etc);
	close_fd(&p->secrets);
}

static int lock_for_start(struct parts *p, const char *id, struct error *err)
{
	int r = p->lock = box_lock_take(p->box, "lock", 0);

	if (r == -EWOULDBLOCK && faccessat(p->box, SPEC_COPYING_FILE, F_OK, 0) == 0)
		return error_set(err, -EALREADY, "files are being copied from or to box %s: try again when that is done", id);
	if (r == -EWOULDBLOCK)
		return error_set(err, -EALREADY, "box %s runs already", id);
	return r < 0 ? error_code(err, r, "cannot lock box %s", id) : 0;
}

/* Under the lock: what there is of a start, and of one for copies only. The latter leaves no trace of itself. */
static int open_log(const struct db_box *b, const struct box_start *how, struct parts *p, struct error *err)
{
	const char *name = how->no_main ? "log/copy.log" : "log/shim.log";
	auto_fd int mark = -1;

	p->log = openat(p->box, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (how->no_main ? O_TRUNC : 0), 0600);
	if (p->log < 0)
		return error_sys(err, "cannot open the log of box %s", b->id);
	newfile_sweep(p->box); /* this and all of these may be of a shim that was killed */
	if (!how->no_main) {
		unlinkat(p->box, SPEC_COPYING_FILE, 0);
		unlinkat(p->box, "exit.json", 0);
		unlinkat(p->box, HEALTH_FILE, 0);
		unlinkat(p->box, SPEC_PORTS_FILE, 0);
		return 0;
	}
	mark = openat(p->box, SPEC_COPYING_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return mark < 0 ? error_sys(err, "cannot mark box %s as one that is copied from", b->id) : 0;
}

static int open_parts(struct home *h, const struct db_box *b, const struct box_start *how, struct parts *p,
		      struct error *err)
{
	auto_free char *rootfs = NULL;
	int r;

	p->box = openat(h->boxes_fd, b->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->box < 0)
		return error_sys(err, "cannot open the folder of box %s", b->id);
	r = lock_for_start(p, b->id, err);
	if (r < 0)
		return r;
	p->kernel = home_open_guest_file(h, "vmlinux", err);
	if (p->kernel < 0)
		return p->kernel;
	p->initrd = home_open_guest_file(h, "initramfs", err);
	if (p->initrd < 0)
		return p->initrd;
	if (asprintf(&rootfs, "rootfs/%s", b->rootfs) < 0)
		return error_nomem(err);
	p->image = openat(h->images_fd, rootfs, O_RDONLY | O_CLOEXEC);
	if (p->image < 0)
		return error_sys(err, "the root file system of %s is gone (%s); pull it again", b->image, rootfs);
	p->disk = openat(p->box, "disk.img", O_RDWR | O_CLOEXEC);
	if (p->disk < 0)
		return error_sys(err, "cannot open the disk of box %s", b->id);
	/* It ended without a sync, and its owner is about to remove it, or the next boxlite_open() is. */
	if (b->auto_remove && faccessat(p->box, "log/shim.log", F_OK, 0) == 0)
		return error_set(err, -EPERM, "box %s goes with its command (--rm): it is not started again", b->id);
	return open_log(b, how, p, err);
}

static int read_spec(struct home *h, const struct db_box *b, const struct box_start *how, struct box_spec *ret,
		     struct error *err)
{
	int r = box_spec_parse(b->spec, ret, err);

	if (r < 0)
		return r;
	ret->main.rows = how->rows;
	ret->main.cols = how->cols;
	ret->trace_kernel = how->trace_kernel;
	ret->detached = how->detached;
	ret->attach = !how->no_main;
	ret->no_main = how->no_main;
	if (how->no_main) {
		ret->detached = true; /* the last copy's end is its end, whoever began it */
		ret->keep_disk = true;
	}
	ret->image = strdup(b->image); /* without memory for it its events have none */
	/* Where QEMU is and how it runs is a matter of this process, not of the box. */
	free(ret->accel);
	ret->tsc_khz = str_eq(h->accel, "tcg") ? clock_tsc_khz(h) : 0;
	ret->accel = strdup(h->accel);
	if (!ret->accel)
		return error_nomem(err);
	if (!ret->net.none && asprintf(&ret->net_program, "%s/boxlite-net", h->programs) < 0) {
		ret->net_program = NULL;
		return error_nomem(err);
	}
	return 0;
}

/* What it is called now, for its events, and what its network is to be; b may be older. From here on, with the lock,
 * box_rename() and box_change_network() tell the shim. */
static int read_again(struct home *h, const struct db_box *b, struct box_spec *ret, struct error *err)
{
	struct box_spec spec = BOX_SPEC_INIT;
	struct net_spec net = ret->net;
	struct db_box now = { 0 };
	int r = 0;

	if (db_box_get(h->db, b->id, &now, NULL) == 0 && str_eq(now.id, b->id)) {
		if (now.name)
			ret->name = strdup(now.name);
		r = str_eq(now.spec, b->spec) ? 0 : box_spec_parse(now.spec, &spec, err);
		if (r == 0 && !str_eq(now.spec, b->spec)) {
			ret->net = spec.net;
			spec.net = net;
		}
	}
	box_spec_fini(&spec);
	db_box_fini(&now);
	return r;
}

static int spawn_shim(struct home *h, const struct parts *p, int sock, struct child *ret, struct error *err)
{
	auto_free char *path = NULL;
	/* No box in argv: a process list tells nothing. */
	const char *const argv[] = { "boxlite-shim", NULL };
	/* What boxlite-net trusts, which it has to know if there are secrets: as for pulls. */
	static const char *const trusted[] = { "SSL_CERT_FILE", "SSL_CERT_DIR", NULL };
	auto_strv struct strv env = STRV_INIT(ARRAY_SIZE(trusted));
	struct spawn_fd fds[13] = {
		{ p->log, STDERR_FILENO },     { sock, SHIM_FD_CONTROL },
		{ p->box, SHIM_FD_BOX },       { p->lock, SHIM_FD_LOCK },
		{ p->kernel, SHIM_FD_KERNEL }, { p->initrd, SHIM_FD_INITRD },
		{ p->image, SHIM_FD_IMAGE },   { p->disk, SHIM_FD_DISK },
	};
	struct spawn s = { .argv = argv, .fds = fds, .nfds = 8, .new_session = true };

	if (p->template >= 0)
		fds[s.nfds++] = (struct spawn_fd){ p->template, SHIM_FD_TEMPLATE };
	if (p->events >= 0)
		fds[s.nfds++] = (struct spawn_fd){ p->events, SHIM_FD_EVENTS };
	if (p->kvm >= 0)
		fds[s.nfds++] = (struct spawn_fd){ p->kvm, SHIM_FD_KVM };
	if (p->etc >= 0)
		fds[s.nfds++] = (struct spawn_fd){ p->etc, SHIM_FD_ETC };
	if (p->secrets >= 0)
		fds[s.nfds++] = (struct spawn_fd){ p->secrets, SHIM_FD_SECRETS };
	if (asprintf(&path, "%s/boxlite-shim", h->programs) < 0 ||
	    (p->secrets >= 0 && helper_pass_on(trusted, &env) < 0))
		return error_nomem(err);
	s.path = path;
	s.envp = (const char *const *)env.v;
	return spawn_start(&s, ret, err);
}

/*
 * A start that came to nothing after what is known of the one before was taken away: why, as a shim would say it.
 * Without it the box would pass for one whose shim was killed.
 */
static void leave_record(int box, const struct error *why)
{
	int64_t now = time(NULL);
	struct exit_record record = { .exit.kind = PROC_LOST, .started_at = now, .finished_at = now };

	snprintf(record.exit.error, sizeof(record.exit.error), "%s", why->text);
	(void)!exit_record_write(box, &record); /* the caller is told anyway */
}

int box_start(struct home *h, const struct db_box *b, const struct box_start *how, int *ret_sock,
	      struct child *ret_shim, struct error *err)
{
	struct parts p = { -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1 };
	struct box_spec spec = BOX_SPEC_INIT;
	struct buf out = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	int pair[2] = { -1, -1 }, r;

	r = read_spec(h, b, how, &spec, err);
	if (r == 0)
		r = engine_choose(h, &spec, &p.kvm, err);
	if (r == 0)
		r = open_parts(h, b, how, &p, err);
	if (r == 0)
		r = read_again(h, b, &spec, err);
	if (r == 0 && spec.net.nsecrets && !spec.no_main) {
		p.secrets = secrets_open(&spec.net, err);
		r = MIN(p.secrets, 0);
	}
	if (r == 0)
		r = template_choose(h, &spec, p.kernel, p.initrd, &p.template, err);
	if (r == 0) {
		r = sock_pair(pair);
		if (r < 0)
			error_code(err, r, "cannot start box %s", b->id);
	}
	if (r == 0) {
		r = wire_put_spec(&out, &spec);
		if (r < 0)
			error_code(err, r, "cannot describe box %s", b->id);
	}
	p.events = events_open(h); /* if it cannot be, the box runs even so */
	if (!spec.net.none) /* likewise */
		p.etc = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r == 0)
		r = spawn_shim(h, &p, pair[1], ret_shim, err);
	close_fd(&pair[1]);
	if (r == 0) {
		r = sock_send_fds(pair[0], buf_data(&out), buf_len(&out), NULL, 0);
		if (r < 0) {
			error_code(err, r, "the shim of box %s ended at once; see its log/shim.log", b->id);
			spawn_reap(ret_shim);
		}
	}
	if (r == 0)
		*ret_sock = take_fd(&pair[0]);
	if (r < 0 && p.log >= 0 && !how->no_main)
		leave_record(p.box, err);
	close_fd(&pair[0]);
	close_parts(&p);
	box_spec_fini(&spec);
	buf_fini(&out);
	return r;
}

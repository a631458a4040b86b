/*
 * The agent's own file systems. After root_init() its root is a tmpfs:
 *
 *	/dev /proc /cgroup
 *	/image     the image, EROFS, read-only                    /dev/vda
 *	/disk      what this box has written: upper/ and work/    /dev/vdb
 *	/box       both together: the root of the box
 *	/etc       hostname, hosts and resolv.conf of the box
 *
 * No sysfs: the agent needs none, and each mount costs boot time.
 */
#ifndef AGENT_ROOT_H
#define AGENT_ROOT_H

#include "base/base.h"
#include "base/error.h"

#define ROOT_BOX "/box"

/* The tmpfs, /dev and /proc. */
int root_init(struct error *err) MUST_CHECK;

/* /image, /disk, /box. */
int root_mount_box(struct error *err) MUST_CHECK;

/* The files of the box's /etc that its owner decides. */
int root_write_etc(const char *hostname, bool network, struct error *err) MUST_CHECK;

/*
 * Once no process is left: writes everything to the disk and leaves its file system clean, as
 * unmounting would. But read-only is enough for that, and no leftover mount can make it busy; the
 * machine ends anyway.
 */
int root_close_disk(struct error *err) MUST_CHECK;

#endif

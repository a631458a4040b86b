/* An application that looks at boxes: embed-metrics RUNNING NOT-RUNNING prints what must hold of their figures, one
 * word each, and the words that it must print are in tests/box/stats.t. */
#include <boxlite.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct boxlite_box *open_box(struct boxlite *b, const char *name)
{
	struct boxlite_box *box = NULL;

	return boxlite_box_open(b, name, &box, NULL) < 0 ? NULL : box;
}

static int on_task(const struct boxlite_task *t, void *ud)
{
	*(int *)ud += t->pid == 1 && t->ppid == 0 && t->uid == 0 && t->user && !strcmp(t->user, "root");
	return 77;
}

static int on_metrics(const struct boxlite_box_info *i, const struct boxlite_metrics *m, void *ud)
{
	struct boxlite_metrics *sum = ud;

	if (!i->running || m->boxes != 1)
		return -1;
	sum->boxes += m->boxes;
	sum->guest_memory_bytes += m->guest_memory_bytes;
	return 0;
}

static int on_info(const struct boxlite_info *i, void *ud)
{
	*(unsigned *)ud = i->boxes_running;
	return 78;
}

static void say(int holds, const char *word)
{
	printf("%s%s ", holds ? "" : "NOT-", word);
}

int main(int argc, char **argv)
{
	struct boxlite_metrics one = BOXLITE_OPTIONS(boxlite_metrics), sum = one, old = one, added = { 0 };
	struct boxlite_metrics_options o = BOXLITE_OPTIONS(boxlite_metrics_options);
	struct boxlite_error err = { 0 };
	struct boxlite_box *running, *off;
	struct boxlite *b;
	unsigned count = 0;
	int first = 0;

	if (argc != 3 || boxlite_open(NULL, &b, &err) < 0)
		return 1;
	running = open_box(b, argv[1]);
	off = open_box(b, argv[2]);
	if (!running || !off)
		return 1;
	say(boxlite_box_metrics(running, &one, &err) == 0 && one.boxes == 1 && one.guests == 1 && one.pid > 1, "one");
	say(one.cpu_user_ns && one.memory_bytes && one.memory_peak_bytes >= one.memory_bytes &&
		    one.memory_private_bytes <= one.memory_bytes && one.threads && one.disk_used_bytes, "host");
	say(one.guest_memory_bytes && one.guest_processes && one.uptime_ns && one.boot_agent_ns, "guest");
	say(boxlite_metrics(b, &sum, &err) == 0 && sum.boxes == 2 && sum.guests == 2 && sum.pid == 0, "sum");
	say(sum.guest_memory_bytes > one.guest_memory_bytes && sum.memory_bytes > one.memory_bytes, "more");
	say(boxlite_metrics_list(b, NULL, on_metrics, &added, &err) == 0 && added.boxes == 2 &&
		    added.guest_memory_bytes == sum.guest_memory_bytes, "list");
	o.host_only = 1;
	memset(&added, 0, sizeof(added));
	say(boxlite_metrics_list(b, &o, on_metrics, &added, &err) == 0 && added.boxes == 2 &&
		    added.guest_memory_bytes == 0, "host-only");
	/* A program of before its last field was there. */
	old.size = offsetof(struct boxlite_metrics, guest_sent_bytes);
	old.guest_sent_bytes = 12345;
	say(boxlite_box_metrics(running, &old, &err) == 0 && old.boxes == 1 && old.guest_sent_bytes == 12345 &&
		    old.size == offsetof(struct boxlite_metrics, guest_sent_bytes), "shorter");
	old.size = 0;
	say(boxlite_box_metrics(running, &old, &err) == -EINVAL && strstr(err.text, "size"), "no-size");
	say(boxlite_box_metrics(off, &sum, &err) == -ENOTCONN && sum.boxes == 2, "off");
	say(boxlite_box_top(running, on_task, &first, &err) == 77 && first == 1, "top");
	say(boxlite_box_top(off, on_task, &first, &err) == -ENOTCONN, "no-top");
	say(boxlite_info(b, on_info, &count, &err) == 78 && count == 2, "info");
	boxlite_box_close(off);
	boxlite_box_close(running);
	boxlite_close(b);
	return 0;
}

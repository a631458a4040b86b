/* An application that closes its handles of boxes that still run, one after the other, and prints how many children of
 * it have ended and were never waited for. */
#include <boxlite.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int start_and_leave(struct boxlite *b)
{
	const char *command[] = { "sleep", "1000", NULL };
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_process *p;
	struct boxlite_box *box;

	o.image = "bb";
	o.command = command;
	o.auto_remove = 1;
	if (boxlite_box_create(b, &o, &box, NULL) < 0 || boxlite_box_start(box, NULL, &p, NULL) < 0)
		return -1;
	boxlite_process_close(p);
	boxlite_box_wait(box, NULL);
	boxlite_box_close(box);
	return 0;
}

/* "pid (name) Z parent ..." */
static int is_zombie_of(const char *name, int parent)
{
	char path[300], text[512] = "", *rest;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", name);
	f = fopen(path, "r");
	if (!f)
		return 0;
	rest = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	fclose(f);
	return rest && rest[2] == 'Z' && atoi(rest + 4) == parent;
}

int main(void)
{
	struct boxlite *b;
	struct dirent *e;
	int i, zombies = 0;
	DIR *proc;

	if (boxlite_open(NULL, &b, NULL) < 0)
		return 1;
	for (i = 0; i < 5; i++)
		if (start_and_leave(b) < 0)
			return 1;
	proc = opendir("/proc");
	while (proc && (e = readdir(proc)))
		zombies += is_zombie_of(e->d_name, (int)getpid());
	/* The last one may be ending right now. */
	printf("%s\n", proc && zombies <= 1 ? "no zombies" : "zombies");
	if (proc)
		closedir(proc);
	boxlite_close(b);
	return 0;
}

/* An application that knows only the public header: runs "true" in a box of image bb that goes by itself, with SIGCHLD
 * at its default and no handler of its own, and prints the status and how many boxes are left. */
#include <boxlite.h>
#include <stdio.h>

static int count(const struct boxlite_box_info *i, void *ud)
{
	(void)i;
	++*(int *)ud;
	return 0;
}

int main(void)
{
	static const char *const command[] = { "true", NULL };
	struct boxlite_box_options o = BOXLITE_OPTIONS(boxlite_box_options);
	struct boxlite_error err = { 0 };
	struct boxlite_process *p;
	struct boxlite_exit end;
	struct boxlite_box *box;
	struct boxlite *b;
	int left = 0;

	o.image = "bb";
	o.command = command;
	o.auto_remove = 1;
	if (boxlite_open(NULL, &b, &err) < 0 || boxlite_box_create(b, &o, &box, &err) < 0 ||
	    boxlite_box_start(box, NULL, &p, &err) < 0 || boxlite_process_wait(p, &end, &err) < 0 ||
	    boxlite_box_list(b, count, &left, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	printf("status %d, %d left\n", end.status, left);
	boxlite_process_close(p);
	boxlite_box_close(box);
	boxlite_close(b);
	return 0;
}

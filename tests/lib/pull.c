/* An application that knows only the public header: pulls the images named, over plain http, and prints what each call
 * returned and the code and text of its error. */
#include <boxlite.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct boxlite_pull_options o = BOXLITE_OPTIONS(boxlite_pull_options);
	struct boxlite *b;
	int i, r;

	o.plain_http = 1;
	if (boxlite_open(NULL, &b, NULL) < 0)
		return 1;
	for (i = 1; i < argc; i++) {
		struct boxlite_error err = { 0, "" };

		r = boxlite_image_pull(b, argv[i], &o, &err);
		printf("%d %d %s\n", r, err.code, err.text);
	}
	boxlite_close(b);
	return 0;
}

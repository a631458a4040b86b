/* An application that dials sockets of a box: embed-dial BOX PATH... prints what each gives, an error by its name. Of a
 * connection: that it is an ordinary fd, which has nothing to do with the library any more, and what comes back.
 * embed-dial BOX many PATH: how many there may be at once, and the error of one more. */
#define _GNU_SOURCE
#include <boxlite.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void talk(int fd)
{
	char back[64];
	ssize_t n, sum = 0;

	if (fcntl(fd, F_GETFD) != FD_CLOEXEC || (fcntl(fd, F_GETFL) & O_NONBLOCK))
		printf("NOT-ORDINARY ");
	if (send(fd, "hi", 2, MSG_NOSIGNAL) != 2 || shutdown(fd, SHUT_WR) < 0)
		printf("%s", strerrorname_np(errno));
	while ((n = read(fd, back + sum, sizeof(back) - (size_t)sum)) > 0)
		sum += n;
	printf("'%.*s'%s\n", (int)sum, back, n < 0 ? strerrorname_np(errno) : "");
	close(fd);
}

/* The end of the program closes them. */
static void dial_many(struct boxlite_box *box, const char *path)
{
	int fd, n = 0, r;

	while ((r = boxlite_box_dial_unix(box, path, &fd, NULL)) == 0)
		n++;
	printf("%d %s\n", n, strerrorname_np(-r));
}

int main(int argc, char **argv)
{
	struct boxlite_error err = { 0 };
	struct boxlite_box *box;
	struct boxlite *b;
	int i, fd, last = -1;

	if (boxlite_open(NULL, &b, &err) < 0 || boxlite_box_open(b, argv[1], &box, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	if (boxlite_box_dial_unix(NULL, "/", &fd, &err) != -EINVAL || boxlite_box_dial_unix(box, NULL, &fd, &err) != -EINVAL ||
	    boxlite_box_dial_unix(box, "/", NULL, &err) != -EINVAL)
		printf("NOT-CHECKED\n");
	if (argc == 4 && !strcmp(argv[2], "many")) {
		dial_many(box, argv[3]);
		argc = 0;
	}
	for (i = 2; i < argc; i++) {
		int r = boxlite_box_dial_unix(box, argv[i], &fd, &err);

		if (r < 0 && (err.code != r || !*err.text))
			printf("NO-REASON ");
		if (r < 0) {
			printf("%s\n", strerrorname_np(-r));
		} else if (i == argc - 1) {
			last = fd;
		} else {
			talk(fd);
		}
	}
	boxlite_box_close(box);
	boxlite_close(b);
	if (last >= 0)
		talk(last);
	return 0;
}

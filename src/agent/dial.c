#include "agent/dial.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/io.h"

/* An address is shorter than a path may be: then its folder is entered. */
static int set_address(char *path, struct sockaddr_un *ret)
{
	char *name = strrchr(path, '/') + 1;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret->sun_path)) {
		/* An empty one would be an address that is no path. */
		if (!*name || strlen(name) >= sizeof(ret->sun_path))
			return -ENAMETOOLONG;
		memmove(ret->sun_path, name, strlen(name) + 1);
		*name = 0;
		return chdir(path) < 0 ? -errno : 0;
	}
	memmove(ret->sun_path, path, strlen(path) + 1);
	return 0;
}

/* connect(2) says of a file that is no socket that nobody listens. */
static int explain(const char *shown, const struct sockaddr_un *a, int code, struct error *err)
{
	struct stat st;

	if (code == -ECONNREFUSED && stat(a->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
		code = -ENOTSOCK;
	if (code == -EPROTOTYPE)
		return error_set(err, code, "cannot connect to %.300s: it is no stream socket", shown);
	if (code == -ECONNREFUSED)
		return error_set(err, code, "nobody listens at %.300s", shown);
	return error_code(err, code, "cannot connect to %.300s", shown);
}

int dial_unix(const char *path, struct error *err)
{
	auto_free char *copy = *path == '/' ? strdup(path) : NULL;
	struct sockaddr_un a;
	auto_fd int fd = -1;
	int r;

	if (!copy)
		return *path == '/' ? error_nomem(err) : error_set(err, -EINVAL, "a path that is not absolute");
	r = set_address(copy, &a);
	if (r < 0)
		return explain(path, &a, r, err);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_sys(err, "cannot make a socket");
	/* It waits while the queue of who listens is full: procs_start() limits the time. */
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return explain(path, &a, -errno, err);
	r = io_set_nonblock(fd, true);
	return r < 0 ? error_code(err, r, "cannot use the connection") : take_fd(&fd);
}

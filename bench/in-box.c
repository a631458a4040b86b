/*
 * What a box can do without its host, for bench/kvm to compare with:
 *
 *	in-box exec N PROGRAM   ns that vfork, exec and wait of a program take, of N in a row
 *	in-box pipe MIB         ns that so many MiB take from one process to another through a pipe
 *	in-box write MIB        writes so many MiB to its standard output
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (64 * 1024)

static char chunk[CHUNK];

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void run(char *program)
{
	char *argv[] = { program, NULL };
	int status;
	pid_t pid = vfork();

	check(pid >= 0, "vfork");
	if (pid == 0) {
		execv(program, argv);
		_exit(127);
	}
	check(waitpid(pid, &status, 0) == pid && status == 0, program);
}

static void write_mib(int fd, long mib)
{
	ssize_t put;
	long left;

	for (left = mib << 20; left > 0; left -= put) {
		put = write(fd, chunk, CHUNK);
		check(put > 0, "write");
	}
}

static void pipe_mib(long mib)
{
	int fds[2];
	pid_t pid;
	ssize_t got;
	long sum = 0;

	check(pipe(fds) == 0, "pipe");
	pid = fork();
	check(pid >= 0, "fork");
	if (pid == 0) {
		close(fds[0]);
		write_mib(fds[1], mib);
		_exit(0);
	}
	close(fds[1]);
	while ((got = read(fds[0], chunk, CHUNK)) > 0)
		sum += got;
	check(sum == mib << 20 && waitpid(pid, NULL, 0) == pid, "read");
}

int main(int argc, char **argv)
{
	long i, n = argc > 2 ? atol(argv[2]) : 0;
	uint64_t begin = now();

	check(n > 0, "which, and how many?");
	if (strcmp(argv[1], "exec") == 0 && argc == 4) {
		for (i = 0; i < n; i++)
			run(argv[3]);
		printf("%llu\n", (unsigned long long)((now() - begin) / (uint64_t)n));
	} else if (strcmp(argv[1], "pipe") == 0) {
		pipe_mib(n);
		printf("%llu\n", (unsigned long long)(now() - begin));
	} else if (strcmp(argv[1], "write") == 0) {
		write_mib(STDOUT_FILENO, n);
	}
	return 0;
}

/* What a program and torture-tracer.c say to each other: a system call that the kernel does not have. */
#ifndef TORTURE_CALLS_H
#define TORTURE_CALLS_H

#define MARK_CALL 5000 /* syscall(MARK_CALL, enum mark, ...); without the tracer it is -ENOSYS */

enum mark {
	MARK_BEGIN = 1,  /* at, way, char what[MARK_WHAT_MAX]: text about the call that failed is written there */
	MARK_PAUSE = 2,
	MARK_RESUME = 3,
	MARK_END = 4,    /* returns how many calls there were that can fail */
};

#define MARK_WHAT_MAX 64

#endif

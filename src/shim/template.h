/* Template files: a machine's memory and state to a file and back. The format: wire/template.h. */
#ifndef SHIM_TEMPLATE_H
#define SHIM_TEMPLATE_H

#include "base/error.h"
#include "wire/template.h"

/* A file for a guest's memory that is nobody else's and gone with its last fd: fd or -errno. */
int template_memory(uint64_t bytes) MUST_CHECK;

/* Fills such a file and an empty one for the state from a template. */
int template_load(int template_fd, int memory_fd, int state_fd, uint64_t bytes, struct error *err) MUST_CHECK;

/* Makes sure that nobody starts from this template again, through an fd for reading: 0 or -errno. */
int template_spoil(int template_fd) MUST_CHECK;

/* Writes a template into the folder, under the name of its key: whole or not at all, and not if little room is left:
 * -ENOSPC. */
int template_save(int folder_fd, const char *key, int memory_fd, uint64_t bytes, int state_fd,
		  struct error *err) MUST_CHECK;

#endif

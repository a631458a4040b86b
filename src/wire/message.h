/* A message: a frame whose payload is one JSON object. What the files of wire/ share. */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "base/json.h"
#include "wire/frame.h"

/* Appends a frame with payload j, which is consumed; NULL stands for one that could not be built. The text is wiped
 * from the heap, as a message may carry a password. 0, -ENOMEM, -ENOBUFS, -EMSGSIZE. */
int message_put(struct buf *out, uint8_t type, uint32_t stream, json_t *j) MUST_CHECK;

/* A line of error text from anywhere as a new JSON string, made valid UTF-8 so that it can travel; NULL: no memory. */
json_t *message_text(const char *text);

/* The payload as a new JSON object, or NULL with the reason (which quotes nothing of it but a parser's position). */
json_t *message_get(const struct frame *f, struct error *err);

#endif

#include "wire/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int message_put(struct buf *out, uint8_t type, uint32_t stream, json_t *j)
{
	char *text;
	int r;

	if (!j)
		return -ENOMEM;
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	if (!text)
		return -ENOMEM;
	r = frame_put(out, type, 0, stream, text, strlen(text));
	explicit_bzero(text, strlen(text));
	free(text);
	return r;
}

json_t *message_text(const char *text)
{
	return json_clean(text, ERROR_TEXT_MAX - 1);
}

json_t *message_get(const struct frame *f, struct error *err)
{
	json_t *j = f->len ? json_parse(f->payload, f->len, frame_name(f->type), err) : NULL;

	if (j && json_is_object(j))
		return j;
	if (j || !f->len)
		error_set(err, -EBADMSG, "%s without a JSON object", frame_name(f->type));
	json_decref(j);
	return NULL;
}

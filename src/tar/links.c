#include "tar/links.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct link_name {
	struct link_name *next;
	dev_t dev;
	ino_t ino;
	char name[];
};

static size_t slot_of(const struct links *l, dev_t dev, ino_t ino)
{
	return (size_t)((ino * 0x9e3779b97f4a7c15ULL ^ dev) >> 7) & (l->nslots - 1);
}

void links_fini(struct links *l)
{
	struct link_name *n;
	size_t i;

	for (i = 0; i < l->nslots; i++)
		while ((n = l->slots[i])) {
			l->slots[i] = n->next;
			free(n);
		}
	free(l->slots);
	*l = (struct links){ 0 };
}

const char *links_find(const struct links *l, dev_t dev, ino_t ino)
{
	const struct link_name *n = l->nslots ? l->slots[slot_of(l, dev, ino)] : NULL;

	while (n && (n->dev != dev || n->ino != ino))
		n = n->next;
	return n ? n->name : NULL;
}

static int grow(struct links *l)
{
	struct links more = { .nslots = l->nslots ? l->nslots * 2 : 256, .n = l->n };
	struct link_name *n, **at;
	size_t i;

	more.slots = calloc(more.nslots, sizeof(*more.slots));
	if (!more.slots)
		return -ENOMEM;
	for (i = 0; i < l->nslots; i++)
		while ((n = l->slots[i])) {
			l->slots[i] = n->next;
			at = &more.slots[slot_of(&more, n->dev, n->ino)];
			n->next = *at;
			*at = n;
		}
	free(l->slots);
	*l = more;
	return 0;
}

int links_add(struct links *l, dev_t dev, ino_t ino, const char *name)
{
	size_t len = strlen(name) + 1;
	struct link_name *n, **at;

	if (l->n >= l->nslots && grow(l) < 0)
		return -ENOMEM;
	n = malloc(sizeof(*n) + len);
	if (!n)
		return -ENOMEM;
	n->dev = dev;
	n->ino = ino;
	memcpy(n->name, name, len);
	at = &l->slots[slot_of(l, dev, ino)];
	n->next = *at;
	*at = n;
	l->n++;
	return 0;
}

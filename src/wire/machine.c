#include "wire/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "wire/message.h"

void machine_spec_fini(struct machine_spec *s)
{
	free(s->cmdline);
	*s = (struct machine_spec){ 0 };
}

static json_t *put_net(const struct machine_spec *s)
{
	char mac[2 * MACHINE_MAC + 1];

	if (!s->net)
		return json_null();
	str_hex(s->mac, MACHINE_MAC, mac);
	return json_pack("{s:s}", "mac", mac);
}

int wire_put_machine(struct buf *out, const struct machine_spec *s)
{
	json_t *disks = json_array();
	unsigned i;

	for (i = 0; disks && i < s->ndisks; i++)
		if (json_array_append_new(disks, json_pack("{s:b}", "readonly", s->readonly[i])) < 0) {
			json_decref(disks);
			disks = NULL;
		}
	if (!disks)
		return -ENOMEM;
	return message_put(out, FRAME_MACHINE, 0,
			   json_pack("{s:I, s:I, s:s, s:b, s:o, s:o}", "cpus", (json_int_t)s->cpus, "memory_bytes",
				     (json_int_t)s->memory_bytes, "cmdline", s->cmdline, "serial", s->serial, "disks",
				     disks, "net", put_net(s)));
}

static bool get_disks(const json_t *j, struct machine_spec *s)
{
	bool bad = false;
	json_t *list = json_get_list(j, "disks", &bad), *disk;
	size_t i;

	if (bad || json_array_size(list) > MACHINE_DISKS_MAX)
		return false;
	json_array_foreach(list, i, disk)
		s->readonly[i] = json_get_bool(disk, "readonly", true, &bad);
	s->ndisks = (unsigned)json_array_size(list);
	return !bad;
}

static bool get_net(const json_t *j, struct machine_spec *s)
{
	static const uint8_t nobody[MACHINE_MAC];
	bool bad = false;
	const json_t *net = json_get_obj(j, "net", &bad);
	const char *mac = net ? json_get_str(net, "mac", NULL, &bad) : NULL;

	s->net = net;
	if (bad || !net)
		return !bad;
	/* The lowest bit of the first byte is that of group addresses. */
	return mac && str_unhex(mac, s->mac, MACHINE_MAC) == 0 && !(s->mac[0] & 1) &&
	       memcmp(s->mac, nobody, MACHINE_MAC) != 0;
}

int wire_get_machine(const struct frame *f, struct machine_spec *ret, struct error *err)
{
	auto_json json_t *j = f->type == FRAME_MACHINE ? message_get(f, err) : NULL;
	struct machine_spec s = { 0 };
	bool bad = false;
	const char *cmdline;
	uint64_t cpus;

	if (f->type != FRAME_MACHINE)
		return error_set(err, -EBADMSG, "%s is not a description of a machine", frame_name(f->type));
	if (!j)
		return -EBADMSG;
	cpus = json_get_u64(j, "cpus", 0, &bad);
	s.memory_bytes = json_get_u64(j, "memory_bytes", 0, &bad);
	s.serial = json_get_bool(j, "serial", false, &bad);
	cmdline = json_get_str(j, "cmdline", NULL, &bad);
	if (!get_disks(j, &s) || !get_net(j, &s) || bad || !cmdline || cpus < 1 || cpus > MACHINE_CPUS_MAX ||
	    s.memory_bytes < MACHINE_MEMORY_MIN || s.memory_bytes % MIB)
		return error_set(err, -EBADMSG, "malformed description of a machine");
	s.cpus = (uint32_t)cpus;
	s.cmdline = strdup(cmdline);
	if (!s.cmdline)
		return error_nomem(err);
	*ret = s;
	return 0;
}

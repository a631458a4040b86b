#include "wire/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "wire/message.h"

void boot_spec_fini(struct boot_spec *s)
{
	free(s->hostname);
	*s = (struct boot_spec){ 0 };
}

int wire_put_boot(struct buf *out, const struct boot_spec *s)
{
	char seed[2 * BOOT_SEED + 1];

	str_hex(s->seed, BOOT_SEED, seed);
	return message_put(out, FRAME_BOOT, 0,
			   json_pack("{s:s, s:I, s:I, s:s, s:b}", "hostname", s->hostname, "time_ns", (json_int_t)s->time_ns,
				     "disk_bytes", (json_int_t)s->disk_bytes, "seed", seed, "network", s->network));
}

int wire_get_boot(const struct frame *f, struct boot_spec *ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	struct boot_spec s = { 0 };
	bool bad = false;
	const char *hostname, *seed;

	if (!j)
		return -EBADMSG;
	hostname = json_get_str(j, "hostname", NULL, &bad);
	s.time_ns = json_get_u64(j, "time_ns", 0, &bad);
	s.disk_bytes = json_get_u64(j, "disk_bytes", 0, &bad);
	s.network = json_get_bool(j, "network", false, &bad);
	seed = json_get_str(j, "seed", NULL, &bad);
	if (bad || !hostname || strlen(hostname) > 64 || !seed || str_unhex(seed, s.seed, BOOT_SEED) < 0)
		return error_set(err, -EBADMSG, "malformed BOOT message");
	s.hostname = strdup(hostname);
	if (!s.hostname)
		return error_nomem(err);
	*ret = s;
	return 0;
}

int wire_put_trust(struct buf *out, const char *pem)
{
	return message_put(out, FRAME_TRUST, 0, json_pack("{s:s}", "pem", pem));
}

int wire_get_trust(const struct frame *f, char **ret, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	bool bad = false;
	const char *pem = json_get_str(j, "pem", NULL, &bad);
	char *copy;

	if (!j)
		return -EBADMSG;
	if (bad || !pem || strlen(pem) > TRUST_PEM_MAX)
		return error_set(err, -EBADMSG, "malformed TRUST message");
	copy = strdup(pem);
	if (!copy)
		return error_nomem(err);
	*ret = copy;
	return 0;
}

int wire_put_clock(struct buf *out, uint64_t time_ns)
{
	return message_put(out, FRAME_CLOCK, 0, json_pack("{s:I}", "time_ns", (json_int_t)time_ns));
}

int wire_get_clock(const struct frame *f, uint64_t *ret_ns, struct error *err)
{
	auto_json json_t *j = message_get(f, err);
	bool bad = false;

	if (!j)
		return -EBADMSG;
	*ret_ns = json_get_u64(j, "time_ns", 0, &bad);
	return bad || !*ret_ns ? error_set(err, -EBADMSG, "malformed CLOCK message") : 0;
}

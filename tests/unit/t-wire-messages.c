/* Frames and messages: what is encoded decodes to the same, and nonsense is refused. */
#include <errno.h>
#include <stdlib.h>

#include "lib/tap.h"
#include "wire/boot.h"
#include "wire/copy.h"
#include "wire/machine.h"
#include "wire/proc.h"
#include "wire/spec.h"
#include "wire/timing.h"

static void test_frames(void)
{
	struct buf b = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	static char data[FRAME_DATA_MAX + 1];
	struct frame f;
	uint32_t more = 0;

	is_int(frame_peek(&b, &f), 0, "nothing is not a frame yet");
	is_int(frame_put(&b, FRAME_DATA, CHANNEL_STDERR | FRAME_EOF, 7, "abc", 3), 0, "a frame");
	b.tail--;
	is_int(frame_peek(&b, &f), 0, "a byte short is not a frame yet");
	b.tail++;
	is_int(frame_peek(&b, &f), 1, "whole");
	ok(f.type == FRAME_DATA && f.flags == (CHANNEL_STDERR | FRAME_EOF) && f.stream == 7 && f.len == 3 &&
		   !memcmp(f.payload, "abc", 3), "and the same");
	buf_consume(&b, frame_size(&f));
	is_int(buf_len(&b), 0, "consumed");
	is_int(frame_put_credit(&b, 9, CHANNEL_STDIN, 1000), 0, "credit");
	ok(frame_peek(&b, &f) == 1 && frame_get_credit(&f, &more) == 0 && more == 1000, "comes back");
	buf_data(&b)[6] = 1;
	is_int(frame_peek(&b, &f), -EBADMSG, "padding must be zero");
	buf_consume(&b, buf_len(&b));
	is_int(frame_put(&b, FRAME_DATA, 0, 1, data, sizeof(data)), 0, "DATA that is too long can be written");
	is_int(frame_peek(&b, &f), -EBADMSG, "but not read");
	buf_fini(&b);
	is_int(frame_put_credit(&b, 9, CHANNEL_STDIN, FRAME_WINDOW + 1), 0, "more credit than a window");
	ok(frame_peek(&b, &f) == 1 && frame_get_credit(&f, &more) == -EBADMSG, "is refused");
	buf_fini(&b);
}

static void test_copy(void)
{
	struct buf b = BUF_INIT(64 * KIB);
	struct copy_spec s = { .op = COPY_PUT, .place = true, .leaf_is_folder = true }, got;
	static const char nul[] = "{\"op\":\"get\",\"path\":\"2f00\"}", empty[] = "{\"op\":\"put\",\"name\":\"\"}";
	struct frame f;

	s.path = strdup("/a \xff\n\"");
	s.leaf = strdup("x");
	is_int(wire_put_copy(&b, 5, &s), 0, "a copy");
	ok(frame_peek(&b, &f) == 1 && f.type == FRAME_COPY && f.stream == 5 && wire_get_copy(&f, &got, NULL) == 0 &&
		   got.op == COPY_PUT && !strcmp(got.path, s.path) && !strcmp(got.leaf, "x") && !got.name && got.place &&
		   got.leaf_is_folder && !got.owners && !got.follow, "comes back, with a name that is not UTF-8");
	copy_spec_fini(&s);
	copy_spec_fini(&got);
	buf_consume(&b, buf_len(&b));
	is_int(frame_put(&b, FRAME_COPY, 0, 5, nul, strlen(nul)), 0, "a path with a NUL");
	ok(frame_peek(&b, &f) == 1 && wire_get_copy(&f, &got, NULL) == -EBADMSG, "is refused");
	buf_consume(&b, buf_len(&b));
	is_int(frame_put(&b, FRAME_COPY, 0, 5, empty, strlen(empty)), 0, "an empty name");
	ok(frame_peek(&b, &f) == 1 && wire_get_copy(&f, &got, NULL) == -EBADMSG, "likewise");
	buf_fini(&b);
}

static void test_process(void)
{
	struct buf b = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	struct proc_spec s = PROC_SPEC_INIT, got = PROC_SPEC_INIT;
	struct frame f;
	int signo = 0;

	ok(strv_add(&s.argv, "sh") == 0 && strv_add(&s.argv, "a \"b\"\n\xc3\xa4") == 0 && strv_add(&s.env, "A=") == 0,
	   "a process");
	s.cwd = strdup("/x y");
	s.tty = true;
	s.rows = 65535;
	is_int(wire_put_start(&b, 3, &s), 0, "is encoded");
	ok(frame_peek(&b, &f) == 1 && wire_get_start(&f, &got, NULL) == 0, "and decoded");
	ok(got.argv.n == 2 && !strcmp(got.argv.v[1], s.argv.v[1]) && got.env.n == 1 && !strcmp(got.cwd, "/x y") &&
		   !got.user && got.tty && !got.stdin_open && !got.main && got.rows == 65535 && got.cols == 0,
	   "to the same");
	proc_spec_fini(&got);
	f.len--;
	is_int(wire_get_start(&f, &got, NULL), -EBADMSG, "one that is cut off is refused");
	f.len += 2;
	is_int(wire_get_start(&f, &got, NULL), -EBADMSG, "and one with more behind it");
	f.len--;
	memcpy(buf_data(&b) + frame_size(&f) - 7, "\xff\xff\xff\x7f", 4);
	is_int(wire_get_start(&f, &got, NULL), -EBADMSG, "and one that says to have more variables than there are");
	buf_consume(&b, buf_len(&b));
	strv_fini(&s.argv);
	is_int(wire_put_start(&b, 3, &s), 0, "a process without a program");
	ok(frame_peek(&b, &f) == 1 && wire_get_start(&f, &got, NULL) == -EBADMSG, "is refused");
	buf_consume(&b, buf_len(&b));
	is_int(frame_put(&b, FRAME_SIGNAL, 0, 1, "\x41", 1), 0, "signal 65");
	ok(frame_peek(&b, &f) == 1 && wire_get_signal(&f, &signo) == -EBADMSG && signo == 0, "does not exist");
	proc_spec_fini(&s);
	buf_fini(&b);
}

static void test_rename(void)
{
	struct buf b = BUF_INIT(4 * KIB);
	char name[BOX_NAME_MAX + 2] = { 0 }, *got = NULL;
	struct frame f;

	memset(name, 'n', BOX_NAME_MAX);
	is_int(wire_put_rename(&b, name), 0, "a name");
	is_int(frame_peek(&b, &f) == 1 ? wire_get_rename(&f, &got) : -1, 0, "comes");
	is_str(got, name, "as it was sent");
	free(got);
	got = NULL;
	buf_consume(&b, buf_len(&b));
	name[BOX_NAME_MAX] = 'n';
	is_int(wire_put_rename(&b, name), 0, "one that is too long");
	is_int(frame_peek(&b, &f) == 1 ? wire_get_rename(&f, &got) : 0, -EBADMSG, "is none");
	buf_consume(&b, buf_len(&b));
	is_int(frame_put(&b, FRAME_RENAME, 0, 0, "", 1), 0, "an empty one");
	is_int(frame_peek(&b, &f) == 1 ? wire_get_rename(&f, &got) : 0, -EBADMSG, "is none either");
	f.len = 0;
	is_int(wire_get_rename(&f, &got), -EBADMSG, "nor is nothing");
	ok(got == NULL, "and nothing is given out");
	buf_fini(&b);
}

static void test_dial_unix(void)
{
	static char path[SOCKET_PATH_MAX + 2];
	static const struct {
		const char *payload, *what;
		uint32_t len;
	} bad[] = {
		{ "", "nothing", 0 },       { "/x", "a path without its end", 2 },
		{ "", "an empty path", 1 }, { "run/x", "a relative path", 6 },
		{ "/x\0y", "more than a path", 5 },
	};
	struct buf b = BUF_INIT(16 * KIB);
	struct frame f = { .type = FRAME_DIAL_UNIX };
	char *got = NULL;
	size_t i;

	memset(path, '/', SOCKET_PATH_MAX);
	is_int(wire_put_dial_unix(&b, 3, path), 0, "a path");
	is_int(frame_peek(&b, &f) == 1 ? wire_get_dial_unix(&f, &got) : -1, 0, "comes");
	is_str(got, path, "as it was sent");
	is_int(f.stream, 3, "on its stream");
	free(got);
	got = NULL;
	buf_consume(&b, buf_len(&b));
	path[SOCKET_PATH_MAX] = '/';
	is_int(wire_put_dial_unix(&b, 3, path), 0, "one that is too long");
	is_int(frame_peek(&b, &f) == 1 ? wire_get_dial_unix(&f, &got) : 0, -EBADMSG, "is none");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		f.payload = (const uint8_t *)bad[i].payload;
		f.len = bad[i].len;
		is_int(wire_get_dial_unix(&f, &got), -EBADMSG, bad[i].what);
	}
	ok(got == NULL, "and nothing is given out");
	buf_fini(&b);
}

static void test_exit(void)
{
	struct proc_exit e = { .kind = PROC_SIGNALLED, .signal = 15 }, got = { 0 };
	struct buf b = BUF_INIT(4096);
	struct frame f;

	strcpy(e.error, "line \xff with a byte that is not UTF-8");
	is_int(wire_put_exit(&b, 1, &e), 0, "an exit with a strange text");
	ok(frame_peek(&b, &f) == 1 && wire_get_exit(&f, &got) == 0, "comes through");
	is_int(proc_exit_status(&got), 143, "as 128 + 15");
	is_str(got.error, "line ? with a byte that is not UTF-8", "with the byte replaced");
	buf_data(&b)[FRAME_HEADER] = 99;
	ok(frame_peek(&b, &f) == 1 && wire_get_exit(&f, &got) == -EBADMSG, "an end of no kind is refused");
	buf_data(&b)[FRAME_HEADER] = PROC_EXITED;
	f.len--;
	is_int(wire_get_exit(&f, &got), -EBADMSG, "a text without its end");
	f.len = FRAME_HEADER;
	is_int(wire_get_exit(&f, &got), -EBADMSG, "and none");
	got = (struct proc_exit){ .kind = PROC_NOT_FOUND };
	is_int(proc_exit_status(&got), 127, "not found is 127");
	got.kind = PROC_CANNOT_RUN;
	is_int(proc_exit_status(&got), 126, "cannot run is 126");
	got.kind = PROC_LOST;
	is_int(proc_exit_status(&got), 125, "lost is 125");
	e = (struct proc_exit){ .kind = PROC_CANNOT_START };
	buf_consume(&b, buf_len(&b));
	is_int(wire_put_exit(&b, 1, &e), 0, "a box that could not be made");
	ok(frame_peek(&b, &f) == 1 && wire_get_exit(&f, &got) == 0, "comes through");
	is_int(proc_exit_status(&got), 125, "and is 125");
	buf_fini(&b);
}

static void test_hello(void)
{
	struct buf b = BUF_INIT(4096);
	struct error err = { 0 };
	struct frame f;

	is_int(wire_put_hello(&b, "shim"), 0, "HELLO");
	ok(frame_peek(&b, &f) == 1 && wire_get_hello(&f, &err) == 0, "is understood");
	buf_consume(&b, buf_len(&b));
	is_int(frame_put(&b, FRAME_HELLO, 0, 0, "\x63\0\0\0{}", 6), 0, "of another generation");
	ok(frame_peek(&b, &f) == 1 && wire_get_hello(&f, &err) == -EPROTO, "is refused: %s", err.text);
	buf_fini(&b);
}

static int get_boot(const char *json, struct boot_spec *ret)
{
	struct frame f = { .type = FRAME_BOOT, .payload = (const uint8_t *)json, .len = (uint32_t)strlen(json) };

	return wire_get_boot(&f, ret, NULL);
}

#define SEED_31 "00112233445566778899aabbccddeeff00112233445566778899aabbccddee" /* all bytes but the last */

static void test_clock(void)
{
	struct buf b = BUF_INIT(4096);
	struct frame f;
	uint64_t ns = 0;

	is_int(wire_put_clock(&b, 1795599619000000001), 0, "what time it is");
	ok(frame_peek(&b, &f) == 1 && f.type == FRAME_CLOCK && wire_get_clock(&f, &ns, NULL) == 0, "is understood");
	ok(ns == 1795599619000000001, "to the nanosecond");
	buf_fini(&b);
	is_int(wire_put_clock(&b, 0), 0, "none");
	ok(frame_peek(&b, &f) == 1 && wire_get_clock(&f, &ns, NULL) == -EBADMSG, "is refused");
	buf_fini(&b);
}

static void test_boot(void)
{
	struct boot_spec s = { .hostname = strdup("h"), .time_ns = 1795599619000000000, .disk_bytes = 8 * GIB,
			       .network = true },
			 got = { 0 };
	struct buf b = BUF_INIT(4096);
	struct frame f;
	int i;

	for (i = 0; i < BOOT_SEED; i++)
		s.seed[i] = (uint8_t)(255 - i);
	is_int(wire_put_boot(&b, &s), 0, "what the agent must know");
	ok(frame_peek(&b, &f) == 1 && f.type == FRAME_BOOT && wire_get_boot(&f, &got, NULL) == 0, "is understood");
	ok(!strcmp(got.hostname, "h") && got.time_ns == s.time_ns && got.disk_bytes == s.disk_bytes, "as it was meant");
	ok(memcmp(got.seed, s.seed, BOOT_SEED) == 0 && got.network, "with all of the seed, and a network");
	boot_spec_fini(&got);
	boot_spec_fini(&s);
	buf_fini(&b);
	is_int(get_boot("{\"hostname\":\"h\",\"seed\":\"" SEED_31 "01\"}", &got), 0, "a name and a seed are enough");
	ok(got.seed[0] == 0 && got.seed[31] == 1 && got.time_ns == 0 && !got.network, "and say no time and no network");
	boot_spec_fini(&got);
	is_int(get_boot("{\"hostname\":\"h\"}", &got), -EBADMSG, "no seed is refused");
	is_int(get_boot("{\"hostname\":\"h\",\"seed\":\"" SEED_31 "\"}", &got), -EBADMSG, "a short one");
	is_int(get_boot("{\"hostname\":\"h\",\"seed\":\"" SEED_31 "0101\"}", &got), -EBADMSG, "a long one");
	is_int(get_boot("{\"hostname\":\"h\",\"seed\":\"" SEED_31 "0x\"}", &got), -EBADMSG, "one that is not hex");
	is_int(get_boot("{\"hostname\":\"h\",\"seed\":[1]}", &got), -EBADMSG, "one that is not text");
	is_int(get_boot("{\"hostname\":\"h\",\"network\":1,\"seed\":\"" SEED_31 "01\"}", &got), -EBADMSG,
	       "a network that is neither there nor not");
	is_int(get_boot("{\"seed\":\"" SEED_31 "01\"}", &got), -EBADMSG, "and a guest without a name");
	ok(!got.hostname, "and nothing is touched");
}

static void test_spec(void)
{
	struct box_spec s = { .id = strdup("0123456789ab"), .hostname = strdup("h"), .engine = strdup("qemu"),
			      .accel = strdup("tcg"), .cpus = 2, .memory_bytes = GIB, .disk_bytes = 10 * GIB,
			      .tsc_khz = 2500000, .stop_grace_ms = 10000, .keep_disk = true, .attach = true,
			      .main = PROC_SPEC_INIT }, got = BOX_SPEC_INIT;
	struct buf b = BUF_INIT(FRAME_HEADER + FRAME_PAYLOAD_MAX);
	struct frame f;

	ok(strv_add(&s.main.argv, "true") == 0 && wire_put_spec(&b, &s) == 0, "a box is described");
	ok(frame_peek(&b, &f) == 1 && wire_get_spec(&f, &got, NULL) == 0, "and understood");
	ok(!strcmp(got.id, s.id) && got.cpus == 2 && got.memory_bytes == GIB && got.tsc_khz == 2500000 &&
		   got.keep_disk && got.attach && !got.detached && !got.engine_program, "as it was meant");
	box_spec_fini(&got);
	buf_consume(&b, buf_len(&b));
	s.cpus = SPEC_CPUS_MAX + 1;
	ok(wire_put_spec(&b, &s) == 0 && frame_peek(&b, &f) == 1 && wire_get_spec(&f, &got, NULL) == -EBADMSG,
	   "33 cpus are refused");
	box_spec_fini(&s);
	buf_fini(&b);
}

/* What becomes of a description's templates on their way. */
static int send_templates(char *key, bool from, struct box_spec *ret)
{
	struct box_spec s = { .id = strdup("0123456789ab"), .hostname = strdup("h"), .engine = strdup("qemu"),
			      .accel = strdup("tcg"), .cpus = 1, .memory_bytes = GIB, .template_key = key,
			      .from_template = from, .main = PROC_SPEC_INIT };
	struct buf b = BUF_INIT(4096);
	struct frame f;
	int r = strv_add(&s.main.argv, "true");

	if (r == 0)
		r = wire_put_spec(&b, &s);
	if (r == 0)
		r = frame_peek(&b, &f) == 1 ? wire_get_spec(&f, ret, NULL) : -EIO;
	box_spec_fini(&s);
	buf_fini(&b);
	return r;
}

static int get_spec(const char *more, struct box_spec *ret)
{
	struct buf b = BUF_INIT(4096);
	struct frame f = { .type = FRAME_SPEC };
	int r = buf_printf(&b, "{\"id\":\"0\",\"hostname\":\"h\",\"engine\":\"qemu\",\"accel\":\"tcg\",\"cpus\":1,"
			       "\"memory_bytes\":1073741824,\"main\":{\"argv\":[\"true\"]}%s}", more);

	f.payload = buf_data(&b);
	f.len = (uint32_t)buf_len(&b);
	if (r == 0)
		r = wire_get_spec(&f, ret, NULL);
	buf_fini(&b);
	return r;
}

static void test_templates(void)
{
	struct box_spec got = BOX_SPEC_INIT;

	is_int(send_templates(strdup("kernel \"1\"\n"), false, &got), 0, "a template to be made");
	ok(got.template_key && !strcmp(got.template_key, "kernel \"1\"\n") && !got.from_template, "has its key");
	box_spec_fini(&got);
	is_int(send_templates(NULL, true, &got), 0, "one to start from");
	ok(!got.template_key && got.from_template, "has none");
	box_spec_fini(&got);
	is_int(get_spec("", &got), 0, "a description may say nothing of templates");
	ok(!got.template_key && !got.from_template, "and then there are none");
	box_spec_fini(&got);
	is_int(get_spec(",\"from_template\":1", &got), -EBADMSG, "a number is not yes");
	is_int(get_spec(",\"template_key\":7", &got), -EBADMSG, "and no key");
	is_int(get_spec(",\"template_key\":\"a\\u0000b\"", &got), -EBADMSG, "and a NUL does not cut one");
	ok(!got.id && !got.template_key, "and nothing is touched");
}

static void test_machine(void)
{
	struct machine_spec s = { .cpus = 32, .memory_bytes = GIB, .serial = true, .ndisks = 2, .readonly = { true } };
	struct machine_spec got = { 0 };
	struct buf b = BUF_INIT(64 * KIB);
	struct frame f;

	s.cmdline = strdup("console=hvc0 \"x y\"");
	is_int(wire_put_machine(&b, &s), 0, "a machine");
	ok(frame_peek(&b, &f) == 1 && wire_get_machine(&f, &got, NULL) == 0, "comes back");
	ok(got.cpus == 32 && got.memory_bytes == GIB && got.serial && got.ndisks == 2 && got.readonly[0] &&
		   !got.readonly[1] && !strcmp(got.cmdline, s.cmdline), "the same");
	machine_spec_fini(&got);
	buf_consume(&b, buf_len(&b));
	s.cpus = 33;
	ok(wire_put_machine(&b, &s) == 0 && frame_peek(&b, &f) == 1 && wire_get_machine(&f, &got, NULL) == -EBADMSG,
	   "33 CPUs are refused");
	buf_consume(&b, buf_len(&b));
	s.cpus = 1;
	s.memory_bytes = GIB + 4096;
	ok(wire_put_machine(&b, &s) == 0 && frame_peek(&b, &f) == 1 && wire_get_machine(&f, &got, NULL) == -EBADMSG,
	   "memory that is not whole MiB as well");
	buf_fini(&b);
	machine_spec_fini(&s);
}

static void test_timing(void)
{
	struct timing t = {
		.at = { [TIMING_SHIM] = 1, [TIMING_GUEST] = 1ULL << 62, [TIMING_END] = 3 },
		.kernel = { 2, { { "inet_init", 5 }, { "(others)", 0 } } },
	}, got;
	static const char *const bad_parts[] = {
		"{\"kernel\":{}}", "{\"kernel\":[1]}", "{\"kernel\":[[\"a\",-1]]}", "{\"kernel\":[[\"a\",1,2]]}",
		"{\"kernel\":[[\"a\\n\",1]]}", "{\"kernel\":[[\"\u00e9\",1]]}",
		"{\"kernel\":[[\"0123456789012345678901234567890123456789012345678\",1]]}",
		"{\"kernel\":[[\"\",1],[\"\",1],[\"\",1],[\"\",1],[\"\",1],[\"\",1],[\"\",1],[\"\",1],"
		"[\"\",1],"
		"[\"\",1],[\"\",1],[\"\",1],[\"\",1],[\"\",1],[\"\",1],[\"\",1],[\"\",1]]}",
	};
	struct timing_parts parts;
	size_t i;
	static const char bad[] = "{\"shim\":-1}", worse[] = "{\"since_start\":\"0\"}";
	struct buf b = BUF_INIT(64 * KIB);
	uint64_t since = 7;
	struct frame f;

	ok(wire_put_timing(&b, &t) == 0 && frame_peek(&b, &f) == 1 && wire_get_timing(&f, &got) == 0 &&
		   !memcmp(&t, &got, sizeof(t)), "times come back");
	buf_consume(&b, buf_len(&b));
	ok(frame_put(&b, FRAME_TIMING, 0, 0, bad, sizeof(bad) - 1) == 0 && frame_peek(&b, &f) == 1 &&
		   wire_get_timing(&f, &got) == -EBADMSG, "not before the beginning of time");
	buf_consume(&b, buf_len(&b));
	ok(wire_put_ready(&b, 12345, &t.kernel) == 0 && frame_peek(&b, &f) == 1 &&
		   wire_get_ready(&f, &since, &parts) == 0 && since == 12345 &&
		   !memcmp(&parts, &t.kernel, sizeof(parts)),
	   "READY says how long the agent runs, and of what the kernel's boot consisted");
	buf_consume(&b, buf_len(&b));
	ok(wire_put_empty(&b, FRAME_READY, 0) == 0 && frame_peek(&b, &f) == 1 &&
		   wire_get_ready(&f, &since, &parts) == 0 && since == 0 && parts.n == 0, "or not");
	buf_consume(&b, buf_len(&b));
	ok(frame_put(&b, FRAME_READY, 0, 0, worse, sizeof(worse) - 1) == 0 && frame_peek(&b, &f) == 1 &&
		   wire_get_ready(&f, &since, &parts) == -EBADMSG, "but no text");
	for (i = 0; i < ARRAY_SIZE(bad_parts); i++) {
		buf_consume(&b, buf_len(&b));
		ok(frame_put(&b, FRAME_READY, 0, 0, bad_parts[i], strlen(bad_parts[i])) == 0 &&
			   frame_peek(&b, &f) == 1 && wire_get_ready(&f, &since, &parts) == -EBADMSG, "no parts: %s", bad_parts[i]);
	}
	buf_fini(&b);
}

static int get_machine(const char *more, struct machine_spec *ret)
{
	struct buf b = BUF_INIT(4096);
	struct frame f = { .type = FRAME_MACHINE };
	int r = buf_printf(&b, "{\"cpus\":1,\"memory_bytes\":1073741824,\"cmdline\":\"\",\"disks\":[]%s}", more);

	f.payload = buf_data(&b);
	f.len = (uint32_t)buf_len(&b);
	if (r == 0)
		r = wire_get_machine(&f, ret, NULL);
	buf_fini(&b);
	return r;
}

static void test_machine_net(void)
{
	struct machine_spec s = { .cpus = 1, .memory_bytes = GIB, .net = true, .mac = { 2, 0xab, 0, 0, 0, 0xff } };
	struct machine_spec got = { 0 };
	struct buf b = BUF_INIT(64 * KIB);
	struct frame f;

	s.cmdline = strdup("x");
	is_int(wire_put_machine(&b, &s), 0, "a machine with a network");
	ok(frame_peek(&b, &f) == 1 && wire_get_machine(&f, &got, NULL) == 0, "comes back");
	ok(got.net && !memcmp(got.mac, s.mac, MACHINE_MAC), "with its address");
	machine_spec_fini(&got);
	buf_consume(&b, buf_len(&b));
	s.net = false;
	ok(wire_put_machine(&b, &s) == 0 && frame_peek(&b, &f) == 1 && wire_get_machine(&f, &got, NULL) == 0 &&
		   !got.net, "and one without comes back without");
	machine_spec_fini(&got);
	machine_spec_fini(&s);
	buf_fini(&b);
	ok(get_machine("", &got) == 0 && !got.net, "a description may say nothing of a network");
	machine_spec_fini(&got);
	ok(get_machine(",\"net\":{\"mac\":\"0200000000ff\"}", &got) == 0 && got.net && got.mac[5] == 255, "or this");
	machine_spec_fini(&got);
	is_int(get_machine(",\"net\":{}", &got), -EBADMSG, "an address is due");
	is_int(get_machine(",\"net\":true", &got), -EBADMSG, "yes is none");
	is_int(get_machine(",\"net\":{\"mac\":1}", &got), -EBADMSG, "nor is a number");
	is_int(get_machine(",\"net\":{\"mac\":\"0200000000\"}", &got), -EBADMSG, "nor five bytes");
	is_int(get_machine(",\"net\":{\"mac\":\"0200000000ff00\"}", &got), -EBADMSG, "nor seven");
	is_int(get_machine(",\"net\":{\"mac\":\"02:00:00:00:ff\"}", &got), -EBADMSG, "nor one with colons");
	is_int(get_machine(",\"net\":{\"mac\":\"000000000000\"}", &got), -EBADMSG, "nor nobody's");
	is_int(get_machine(",\"net\":{\"mac\":\"030000000001\"}", &got), -EBADMSG, "nor that of a group");
	ok(!got.cmdline, "and nothing is touched");
}

/* A box's row, with what it says of a network. */
static int parse_row(const char *network, struct box_spec *ret)
{
	char row[1024];

	snprintf(row, sizeof(row),
		 "{\"id\":\"0123456789ab\",\"hostname\":\"h\",\"engine\":\"qemu\",\"accel\":\"tcg\",\"cpus\":1,"
		 "\"memory_bytes\":268435456,\"stop_grace_ms\":1,\"main\":{\"argv\":[\"x\"],\"env\":[],\"cwd\":\"/\"}%s}", network);
	return box_spec_parse(row, ret, NULL);
}

static void test_spec_network(void)
{
	struct box_spec s = BOX_SPEC_INIT, got = BOX_SPEC_INIT;
	struct buf b = BUF_INIT(64 * KIB);
	struct frame f;

	is_int(parse_row("", &s), 0, "the row of an old box");
	ok(s.net.none, "it has no network");
	box_spec_fini(&s);
	is_int(parse_row(",\"network\":{}", &s), 0, "one that has a network");
	ok(!s.net.none && s.net.open == 0 && s.net.nrules == 0 && s.net.nports == 0, "which is the default one");
	ok(net_spec_add_rule(&s.net, "tcp:example.com:443", true, NULL) == 0 &&
		   net_spec_add_port(&s.net, "0:80", NULL) == 0, "with a rule and a port");
	s.net.open = NET_OPEN_HOST;
	s.net_program = strdup("/bin/net");
	ok(wire_put_spec(&b, &s) == 0 && frame_peek(&b, &f) == 1 && wire_get_spec(&f, &got, NULL) == 0, "is sent");
	ok(got.net.nrules == 1 && got.net.nports == 1 && got.net.open == NET_OPEN_HOST &&
		   got.net.ports[0].guest_port == 80 && str_eq(got.net.rules[0].name, "example.com"), "and comes as it was");
	is_str(got.net_program, "/bin/net", "with the program for it");
	box_spec_fini(&s);
	box_spec_fini(&got);
	buf_fini(&b);
	is_int(parse_row(",\"network\":7", &s), -EBADMSG, "a network that is a number");
	is_int(parse_row(",\"network\":{\"rules\":[\"allow x:y:z\"]}", &s), -EBADMSG, "one with a rule that is none");
	is_int(parse_row(",\"network\":{\"none\":true,\"ports\":[\"0:80\"]}", &s), -EBADMSG, "none, with a port");
	ok(!s.id, "and nothing is touched");
}

int main(void)
{
	test_spec_network();
	test_frames();
	test_copy();
	test_process();
	test_machine();
	test_timing();
	test_machine_net();
	test_rename();
	test_dial_unix();
	test_exit();
	test_hello();
	test_clock();
	test_boot();
	test_spec();
	test_templates();
	return tap_done();
}

/* The probe of KVM as far as it needs none: how an end of the guest is told, and the verdict's way to its
 * reader. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <unistd.h>

#include "lib/tap.h"
#include "vmm/probe.h"
#include "vmm/probe_guest.h"

/* As the kernel shares it: the byte that the guest wrote lies behind the structure. */
static union {
	struct kvm_run run;
	uint8_t page[4096];
} shared;

static struct kvm_run *ended(uint32_t reason)
{
	memset(&shared, 0, sizeof(shared));
	shared.run.exit_reason = reason;
	return &shared.run;
}

static struct kvm_run *wrote(uint16_t port, uint8_t value)
{
	struct kvm_run *run = ended(KVM_EXIT_IO);

	run->io.direction = KVM_EXIT_IO_OUT;
	run->io.size = 1;
	run->io.count = 1;
	run->io.port = port;
	run->io.data_offset = sizeof(shared) - 1;
	shared.page[sizeof(shared) - 1] = value;
	return run;
}

static void is_reason(const struct kvm_run *run, const char *want)
{
	char out[VERDICT_REASON_MAX];

	probe_exit_text(run, out);
	is_str(out, want, want);
}

static void test_reports(void)
{
	struct verdict v = { .works = true };
	unsigned step = PROBE_STEP_START;

	ok(probe_exit(wrote(PROBE_PORT_STEP, PROBE_STEP_INT3), &step, &v), "a step begins and the guest goes on");
	is_int(step, PROBE_STEP_INT3, "at that step");
	ok(!probe_exit(wrote(PROBE_PORT_EXCEPTION, 6), &step, &v) && !v.works, "an exception is the end");
	is_str(v.step, "int3", "of the step");
	is_str(v.reason, "exception 6 in the guest", "and is told");
	step = PROBE_STEP_XSAVE;
	ok(!probe_exit(wrote(PROBE_PORT_WRONG, 0), &step, &v) && !v.works, "so is a wrong result");
	is_str(v.step, "xsave/xrstor", "of another step");
	is_str(v.reason, "the result is wrong", "which is told");
	v = (struct verdict){ 0 };
	ok(!probe_exit(wrote(PROBE_PORT_DONE, 0), &step, &v) && v.works, "the last report is the good end");
	ok(!probe_exit(wrote(0x80, 0), &step, &v) && !v.works, "a write to another port is none of ours");
	ok(probe_exit(wrote(PROBE_PORT_STEP, 200), &step, &v), "a step of a number that is none");
	is_str(probe_step_name(step), "an unknown step", "has a name, too");
}

static void test_reasons(void)
{
	static const uint8_t code[] = { 0xf0, 0x48, 0x0f, 0xc7 };
	struct kvm_run *run = ended(KVM_EXIT_INTERNAL_ERROR);

	run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	is_reason(run, "KVM_EXIT_INTERNAL_ERROR, suberror 1: it cannot emulate the instruction");
	run->emulation_failure.ndata = 4;
	run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run->emulation_failure.insn_size = sizeof(code);
	memcpy(run->emulation_failure.insn_bytes, code, sizeof(code));
	is_reason(run, "KVM_EXIT_INTERNAL_ERROR, suberror 1: it cannot emulate the instruction (bytes f0 48 0f c7)");
	run->internal.suberror = 77;
	is_reason(run, "KVM_EXIT_INTERNAL_ERROR, suberror 77: an unknown reason");
	run = ended(KVM_EXIT_FAIL_ENTRY);
	run->fail_entry.hardware_entry_failure_reason = 0x80000021;
	is_reason(run, "KVM_EXIT_FAIL_ENTRY: the processor refuses to enter the guest (0x80000021)");
	is_reason(ended(KVM_EXIT_SHUTDOWN), "KVM_EXIT_SHUTDOWN: a triple fault");
	run = ended(KVM_EXIT_MMIO);
	run->mmio.phys_addr = 0xfee00320;
	is_reason(run, "KVM_EXIT_MMIO: an access to 0xfee00320, which nobody made");
	is_reason(ended(KVM_EXIT_HLT), "KVM_EXIT_HLT: the in-kernel interrupt controller does not wake the guest");
	is_reason(ended(99), "exit reason 99 of KVM");
}

/* Any file that is not KVM's. */
static void test_not_kvm(void)
{
	struct verdict v = { 0 };
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	is_int(probe_kvm(fd, &v, NULL), 0, "/dev/null can be probed");
	ok(!v.works, "and does not work");
	is_str(v.step, "KVM_GET_API_VERSION", "not even its first call");
	is_str(v.reason, "the device is not KVM (Inappropriate ioctl for device)", "because it is another device");
	close(fd);
}

static void test_image(void)
{
	size_t n = (size_t)(probe_guest_end - probe_guest);

	ok(n > 256 && PROBE_CODE + n <= PROBE_XSAVE, "the guest has room where it lies: %zu bytes", n);
	ok(PROBE_XSAVE + 0x1000 <= PROBE_MEMORY && PROBE_TABLES + 0x4000 < PROBE_STACK, "and so has what is beside it");
}

static int get(const char *line, struct verdict *v)
{
	return verdict_get(line, strlen(line), v, NULL);
}

static void test_line(void)
{
	struct verdict v = { .create_us = 1200, .run_us = 31 }, back = { 0 };
	struct buf b = BUF_INIT(VERDICT_LINE_MAX);
	size_t i;

	verdict_fails(&v, "lock cmpxchg16b", "\"%s\"\n", "quoted");
	is_int(verdict_put(&b, &v), 0, "a verdict is a line");
	is_str(buf_str(&b), "{\"works\":false,\"step\":\"lock cmpxchg16b\",\"reason\":\"\\\"quoted\\\"?\",\"create_us\":1200,"
			    "\"run_us\":31}\n", "of JSON");
	is_int(verdict_get(buf_data(&b), buf_len(&b), &back, NULL), 0, "which is read");
	ok(!back.works && !strcmp(back.step, v.step) && !strcmp(back.reason, v.reason) && back.create_us == 1200 &&
		   back.run_us == 31, "as it was");
	buf_consume(&b, buf_len(&b));
	memset(v.step, '"', sizeof(v.step) - 1);
	memset(v.reason, '"', sizeof(v.reason) - 1);
	v.create_us = v.run_us = UINT32_MAX;
	is_int(verdict_put(&b, &v), 0, "the longest fits");
	buf_fini(&b);

	is_int(get("{\"works\":true}", &back), 0, "a verdict without more");
	ok(back.works && !*back.step && !back.create_us, "has nothing more");
	is_int(get("{\"works\":false,\"create_us\":99999999999,\"step\":\"\\u001b[2J\"}", &back), 0, "one that is odd");
	ok(back.create_us == UINT32_MAX && !strcmp(back.step, "?[2J"), "is bounded and made safe");
	static const char *const bad[] = { "", "{}", "[]", "1", "{\"works\":1}", "{\"works\":true,\"step\":3}",
					   "{\"works\":true,\"run_us\":-1}", "{\"works\":true", "{\"works\":true} x" };
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		is_int(get(bad[i], &back), -EBADMSG, bad[i]);
}

int main(void)
{
	test_reports();
	test_reasons();
	test_not_kvm();
	test_image();
	test_line();
	return tap_done();
}

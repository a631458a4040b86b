/*
 * Machines with tiny guests: every way out of a guest, interrupts, kicks, several CPUs, memory on both sides
 * of the hole, and every way to end. Needs a KVM: all is skipped where there is none. Some KVMs have no
 * hardware behind them and emulate 32-bit guests as far as their emulator goes: what that cannot do is
 * skipped there.
 *
 * Guests are 32-bit protected mode code, as PVH starts them, with serial port output and these fixed places:
 */
#include "vmm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/layout.h"

#include "lib/tap.h"

#include "lib/elfkernel.h"

#define RESULT 0x7000  /* what a guest leaves for the test */
#define AP_CODE 0x8000 /* where SIPI starts CPUs */
#define GDT 0x5000
#define IDT 0x6000
#define POINTERS 0x5100 /* for lgdt, then, at + 8, for lidt */
#define PAGES 0x9000    /* PAE: page directory pointers, then one directory a GiB */
#define VECTOR 0x35
#define TEST_IRQ 5
#define WAIT_MS 60000 /* a limit for what should take no time, on a machine as slow as an emulated one */

/* --- the guests ------------------------------------------------------------------------------ */

#define GUEST(name, bits, code)                                                                 \
	__asm__(".pushsection .rodata\n.code" bits "\n" #name ":\n" code                       \
		"\n" #name "_end:\n.code64\n.popsection\n");                                  \
	extern const uint8_t name[], name##_end[]

#define PUT(c) "mov $0x3f8, %dx\n mov $'" c "', %al\n out %al, %dx\n"
#define OFF "mov $0xfe, %al\n out %al, $0x64\n 9: hlt\n jmp 9b\n"

/* M if EBX points to a start info, a string by "rep outsb", 32 bits from a port that is not there. */
GUEST(guest_ports, "32",
      "cmpl $0x336ec578, (%ebx)\n jne 1f\n" PUT("M")
      "1: mov $0x102000, %esp\n call 2f\n .ascii \"hello\"\n 2: pop %esi\n mov $5, %ecx\n cld\n rep outsb\n"
      "mov $0x600, %dx\n in %dx, %eax\n mov %eax, 0x7000\n"
      "mov $0x3fd, %dx\n in %dx, %al\n mov %al, 0x7004\n" OFF);

GUEST(guest_mmio, "32",
      "mov $0xd0000000, %edi\n"
      "movb $0x11, (%edi)\n movw $0x2222, 2(%edi)\n movl $0x33333333, 4(%edi)\n"
      "fninit\n movq 0x7100, %mm0\n movq %mm0, 8(%edi)\n"
      "movb 0x10(%edi), %al\n mov %al, 0x7000\n movw 0x20(%edi), %ax\n mov %ax, 0x7008\n"
      "movl 0x30(%edi), %eax\n mov %eax, 0x7010\n movq 0x40(%edi), %mm1\n movq %mm1, 0x7018\n" OFF);

GUEST(guest_kick, "32", "mov $0xd0000050, %edi\n movl $7, (%edi)\n movl $1, (%edi)\n movl $1, (%edi)\n" OFF);

/* The old PIC off, I/O APIC pin 5 to VECTOR, local APIC on, R, wait; the handler says I and ends. */
GUEST(guest_irq, "32",
      "mov $0x102000, %esp\n lgdt 0x5100\n lidt 0x5108\n"
      "mov $0xff, %al\n out %al, $0x21\n out %al, $0xa1\n"
      "movl $0x1ff, 0xfee000f0\n"
      "movl $0x1a, 0xfec00000\n movl $0x35, 0xfec00010\n movl $0x1b, 0xfec00000\n movl $0, 0xfec00010\n"
      PUT("R") "sti\n 1: hlt\n jmp 1b\n"
      ".org guest_irq + 0x100\n movl $0, 0xfee000b0\n" PUT("I") OFF);

/* As a kernel with panic_warm: a word for the firmware, and the reset. */
GUEST(guest_panic, "32", "movw $0x1234, 0x472\n" OFF);
GUEST(guest_triple_fault, "32", PUT("T") "movl $0, 0x7000\n movl $0, 0x7004\n lidt 0x7000\n int3\n");
GUEST(guest_spin, "32", PUT("S") "1: jmp 1b\n");
GUEST(guest_halt, "32", PUT("H") "cli\n 1: hlt\n jmp 1b\n");

/* Starts all other CPUs (INIT, then SIPI to page 8), waits until RESULT says three. */
GUEST(guest_smp, "32",
      "movl $0x1ff, 0xfee000f0\n movl $0xc4500, 0xfee00300\n movl $0xc4608, 0xfee00300\n"
      "1: pause\n cmpl $3, 0x7000\n jne 1b\n" PUT("S") OFF);
GUEST(guest_ap, "16",
      "xor %ax, %ax\n mov %ax, %ds\n mov $1, %eax\n cpuid\n shr $24, %ebx\n movb $1, 0x7100(%bx)\n"
      "lock incl 0x7000\n cli\n 1: hlt\n jmp 1b\n");

/* Pages on, then the ends of both regions, through the 2 MiB pages that the test has prepared; the hole. */
GUEST(guest_memory, "32",
      "mov $0x20, %eax\n mov %eax, %cr4\n mov $0x9000, %eax\n mov %eax, %cr3\n"
      "mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
      "movl $0x1111, 0x401ffffc\n movl $0x2222, 0x40200000\n movl $0x3333, 0x405ffffc\n"
      "mov 0x40600000, %eax\n mov %eax, 0x7000\n mov 0x40200004, %eax\n mov %eax, 0x7004\n" OFF);

/* --- a machine under test -------------------------------------------------------------------- */

#define ACCESSES_MAX 16

struct access {
	uint64_t gpa, value;
	uint32_t n;
	bool write;
};

struct machine {
	struct memory mem;
	struct vm vm;
	int serial[2]; /* pipe: what the guest says comes out of the first */
	struct access access[ACCESSES_MAX];
	unsigned naccess;
};

static int kvm_fd;

static void record(void *ud, uint64_t gpa, void *data, uint32_t n, bool write)
{
	struct machine *m = ud;
	struct access a = { .gpa = gpa, .n = n, .write = write };
	const uint64_t answer = 0x8877665544332211;

	if (write)
		memcpy(&a.value, data, n);
	else
		memcpy(data, &answer, n);
	if (m->naccess < ACCESSES_MAX)
		m->access[m->naccess++] = a;
}

static void must(int r, const struct error *err)
{
	if (r < 0) {
		printf("Bail out! %s\n", err->text);
		exit(1);
	}
}

/* A machine with that guest, ready to start. */
static void machine_open(struct machine *m, unsigned ncpus, uint64_t bytes, const uint8_t *code,
			 const uint8_t *end)
{
	struct elf_file f = elf_file_good(code, (size_t)(end - code));
	int fd = elf_file_fd(&f, sizeof(f));
	struct error err = { 0 };
	struct loaded loaded;

	*m = (struct machine){ 0 };
	must(pipe2(m->serial, O_CLOEXEC), &err);
	must(mem_open(&m->mem, bytes, &err), &err);
	must(vm_open(&m->vm, kvm_fd, &m->mem, ncpus, &err), &err);
	must(load_files(&m->mem, fd, -1, &loaded, &err), &err);
	must(vm_boot(&m->vm, &loaded, "", &err), &err);
	close(fd);
	m->vm.mmio = record;
	m->vm.mmio_ud = m;
	m->vm.serial_fd = m->serial[1];
}

static void machine_start(struct machine *m)
{
	struct error err = { 0 };

	must(vm_start(&m->vm, &err), &err);
}

static void machine_close(struct machine *m)
{
	vm_close(&m->vm);
	mem_close(&m->mem);
	close(m->serial[0]);
	close(m->serial[1]);
}

static bool wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, WAIT_MS) == 1;
}

static enum vm_end machine_end(struct machine *m)
{
	enum vm_end end = VM_RUNS;

	if (wait_for(m->vm.ended_fd)) {
		pthread_mutex_lock(&m->vm.lock);
		end = m->vm.end;
		pthread_mutex_unlock(&m->vm.lock);
	}
	return end;
}

/* It ends that way; what else is to see says why not. */
static void ends(struct machine *m, enum vm_end want, const char *what)
{
	if (!is_int(machine_end(m), want, what))
		printf("# %s\n", m->vm.why);
}

/* The guest has something to say before it ends. */
static bool speaks(struct machine *m)
{
	struct pollfd p[] = {
		{ .fd = m->serial[0], .events = POLLIN },
		{ .fd = m->vm.ended_fd, .events = POLLIN },
	};

	return poll(p, 2, WAIT_MS) > 0 && p[0].revents;
}

/* The guest says exactly that next. */
static void says(struct machine *m, const char *want, const char *what)
{
	char got[64] = "";
	size_t n = 0, most = strlen(want);

	while (n < most && speaks(m)) {
		ssize_t r = read(m->serial[0], got + n, most - n);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	is_str(got, want, what);
}

static uint64_t result(struct machine *m, uint64_t at, unsigned bytes)
{
	uint64_t v = 0;

	if (mem_copy_in(&m->mem, &v, at, bytes) < 0)
		abort();
	return v;
}

static void put(struct machine *m, uint64_t at, const void *p, size_t n)
{
	if (mem_copy_out(&m->mem, at, p, n) < 0)
		abort();
}

/* --- tests ----------------------------------------------------------------------------------- */

static void test_ports(void)
{
	struct machine m;

	machine_open(&m, 1, 16 * MIB, guest_ports, guest_ports_end);
	machine_start(&m);
	ends(&m, VM_SHUTDOWN, "the keyboard controller's reset ends the machine");
	says(&m, "Mhello", "the start info is in EBX, and strings go to the serial port");
	is_int(result(&m, RESULT, 4), 0xffffffff, "nobody answers at a port: ones");
	is_int(result(&m, RESULT + 4, 1), 0x60, "the transmitter is empty");
	machine_close(&m);
}

static void test_mmio(void)
{
	static const uint64_t value = 0x4444444444444444;
	static const struct access want[] = {
		{ 0xd0000000, 0x11, 1, true },       { 0xd0000002, 0x2222, 2, true },
		{ 0xd0000004, 0x33333333, 4, true }, { 0xd0000008, value, 8, true },
		{ 0xd0000010, 0, 1, false },         { 0xd0000020, 0, 2, false },
		{ 0xd0000030, 0, 4, false },         { 0xd0000040, 0, 8, false },
	};
	struct machine m;

	machine_open(&m, 1, 16 * MIB, guest_mmio, guest_mmio_end);
	put(&m, RESULT + 0x100, &value, sizeof(value));
	machine_start(&m);
	ends(&m, VM_SHUTDOWN, "a guest with MMIO ends");
	is_int(m.naccess, ARRAY_SIZE(want), "each access came once");
	for (unsigned i = 0; i < ARRAY_SIZE(want) && i < m.naccess; i++) {
		const struct access *a = &m.access[i], *w = &want[i];

		ok(a->gpa == w->gpa && a->value == w->value && a->n == w->n && a->write == w->write,
		   "MMIO %s of %u bytes", w->write ? "write" : "read", w->n);
	}
	is_int(result(&m, RESULT, 8), 0x11, "1 byte is read");
	is_int(result(&m, RESULT + 8, 8), 0x2211, "2 bytes are read");
	is_int(result(&m, RESULT + 0x10, 8), 0x44332211, "4 bytes are read");
	is_int(result(&m, RESULT + 0x18, 8), 0x8877665544332211, "8 bytes are read");
	machine_close(&m);
}

static void test_kick(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t count = 0;
	struct machine m;

	machine_open(&m, 1, 16 * MIB, guest_kick, guest_kick_end);
	is_int(vm_ioeventfd(&m.vm, 0xd0000050, 1, fd, NULL), 0, "an eventfd for a value at an address");
	ok(vm_ioeventfd(&m.vm, 0xd0000050, 1, fd, NULL) < 0, "there is one of each only");
	machine_start(&m);
	ends(&m, VM_SHUTDOWN, "a guest that kicks ends");
	ok(read(fd, &count, 8) == 8 && count == 2, "two writes of the value went to the eventfd");
	ok(m.naccess == 1 && m.access[0].value == 7, "another value did not");
	machine_close(&m);
	close(fd);
}

/* Interrupt gates of 32-bit mode: only VECTOR's is there. */
static void put_descriptors(struct machine *m, uint32_t handler)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	const uint64_t gate = (handler & 0xffff) | 0x08ULL << 16 | 0x8e00ULL << 32 |
			      (uint64_t)(handler >> 16) << 48;
	const uint64_t gdtr = (sizeof(gdt) - 1) | (uint64_t)GDT << 16;
	const uint64_t idtr = 0x7ff | (uint64_t)IDT << 16;

	put(m, GDT, gdt, sizeof(gdt));
	put(m, IDT + VECTOR * 8, &gate, sizeof(gate));
	put(m, POINTERS, &gdtr, 6);
	put(m, POINTERS + 8, &idtr, 6);
}

static void test_irq(void)
{
	struct machine m;

	machine_open(&m, 1, 16 * MIB, guest_irq, guest_irq_end);
	put_descriptors(&m, KERNEL_AT + 0x100);
	machine_start(&m);
	says(&m, "R", "the guest waits for the interrupt");
	vm_pulse_irq(&m.vm, TEST_IRQ);
	says(&m, "I", "it gets it");
	ends(&m, VM_SHUTDOWN, "and ends");
	machine_close(&m);
}

static void test_triple_fault(void)
{
	struct machine m;

	machine_open(&m, 1, 16 * MIB, guest_triple_fault, guest_triple_fault_end);
	machine_start(&m);
	ends(&m, VM_TRIPLE_FAULT, "a triple fault ends the machine");
	vm_stop(&m.vm);
	is_int(machine_end(&m), VM_TRIPLE_FAULT, "the first reason counts");
	machine_close(&m);
}

static void test_panic(void)
{
	struct machine m;

	machine_open(&m, 1, 16 * MIB, guest_panic, guest_panic_end);
	machine_start(&m);
	ends(&m, VM_PANICKED, "a reset that asks for a warm boot is a panic's");
	machine_close(&m);
}

static void test_stop(const uint8_t *code, const uint8_t *end, const char *said, unsigned ncpus,
		      const char *what)
{
	struct machine m;

	machine_open(&m, ncpus, 16 * MIB, code, end);
	machine_start(&m);
	says(&m, said, what);
	vm_stop(&m.vm);
	ends(&m, VM_KILLED, "it is stopped");
	vm_stop(&m.vm);
	machine_close(&m);
}

/* No wake-up is lost wherever the threads are. */
static void test_stop_races(void)
{
	unsigned killed = 0;

	for (unsigned i = 0; i < 20; i++) {
		struct machine m;

		machine_open(&m, 2, 16 * MIB, guest_spin, guest_spin_end);
		machine_start(&m);
		if (i % 2)
			poll(NULL, 0, (int)i / 4);
		vm_stop(&m.vm);
		killed += machine_end(&m) == VM_KILLED;
		machine_close(&m);
	}
	is_int(killed, 20, "a machine can be stopped at any moment after its start");
}

static void test_stages(void)
{
	struct machine m;
	struct error err = { 0 };
	struct vm vm;

	machine_open(&m, 2, 16 * MIB, guest_spin, guest_spin_end);
	vm_close(&m.vm);
	ok(vm_open(&vm, kvm_fd, &m.mem, 0, &err) == -EINVAL, "no machine without CPUs");
	ok(vm_open(&vm, kvm_fd, &m.mem, VM_CPUS_MAX + 1, &err) == -EINVAL, "nor with too many");
	ok(vm_open(&vm, m.serial[0], &m.mem, 1, &err) < 0 && strstr(err.text, "/dev/kvm"), "nor without KVM");
	is_int(vm_open(&m.vm, kvm_fd, &m.mem, VM_CPUS_MAX, &err), 0, "with as many as can be");
	vm_stop(&m.vm);
	is_int(vm_start(&m.vm, &err), 0, "a machine that was stopped first starts");
	ends(&m, VM_KILLED, "and has ended");
	machine_close(&m);
}

static void test_smp(void)
{
	struct machine m;

	machine_open(&m, 4, 16 * MIB, guest_smp, guest_smp_end);
	put(&m, AP_CODE, guest_ap, (size_t)(guest_ap_end - guest_ap));
	machine_start(&m);
	ends(&m, VM_SHUTDOWN, "CPUs started by SIPI");
	says(&m, "S", "are seen by the first");
	is_int(result(&m, RESULT + 0x100, 4), 0x01010100, "each has its own APIC id");
	machine_close(&m);
}

#define LARGE_PAGE 0x83ULL /* present, writable, 2 MiB */

/* 0: identity. 1 GiB: 2 MiB before the hole; 4 GiB and 2 MiB more; 1 MiB past the end of memory. */
static void put_pages(struct machine *m)
{
	const uint64_t pointers[] = { (PAGES + 0x1000) | 1, (PAGES + 0x2000) | 1 };
	const uint64_t first[] = { 0 | LARGE_PAGE };
	const uint64_t second[] = { (LOW_MEMORY_END - 2 * MIB) | LARGE_PAGE, HIGH_MEMORY | LARGE_PAGE,
				    (HIGH_MEMORY + 2 * MIB) | LARGE_PAGE, LOW_MEMORY_END | LARGE_PAGE };

	put(m, PAGES, pointers, sizeof(pointers));
	put(m, PAGES + 0x1000, first, sizeof(first));
	put(m, PAGES + 0x2000, second, sizeof(second));
}

static void test_memory(void)
{
	static const uint32_t there = 0x5555;
	struct machine m;

	machine_open(&m, 1, LOW_MEMORY_END + 4 * MIB, guest_memory, guest_memory_end);
	put_pages(&m);
	put(&m, HIGH_MEMORY + 4, &there, sizeof(there));
	machine_start(&m);
	ends(&m, VM_SHUTDOWN, "a guest with memory on both sides of the hole");
	is_int(result(&m, LOW_MEMORY_END - 4, 4), 0x1111, "its last bytes before the hole");
	is_int(result(&m, HIGH_MEMORY, 4), 0x2222, "its first after it");
	is_int(result(&m, HIGH_MEMORY + 4 * MIB - 4, 4), 0x3333, "and its last");
	ok(m.naccess == 1 && m.access[0].gpa == LOW_MEMORY_END && !m.access[0].write,
	   "in the hole are devices");
	is_int(result(&m, RESULT, 4), 0x44332211, "which answer");
	is_int(result(&m, RESULT + 4, 4), 0x5555, "what the host writes is seen");
	machine_close(&m);
}

/* --- is there a KVM that runs guests --------------------------------------------------------- */

static void skip(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(0);
}

static bool is_hardware(void)
{
	return access("/sys/module/kvm_intel", F_OK) == 0 || access("/sys/module/kvm_amd", F_OK) == 0;
}

static void need_kvm(void)
{
	struct machine m;

	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		skip("/dev/kvm cannot be opened");
	if (is_hardware())
		return;
	machine_open(&m, 1, 16 * MIB, guest_mmio, guest_mmio_end);
	machine_start(&m);
	if (machine_end(&m) == VM_FAILED && strstr(m.vm.why, "cannot emulate an instruction"))
		skip("this machine's KVM has no hardware behind it and cannot run guests");
	machine_close(&m);
}

int main(void)
{
	need_kvm();
	test_ports();
	test_mmio();
	test_kick();
	test_panic();
	test_stop(guest_spin, guest_spin_end, "S", 1, "a guest that spins");
	test_stop(guest_halt, guest_halt_end, "H", 1, "a guest that sleeps for ever");
	test_stop(guest_spin, guest_spin_end, "S", 3, "a guest whose other CPUs never start");
	test_stop_races();
	test_stages();
	test_smp();
	if (is_hardware()) {
		test_triple_fault();
		test_irq();
		test_memory();
	} else {
		ok(true, "triple fault, interrupts, paging # SKIP no hardware behind this machine's KVM");
	}
	return tap_done();
}

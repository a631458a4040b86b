/*
 * The guest of the probe: what Linux does in ring 0, one step after the other, each announced on a port
 * before it begins. It is entered in 64-bit mode at its first byte with interrupts off, and its image lies
 * at PROBE_CODE.
 *
 * Why these: a Linux kernel uses each of them before or soon after it starts init. `wrmsr` sets up the
 * system calls (EFER) and the per-CPU data (GS base); `int3` is how code is patched and how exceptions come
 * at all; SLUB's lists are changed by `lock cmpxchg16b`; `xsave` and `xrstor` switch tasks; and without
 * timer interrupts nothing is scheduled. A KVM that has no hardware to run ring 0 on runs it in its
 * instruction emulator, which refuses int3 in 64-bit mode and the 16-byte form of cmpxchg and does not know
 * xsave (Linux, arch/x86/kvm/emulate.c).
 *
 * Encodings: Intel SDM vol. 3A, 3.4.5 (segment descriptors), 6.14.1 (64-bit gates), 12.5 (local APIC).
 */
#include "vmm/probe_guest.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

#define SAY(port) "	out	%al, $" TEXT(port) "\n"
#define STEP(n) "	mov	$" TEXT(n) ", %al\n" SAY(PROBE_PORT_STEP)

/* Addresses in the guest of labels here. */
#define AT(label) label " - probe_guest + " TEXT(PROBE_CODE)

__asm__(
"	.pushsection .rodata, \"a\", @progbits\n"
"	.balign	64\n"
"	.globl	probe_guest, probe_guest_end\n"
"	.hidden	probe_guest, probe_guest_end\n"
"probe_guest:\n"
"	lgdt	.Lgdt_pointer(%rip)\n"
"	lidt	.Lidt_pointer(%rip)\n"

/* wrmsr: EFER.SCE, which enables syscall. */
	STEP(PROBE_STEP_EFER)
"	mov	$0xc0000080, %ecx\n"
"	rdmsr\n"
"	or	$1, %eax\n"
"	wrmsr\n"
"	xor	%eax, %eax\n"
"	rdmsr\n"
"	test	$1, %al\n"
"	jz	.Lwrong\n"

/* wrmsr: two GS bases, and the way between them. */
	STEP(PROBE_STEP_GS)
"	mov	$0xc0000101, %ecx\n" /* GS_BASE */
"	mov	$" AT(".Lpair") ", %eax\n"
"	xor	%edx, %edx\n"
"	wrmsr\n"
"	inc	%ecx\n" /* KERNEL_GS_BASE */
"	add	$8, %eax\n"
"	wrmsr\n"
"	mov	.Lpair(%rip), %rbx\n"
"	cmp	%gs:0, %rbx\n"
"	jne	.Lwrong\n"
"	swapgs\n"
"	mov	.Lpair+8(%rip), %rbx\n"
"	cmp	%gs:0, %rbx\n"
"	jne	.Lwrong\n"

/* int3: through the IDT to its handler and back by iretq. */
	STEP(PROBE_STEP_INT3)
"	xor	%r15d, %r15d\n"
"	int3\n"
"	cmp	$3, %r15d\n"
"	jne	.Lwrong\n"

	STEP(PROBE_STEP_CMPXCHG16B)
"	mov	.Lpair(%rip), %rax\n"
"	mov	.Lpair+8(%rip), %rdx\n"
"	mov	%rdx, %rbx\n" /* the two change places */
"	mov	%rax, %rcx\n"
"	lock cmpxchg16b .Lpair(%rip)\n"
"	jnz	.Lwrong\n"
"	cmp	%rbx, .Lpair(%rip)\n"
"	jne	.Lwrong\n"
"	cmp	%rcx, .Lpair+8(%rip)\n"
"	jne	.Lwrong\n"

/* xsave, xrstor: x87, SSE and AVX as far as the CPU has them. One without xsave is no failure: Linux takes
 * fxsave. */
	STEP(PROBE_STEP_XSAVE)
"	mov	$1, %eax\n"
"	cpuid\n"
"	bt	$26, %ecx\n"
"	jnc	.Ltimer\n"
"	mov	%cr4, %rax\n"
"	or	$0x40600, %eax\n" /* OSXSAVE, OSXMMEXCPT, OSFXSR */
"	mov	%rax, %cr4\n"
"	mov	$0xd, %eax\n"
"	xor	%ecx, %ecx\n"
"	cpuid\n" /* eax: what XCR0 may have */
"	and	$7, %eax\n"
"	mov	%eax, %r14d\n"
"	xor	%ecx, %ecx\n"
"	xor	%edx, %edx\n"
"	xsetbv\n"
"	movdqu	.Lpair(%rip), %xmm0\n"
"	mov	$" TEXT(PROBE_XSAVE) ", %edi\n"
"	mov	%r14d, %eax\n"
"	xsave64	(%rdi)\n"
"	movdqu	.Lzero(%rip), %xmm0\n"
"	mov	%r14d, %eax\n"
"	xrstor64 (%rdi)\n"
"	movdqu	%xmm0, .Lzero(%rip)\n"
"	mov	.Lpair(%rip), %rax\n"
"	cmp	%rax, .Lzero(%rip)\n"
"	jne	.Lwrong\n"

/* The local APIC's timer, once in a million cycles of its bus: KVM's is of 1 GHz, so that is a
 * millisecond. */
".Ltimer:\n"
	STEP(PROBE_STEP_TIMER)
"	mov	$0xfee00000, %esi\n"
"	xor	%r15d, %r15d\n"
"	movl	$0x1ff, 0xf0(%rsi)\n"     /* spurious vector 255; enabled */
"	movl	$0xb, 0x3e0(%rsi)\n"      /* divide by 1 */
"	movl	$0x20, 0x320(%rsi)\n"     /* one shot, vector 32 */
"	movl	$1000000, 0x380(%rsi)\n"
".Lidle:\n"
"	sti\n" /* takes effect after the next instruction, so nothing comes between */
"	hlt\n"
"	cli\n"
"	cmp	$32, %r15d\n"
"	jne	.Lidle\n"

	SAY(PROBE_PORT_DONE)
".Lend:\n"
"	cli\n"
"	hlt\n"
"	jmp	.Lend\n"

".Lwrong:\n"
	SAY(PROBE_PORT_WRONG)
"	jmp	.Lend\n"

".Lon_int3:\n"
"	mov	$3, %r15d\n"
"	iretq\n"

".Lon_timer:\n"
"	mov	$32, %r15d\n"
"	movl	$0, 0xb0(%rsi)\n" /* end of interrupt */
"	iretq\n"

/* An exception that nobody asked for: its number, and no way back. */
".Lexception:\n"
	SAY(PROBE_PORT_EXCEPTION)
"	jmp	.Lend\n"
"	.balign	8\n"
".Lstubs:\n"
"	.set	.Lv, 0\n"
"	.rept	32\n"
"	.balign	8\n"
"	mov	$.Lv, %al\n"
"	jmp	.Lexception\n"
"	.set	.Lv, .Lv + 1\n"
"	.endr\n"

"	.balign	16\n"
".Lpair:\n"
"	.quad	0x1122334455667788, 0x99aabbccddeeff00\n"
".Lzero:\n"
"	.quad	0, 0\n"

"	.balign	8\n"
".Lgdt:\n"
"	.quad	0\n"
"	.quad	0x00af9b000000ffff\n" /* PROBE_CS: 64-bit code */
"	.quad	0x00cf93000000ffff\n" /* PROBE_DS: data */
".Lgdt_end:\n"

/* Interrupt gates of ring 0. All handlers are in the first 64 KiB, so the upper parts of their addresses
 * are 0. */
"	.balign	16\n"
".Lidt:\n"
"	.set	.Lv, 0\n"
"	.rept	33\n"
"	.if	.Lv == 3\n"
"	.word	" AT(".Lon_int3") "\n"
"	.elseif	.Lv == 32\n"
"	.word	" AT(".Lon_timer") "\n"
"	.else\n"
"	.word	" AT(".Lstubs") " + 8 * .Lv\n"
"	.endif\n"
"	.word	" TEXT(PROBE_CS) ", 0x8e00, 0\n"
"	.quad	0\n"
"	.set	.Lv, .Lv + 1\n"
"	.endr\n"
".Lidt_end:\n"

".Lgdt_pointer:\n"
"	.word	.Lgdt_end - .Lgdt - 1\n"
"	.quad	" AT(".Lgdt") "\n"
".Lidt_pointer:\n"
"	.word	.Lidt_end - .Lidt - 1\n"
"	.quad	" AT(".Lidt") "\n"
"probe_guest_end:\n"
"	.popsection\n"
);

#!/bin/bash
# Every way to begin and to end: the exit status, and the line that says why.
. "$(dirname "$0")/common.sh"

# --- what the guest does
vm nothing
results "a guest that turns itself off"
is "$CONSOLE" "" "it has nothing to complain of"
vm exit
ended 1 "^the guest's kernel panicked$" "an init that ends"
like "$CONSOLE" $'Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000700\n' "the console says why"
vm --cpus 2 --memory 64 oom
ended 1 "^the guest's kernel panicked$" "a kernel without memory"
like "$CONSOLE" $'Kernel panic - not syncing: Out of memory: .*' "the console says why"
vm nothing reboot=t
ended 1 "^the guest's CPU 0 met a triple fault: its kernel has crashed$" "a triple fault"
is "$OUT" end "of a guest that had come that far"
# The kernel turns its virtio devices off before it says this.
vm --serial --console-signal TERM:1 halt console=ttyS0 8250.nr_uarts=1
ended 0 "" "a guest that has halted its CPUs waits to be ended"
is "$CONSOLE" 'reboot: System halted' "which it says"

# --- what is done to it
for signal in TERM INT; do
	for guest in wait spin; do
		vm --cpus 2 --signal $signal:1 $guest
		ended 0 "" "SIG$signal ends a guest that would $guest for ever"
	done
	vm --signal $signal:1000 talk
	ended 0 "" "or talk for ever"
done
vm --signal KILL:1 spin
ended 137 "" "SIGKILL"

# --- what it is made of
vmlinux=$O/guest/vmlinux
: > nothing
vm --kernel nothing nothing; ended 1 '^the kernel is no ELF file: it is too short$' "a kernel of no bytes"
vm --kernel "$TOP/README.md" nothing; ended 1 '^the kernel is no ELF file: give vmlinux, not bzImage$' "a kernel that is none"
head -c 1000000 "$vmlinux" > half
vm --kernel half nothing; ended 1 '^the kernel is cut off: segment [0-9]+ is not all there$' "half a kernel"
vm --kernel /bin/busybox nothing; ended 1 '^the kernel has no PVH entry' "a program"
vm --initramfs nothing nothing; ended 1 '^the initramfs is empty$' "an initramfs of no bytes"
truncate -s 1G large
vm --memory 64 --initramfs large nothing
ended 1 '^no room for 1048576 KiB of initramfs: give the machine more memory$' "an initramfs that is larger than the memory"
vm --initramfs "$TOP/README.md" nothing
ended 1 "^the guest's kernel panicked$" "an initramfs that is none"
like "$CONSOLE" 'Kernel panic - not syncing: VFS: Unable to mount root fs' "the console says why"
vm --no-kvm nothing; ended 1 '^/dev/kvm speaks version -1, not 12$' "no KVM"
vm --spec nonsense nothing; ended 1 '^no description of a machine$' "no description"
vm --memory 32 nothing; ended 1 '^malformed description of a machine$' "too little memory"
vm --memory $((2 << 20)) nothing; ended 1 '^a machine cannot have [0-9]+ bytes of memory' "too much of it"
vm --cpus 33 nothing; ended 1 '^malformed description of a machine$' "too many CPUs"
vm nothing "$(printf '%2048s' '' | tr ' ' x)"; ended 1 '^the kernel command line has [0-9]+ bytes, the kernel takes 2047' "too many words"
vm --debug nothing
results "a machine with a serial port"
like "$CONSOLE" 'Linux version 6\.' "says much"

# --- an agent that the host does not understand says so, and that is heard
vm --initramfs "$O/guest/initramfs" --say "$(printf '%64s' '' | tr ' ' '?')" boxlite.channel=vsock:2:1
is "$ST $(strings -n 20 out | grep malformed)" "0 malformed frame from the host: Bad message" "last words are heard" ||
  diag_vm

# --- CPUs and memory
for n in 1 2 5 32; do
	vm --cpus $n --memory 192 cpus
	results "a machine with $n CPUs"
	like "$OUT" "^cpus $n"$'\n' "  has as many"
done
for m in 64:below 3136:below 4096:both\ sides; do
	vm --memory ${m%:*} memory
	results "a machine with ${m%:*} MiB"
	like "$OUT" $'\n'"${m#*:}"$'\n' "  with pages where they should be: ${m#*:}"
	total=$(grep -oP '^memory \K\d+' out)
	[ "$total" -gt $((${m%:*} * 97 / 100 - 30)) ]
	ok $? "  uses it all" || diag "$total MiB"
done
tap_done

#!/bin/bash
# The lab: what goes in and comes out, that a machine runs on its /dev/kvm, and that nothing is left of it.
. "$(dirname "$0")/../lib/tap.sh"
TOP=$(cd "$(dirname "$0")/../.." && pwd)
LAB=$TOP/tests/lab/run
cd "$T" || exit 1
export LC_ALL=C TMPDIR=$T/tmp
mkdir "$TMPDIR"
chmod 755 "$T" # QEMU shows an ordinary user only folders that he may read

command -v qemu-system-x86_64 > /dev/null || skip_all "qemu-system-x86 is not installed"
dpkg-query -W linux-source-6.1 > /dev/null 2>&1 || skip_all "linux-source-6.1 is not installed"
# The first one builds what is missing, minutes, once, and says so.
"$LAB" true > log 2>&1; is $? 0 "a lab starts" || { diag "$(cat log)"; tap_done; exit 1; }
"$LAB" true > log 2>&1; is "$? $(cat log)" "0 " "and says nothing"

# lab ARG...: sets ST and ERR, and leaves the output in the file out.
lab() {
	timeout -k 5 60 "$LAB" "$@" > out 2> err
	ST=$?
	ERR=$(cat err)
}

# What a lab is made of has this in its environment.
export LAB_TEST=$$.$RANDOM
marked() {
	local p
	for p in /proc/[0-9]*; do
		grep -qzx "LAB_TEST=$LAB_TEST" "$p/environ" 2> /dev/null && cat "$p/comm" 2> /dev/null
	done | grep -E 'qemu|python|run|setpriv'
}

# nothing_left NAME: no process and no file; a process may need a moment after its parent's kill -9.
nothing_left() {
	local end=$((SECONDS + 10))
	while [ -n "$(marked)" ] && [ $SECONDS -lt $end ]; do sleep 0.05; done
	is "$(marked; find "$TMPDIR" -mindepth 1)" "" "$1"
}

# --- what comes out --------------------------------------------------------------------------------------
lab sh -c 'echo out; echo err >&2; printf "no newline"; exit 7'
is "$ST|$(cat out)|$ERR" "7|out"$'\n'"no newline|err" "status, output, error output"
lab sh -c 'kill -SEGV $$'; is "$ST" 139 "128 + 11 for a crash"
lab /no/such; is "$ST|$ERR" "127|lab: /no/such: No such file or directory" "127 for a command that is not there"
lab /etc; is "$ST|$ERR" "126|lab: /etc: Permission denied" "126 for one that is none"
lab sh -c 'yes & sleep 1; exit 3'; is "$ST" 3 "who writes on in the background ends with the command"
head -c 1048576 /dev/urandom > noise
lab cat noise; cmp -s out noise; ok $? "a megabyte of noise comes out as it is"
timeout 60 "$LAB" sh -c 'cat >&2' < noise 2> err; cmp -s err noise; ok $? "and goes in as it is" ||
  diag "$(stat -c %s err) bytes" "$(cmp err noise 2>&1)" "$(head -c 300 err | tr -c '[:print:]' .)"
is "$(yes | timeout 60 "$LAB" head -n 2)" $'y\ny' "input that does not end holds nothing up"
timeout 60 "$LAB" yes | head -n 1 > out; is "${PIPESTATUS[0]} $(cat out)" "141 y" "and who reads no more ends it"

# --- what goes in ----------------------------------------------------------------------------------------
mkdir 'a folder'
cd 'a folder' || exit 1
is "$(env -i PATH="$PATH" A=$'two\nlines' TMPDIR="$TMPDIR" timeout 60 "$LAB" \
  sh -c 'pwd; echo "$A"; for a; do echo "<$a>"; done; id -u' - '' 'b  c' "'" | tr '\n' ,)" \
  "$PWD,two,lines,<>,<b  c>,<'>,0," "folder, environment and arguments; root inside"
cd ..
touch mine
lab sh -c 'echo changed > mine; echo new > yours; rm noise; cat mine yours; [ ! -e noise ]'
is "$ST $(cat out; ls -d mine noise yours 2> /dev/null; cat mine)" "0 changed"$'\nnew\nmine\nnoise' \
  "it may write everywhere, and this machine has nothing of it"
before=$(date +%s); lab date +%s; now=$(cat out)
[ "$now" -ge "$before" ] && [ "$now" -le "$(date +%s)" ]; ok $? "its clock is right"
lab --user nobody sh -c 'id -un; echo x > /dev/stdout; echo > /etc/passwd'
is "$ST $(cat out)" $'2 nobody\nx' "--user"
lab --cpus 3 --memory 700 sh -c 'nproc; sed -n "s/MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo'
{ read -r cpus; read -r kib; } < out
[ "$cpus" = 3 ] && [ "$kib" -gt 600000 ] && [ "$kib" -le 716800 ]; ok $? "--cpus and --memory"
lab python3 -c 'import socket
s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname()); print("lo")'
is "$ST $(cat out)" "0 lo" "it has a loopback network"
if [ "$(id -u)" != 0 ]; then
	skip "an ordinary user" "this is one already"
elif ! setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$LAB"; then
	skip "an ordinary user" "$TOP is not open to others"
else
	is "$(setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/nonexistent timeout 60 "$LAB" \
	  sh -c 'id -u; cat mine && echo read; cat /etc/shadow' 2> err; cat err)" \
	  $'0\nread\ncat: /etc/shadow: Permission denied' "an ordinary user's lab has his rights to files"
fi

# --- KVM -------------------------------------------------------------------------------------------------
# The lab's own kernel as the guest: all that it needs is in it.
mkdir kvm
"$TOP/kernel/bench-floor" -p kvm "$TOP/out/lab/vmlinux" > log
lab qemu-system-x86_64 -M microvm,accel=kvm,acpi=off,pit=off,pic=off,rtc=on,isa-serial=on -cpu host -m 256 \
  -nodefaults -no-user-config -display none -no-reboot -serial stdio -initrd kvm/initramfs \
  -kernel "$TOP/out/lab/vmlinux" -append "panic=-1 reboot=t console=ttyS0 8250.nr_uarts=1"
is "$ST" 0 "QEMU with accel=kvm runs a machine"
like "$(cat out)" 'Hypervisor detected: KVM' "which sees KVM"
like "$(cat out)" $'\ninit\r?\n' "and gets to its init"

# --- icount ----------------------------------------------------------------------------------------------
# A figure that is the same: without icount ten in a hundred more or less is usual.
figure() {
	lab --icount bash -c 's=${EPOCHREALTIME/./}; for ((i = 0; i < 5000; i++)); do :; done; e=${EPOCHREALTIME/./}; echo $((e - s))'
	cat out
}
a=$(figure) b=$(figure)
[ "$a" -gt 1000 ] && [ $((a > b ? a - b : b - a)) -le $((a / 100)) ]; ok $? "with --icount $a us and $b us are the same"

# --- how it ends -----------------------------------------------------------------------------------------
nothing_left "nothing is left of all these"
lab --time 2 sleep 50; is "$ST|$ERR" "124|lab: 2.0 seconds are over (--time)" "a time limit"
lab python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x01234567)'
is "$ST|$ERR" $'125|lab: the lab has died\nlab| reboot: Restarting system' "125 for a lab that dies, and its console"
lab --no-such true; is "$ST|$ERR" "125|lab: option --no-such not recognized; see tests/lab/run --help" "a bad option"
nothing_left "nothing is left of these"
is "$(timeout 60 "$TOP/tests/lib/signal-after.py" INT 0.2 "$LAB" sleep 50)" 130 "Ctrl-C while it starts"
nothing_left "leaves nothing"
is "$(timeout 60 "$TOP/tests/lib/signal-after.py" INT 4 "$LAB" sleep 50)" 130 "Ctrl-C later"
nothing_left "leaves nothing"
is "$(timeout 60 "$TOP/tests/lib/signal-after.py" TERM 4 "$LAB" sh -c 'trap "" TERM INT; yes' | tail -n 1)" 143 "SIGTERM, in full flow"
nothing_left "leaves nothing"
is "$(timeout 60 "$TOP/tests/lib/signal-after.py" KILL 4 "$LAB" sleep 50)" 137 "kill -9"
nothing_left "leaves nothing"
tap_done

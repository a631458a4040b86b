#!/bin/bash
# boxlite run: exit codes, output, the image's configuration and what options make of it, and what the
# process finds itself in.
. "$(dirname "$0")/common.sh"

# A layer of things that only this test needs: a program that tells its ids, set-user-ID; one that crashes; a
# script without a program to run it; a folder that has no use as a program.
mkdir -p tree/opt
cat > ids.c <<'C'
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	(void)argc;
	if (strstr(argv[0], "crash"))
		*(volatile int *)16 = 1;
	return printf("uid %d euid %d\n", (int)getuid(), (int)geteuid()) < 0;
}
C
${CC:-cc} -static -O1 -w -o tree/opt/setuid ids.c || skip_all "no C compiler"
cp tree/opt/setuid tree/opt/crash
printf '#!/no/such/shell\n' > tree/opt/script
printf 'neither a program nor a script\n' > tree/opt/text
chmod 755 tree/opt/script tree/opt/text
chmod 4755 tree/opt/setuid
tar -C tree --owner=0 --group=0 --sort=name --mtime=@1 -cf layer.tar opt
make_home --layer layer.tar

# --- output and status -----------------------------------------------------------------------------------
bl run --rm bb sh -c 'echo out; echo err >&2; printf "no newline"; printf "\377\1" >&2; exit 7'
is "$ST" 7 "the exit code is passed on"
is "$OUT" $'out\nno newline' "standard output, as it was written"
is "$ERR" $'err\n\377\1' "standard error apart from it"
run bb true; result 0 "" "0 and silence"
run bb sh -c 'exit 255'; result 255 "" "255"
run bb /opt/crash; result 139 "" "128 + 11 for a crash"
run bb /etc/passwd; fails 126 '"/etc/passwd": permission denied' "126 for what is not executable"
run bb /bin; fails 126 '"/bin": is a directory' "126 for a folder"
run bb /opt/text; fails 126 'exec format error' "126 for a format that is unknown"
run bb nosuch a b; fails 127 '"nosuch": executable file not found in \$PATH' "127 for a name that is not in PATH"
run bb /no/such; fails 127 '"/no/such": no such file or directory' "127 for a path that is not there"
run bb /opt/script; fails 127 'interpreter' "127 for a script without its shell, and why"
nothing_left "these leave nothing" now

# --- mistakes --------------------------------------------------------------------------------------------
bl run --bad bb; fails 125 "unknown option --bad.*boxlite run --help" "an option that is not there"
bl run; fails 125 'which image' "no image"
bl frobnicate; fails 125 "no command 'frobnicate'.*--help" "a command that is not there"
bl --frob run bb; fails 125 'unknown option --frob' "a global option that is not there"
run --cpus two bb true; fails 125 "'two' is not a number of cpus" "cpus that are no number"
run --engine steam bb true; fails 125 "'steam'.*auto, kvm and qemu" "an engine that is not there"
run -e =x bb true; fails 125 "'=x' is not a variable" "a variable without a name"
run 'UPPER CASE' true; fails 125 'UPPER CASE' "what is not a reference"

# A port that is taken, and where nobody listens: no registry, quickly and for sure.
coproc PORT { exec python3 -c 'import socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()'; }
read -r port <&"${PORT[0]}"
export BOXLITE_PULL_ATTEMPTS=1
run -q "127.0.0.1:$port/x:1" true
fails 125 "127\.0\.0\.1:$port.*refused" "an image that is not here, and its registry neither"
run "127.0.0.1:$port/x:1" true
like "$ERR" "^127\.0\.0\.1:$port/x:1: [a-z]+"$'\n' "without -q it says first that it pulls"
unset BOXLITE_PULL_ATTEMPTS
kill "$PORT_PID"
nothing_left "and nothing was begun" now

# --- the image's configuration ---------------------------------------------------------------------------
image conf --config '{"config": {"Entrypoint": ["sh", "-c", "echo $0 $* in $(pwd) as $(id -un) $FOO:$BAR:$HOME", "entry"],
  "Cmd": ["a", "b c"], "Env": ["PATH=/bin", "FOO=image", "BAR=x y"], "WorkingDir": "/srv/made/deep", "User": "user"}}'
run conf; result 0 $'entry a b c in /srv/made/deep as user image:x y:/home\n' "ENTRYPOINT, CMD, ENV, WORKDIR, USER"
run -e FOO=mine -w /tmp -u 0 conf z
result 0 $'entry z in /tmp as root mine:x y:/root\n' "arguments replace CMD, options the rest"
run -e FOO -w "" -u "" conf z
result 0 $'entry z in /srv/made/deep as user :x y:/home\n' "-e of a variable that is not set here unsets it; empty options are the image's"
run --entrypoint echo conf; result 0 $'\n' "--entrypoint drops CMD too"
run --entrypoint echo conf x 'y  z'; result 0 $'x y  z\n' "and takes arguments"
run --entrypoint "" conf echo plain; result 0 $'plain\n' '--entrypoint "" clears it'
run --entrypoint "" conf; fails 125 'names no command: give one' 'and then there is nothing to run'
image none --config '{"config": {}}'
run none; fails 125 'names no command: give one' "an image without any command"
run none /bin/echo hi; result 0 $'hi\n' "and with a given one"

# --- environment -----------------------------------------------------------------------------------------
export FROM_HERE='of this shell'
run -e A=1 -e 'B=two  words' -e C= -e FROM_HERE -e NOT_SET_HERE -e A=2 bb env
is "$(sed -E 's/^HOSTNAME=[0-9a-f]{12}$/HOSTNAME=id/' <<<"$OUT" | sort)" "
A=2
B=two  words
C=
FROM_HERE=of this shell
HOME=/root
HOSTNAME=id
PATH=/bin" "the environment is this and no more"
run -e HOME=/elsewhere -e PATH=/none none /bin/sh -c 'echo $HOME $PATH'
result 0 $'/elsewhere /none\n' "HOME and PATH may be given"
run none /bin/sh -c 'echo $PATH'
result 0 $'/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n' "PATH has docker's default"
run -t bb sh -c 'echo $TERM'; result 0 $'xterm\r\n' "TERM with a terminal"

# --- user and groups: what docker gives ----------------------------------------------------------------------
who() { run -u "$1" bb id; result 0 "$2"$'\n' "-u $1"; }
who root 'uid=0(root) gid=0(root) groups=0(root)'
who user 'uid=1000(user) gid=1000(user) groups=50(staff),1000(user)'
who 1000 'uid=1000(user) gid=1000(user) groups=50(staff),1000(user)'
who user:staff 'uid=1000(user) gid=50(staff) groups=50(staff)'
who 4242:77 'uid=4242 gid=77 groups=77'
who 4242 'uid=4242 gid=0(root) groups=0(root)'
run -u nobody bb id; fails 125 'unable to find user nobody: no matching entries in passwd file' "a user that is unknown"
run -u user:nogroup bb id; fails 125 'unable to find group nogroup' "a group that is unknown"
run -w relative bb pwd; fails 125 "'relative' is not an absolute path" "a relative working folder"
run -w /etc/passwd bb pwd; fails 125 'working folder /etc/passwd: Not a directory' "one that is a file"
run -u user -w /made/for/it bb sh -c 'pwd; stat -c %u:%g:%a . ..'; result 0 $'/made/for/it\n0:0:755\n0:0:755\n' "one that is missing is made, for root"

# --- the machine -----------------------------------------------------------------------------------------
run --cpus 2 --memory 256m --disk-size 2g bb sh -c 'nproc; sed -n "s/MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo
df -k / | sed -n "2s/[^ ]* *\([0-9]*\).*/\1/p"; mount | sed -n "s/^\([a-z]*\) on \/ .*/\1/p"'
{ read -r cpus; read -r kib; read -r disk; read -r root; } <<<"$OUT"
is "$ST $cpus $root" "0 2 overlay" "--cpus"
[ "${kib:-0}" -gt $((220 * 1024)) ] && [ "$kib" -le $((256 * 1024)) ]; ok $? "--memory 256m is $((${kib:-0} / 1024)) MiB"
[ "${disk:-0}" -gt $((1900 * 1024)) ] && [ "$disk" -le $((2048 * 1024)) ]
ok $? "--disk-size 2g is $((${disk:-0} / 1024)) MiB"

# --- isolation -------------------------------------------------------------------------------------------
run bb sh -c 'grep CapEff /proc/1/status; grep CapBnd /proc/1/status; cat /proc/1/comm; set -- /proc/[0-9]*; echo $#
echo $$; hostname; cat /etc/hostname; grep -c . /proc/self/mountinfo > /dev/null && echo mounts
head -c 1 /proc/kcore 2>/dev/null | wc -c
for f in /sys/x /proc/sys/kernel/x /sys/fs/cgroup/x; do (: > $f) 2>/dev/null && echo "wrote $f"; done
echo 1 > /proc/sys/vm/panic_on_oom || echo sealed; ls /proc/1/fd; dmesg 2>&1 | head -n 1; ls /boxlite* /image /disk 2>&1 | wc -l'
id=$(sed -n 6p <<<"$OUT")
is "$OUT" "CapEff:	00000000a80425fb
CapBnd:	00000000a80425fb
sh
1
1
$id
$id
mounts
0
sealed
0
1
2
dmesg: klogctl: Operation not permitted
3
" "pid 1 is the command, with docker's capabilities, alone, and what is not its own is sealed"
like "$id" '^[0-9a-f]{12}$' "the host name is the box's id"
run bb sh -c 'mount -t tmpfs x /tmp 2>&1; reboot -f 2>&1; echo lives
mknod /vdb b 254 16; dd if=/vdb bs=1 skip=1080 count=2 2>/dev/null | hexdump -e "\"%04x\n\""'
unlike "$OUT" 'ef53' "raw disks cannot be read"
like "$OUT" $'mount: [^\n]*(denied|permitted)' "nothing can be mounted"
like "$OUT" 'lives' "nor the machine stopped"
run -u user bb /opt/setuid; result 0 $'uid 1000 euid 0\n' "a set-user-ID program of the image works"
run -u user bb sh -c 'grep -E "Cap(Eff|Prm|Inh|Amb)" /proc/self/status | cut -f2 | sort -u'
result 0 $'0000000000000000\n' "a plain user has no capability"

# --- small and large ------------------------------------------------------------------------------------------
run --memory 64m bb sh -c 'dd if=/dev/zero of=/f bs=1M count=100 2> /dev/null; ls -l /f | tr -s " " | cut -d" " -f5'
result 0 $'104857600\n' "64 MiB of memory are enough to write more than that"
if [ "$(sed -n 's/MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -gt 5400000 ]; then
	run --cpus 2 --memory 5g bb sh -c 'nproc; free -m | sed -n 2p | tr -s " " | cut -d" " -f2'
	like "$OUT" $'^2\n(4[89]|50)[0-9][0-9]\n$' "5 GiB are whole, beyond the hole of the devices"
else
	skip "memory beyond the hole of the devices" "this host has none"
fi

# --- kernel messages ---------------------------------------------------------------------------------------
bl --debug run --name loud bb sh -c 'echo said'
result 0 $'said\n' "kernel messages are not among the output"
log=$BOXLITE_HOME/boxes/$(box_id loud)/log/console.log
like "$(cat "$log")" 'Run /init as init process' "they are in the console log"
bl rm loud; result 0 $'loud\n' "rm"

# --- --timing ----------------------------------------------------------------------------------------------
# The stages are one after the other, and none is left out: their sum is the total.
run --timing bb sh -c 'exit 9'
is "$ST $OUT" "9 " "--timing changes nothing of the box"
like "$ERR" '(^|'$'\n'')total +[0-9]+\.[0-9]{3} ms' "and prints a total"
is "$(awk '$3 != "ms" { print "not a row: " $0 }
  $1 == "total" { total = $2; next } { sum += $2; seen = seen " " $1 }
  END { print (sum - total < 0.1 && total - sum < 0.1 ? "whole" : sum " of " total)
    print (seen ~ /^ open create set-up( machine)?( kernel)? agent command end clean-up$/ ? "in order" : seen) }' err)" \
  $'whole\nin order' "of all stages"
run --timing=kernel bb true
like "$ERR" $'\nkernel +[^\n]*\n  - +[0-9.]+ ms  \\(before the initcalls\\)\n(  - +[0-9.]+ ms  [a-z0-9_]+\n){5}' \
  "--timing=kernel has the kernel's parts"
like "$ERR" '\(the other initcalls\)'$'\n''agent ' "and what is left"
run --timing=disk bb true; is "$ST" 125 "nothing else has parts"
run --timing bb /no/such; is "$ST" 127 "a box that fails"
like "$ERR" 'total +[0-9]' "has one, too"
nothing_left "nothing is left" now
box_done

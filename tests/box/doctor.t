#!/bin/bash
# boxlite doctor: what it finds when something is missing, what it says to do, and that it changes nothing.
. "$(dirname "$0")/common.sh"
trap 'umount "$T/small" 2> /dev/null; box_cleanup' EXIT
unset BOXLITE_QEMU_ACCEL NO_COLOR

# doctor: boxlite doctor --json into OUT; ST.
doctor() { bl doctor --json; }

# finding ID LEVEL WHAT REMEDY NAME: of the last doctor, by patterns.
finding() {
	local f
	f=$(jq -r --arg id "$1" '.[] | select(.id == $id) | "\(.level)\n\(.what)\n\(.remedy)"' out)
	{ read -r level; read -r what; read -r remedy; } <<<"$f"
	[ "$level" = "$2" ] && [[ $what =~ $3 ]] && [[ $remedy =~ $4 ]]
	ok $? "$5" || diag "wanted $2 '$3' '$4'" "got $level '$what' '$remedy'" "stderr '${ERR:0:500}'"
}

# well_formed NAME: of the last doctor. What is not ok has a remedy, and the exit code is the worst level.
well_formed() {
	is "$(jq -r '[(map(.id) | length == (unique | length)),
		all(.[]; (.id | test("^[a-z0-9-]+$")) and (.what | test("^[^\n]+$"))),
		all(.[]; (.level == "ok") == (.remedy == null)),
		(map({"ok": 0, "warn": 1, "fail": 2}[.level]) | max)] | join(" ")' out)" "true true true $ST" "$1"
}

# --- this host, whatever it is -------------------------------------------------------------------------------
doctor
[ "$ST" -le 1 ] && [ -z "$ERR" ]; ok $? "boxes run here" || diag "$ST" "$OUT" "$ERR"
well_formed "findings are in order"
is "$(jq -r 'map(.id) | map(select(. != "kvm-create")) | join(" ")' out)" \
  "kvm boxlite-shim boxlite-image boxlite-vmm boxlite-copy boxlite-net kernel initramfs qemu e2fsprogs namespaces cgroup home disk-space reflink" \
  "everything was looked at"
finding home ok "^$BOXLITE_HOME, not made yet, on " null "the home would be here"
[ ! -e "$BOXLITE_HOME" ]; ok $? "and was not made"
finding qemu ok '^QEMU [0-9]+\.[0-9]+ \(/' null "QEMU and its version"
bl doctor
# Not that of before: how long KVM takes to make a machine, which may be a finding, is measured each time.
is "$ST" "$(grep -q '^fail ' <<< "$OUT" && echo 2 || { grep -q '^warn ' <<< "$OUT" && echo 1; } || echo 0)" \
  "in words, with the worst of them as its status"
like "$OUT" $'\n(ok  |warn|fail)  kernel         /.*vmlinux\n' "a finding is a line"
like "$OUT" $'\n\nBoxes run here(, and could do better)?\.\n$' "and there is a sum"
unlike "$OUT" $'\033' "without colour where there is no terminal"
screen() { TERM=xterm timeout 60 script -qec "$B doctor" /dev/null < /dev/null; }
like "$(screen)" $'\033\\[32mok  \033\\[0m  kernel' "with colour on one"
unlike "$(NO_COLOR=1 screen)" $'\033' "unless NO_COLOR is set"
like "$(NO_COLOR='' screen)" $'\033' "to something"
bl doctor more; fails 125 "doctor: 'more' is too much; see 'boxlite doctor --help'" "no operands"
bl doctor --what; fails 125 "doctor: unknown option --what" "no other options"

# Without QEMU there are boxes of engine kvm, if there is KVM for them.
LEVEL=fail STATUS=2
[ "$BOXLITE_ENGINE" = qemu ] || LEVEL=warn STATUS=1

# --- what is missing -----------------------------------------------------------------------------------------
BOXLITE_QEMU=/nonexistent doctor
is "$ST" $STATUS "no QEMU: boxes cannot run, or only with KVM"
finding qemu $LEVEL 'cannot run /nonexistent \(BOXLITE_QEMU\): No such file' 'BOXLITE_QEMU.*apt install qemu-system-x86' "it is told"
well_formed "and findings are in order"
bl --home "$T/nothere" doctor > /dev/null; is "$(ls -d nothere 2> /dev/null)" "" "--home makes none, either"
BOXLITE_QEMU=/bin/false doctor
finding qemu $LEVEL 'QEMU does not run: /bin/false --version: status 1' 'apt install' "a QEMU that does not run"
printf '#!/bin/sh\necho QEMU emulator version 5.2.0\n' > old; printf '#!/bin/sh\necho Hello\n' > other; chmod +x old other
BOXLITE_QEMU=$T/old doctor
finding qemu warn 'QEMU 5\.2 .* is older than 7\.2' 'apt install' "one that is old"
[ "$ST" = 1 ]; ok $? "boxes may run with it"
BOXLITE_QEMU=$T/other doctor
finding qemu $LEVEL 'says no version' 'apt install' "a program that is no QEMU"

BOXLITE_GUEST=/nonexistent doctor
is "$ST" 2 "no guest: boxes cannot run"
finding kernel fail '^cannot open /nonexistent/vmlinux: No such file' "make guest.*BOXLITE_GUEST" "no kernel"
finding initramfs fail '^cannot open /nonexistent/initramfs: No such file' "make guest" "no initramfs"
mkdir guest; : > guest/vmlinux; ln -s "$O/guest/initramfs" guest/
BOXLITE_GUEST=$T/guest doctor
finding kernel fail 'guest/vmlinux is not a file with something in it' 'make guest' "a kernel that is empty"
finding initramfs ok 'guest/initramfs' null "beside an initramfs"

BOXLITE_LIBEXEC=/nonexistent doctor
is "$ST" 2 "no helpers: boxes cannot run"
for program in boxlite-shim boxlite-image boxlite-vmm boxlite-copy boxlite-net; do
	finding $program fail "^cannot run /nonexistent/$program: No such file" BOXLITE_LIBEXEC "no $program"
done
finding namespaces warn 'could not be tried: .*boxlite-vmm: No such file' 'boxlite-vmm' "nobody to try namespaces"
BOXLITE_QEMU_ACCEL=warp doctor
is "$ST $(jq length out)" "2 1" "settings that are wrong are the only finding"
finding settings fail "BOXLITE_QEMU_ACCEL is 'warp'; it may be tcg or kvm" environment "which tells them"

# in_namespace SCRIPT [SETTING...]: doctor with SCRIPT run before it in a mount and user namespace of its own.
in_namespace() {
	local script=$1
	shift
	env "$@" timeout 60 unshare -rm sh -c "$script"' && exec "$0" doctor --json' "$B" > out 2> err
	ST=$? OUT=$(cat out) ERR=$(cat err)
}
if unshare -rm true 2> /dev/null; then
	in_namespace 'for p in /sbin/debugfs /usr/sbin/debugfs /usr/bin/debugfs; do
		if [ -e $p ]; then mount --bind /dev/null $p; fi; done'
	is "$ST" 2 "no debugfs: boxes cannot run"
	finding e2fsprogs fail '^debugfs, .*, is not installed' '^apt install e2fsprogs$' "it is told"
	in_namespace 'echo 0 > /proc/sys/user/max_user_namespaces'
	finding namespaces warn '^no user namespaces .*: unshare: No space left' 'sysctl user\.max_user_namespaces=' "no user namespaces"

	# --- KVM -----------------------------------------------------------------------------------------------
	null='touch null; mount --bind /dev/null null; mount -t tmpfs dev /dev; touch /dev/null; mount --bind null /dev/null'
	in_namespace "$null"
	finding kvm warn '^there is no /dev/kvm; boxes run on qemu, slower$' . "no /dev/kvm"
	[ "$ST" = 1 ]; ok $? "boxes run without" || diag "$OUT"
	in_namespace "$null" BOXLITE_QEMU_ACCEL=kvm
	finding kvm fail '^there is no /dev/kvm; BOXLITE_QEMU_ACCEL=kvm says that boxes use it$' . "unless they have to use it"
	is "$ST" 2 "then they cannot run"
	in_namespace "$null; touch /dev/kvm; mount --bind null /dev/kvm"
	finding kvm warn '^KVM is there but cannot run an ordinary kernel: KVM_GET_API_VERSION: the device is not KVM .*; boxes run on qemu' \
	  'mknod' "another device in its place"
	well_formed "findings are in order"
else
	skip "parts that are hidden" "no user namespaces here"
fi

forbidden() { # OWNER MODE: as nobody, with /dev/kvm of that owner and mode
	: > fake; chown "$1" fake; chmod "$2" fake
	timeout 60 unshare -m sh -c 'mount --bind fake /dev/kvm && exec "$@"' sh \
	  setpriv --reuid=65534 --regid=65534 --clear-groups env BOXLITE_HOME="$T/users/home" BOXLITE_LIBEXEC="$T/moved/bin" \
	  "$T/moved/bin/boxlite" doctor --json > out 2> err
	ST=$? ERR=$(cat err)
}
if [ "$(id -u)" = 0 ] && [ -e /dev/kvm ]; then
	mkdir moved; mkdir -m 777 users; chmod 711 "$T"
	cp -r "$O/bin" "$O/lib" "$O/guest" moved # the tree may be below a folder that only root enters
	forbidden root:daemon 660
	finding kvm warn '^no rights to open /dev/kvm \(Permission denied\); boxes run' '^sudo usermod -aG daemon nobody, then log in again$' "no rights for /dev/kvm"
	forbidden root:root 660
	finding kvm warn '^no rights to open' 'chgrp kvm /dev/kvm.*usermod -aG kvm nobody' "nobody is to join group root"
	finding home ok "^$T/users/home, not made yet" null "a user's home"
	chmod 755 users; forbidden root:daemon 660
	finding home fail "^$T/users/home cannot be made: Permission denied" BOXLITE_HOME "which cannot be made"
	is "$ST" 2 "boxes cannot run"
else
	skip "no rights" "not root, or no /dev/kvm"
fi

# --- the home ------------------------------------------------------------------------------------------------
: > file; BOXLITE_HOME=$T/file doctor
finding home fail "^cannot open $T/file: Not a directory" BOXLITE_HOME "a home that is a file"
BOXLITE_HOME=$T/file/below doctor; finding home fail "Not a directory" BOXLITE_HOME "or below one"
BOXLITE_HOME=/proc/nothere doctor; finding home fail '^cannot make a file in /proc|cannot be made' BOXLITE_HOME "a home in /proc"
(cd /; BOXLITE_HOME=${T#/}/a/b/c bl doctor --json; exit $ST)
finding home ok "^//?${T#/}/a/b/c, not made yet" null "a home by a relative path"
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=8m boxlite-test small 2> /dev/null; then
	BOXLITE_HOME=$T/small/home doctor
	is "$ST" 2 "a disk that is full: boxes cannot run"
	finding disk-space fail '^8\.39MB are free .*too little' 'boxlite prune' "it is told"
	finding home ok ', on tmpfs$' null "with the file system"
	finding reflink ok '^tmpfs does not clone files' null "and what it cannot do"
	mount -o remount,size=200m small
	BOXLITE_HOME=$T/small/home doctor
	finding disk-space warn '^210MB are free' 'boxlite prune' "a small one is enough for small images"
	mount -o remount,ro small
	BOXLITE_HOME=$T/small/home doctor
	finding home fail 'cannot be made: Read-only file system' BOXLITE_HOME "a disk that is read-only"
	is "$(ls -A small)" "" "nothing was made there"
	umount small
else
	skip "a full disk" "no right to mount a small one"
fi
is "$(ls -d "$BOXLITE_HOME" users/* a 2> /dev/null)" "" "nor anywhere"

# --- what is remembered ----------------------------------------------------------------------------------------
make_home
doctor
if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
	like "$(cat "$BOXLITE_HOME/kvm")" "^boot=$(cat /proc/sys/kernel/random/boot_id) device=.*\"works\":(true|false)," \
	  "the verdict on KVM is kept in a home"
	is "$(jq -r '.[] | select(.id == "kvm") | .what | test("ordinary kernel")' out)" true "it is of what a kernel needs"
else
	skip "the verdict is kept" "no KVM here"
fi
finding home ok "^$BOXLITE_HOME, on" null "a home that is there"
nothing_left "nothing is left" now
box_done

#!/bin/bash
# What goes wrong ends in one line that names the thing, the reason and the remedy, and leaves nothing behind.
. "$(dirname "$0")/common.sh"
trap 'umount "$T/small" 2> /dev/null; box_cleanup' EXIT
make_home

# wrong PATTERN NAME ARG...: boxlite ARG... fails with 125 and one line like the pattern; the home is as before.
wrong() {
	local pattern=$1 name=$2
	shift 2
	bl "$@" < /dev/null
	fails 125 "$pattern" "$name"
	nothing_left "  and nothing is left" now
}

# --- limits --------------------------------------------------------------------------------------------------
wrong 'wants 1\.10TB of memory and this host has [0-9.]+GB: give less with --memory' "more memory than the host" run --memory 1t bb true
wrong 'at least 64 MiB of memory' "too little memory" run --memory 63m bb true
for size in 0 x 12q -1 99999999999999999999 ''; do
	wrong "'$size' is not a memory size: a number and k, m, g or t" "--memory '$size'" run --memory "$size" bb true
done
wrong "'0' is not a number of cpus" "no cpus" run --cpus 0 bb true
wrong '1 to 32 cpus, not 33' "33 cpus" run --cpus 33 bb true
wrong 'disk may be 64 MiB to 16 TiB' "too small a disk" run --disk-size 1m bb true
wrong 'disk may be 64 MiB to 16 TiB' "too large a disk" run --disk-size 17t bb true
wrong "'1x' is not a disk size" "a disk size that is none" run --disk-size 1x bb true

# --- parts that are missing ------------------------------------------------------------------------------------
BOXLITE_GUEST=/nonexistent wrong "vmlinux is missing: /nonexistent/vmlinux; build it with 'make', or set BOXLITE_GUEST" \
  "no kernel" run bb true
mkdir guest; ln -s "$O/guest/vmlinux" guest/vmlinux
BOXLITE_GUEST=$T/guest wrong "initramfs is missing: $T/guest/initramfs" "no initramfs" run bb true
BOXLITE_ENGINE=qemu BOXLITE_QEMU=/nonexistent wrong '/nonexistent.*BOXLITE_QEMU.*: No such file' "no QEMU" run bb true
with_engine /bin/false wrong 'the machine failed' "an engine that ends at once" run bb true
BOXLITE_ENGINE=kvm with_engine /nonexistent wrong 'KVM|kvm|boxlite-vmm: No such file' "no boxlite-vmm, or no KVM for it" run bb true
# The package is not there: its program is hidden from this one command.
hide='mount --bind /dev/null "$0" && exec "$@"' qemu=$(command -v qemu-system-x86_64)
if unshare -rm true 2> /dev/null; then
	timeout 60 unshare -rm sh -c "$hide" "$qemu" "$B" run --engine qemu bb true > out 2> err
	is "$? $(cat out err)" "125 boxlite: qemu-system-x86_64 is not installed, and engine qemu needs it: apt install qemu-system-x86" \
	  "QEMU is not installed"
	nothing_left "and nothing is left" now
else
	skip "QEMU is not installed" "no user namespaces here"
fi
printf '#!/bin/sh\nprintf "first\\033[2J\\nit is broken\\n" >&2\nexit 1\n' > broken; chmod +x broken
with_engine "$T/broken" bl --debug run --rm bb true
like "$ST $ERR" $'^125 boxlite: it is broken\n--- engine.log\nfirst\\?\\[2J\nit is broken\n--- shim.log\n.*shim: ' "--debug shows the logs"
nothing_left "and nothing is left" now
BOXLITE_LIBEXEC=/nonexistent wrong '/nonexistent/boxlite-shim: No such file' "no shim" run bb true
BOXLITE_QEMU_ACCEL=warp wrong "BOXLITE_QEMU_ACCEL is 'warp'; it may be tcg or kvm" "no such accelerator" run bb true
: > guest/vmlinux.bad; rm guest/vmlinux; mv guest/vmlinux.bad guest/vmlinux; ln -s "$O/guest/initramfs" guest/initramfs
BOXLITE_GUEST=$T/guest wrong '[Kk]ernel|image' "a kernel that is empty" run bb true
# A PATH with nothing in it changes nothing: no program is looked up there.
PATH=/nonexistent "$B" run --rm bb true; is $? 0 "PATH is not used"
env -i BOXLITE_HOME="$BOXLITE_HOME" ${BOXLITE_LIBEXEC:+BOXLITE_LIBEXEC="$BOXLITE_LIBEXEC"} "$B" run --rm bb true
is $? 0 "nor anything of the environment"

# --- images ----------------------------------------------------------------------------------------------------
"$TOP/scripts/mk-image" arm --config '{"architecture": "arm64"}'
wrong '(arm64.*amd64|amd64.*arm64)' "an image of another architecture" load -q --name arm arm
mkdir empty; wrong 'empty|layout|index\.json' "a folder that is no layout" load -q empty
echo nonsense > nonsense; wrong 'Unrecognized archive format' "a file that is no archive" load -q nonsense
wrong 'cannot open nothere: No such file' "a file that is not there" load -q nothere
bl images -q; is "$(wc -l < out)" 1 "no image was added"
rootfs=$(ls "$BOXLITE_HOME"/images/rootfs/*)
mv "$rootfs" aside
wrong 'root file system of .*bb:latest is gone .*; pull it again' "the root file system is gone" run bb true
head -c 100000 aside > "$rootfs"
bl run --rm bb true < /dev/null; fails 125 'the guest|whole sectors' "or is cut short"
nothing_left "  and nothing is left" now
mv aside "$rootfs"

# --- the home --------------------------------------------------------------------------------------------------
home() { # PATTERN NAME, with BOXLITE_HOME: boxlite cannot use it
	bl run bb true < /dev/null; fails 125 "$1" "$2"
}
copy() { cp -r --sparse=always "$BOXLITE_HOME" "$T/$1"; }
copy newer; sqlite3 newer/boxlite.db 'PRAGMA user_version = 99' > /dev/null
BOXLITE_HOME=$T/newer home 'boxlite\.db is of generation 99, made by a newer boxlite; this one knows 1' "a home of the future"
copy damaged; rm -f damaged/boxlite.db-*; echo 'this is not a database, whatever its name says' > damaged/boxlite.db
BOXLITE_HOME=$T/damaged home 'boxlite\.db: .*not a database' "a damaged database"
copy holes; rm -f holes/boxlite.db-*
sqlite3 "$BOXLITE_HOME/boxlite.db" ".backup $T/holes/boxlite.db" && sqlite3 holes/boxlite.db 'PRAGMA journal_mode=DELETE' > /dev/null
printf '%4096s' x | dd of=holes/boxlite.db bs=4096 seek=1 conv=notrunc status=none
BOXLITE_HOME=$T/holes home 'boxlite\.db: .*(malformed|damaged)' "a database with a page of garbage"
: > file; BOXLITE_HOME=$T/file home "home folder $T/file: Not a directory" "a home that is a file"
BOXLITE_HOME=/proc/nothere home 'home folder /proc/nothere: ' "a home that cannot be made"
if [ "$(id -u)" = 0 ]; then
	mkdir locked moved; chmod 755 locked; chmod 711 "$T"
	cp -r "$O/bin" "$O/lib" moved # the tree may be below a folder that only root enters
	timeout 20 setpriv --reuid=65534 --regid=65534 --clear-groups env BOXLITE_HOME="$T/locked/home" "$T/moved/bin/boxlite" \
	  images > out 2> err
else
	mkdir -m 555 locked
	BOXLITE_HOME=$T/locked/home "$B" images > out 2> err
fi
is "$? $(cat out err)" "125 boxlite: cannot open the home folder $T/locked/home: Permission denied" "a folder that is not mine"

# Sockets have names of 108 bytes at most; homes have not.
deep=$T/$(printf 'deep%046d/%050d/%050d/%050d' 1 2 3 4)
mkdir -p "$(dirname "$deep")"; copy deep.home; mv deep.home "$deep"
BOXLITE_HOME=$deep bl run --rm bb echo deep; result 0 $'deep\n' "a home ${#deep} bytes deep"
BOXLITE_HOME=$deep "$B" run --name d bb sleep 1000 & cli=$!
BOXLITE_HOME=$deep wait_for "$B" exec d true 2> /dev/null; ok $? "its socket, too"
kill -KILL $cli; wait $cli 2> /dev/null; BOXLITE_HOME=$deep bl rm -f d; result 0 $'d\n' "is found"
(cd / && BOXLITE_HOME=${BOXLITE_HOME#/} bl run --rm bb echo relative; result 0 $'relative\n' "a home by a relative path" > "$T/sub")
cat sub; TAP_N=$((TAP_N + 1)); grep -q '^ok' sub || TAP_FAILED=$((TAP_FAILED + 1))

# --- a disk that is full -----------------------------------------------------------------------------------------
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=1200k boxlite-test small 2> /dev/null; then
	"$TOP/scripts/mk-image" layout
	BOXLITE_HOME=$T/small bl load -q --name bb layout
	fails 125 'No space left|full' "a load on a full disk"
	is "$(cd small/images && ls -A tmp rootfs 2> /dev/null | grep -v :; find blobs -type f | sed -E 's/.*\/(.*)/\1  &/' | sha256sum -c --quiet 2>&1)" "" \
	  "leaves no half-made file: blobs that are whole, for the next time"
	mount -o remount,size=64m small
	BOXLITE_HOME=$T/small bl load -q --name bb layout
	result 0 $'docker.io/library/bb:latest\n' "with more room it works"
	mount -o remount,size=$(du -sk small | cut -f1)k small
	BOXLITE_HOME=$T/small bl run --rm bb true
	fails 125 'No space|full' "a box on a full disk"
	is "$(ls small/boxes small/templates | grep -v :)" "" "leaves nothing"
	# The host's disk fills up under a box: its writes fail, and it goes on (QEMU's default would stop it for ever).
	mount -o remount,size=$(($(du -sk small | cut -f1) + 6000))k small
	BOXLITE_HOME=$T/small bl run --rm bb sh -c 'dd if=/dev/zero of=/f bs=1M count=64 conv=fsync; echo "dd $?"'
	is "$ST $OUT" $'0 dd 1\n' "a disk that fills up under a box is an error in the box" || diag "$ERR"
	is "$(ls small/boxes)" "" "which goes as any other"
	umount small
else
	skip "a full disk" "no right to mount a small one"
fi
nothing_left "nothing is left" now
box_done

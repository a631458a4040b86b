#!/bin/bash
# Machine templates: the first box of a shape leaves one behind, all others start from it, and whatever is wrong with
# one, boxes run.
. "$(dirname "$0")/common.sh"
[ "$BOXLITE_ENGINE" = qemu ] || skip_all "engine $BOXLITE_ENGINE has no templates"
make_home
QEMU=$(command -v qemu-system-x86_64)

templates() { find "$BOXLITE_HOME/templates" -name 'machine-*' | wc -l; }
template() { echo "$BOXLITE_HOME"/templates/machine-*; }
# how NAME: what the shim of box NAME wrote about its start; removes the box.
how() {
	sed -n 's/.*boxlite-shim: //p' "$BOXLITE_HOME/boxes/$(box_id "$1")/log/shim.log" |
	  sed -n 's/a template was made.*/made/p; s/the machine goes on.*/restored/p
		  s/.*booting another.*/booted again/p; s/.*cannot.*/cannot/p' | paste -sd ' '
	"$B" rm "$1" > /dev/null
}

# --- made once, used from then on --------------------------------------------------------------------------------
bl run --name a bb echo one; result 0 $'one\n' "the first box"
is "$(how a) $(templates)" "made 1" "leaves a template"
bl run --name a bb echo two; result 0 $'two\n' "the second"
is "$(how a) $(templates)" "restored 1" "starts from it"
before=$(sha256sum < "$(template)")
bl run --name a bb sh -c 'dd if=/dev/zero of=/dev/shm/x bs=1M count=200 2>/dev/null; sync; exit 7'
result 7 "" "a box that writes to its memory"
is "$(how a) $(sha256sum < "$(template)")" "restored $before" "does not change it"
bl run --name a bb sh -c 'echo kept > /kept; sync'; result 0 "" "a box that is kept"
bl start -a a; result 0 "" "and started again"
"$B" rm a > /dev/null

# --- what must differ from the template ---------------------------------------------------------------------------
for i in 1 2 3; do
	bl run --name a bb sh -c 'cat /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom | od -An -tx1
	  cat /proc/sys/kernel/random/uuid; grep stack /proc/self/maps | cut -d- -f1'
	printf '%s' "$OUT" >> random
	how a >> ways
done
is "$(paste -sd ' ' ways) $(sort random | uniq -c | awk '{ print $1 }' | sort | uniq -c | tr -s ' ')" \
  "restored restored restored  12 1" "three boxes have no random number in common"
bl run --rm bb date +%s; now=$(date +%s)
[ $((now - OUT)) -ge 0 ] && [ $((now - OUT)) -le 5 ]; ok $? "the time is right" || diag "$OUT, but it is $now"
bl run --name a --disk-size 2g bb sh -c 'df -m / | awk "NR == 2 { print (\$2 > 1900 && \$2 < 2100) }"'
is "$OUT$(how a)" $'1\nrestored' "a disk of another size is seen as it is"
bl run --name a --disk-size 20g bb sh -c 'df -m / | awk "NR == 2 { print (\$2 > 19000) }"; hostname'
is "$OUT" $'1\n'"$(box_id a | cut -c1-12)"$'\n' "a larger one, and the name is the box's"
"$B" rm a > /dev/null
is "$(templates)" 1 "all from one template"

# Software CPUs that change code under each other crash a kernel now and then (it was once in some hundred boots of a
# busy host): then there is no template yet, but the box runs.
for i in 1 2 3; do
	bl run --name a --cpus 2 bb nproc; result 0 $'2\n' "two CPUs"
	way=$(how a)
	[ "$way" = "booted again" ] || break
done
is "$way $(templates)" "made 2" "need a template of their own"
bl run --name a --cpus 2 bb sh -c 'nproc; for i in 1 2 3 4; do (n=0; while [ $n -lt 2000 ]; do n=$((n+1)); done) & done; wait'
result 0 $'2\n' "two CPUs again"
is "$(how a)" restored "from it, and both run"
small='awk "/MemTotal/ { print (\$2 > 400000 && \$2 < 540000) }" /proc/meminfo'
bl run --rm --memory 512m bb sh -c "$small"; result 0 $'1\n' "another size of memory"
bl run --name a --memory 512m bb sh -c "$small"; result 0 $'1\n' "the same again"
is "$(how a) $(templates)" "restored 3" "from a third template"

# --- without ------------------------------------------------------------------------------------------------------
BOXLITE_NO_TEMPLATES=1 bl run --name a bb true; result 0 "" "BOXLITE_NO_TEMPLATES=1"
is "$(how a)" "" "boots"
bl --debug run --name a bb true
is "$ST $(how a)" "0 " "--debug boots, too"
mkdir guest; ln -s "$O/guest/vmlinux" guest/vmlinux; cp "$O/guest/initramfs" guest/initramfs
BOXLITE_GUEST=$T/guest bl run --name a bb true
is "$(how a)" "made" "another initramfs needs another template"
set -- "$BOXLITE_HOME"/templates/machine-*; head -c 8192 "$1" > head; rm "$@"
for i in 1 2 3 4 5 6 7 8 9 10; do
	cp head "$BOXLITE_HOME/templates/machine-00$i"
	touch -d "2020-01-01 +$i days" "$BOXLITE_HOME/templates/machine-00$i"
done
echo 'of another boot or version' > "$BOXLITE_HOME/templates/machine-other"
bl run --rm bb true; result 0 "" "a box beside ten templates"
is "$(templates) $(ls "$BOXLITE_HOME/templates" | grep -c 'machine-00[1-3]$')" "8 0" "the oldest go"
is "$(ls "$BOXLITE_HOME/templates" | grep -c other)" 0 "and what nobody can start from"
rm -f "$BOXLITE_HOME"/templates/machine-00*

# --- broken templates ---------------------------------------------------------------------------------------------
# Early input must not be lost with the machine that it was meant for.
cp "$(template)" whole
size=$(stat -c %s whole)
broken() {
	bl run -i --name a bb cat <<< hello
	like "$ST $OUT$ERR$(how a)" "^0 hello"$'\n'"($1)$" "$2"
}
dd if=/dev/zero bs=1 count=4000 seek=$((size - 20000)) conv=notrunc of="$(template)" 2> /dev/null
broken "booted again|cannot" "a template whose state is nonsense"
broken "made" "is not used again"
head -c $((size / 2)) whole > "$(template)"
broken "cannot booted again" "one that is cut off in the memory"
head -c $((size - 38000)) whole > "$(template)"
broken "cannot booted again" "one that is cut off in the state"
head -c 100 whole > "$(template)"
broken "made" "one that is cut off in the head is made anew"
tail -c +2 whole > "$(template)"
broken "made" "one that is something else as well"
broken "restored" "and used"
rm "$BOXLITE_HOME"/templates/machine-*

# --- a QEMU that cannot do it -------------------------------------------------------------------------------------
# qemu NAME CASE...: a QEMU that fails when its arguments match.
qemu() { printf '#!/bin/sh\ncase "$*" in %s) echo "no such thing" >&2; exit 1 ;; esac\nexec %s "$@"\n' "$2" "$QEMU" > "$1"; chmod +x "$1"; }
qemu never '*boxlite.park*'
qemu once '*-incoming*'
export BOXLITE_QEMU=$T/never
broken "booted again" "a QEMU that does not boot a machine for a template"
is "$(templates)" 0 "has none"
export BOXLITE_QEMU=$T/once
broken "made" "a QEMU that makes one"
broken "cannot booted again|booted again" "but cannot start from it"
# It cannot be told from one that takes long: it has 15 seconds.
printf '#!/bin/sh\ncase "$*" in *-incoming*) exec sleep 1000 ;; esac\nexec %s "$@"\n' "$QEMU" > once
broken "made" "another one that makes one"
broken "booted again" "but does nothing with it"
unset BOXLITE_QEMU

# --- no room ------------------------------------------------------------------------------------------------------
rm -f "$BOXLITE_HOME"/templates/machine-*
# limited KIB ARG...: run --name a with a limit to the size of files.
limited() {
	(ulimit -f "$1"; shift; bl run --name a "$@"; echo $ST > status)
	OUT=$(cat out) ERR=$(cat err) ST=$(cat status)
}
limited 200000 --disk-size 64m bb echo small
is "$ST $OUT$ERR" "0 small" "no file may have the memory's size"
is "$(how a) $(templates)" "cannot booted again 0" "so it boots"
limited 140000 --disk-size 64m --memory 128m bb echo small
is "$ST $OUT$ERR" "0 small" "it may, just"
is "$(how a) $(templates)" "made 1" "so there is a template"
rm -f "$BOXLITE_HOME"/templates/machine-*
# A folder that is in the place of the template: nothing can be published there, and nothing waits for it.
bl run --rm bb true
name=$(basename "$(template)"); rm "$BOXLITE_HOME/templates/$name"; mkdir "$BOXLITE_HOME/templates/$name"
bl run --name a bb true; result 0 "" "a folder in the template's place"
is "$(how a)" "" "is left alone"
rmdir "$BOXLITE_HOME/templates/$name"; mkfifo "$BOXLITE_HOME/templates/$name"
bl run --name a bb true; result 0 "" "a pipe in its place"
is "$(how a)" "made" "is not waited for"
if [ "$(id -u)" != 0 ] || mount -t tmpfs -o size=60m none "$BOXLITE_HOME/templates" 2> /dev/null; then
	rm -f "$BOXLITE_HOME"/templates/machine-*
	[ "$(id -u)" = 0 ] || chmod 500 "$BOXLITE_HOME/templates"
	for i in 1 2 3 4 5 6 7 8; do "$B" run --name a$i bb echo $i > o$i 2>&1 & done; wait
	is "$(cat o?)" "$(seq 8)" "no room for a template (or no right to write one)"
	ways=$(for i in 1 2 3 4 5 6 7 8; do how a$i; done | sort -u)
	is "$ways $(templates)" "cannot 0" "they run, and no machine is booted twice for it"
	[ "$(id -u)" != 0 ] || umount "$BOXLITE_HOME/templates"
	chmod 700 "$BOXLITE_HOME/templates"
else
	skip "no room for a template" "cannot mount here"
fi
nothing_left "nothing is left"
box_done

#!/bin/bash
# Bad input: every function of the library with what it must not get, every command with an option that it has not, homes
# that cannot be used, and much of what is right. tests/box/errors.t has what people do wrong.
. "$(dirname "$0")/common.sh"
trap 'umount "$T/small" "$T/readonly" 2> /dev/null; box_cleanup' EXIT
make_home

# --- the library ---------------------------------------------------------------------------------------------------
${CC:-cc} $SANITIZER -std=gnu11 -Wall -Wextra -Werror -I "$TOP/include" "$TOP/tests/lib/embed-bad.c" -o embed-bad \
  -L "$O/lib" -lboxlite -Wl,-rpath,"$O/lib" > log 2>&1
is "$? $(cat log)" "0 " "a program is built"
like "$(timeout -k 5 100 ./embed-bad 2>&1)" '^[0-9]+ calls$' "each bad call is answered as boxlite.h says"
bl ps -aq; result 0 "" "no box is left by it"
rm -f "$BOXLITE_HOME"/templates/* # they are large, and copied below
nothing_left "nothing is left" now

# --- commands --------------------------------------------------------------------------------------------------------
commands=$("$B" help | sed -n 's/^  \([a-z]\+\) .*/\1/p')
[ "$(wc -w <<< "$commands")" -ge 27 ]; ok $? "help lists the commands"
: > odd
for c in $commands help; do
	for args in --no-such-option -% "--no-such-option=x y"; do
		bl "$c" "$args" < /dev/null
		[ "$ST" = 125 ] && [ -z "$OUT" ] && [[ $ERR =~ ^boxlite:\ [^$'\n']*$'\n'$ ]] && [[ $ERR =~ -(-no-such-option|%) ]] ||
		  echo "$c $args: $ST '$OUT' '$ERR'" >> odd
	done
	bl "$c" $'\e[2J\n\xff' '' '' '' '' < /dev/null
	[ "$ST" = 125 ] && [ -n "$ERR" ] || echo "$c with nonsense: $ST '$OUT' '$ERR'" >> odd
done
is "$(head -c 3000 odd)" "" "every command refuses an option that it has not, in one line that names it"
for args in --no-such-option '--home' 'no-such-command' "$(printf '%0100000d' 0)"; do
	bl ${args:+"$args"} < /dev/null
	[ "$ST" = 125 ] && [ -z "$OUT" ]; ok $? "boxlite ${args:0:20}" || diag "$ST '$OUT' '${ERR:0:300}'"
done
for name in "'; DROP TABLE boxes; --" '%s%s%n' $'a\nb' "$(printf '\xff')" '*' '../../etc'; do
	bl rm "$name"; [ "$ST" = 125 ] && [[ $ERR = "boxlite: no box is called "* ]]; ok $? "rm of a name that is none" || diag "$ST $ERR"
	bl run --name "$name" bb true < /dev/null; [ "$ST" = 125 ] && [[ $ERR = *"is not a name"* ]]; ok $? "  nor can a box be called so" || diag "$ST $ERR"
done
nothing_left "nothing is left" now

# --- homes -----------------------------------------------------------------------------------------------------------
BOXLITE_HOME=/$(printf '%05000d' 1) bl ps; fails 125 'File name too long' "a home whose path is too long"
BOXLITE_HOME='' HOME='' bl version; is "$ST" 0 "no home is needed for a version"

# What is damaged can be put away, and the boxes' disks are still there.
bl run --name sound --disk-size 64m bb sh -c 'echo kept > /kept; sync'; is "$ST" 0 "a box"
id=$(box_id sound)
cp -r --sparse=always "$BOXLITE_HOME" damaged
rm -f damaged/boxlite.db-*; head -c 20000 /dev/urandom > damaged/boxlite.db
BOXLITE_HOME=$T/damaged bl ps -a; fails 125 'boxlite\.db: .*not a database' "a database that is none"
cmp -s "damaged/boxes/$id/disk.img" "$BOXLITE_HOME/boxes/$id/disk.img"; ok $? "leaves the disks alone"
rm -r damaged
cp -r --sparse=always "$BOXLITE_HOME" newer
sqlite3 newer/boxlite.db 'PRAGMA user_version = 2' > /dev/null
BOXLITE_HOME=$T/newer bl rm sound; fails 125 'made by a newer boxlite' "a database of the next version"
BOXLITE_HOME=$T/newer bl ps -a; fails 125 'made by a newer boxlite' "is not even read"
[ -s "newer/boxes/$id/disk.img" ]; ok $? "and its boxes are there"
rm -r newer
bad_row() { # NAME SQL PATTERN: a row that makes no sense is a box that can be seen and removed
	rm -rf row; cp -r --sparse=always "$BOXLITE_HOME" row
	sqlite3 row/boxlite.db "$2"
	BOXLITE_HOME=$T/row bl start -a sound < /dev/null; fails 125 "$3" "$1: it cannot be started"
	BOXLITE_HOME=$T/row bl ps -a; is "$ST $(wc -l < out)" "0 2" "  it is listed"
	BOXLITE_HOME=$T/row bl inspect sound; is "$ST$ERR" 0 "  and shown"
	BOXLITE_HOME=$T/row bl rm sound; result 0 $'sound\n' "  and removed"
	is "$(ls row/boxes)" "" "  with its files"
}
bad_row "a description that is none" "UPDATE boxes SET spec = 'nonsense'" "description"
bad_row "an empty one" "UPDATE boxes SET spec = '{}'" "description"
bad_row "one that lacks a command" "UPDATE boxes SET spec = json_remove(spec, '\$.main')" "description"
bad_row "a root file system of another place" "UPDATE boxes SET rootfs = '../../../etc/passwd'" "root file system|whole sectors|guest"
rm -rf row

if [ "$(id -u)" = 0 ] && mkdir readonly && mount --bind "$BOXLITE_HOME" readonly 2> /dev/null && mount -o remount,bind,ro readonly; then
	BOXLITE_HOME=$T/readonly box_status sound > status; is "$(cat status)" "exited 0" "a home that is read-only can be looked at"
	for c in "run bb true" "rm sound" "start sound" "rename sound other"; do
		# shellcheck disable=SC2086
		BOXLITE_HOME=$T/readonly bl $c < /dev/null
		fails 125 '[Rr]ead-?only' "a home that is read-only: $c"
	done
	umount readonly
	bl start -a sound < /dev/null; result 0 "" "is none the worse"
else
	skip "a home that is read-only" "no right to mount one"
fi
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=64k boxlite-test small 2> /dev/null; then
	head -c 100000 /dev/zero > small/full 2> /dev/null
	BOXLITE_HOME=$T/small/home bl ps -a; fails 125 'No space|full' "a new home on a full disk"
	rm small/full
	BOXLITE_HOME=$T/small/home bl ps -aq; result 0 "" "with room it works"
	umount small
else
	skip "a new home on a full disk" "no right to mount a small one"
fi
bl rm sound; result 0 $'sound\n' "rm"
nothing_left "nothing is left" now
box_done

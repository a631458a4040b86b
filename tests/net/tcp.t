#!/bin/bash
# TCP through boxlite-net: bytes, ends, resets, loss, many connections, and what they cost.
. "$(dirname "$0")/common.sh"
serve A serve
serve B serve 2001:db8::10

for mode in "" --headers; do
	name=${mode:-plain}
	for host in "203.0.113.10 $A" "2001:db8::10 $B"; do
		family=v4; [[ $host != *::* ]] || family=v6
		box '{}' $mode -- "$PEER" upload $host 30000000; passes "$name $family: 30 MB out, byte for byte"
		box '{}' $mode -- "$PEER" download $host 30000000; passes "$name $family: 30 MB in"
		box '{}' $mode -- "$PEER" both $host 10000000; passes "$name $family: both ways at once, and half closed"
		box '{}' $mode -- "$PEER" reset $host; passes "$name $family: a reset is a reset"
		box '{}' $mode -- "$PEER" refused ${host% *} 1; passes "$name $family: a refusal is one, at once"
		box '{}' $mode -- "$PEER" in-turn $host 100; passes "$name $family: a hundred in turn"
		like "$(cat said)" "connections 100 flows 0 " "$name $family: and none is left"
	done
	box '{}' $mode -- "$PEER" slow-upload 203.0.113.10 "$A" 5000000; passes "$name: to a reader that is slow"
	box '{}' $mode -- "$PEER" slow-download 203.0.113.10 "$A" 5000000; passes "$name: and of one"
	box '{}' $mode --drop 50 -- "$PEER" download 203.0.113.10 "$A" 10000000; passes "$name: with one frame of 50 lost, in"
	LIMIT=300 box '{}' $mode --drop 50 -- "$PEER" upload 203.0.113.10 "$A" 3000000; passes "$name: and out"
done
box '{}' -- "$PEER" unreachable 198.51.100.1 80
ip route del default; ip route add unreachable default
box '{}' -- "$PEER" unreachable 198.51.100.1 80; passes "no route of the host is no route, at once"

# Limits.
took() { python3 -c "import subprocess, sys, time; b = time.monotonic(); subprocess.run(sys.argv[1:], check=True); print(int(1000 * (time.monotonic() - b)))" "$@"; }
box '{"rate":4000000}' -- sh -c "$(declare -f took)"'; took "$@"' - "$PEER" upload 203.0.113.10 "$A" 8000000
[ "$OUT" -gt 1500 ] && [ "$OUT" -lt 6000 ]; ok $? "8 MB out at 4 MB/s take 2 s: $OUT ms" || diag "$OUT"
box '{"rate":4000000}' -- sh -c "$(declare -f took)"'; took "$@"' - "$PEER" download 203.0.113.10 "$A" 8000000
[ "$OUT" -gt 1500 ] && [ "$OUT" -lt 6000 ]; ok $? "and in: $OUT ms" || diag "$OUT"
box '{"flows":5}' -- "$PEER" many 203.0.113.10 "$A" 5; passes "five connections are five"
box '{"flows":5}' -- "$PEER" many 203.0.113.10 "$A" 6; is "$ST" 1 "and not six"
like "$(cat said)" " limit 1" "which is told"

# What 4000 connections cost. Private memory: what is not shared with the program's file.
cat > many.sh <<END
"$PEER" many 203.0.113.10 $A 4000 > state & P=\$!
until grep -q open state 2> /dev/null; do kill -0 \$P 2> /dev/null || exit 1; sleep 0.01; done
wait \$P
END
cat > watch.sh <<'END'
until N=$(pgrep -x boxlite-net); do :; done
most=0
while S=$(awk '/^Private_Dirty/ { print $2 }' /proc/$N/smaps_rollup 2> /dev/null) && [ -n "$S" ]; do
	[ "$S" -gt "$most" ] && most=$S && echo "$most" > most
	sleep 0.02
done
END
sh watch.sh & W=$!
box '{}' -- sh many.sh; passes "4000 at once"
wait $W
most=$(cat most)
limit=6144; [ "${V:-release}" = release ] || limit=16384 # a sanitizer has some for itself
[ "$most" -lt $limit ]; ok $? "take less than $((limit / 1024)) MiB: $most KiB" || diag "$most"
sh watch.sh & W=$!
box '{}' -- sleep 1
wait $W
diag "boxlite-net at rest: $(cat most) KiB of private memory"
box '{}' -- "$PEER" round-trips 203.0.113.10 "$A" 3000
diag "a round trip through it takes $OUT us, the middle one of 3000"
tap_done

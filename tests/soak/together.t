#!/bin/bash
# Boxes at once, each with work of its own on its CPU and its disk.
#   SOAK_BOXES   how many (6)
. "$(dirname "$0")/../box/common.sh"
boxes=${SOAK_BOXES:-6}
BOX_LIMIT=$((60 + 20 * boxes))
make_home

# The work: a file, whose sum is known, and the copy of a copy of a copy.
work='echo up
read seed
seq $seed $((seed + 20000)) > work0
md5sum < work0
i=0
while [ $i -lt 20 ]; do cp work$i work$((i + 1)) && rm work$i && sync; i=$((i + 1)); done
md5sum < work20'

answer() { # SEED
	local sum
	sum=$(seq "$1" $(($1 + 20000)) | md5sum)
	printf 'up\n%s\n%s\n' "$sum" "$sum"
}
are_up() { [ "$(cat out.* 2> /dev/null | grep -c '^up$')" = "$boxes" ]; }

pids=() inputs=()
for ((i = 1; i <= boxes; i++)); do
	mkfifo in.$i
	exec {fd}<> in.$i
	inputs[i]=$fd
	timeout -k 5 "$BOX_LIMIT" "$B" run --rm -i --memory 192m --name b$i bb sh -c "$work" <&"$fd" > out.$i 2> err.$i &
	pids[i]=$!
done
WAIT_LIMIT=$((30 + 5 * boxes)) wait_for are_up
ok $? "$boxes boxes are up at once" || diag "$(cat out.* err.* | head -20)"
is "$("$B" ps -q | wc -l)" "$boxes" "ps shows all of them"
for ((i = 1; i <= boxes; i++)); do echo $((i * 1000)) >&"${inputs[i]}"; done
wrong=
for ((i = 1; i <= boxes; i++)); do
	wait "${pids[i]}"
	st=$?
	[ "$st $(cat out.$i)" = "0 $(answer $((i * 1000)))" ] && ! [ -s err.$i ] || wrong+="$i: $st $(cat out.$i err.$i)"$'\n'
done
is "${wrong:0:2000}" "" "each has the right answer"
nothing_left "and nothing is left"
is "$(find "$BOXLITE_HOME" -type s -o -type p)" "" "no socket and no pipe"
box_done

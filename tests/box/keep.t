#!/bin/bash
# What stays and what goes: the disk of a box, names, listing, removal of boxes and images, several at once.
. "$(dirname "$0")/common.sh"
make_home

disk_ok() { # NAME OF BOX, NAME OF TEST
	e2fsck -fn "$BOXLITE_HOME/boxes/$(box_id "$1")/disk.img" > fsck 2>&1
	is $? 0 "$2" || diag "$(cat fsck)"
}

# --- a box is kept ---------------------------------------------------------------------------------------------
bl run --name keep bb sh -c 'touch /kept; cat /kept; echo "run $(wc -l < /kept)" >> /kept; rm -f /etc/group; exit 3'
result 3 "" "run without --rm"
disk_ok keep "its disk is clean"
is "$(box_status keep)" "exited 3" "ps -a knows the status"
bl start -a keep; result 3 $'run 0\n' "start: what was written is there"
disk_ok keep "its disk is clean again"
bl start -a keep; result 3 $'run 0\nrun 1\n' "and once more"
bl run -i --name reads bb cat < /dev/null; result 0 "" "a box that reads its input"
bl start -a reads; result 0 "" "started without -i reads the end of it"
bl rm reads; result 0 $'reads\n' "rm"
bl start -a "$(box_id keep | cut -c1-5)"; result 3 $'run 0\nrun 1\nrun 2\n' "by the beginning of its id"
disk_ok keep "and clean"
bl ps; is "$(wc -l < out)" 1 "ps does not list it"
"$B" run --name esc bb echo $'\e[2J' > /dev/null
bl ps -a; unlike "$OUT" $'\e' "ps prints no byte of a command that a terminal would obey"
"$B" rm esc > /dev/null
bl ps -a
like "$OUT" $'^BOX ID +IMAGE +COMMAND +CREATED +STATUS +NAME\n'"$(box_id keep)"'  [^ ]*bb[^ ]* +sh -c .* exited \(3\) [a-z0-9 ]+ keep'$'\n$' "ps -a does"

# Writes reach the disk without an end in order, if they were synced.
"$B" run --name cut bb sh -c 'test -e /kept || { echo synced > /kept; sync; }; echo ready; sleep 1000' > cut 2> /dev/null &
wait_for test -s cut
is "$(box_status cut)" "running null" "running"
bl ps -q; result 0 "$(box_id cut)"$'\n' "ps -q lists what runs"
bl rm cut; fails 125 "box $(box_id cut) runs: .*--force" "rm of a running box is refused"
bl start -a cut; fails 125 "box $(box_id cut) runs already" "start of a running one as well"
bl run --name cut bb true; fails 125 "'cut' already: choose another name, or remove it: boxlite rm cut" "and its name is taken"
kill -KILL "$(machine_pid)"
wait $!
is $? 125 "pulling the plug"
bl run --rm --name other bb true; result 0 "" "other boxes do not mind"
"$B" start cut < /dev/null > /dev/null & starter=$!
wait_for "$B" exec cut test -s /kept 2>/dev/null
is "$("$B" exec cut cat /kept)" "synced" "after that, what was synced is there"
bl rm -f cut; result 0 $'cut\n' "rm -f of a running box"
wait $starter
bl rm keep nothere
is "$ST $OUT" $'125 keep\n' "rm of two, one of which is not there"
like "$ERR" "^boxlite: no box is called 'nothere'; 'boxlite ps -a' lists them"$'\n$' "says which"
nothing_left "nothing is left" now

# A box whose image's command cannot run was never a box that anybody wants.
bl run --name broken bb /no/such; is "$ST" 127 "a program that is not there"
bl ps -aq; result 0 "" "leaves no box, even without --rm"

# --- names -----------------------------------------------------------------------------------------------------
for name in '' .hidden -x 'a b' 'a/b' ../up "$(printf '%064d' 0)" ü; do
	bl run --name="$name" bb true
	fails 125 "'$name' is not a name: letters" "'${name:0:20}' is not a name"
done
bl run --rm --name "$(printf '%063d' 0)" bb true; result 0 "" "63 characters are"
# Two at once: exactly one gets it.
for i in 1 2; do
	{ "$B" run --name one bb true > out$i 2> err$i; echo $? > st$i; } &
done
wait
is "$(sort -n st1 st2 | xargs)" "0 125" "two runs of one name at once: one of them runs"
is "$(cat err1 err2)" "boxlite: a box is called 'one' already: choose another name, or remove it: boxlite rm one" \
  "the other says why and what to do"
is "$(box_ids | wc -l)" 1 "there is one box"
"$B" rm one > /dev/null

# --- many at once in one home -------------------------------------------------------------------------------------
for i in 1 2 3 4 5; do
	{ timeout 120 "$B" run --rm bb sh -c "echo $i; exit 1$i" > out$i 2> err$i; echo "$? $(cat out$i err$i)" > st$i; } &
done
wait
is "$(cat st? | tr '\n' ' ' | tr -s ' ' | sed 's/ $//')" "11 1 12 2 13 3 14 4 15 5" "five runs at once"
nothing_left "which leave nothing" now

# --- images ----------------------------------------------------------------------------------------------------
image second --config '{"config": {"Cmd": ["true"], "Labels": {"a": "b"}}}'
files() { (cd "$BOXLITE_HOME/images" && find rootfs blobs -type f | wc -l); }
is "$(files)" 6 "two images of one layer: a root file system each by its layers, configs and manifests"
bl run --name user second; result 0 "" "a box of the second"
bl rmi second; fails 125 'box user was made from .*second:latest: remove it first: boxlite rm user' "rmi of an image in use is refused"
bl prune -f; like "$ST $OUT" $'^0 freed ' "prune"
bl images -q; is "$(wc -l < out)" 1 "spares it, and takes the other"
bl start -a user; result 0 "" "whose box still runs"
bl rm user; bl rmi second; result 0 $'second\n' "without the box it can go"
is "$(files)" 0 "and every file with it"
bl rmi second; fails 125 'no image .*second' "it is gone"
bl images -q; result 0 "" "no images"
nothing_left "nothing is left" now
box_done

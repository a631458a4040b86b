#!/bin/bash
# One fd and one call for all of a home (boxlite_get_fd, boxlite_dispatch), from a program that knows the header alone.
. "$(dirname "$0")/common.sh"
make_home

program loop
for scene in many backpressure late room closing alone stop watches; do
	is "$(timeout -k 5 100 ./loop $scene 2>&1 | head -c 3000)" "$scene" "$scene"
done
nothing_left "nothing is left" now

# What other programs do is told as it happens.
./loop events > seen 2>&1 & watcher=$!
wait_for grep -q watching seen; ok $? "somebody watches"
bl create --name watched bb sh -c 'exit 3'
bl start -a watched; is "$ST" 3 "another program starts a box"
bl rm watched
wait $watcher
is "$? $(paste -sd' ' seen)" "0 watching create start die remove events" "it is told, from the beginning to the end"
nothing_left "nothing is left" now
box_done

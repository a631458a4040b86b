#!/bin/bash
# Streams of processes that are fds of the application (boxlite_process_connect).
. "$(dirname "$0")/common.sh"
make_home

program connect
for scene in files pipes sockets slow shared leaving devices terminal no-input again copies wrong nothing-open; do
	is "$(timeout -k 5 100 ./connect $scene 2>&1 | head -c 3000)" "$scene" "$scene"
done
nothing_left "nothing is left" now
box_done

#!/bin/bash
# A host whose clock is set, which is also what is seen of one that has slept: boxes that run hear what time it is. Only
# where the clock is the test's own to set: in the lab (IN_LAB).
. "$(dirname "$0")/common.sh"
[ -n "${IN_LAB:-}" ] && [ "$(id -u)" = 0 ] || skip_all "the clock of this host is not the test's to set"
make_home

# Seconds that the box is behind the host.
behind() { echo $(($(date +%s) - $("$B" exec steady date +%s))); }
near() { local d; d=$(behind); [ "$d" -ge -1 ] && [ "$d" -le 2 ]; }
bl run -d --name steady bb sleep 10000
near; ok $? "a box has the time of its host" || diag "$(behind)"
for by in 3600 -7200 3600; do
	date -s "@$(($(date +%s) + by))" > /dev/null
	wait_for near; ok $? "and after a step of $by s" || diag "$(behind)"
done
is "$("$B" exec steady sh -c 'sleep 1; echo on')" on "what runs in it goes on"
like "$(cat "$BOXLITE_HOME"/boxes/*/log/shim.log)" "clock was set" "its log says so"
bl rm -f steady
nothing_left "nothing is left"
tap_done

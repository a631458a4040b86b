#!/bin/bash
# What happens to boxes and images, told to who watches, and to who asks later.
. "$(dirname "$0")/common.sh"
make_home
past() { "$B" events --since 1h --until 0s "$@"; }
actions() { past --format '{{.Action}}' "$@" | paste -sd' '; }

is "$(past --format '{{.Type}} {{.Action}} {{.ID}}')" "image load docker.io/library/bb:latest" "an image that is loaded"
"$B" events --json > seen & watcher=$!
wait_for sh -c 'ls -l /proc/$0/fd | grep -q "anon_inode:inotify"' $watcher; ok $? "somebody watches"

bl run -d --name one bb sh -c 'trap "exit 3" TERM; echo up; while :; do sleep 0.1; done'; id=${OUT%?}
bl exec one sh -c 'exit 7'
bl rename one two
bl kill -s USR1 two
"$B" wait two > /dev/null
bl start two
wait_for sh -c '[ "$("$0" logs two | grep -c up)" = 2 ]' "$B"
bl stop two; bl rm two
bl run --rm bb true
is "$(actions -f box="$id")" \
  "create start exec_start exec_die rename kill die start stop die remove" "the life of a box"
is "$(past -f box="$id" -f event=exec_die --format '{{.Exec}} {{.Status}} {{.Name}}')" "2 7 one" "an exec has its number and its status"
is "$(past -f box="$id" -f event=kill --format '{{.Signal}}')" "10" "a signal its number"
is "$(past -f box="$id" -f event=die --format '{{.Status}}' | paste -sd' ')" "138 3" "an end its status"
is "$(past -f event=rename --format '{{.Name}}')" two "a rename the new name"
is "$(actions -f event=create -f event=remove -f type=box)" "create remove create remove" "a box with --rm comes and goes"
is "$(actions -f type=image)" load "of images only"
is "$(past -f event=nothing)" "" "of nothing"
like "$(past -f event=die | head -n 1)" "^20[0-9-]*T[0-9:.]*Z box die $id \(name=two, image=bb:latest, status=138, signal=10\)$" "a line for people"

wait_for sh -c '[ "$(grep -c "\"action\": *\"remove\"" seen)" = 2 ]'; ok $? "who watched has seen it all"
is "$(jq -r .action seen | paste -sd' ')" "$(actions -f type=box)" "in the same order"
kill -TERM $watcher; wait $watcher; is $? 130 "until a signal ends it"
start=$EPOCHREALTIME
is "$(timeout 60 "$B" events --since 0s --until "$(($(date +%s) + 2))" --format '{{.Action}}')" "" "--until in a moment"
ok "$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print (b - a > 20) }')" "ends then"
"$B" events --format '{{.Action}}' | head -n 1 > first & reader=$!
wait_for sh -c 'for p in /proc/[0-9]*/fd; do ls -l $p 2> /dev/null; done | grep -q "events.log"'
bl create --name x bb; bl rm x
wait $reader; is "$(cat first)" create "a reader that leaves ends it"

# --- restart, health, what fails --------------------------------------------------------------------------------
bl run -d --name back --restart on-failure:1 --health-cmd true --health-interval 100ms bb sh -c 'sleep 1; exit 4'
WAIT_LIMIT=60 wait_for sh -c '[ "$("$0" events --since 1h --until 0s -f box=back -f event=die | wc -l)" = 2 ]' "$B"
like "$(actions -f box=back)" '^create start (health )?die restart (health )?die$' "a box that comes back"
like "$(past -f box=back -f event=health --format '{{.Detail}}')" '^(healthy|)' "and its health"
bl events --filter x=y; fails 125 "'x=y' is not a filter" "no such filter"
bl events --since yesterday; fails 125 "'yesterday' is not a time" "no such time"
bl events --format '{{.Nothing}}'; fails 125 'Nothing' "no such field"
"$B" rm back > /dev/null

# --- a long file --------------------------------------------------------------------------------------------------
python3 - "$BOXLITE_HOME/events.log" << 'P'
import json, sys
with open(sys.argv[1], "a") as f:
    for i in range(60000):
        f.write(json.dumps({"time_ns": 1, "type": "box", "action": "fill", "id": "x%d" % i, "detail": "y" * 60}) + "\n")
    f.write("not json\n")
P
size=$(stat -c %s "$BOXLITE_HOME/events.log")
bl create --name late bb
[ "$(($(stat -c %b "$BOXLITE_HOME/events.log") * 512))" -le $((3 << 20)) ] && [ "$(stat -c %s "$BOXLITE_HOME/events.log")" -gt "$size" ]
ok $? "its beginning is taken back from the disk"
is "$(past --format '{{.Action}} {{.Name}}')" "create late" "what is left can be read"
n=$("$B" events --since 0 --until 0s -f event=fill --format '{{.ID}}' | wc -l)
[ "$n" -ge 10000 ] && [ "$n" -lt 59999 ]; ok $? "the newest of it ($n)"
bl rm late
nothing_left "nothing is left"
box_done

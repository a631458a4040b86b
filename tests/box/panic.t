#!/bin/bash
# A guest whose kernel panics in its boot: whoever starts a box learns why. tests/box/hostile.t has one that runs.
. "$(dirname "$0")/common.sh"
make_home

mkdir guest
ln -s "$O/guest/vmlinux" guest/vmlinux
echo 'this is no program' > init
"$TOP/scripts/mk-initramfs" init guest/initramfs
why="^boxlite: the guest's kernel panicked: No working init found\. "

BOXLITE_GUEST=$T/guest bl run --rm bb true; fails 125 "$why" "a kernel without an init"
BOXLITE_NO_TEMPLATES=1 BOXLITE_GUEST=$T/guest bl run --rm bb true; fails 125 "$why" "one that was to leave no template"

bl run --name b bb true; result 0 "" "a box with a sound kernel"
BOXLITE_GUEST=$T/guest bl start -a b; fails 125 "$why" "is started again with the other"
like "$(cat "$BOXLITE_HOME"/boxes/*/log/console.log)" 'Kernel panic - not syncing: No working init' "its console is kept"
like "$(cat "$BOXLITE_HOME"/boxes/*/log/shim.log)" "error: the guest's kernel panicked" "and its log says so"
bl start -a b; result 0 "" "and is none the worse"
bl rm b; result 0 $'b\n' "rm"
nothing_left "nothing is left"
box_done

#!/bin/bash
# The library in a program that is not ours.
. "$(dirname "$0")/common.sh"
make_home

${CC:-cc} $SANITIZER -std=c99 -Wall -Wextra -pedantic -Werror -I "$TOP/include" "$TOP/tests/lib/embed.c" -o embed \
  -L "$O/lib" -lboxlite -Wl,-rpath,"$O/lib" > log 2>&1
is "$? $(cat log)" "0 " "a program is built with the header and the shared library"
is "$(timeout 120 ./embed 2>&1)" "status 0, 0 left" "a box that goes with its main process is gone"
nothing_left "nothing is left" now
${CC:-cc} $SANITIZER -std=gnu99 -Wall -Wextra -Werror -I "$TOP/include" "$TOP/tests/lib/embed-many.c" -o many \
  -L "$O/lib" -lboxlite -Wl,-rpath,"$O/lib" > log 2>&1
is "$? $(cat log)$(timeout 120 ./many 2>&1)" "0 no zombies" "shims whose handles were closed do not pile up as zombies"
"$B" ps -aq > /dev/null
nothing_left "nothing is left"
# Who ignores SIGCHLD is never told how a child of its ended: mke2fs, the shim.
rm -rf "$BOXLITE_HOME/templates"
for t in first next; do
	python3 -c 'import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])' ./embed > ign 2>&1
	is "$(cat ign)" "status 0, 0 left" "with SIGCHLD ignored as well: the $t box of a home"
done
nothing_left "nothing is left" now
${CC:-cc} $SANITIZER -std=c99 -Wall -Wextra -pedantic -Werror -I "$TOP/include" "$TOP/tests/lib/embed-exec.c" -o embed-exec \
  -L "$O/lib" -lboxlite -Wl,-rpath,"$O/lib" > log 2>&1
is "$? $(cat log)$(timeout 120 ./embed-exec 2>&1)" "0 exited 3
124 timed out
lost: the box's main process has ended
127" \
  "an exec right behind a start waits for it"
"$B" ps -aq > /dev/null
nothing_left "nothing is left" now
box_done

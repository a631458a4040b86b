#!/bin/bash
# A program that runs out of memory in the library: tests/lib/embed-torture.c.
#   TORTURE_EVERY   one of so many allocations, of what takes long (12); 1, as by `make torture`: all of them
. "$(dirname "$0")/common.sh"
[ "${V:-release}" = release ] || skip_all "only in the release variant"
# Times of a clock that has run for so long have 16 digits, for which jansson (2.14) aborts when it lacks memory.
[ "$(cut -d. -f1 /proc/uptime)" -lt 900000 ] || skip_all "this host is up for more than ten days"
make_home
"$TOP/scripts/mk-image" layout

${CC:-cc} -std=gnu11 -g -Wall -Wextra -Werror -I "$TOP/include" "$TOP"/tests/lib/{embed-torture,torture-memory}.c \
  -o torture -L "$O/lib" -lboxlite -Wl,-rpath,"$O/lib" > log 2>&1
is "$? $(cat log)" "0 " "a program is built"
is "$(timeout -k 5 "${TEST_TIMEOUT:-600}" ./torture "${TORTURE_EVERY:-12}" 2> said | head -c 3000)" "done" "it gets reasons, and nothing stays behind"
cat said
bl ps -aq; result 0 "" "no box is left"
nothing_left "nothing is left" now
box_done

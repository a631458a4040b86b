#!/bin/bash
# A program for which system calls fail in the library: tests/lib/embed-torture.c below tests/lib/torture-tracer.c.
#   TORTURE_EVERY   one of so many calls, of what takes long (3); 1, as by `make torture`: all of them, with all errors
. "$(dirname "$0")/common.sh"
[ "${V:-release}" = release ] || skip_all "only in the release variant"
[ "$(uname -m)" = x86_64 ] || skip_all "the tracer knows x86-64 only"
make_home
"$TOP/scripts/mk-image" layout

{ ${CC:-cc} -std=gnu11 -g -Wall -Wextra -Werror -I "$TOP/include" "$TOP"/tests/lib/{embed-torture,torture-calls}.c \
  -o torture -L "$O/lib" -lboxlite -Wl,-rpath,"$O/lib" &&
  ${CC:-cc} -std=gnu11 -g -Wall -Wextra -Werror "$TOP/tests/lib/torture-tracer.c" -o tracer; } > log 2>&1
is "$? $(cat log)" "0 " "a program and a tracer are built"
is "$(timeout -k 5 "${TEST_TIMEOUT:-600}" ./tracer ./torture "${TORTURE_EVERY:-3}" 2> said | head -c 6000)" "done" \
  "it gets reasons, and nothing stays behind"
cat said
bl ps -aq; result 0 "" "no box is left"
run bb echo well; result 0 $'well\n' "and the home is well"
nothing_left "nothing is left" now
box_done

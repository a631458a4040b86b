#!/bin/bash
# boxlite run -t and -it with a person at a pseudo-terminal (tests/lib/pty-drive.py).
. "$(dirname "$0")/common.sh"
make_home

# drive STEP... -- ARG...: boxlite ARG... on a terminal of 24 x 80. SCREEN has what was shown, with \r\n as
# newlines; MODES whether the terminal is as it was; ST the status.
drive() {
	local steps=()
	while [ "$1" != -- ]; do steps+=("$1"); shift; done
	shift
	"$TOP/tests/lib/pty-drive.py" "${steps[@]}" -- "$B" "$@" > "$T/screen" 2> "$T/modes"
	ST=$?
	SCREEN=$(tr -d '\r' < "$T/screen")
	MODES=$(cat "$T/modes")
}
shows() { # STATUS SCREEN NAME: and the terminal's modes are as before
	is "$ST:$SCREEN:$MODES" "$1:$2:modes restored" "$3"
}

drive -- run --rm -it bb sh -c 'tty; test -t 0 && test -t 1 && test -t 2 && echo all; stty size; exit 5'
shows 5 $'/dev/pts/0\nall\n24 80' "a terminal on all three streams, with its size"
is "$(head -c 12 "$T/screen" | od -An -c | tr -d ' ')" '/dev/pts/0\r\n' "newlines are the box's own, made once"

drive --size 50x132 -- run --rm -t bb stty size
shows 0 "50 132" "-t alone, another size"

# A shell that sleeps in short pieces: one that waits in `read` may take a signal just before and sit on it.
winch='trap "stty size" WINCH; trap "exit 6" INT; echo ready; while :; do sleep 0.1; done'
drive expect:ready size:40x100 'expect:40 100' 'send:\x03' -- run --rm -it bb sh -c "$winch"
like "$ST $SCREEN" $'ready\n40 100' "a new size arrives, with SIGWINCH"
is "$MODES" "modes restored" "and the modes are restored"

# A program that says that it is there and catches nothing (a shell does, and would be in between).
PTY_LIMIT=5 drive expect:staff 'send:\x03' -- run --rm -it bb tail -f /etc/group
is "$ST $MODES" "130 modes restored" "Ctrl-C ends a plain program with 130"
PTY_LIMIT=30 drive raw: 'send:\x03' -- run --rm -it bb tail -f /etc/group
is "$ST $MODES" "130 modes restored" "also while the box boots"
drive expect:ready 'send:\x03' 'expect:caught' -- run --rm -it bb sh -c 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.1; done'
is "$ST $MODES" "9 modes restored" "and a trap gets it"
drive expect:ready 'send:\x1c' -- run --rm -it bb sh -c 'trap "echo quit; exit 3" QUIT; echo ready; while :; do sleep 0.1; done'
is "$ST" 3 "Ctrl-\\ is SIGQUIT"

# What is typed is for the box: echoed there, once, not here.
drive 'expect:name\?' 'send:Ada\r' expect:hello 'send:\x04' -- run --rm -it bb sh -c \
  'printf "name? "; read -r n; echo "hello $n"; cat; echo end'
shows 0 $'name? Ada\nhello Ada\nend' "a line typed, and Ctrl-D"
drive 'expect:# ' 'send:echo $((6*7))\r' 'expect:\n42' 'send:exit 4\r' -- run --rm -it bb
is "$ST $MODES" "4 modes restored" "a shell"

# Bytes as they are: all 256 through a terminal that was made raw in the box.
drive expect:ready 'send:\x00\x03\x04\x11\x13\x1a\x7f\xff\r\n' -- run --rm -it bb sh -c \
  'stty raw -echo; echo ready; head -c 10 | hexdump -e "10/1 \"%02x\""; stty sane'
like "$SCREEN" '000304111[3]1a7fff0d0a' "a raw terminal in the box gets every byte"

# The end of boxlite for other reasons restores the terminal too.
drive expect:staff kill:SIGTERM -- run --rm -it bb tail -f /etc/group
is "$ST $MODES" "143 modes restored" "SIGTERM"
drive -- run --rm -it bb /no/such
is "$ST $MODES" "127 modes restored" "a program that is not there"
BOXLITE_GUEST=/nonexistent drive -- run --rm -it bb sh
is "$ST $MODES" "125 modes restored" "a box that cannot start"

# --- a terminal in the box, and no input from here ---------------------------------------------------------
drive expect:staff 'send:\x03' -- run --rm -t bb tail -f /etc/group
is "$ST $MODES" "130 modes restored" "-t without -i: Ctrl-C is a signal"
drive 'send:line\r' 'expect:line\r\nline' 'send:\x03' -- run --name kept -i bb cat
is "$ST $MODES" "130 modes restored" "-i without -t: so it is, too"
drive 'send:line\r' 'expect:line\r\nline' 'send:\x03' -- start -i kept
is "$ST $MODES" "130 modes restored" "also when it is started again"
drive expect:ready size:30x90 'expect:30 90' 'send:\x03' -- run --name with -it bb sh -c "$winch"
drive expect:ready size:31x91 'expect:31 91' 'send:\x03' -- start -i with
is "$ST $MODES" "6 modes restored" "a box with a terminal gets one again"
bl rm kept with; result 0 $'kept\nwith\n' "rm of two"

# --- without a terminal --------------------------------------------------------------------------------------
bl run --rm -it bb sh < /dev/null
fails 125 '-t wants a terminal, and standard input is none: leave -t out' "-it without a terminal"
bl run --rm -t bb sh -c 'test -t 1 && stty size'; result 0 $'24 80\r\n' "-t without one gives the box a terminal all the same"
bl run --rm -t bb sh -c 'echo one; echo two >&2'; result 0 $'one\r\ntwo\r\n' "where both streams are one"

# Only standard output is redirected: the keyboard still works, the modes are restored.
"$TOP/tests/lib/pty-drive.py" -- sh -c '"$0" run --rm -i bb sh -c "test -t 1 || echo no terminal" | cat' "$B" > screen 2> modes
is "$? $(tr -d '\r' < screen) $(cat modes)" "0 no terminal modes restored" "-i on a terminal without -t"
nothing_left "nothing is left" now
box_done

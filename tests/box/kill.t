#!/bin/bash
# kill -9 of whoever makes, starts, stops and removes a box, and of its shim, machine and network, at each step of that
# (tests/lib/kill-at.c). Whatever is left is told as it is, can be started, with what it had written, and removed, and
# nothing stays behind.
#   KILL_EVERY   only each so many steps (6); 1: all of them, which takes some minutes
#   KILL_TIMES   instead: so many of each kind of death, at steps far from each other (1 on KVM, which the lab is slow at),
#                and twice as many of the shim's and the machine's in a box's life
. "$(dirname "$0")/common.sh"
every=${KILL_EVERY:-6} times=${KILL_TIMES:-}
[ "$BOXLITE_ENGINE" = qemu ] || [ -n "${KILL_EVERY:-}" ] || times=${times:-1}
make_home

${CC:-cc} -std=gnu11 -O1 -D_GNU_SOURCE -Wall -Wextra -Werror -shared -fPIC "$TOP/tests/lib/kill-at.c" -o kill-at.so 2> log
is "$? $(cat log)" "0 " "the killer is built"

# The shim gets no environment from the library: it is read from a file, which is empty for all but the shim to be killed.
programs=${BOXLITE_LIBEXEC:-$O/bin}
mkdir killed
ln -s "$programs"/boxlite-{image,vmm,net,copy} killed/
: > shim-env
cat > killed/boxlite-shim <<END
#!/bin/sh
. "$T/shim-env"
${ASAN_OPTIONS:+export ASAN_OPTIONS='$ASAN_OPTIONS:detect_leaks=0:verify_asan_link_order=0' UBSAN_OPTIONS='$UBSAN_OPTIONS' TSAN_OPTIONS='$TSAN_OPTIONS'}
exec "$O/bin/boxlite-shim"
END
chmod +x killed/boxlite-shim
export BOXLITE_LIBEXEC=$T/killed

settings() { # PROGRAM WHOM N
	echo "LD_PRELOAD=$T/kill-at.so KILL_PROGRAM=$1 KILL_WHOM=$2 KILL_AT=$3 KILL_NOTE=$T/note"
}

# boxlite ARG..., in which PROGRAM (or with WHOM "child" the program that it has started) dies at its step N. DIED is the
# call that was the step, or nothing if it came to its end before; DST, DOUT and DERR what boxlite has said.
dying() { # PROGRAM WHOM N ARG...
	local program=$1 whom=$2 n=$3
	shift 3
	: > note
	if [ "$program" = boxlite ]; then
		# shellcheck disable=SC2046
		timeout -k 5 "$LIMIT" env $(settings "$program" "$whom" "$n") \
		  ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0"} "$B" "$@" > out 2> err < /dev/null
		DST=$?
	else
		echo "export $(settings "$program" "$whom" "$n")" > shim-env
		timeout -k 5 "$LIMIT" "$B" "$@" > out 2> err < /dev/null
		DST=$?
		: > shim-env
	fi
	DOUT=$(cat out) DERR=$(cat err)
	DIED=$(sed -n 's/^died [0-9]* //p' note)
	WHERE="step $n${DIED:+ ($DIED)}"
} 2> /dev/null # the shell's own word about it

wrong() { echo "$WHERE: $*" | tee -a wrong > /dev/null; }
processes() { "$TOP/tests/lib/reaper.py" --list; }
gone() { "$TOP/tests/lib/reaper.py" --wait 20 > left || wrong "still there: $(xargs < left)"; }

# What ps says of box k: none, or its status. It never fails.
look() {
	bl ps -a --json
	[ "$ST$ERR" = 0 ] || wrong "ps: $ST $ERR"
	STATE=$(jq -r '.[] | select(.name == "k") | .status' <<< "$OUT")
	STATE=${STATE:-none}
}

# Sets STATE once all that was on its way has come to its end; "running" is a box that can be used.
settle() {
	look
	if [ "$STATE" = running ]; then
		timeout 60 "$B" exec k true > /dev/null 2>&1 < /dev/null && return
		gone
		look
		[ "$STATE" != running ] || wrong "ps says that it runs, and nothing does"
	else
		gone
	fi
}

# What the box of most of these runs: it writes a text of its own once, and keeps it.
command='[ -e /kept ] || { cat /proc/sys/kernel/random/uuid > /new && sync && mv /new /kept; }; sync; exec sleep 100000'
waits='until [ -e /kept ]; do usleep 10000; done; cat /kept'

create() {
	[ -z "$(box_id k)" ] || return
	bl create --name k bb sh -c "$command" || wrong "create: $ERR"
	KEPT=
}

# The box can be started, has what it had written, comes to its end in order, and has no more files than it should.
revive() {
	[ "$STATE" != running ] || bl stop -t 0 k || wrong "stop: $ERR"
	bl start k < /dev/null || wrong "start: $ERR"
	bl exec k sh -c "$waits"
	[ "$ST$ERR" = 0 ] && [ -n "$OUT" ] && [ "$OUT" = "${KEPT:-$OUT}" ] || wrong "it had written '$KEPT' and has $ST '$OUT' $ERR"
	KEPT=$OUT
	bl stop -t 0 k || wrong "stop again: $ERR"
	look
	is_one_of exited
	in_order
}

in_order() {
	e2fsck -fn "$BOXLITE_HOME"/boxes/*/disk.img > fsck 2>&1 || wrong "fsck: $(cat fsck)"
	find "$BOXLITE_HOME" '(' -name '.?*' -o -name '*.new' -o -type s ')' > litter
	[ ! -s litter ] || wrong "litter: $(xargs < litter)"
}

is_one_of() { # WORDS: the state
	[[ " $1 " = *" $STATE "* ]] || wrong "it is $STATE, not one of: $1"
}

total() { sed -n 's/^total \([0-9]*\).*/\1/p' note; }

# Which of so many steps are deaths.
choose() { # TOTAL
	local i
	[ -n "$times" ] || { seq 1 "$every" "$1"; return; }
	for ((i = 0; i < times; i++)); do echo $((1 + (2 * i + 1) * $1 / (2 * times))); done
}

# each_step PROGRAM WHOM OPERATION NAME [MOST]: OPERATION 0 comes to its end and says how many steps there are, N dies at
# the Nth of them (of the first MOST). One more or less there may be from one time to the next, according to what comes first.
each_step() {
	local n total planned=0 deaths=0
	: > wrong
	"$3" "$1" "$2" 0
	total=$(total)
	[ "${total:-0}" -gt 1 ] || wrong "it has no steps: $(cat note err)"
	[ "${total:-0}" -le "${5:-1000}" ] || total=$5
	for n in $(choose "${total:-0}"); do
		planned=$((planned + 1))
		"$3" "$1" "$2" "$n"
		if [ -n "$DIED" ]; then
			deaths=$((deaths + 1))
		else
			[ "$(total)" -lt "$n" ] 2> /dev/null || wrong "it did not die: $(cat note err)"
		fi
	done
	is "$(sed "s/^/$3 /" wrong | head -c 3000)" "" "$4"
	[ "$deaths" -gt "$((planned / 2))" ]; ok $? "  it died $deaths times in $total steps"
	look
	[ "$STATE" = none ] || bl rm -f k || diag "rm: $ERR"
	nothing_left "  and nothing is left"
}

# --- the process of the library ------------------------------------------------------------------------------------
creates() {
	KEPT=
	rm -f "$BOXLITE_HOME"/templates/ext4-* # the first box of a home makes one
	dying "$@" create --name k bb sh -c "$command"
	settle
	is_one_of "none created"
	[ "$DIED" ] || [ "$STATE" = created ] || wrong "it is $STATE"
	[ "$STATE" = none ] && return
	revive
	bl rm k || wrong "rm: $ERR"
}
each_step boxlite self creates "create dies"

starts() {
	create
	dying "$@" start k
	settle
	is_one_of "created running exited failed"
	[ "$DIED" ] || [ "$STATE" = running ] || wrong "it is $STATE"
	revive
}
each_step boxlite self starts "start dies"

stops() {
	create
	bl start k < /dev/null || wrong "start: $ERR"
	bl exec k sh -c "$waits" || wrong "exec: $ERR"
	KEPT=$OUT
	dying "$@" stop -t 0 k
	settle
	is_one_of "running failed exited"
	[ "$DIED" ] || [ "$STATE" != running ] || wrong "it runs"
	revive
}
each_step boxlite self stops "stop dies"

removes() {
	create
	dying "$@" rm k
	settle
	is_one_of "none created failed exited"
	[ "$DIED" ] || [ "$STATE" = none ] || wrong "it is $STATE"
	[ "$STATE" = none ] || revive
}
each_step boxlite self removes "rm dies"

removes_running() {
	create
	bl start k < /dev/null || wrong "start: $ERR"
	dying "$@" rm -f k
	settle
	is_one_of "none running failed exited"
	[ "$DIED" ] || [ "$STATE" = none ] || wrong "it is $STATE"
	[ "$STATE" = none ] || revive
}
each_step boxlite self removes_running "rm -f of a running box dies"

runs() {
	dying "$@" run --rm --name k bb true
	gone
	look
	is_one_of none
}
each_step boxlite self runs "run --rm dies"

# --- the shim, and the machine --------------------------------------------------------------------------------------
# From the start of a box to the end of its command. Whoever waits for it hears of that, or what has died and how.
lives() {
	[ -n "$(box_id k)" ] || bl create --name k bb sh -c '[ -e /kept ] || echo kept > /kept; sync; cat /kept' || wrong "create: $ERR"
	dying "$@" start -a k
	[ "$DST $DOUT$DERR" = "0 kept" ] ||
	  { [ "$DST" = 125 ] && [[ $DERR =~ ^boxlite:\ (the\ box\'s\ shim|the\ machine|boxlite-net)\ was\ killed\ by\ signal\ 9[^$'\n']*$ ]]; } ||
	  wrong "it says $DST '$DOUT' '$DERR'"
	gone
	look
	is_one_of "exited failed"
	# A shim that has died before the machine was off has not written down how the command had ended.
	[ "$DST $STATE $1 $2" != "0 failed boxlite-shim child" ] || wrong "it has ended well, and ps says failed"
	bl start -a k < /dev/null
	[ "$ST$OUT$ERR" = $'0kept\n' ] || wrong "it does not run again: $ST $OUT $ERR"
	gone
	look
	is_one_of exited
	in_order
}
[ -z "$times" ] || times=$((2 * times))
each_step boxlite-shim self lives "the shim dies"
each_step boxlite-shim child lives "the machine dies"
each_step boxlite-shim net lives "its network dies"

# The first box of a home boots, is saved as a template, and goes on: that is most of its steps.
lives_first() {
	find "$BOXLITE_HOME/templates" -type f ! -name 'ext4-*' -delete
	lives "$@"
}
if [ "$BOXLITE_ENGINE" = qemu ]; then # the only one that has such templates
	each_step boxlite-shim self lives_first "the shim of a home's first box dies" 60
	each_step boxlite-shim child lives_first "its machine dies" 60
	each_step boxlite-shim net lives_first "its network dies" 60
fi

[ -z "$times" ] || times=$((times / 2))

# A machine for a copy only, into a box that does not run.
seq 20000 > file
copies() {
	create
	dying "$@" cp -q file k:/copied
	[ "$1" = boxlite ] || [ "$DST$DOUT$DERR" = 0 ] || { [ "$DST" = 125 ] && [[ $DERR =~ ^boxlite:\ [^$'\n']*$ ]]; } || wrong "it says $DST '$DOUT' '$DERR'"
	gone
	look
	is_one_of "created exited"
	revive
	rm -f back
	bl cp -q k:/copied back || [ "$DST" != 0 ] || wrong "it is not there: $ERR"
	[ "$ST" != 0 ] || cmp -s file back || wrong "a part of it is there"
	bl start k && bl exec k rm -f /copied && bl stop -t 0 k || wrong "it does not run: $ERR"
}
each_step boxlite self copies "cp dies"
each_step boxlite-shim self copies "the shim of a cp dies"
each_step boxlite-shim child copies "its machine dies"

nothing_left "nothing is left" now
box_done

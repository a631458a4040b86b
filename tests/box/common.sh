# What the tests of whole boxes share. Everything goes through the real command line.
#
# Sets TOP, O, T (scratch, removed at exit), B (the boxlite to test) and BOXLITE_HOME, a home of this
# test's own with image "bb" in it (boxes of it have busybox and nothing else).
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# The test runs below a process that adopts orphans, so a shim that was forgotten is found and told.
[ -n "${BOX_TEST_REAPER:-}" ] || exec python3 "$TOP/tests/lib/reaper.py" bash "$0" "$@"
export O=${O:-$TOP/out}
[[ $O = /* ]] || O=$TOP/$O
. "$TOP/tests/lib/tap.sh"
unset BOXLITE_LIBEXEC BOXLITE_GUEST BOXLITE_QEMU http_proxy https_proxy HTTP_PROXY HTTPS_PROXY
export LC_ALL=C TERM=xterm
B=$O/bin/boxlite
export BOXLITE_HOME=$T/home
cd "$T" || exit 1

[ -x "$B" ] || skip_all "$B is not built"
[ -x /bin/busybox ] || skip_all "busybox-static is not installed"

# What engine the boxes are of. Without BOXLITE_ENGINE it is what boxlite itself would choose.
if [ -z "${BOXLITE_ENGINE:-}" ]; then
	BOXLITE_ENGINE=qemu
	if { "$O/bin/boxlite-vmm" --probe < /dev/kvm | grep -q '"works":true'; } 2> /dev/null; then BOXLITE_ENGINE=kvm; fi
fi
export BOXLITE_ENGINE

# Sanitized programs write their reports to files. Shim and machine get no environment, hence the wrappers.
if nm -D "$O/bin/boxlite-shim" 2>/dev/null | grep -Eq '__(asan|tsan)_init'; then
	mkdir "$T/libexec" "$T/san"
	chmod 777 "$T/san"
	for tool in ASAN UBSAN TSAN; do
		declare -n options=${tool}_OPTIONS
		# No limit of cores but our own.
		export "${tool}_OPTIONS=${options:+$options:}log_path=$T/san/report:disable_coredump=0"
	done
	export BOXLITE_LIBEXEC=$T/libexec
	# They are not dumpable, or see no /proc, so the leak checker cannot look at them.
	for program in boxlite-shim boxlite-vmm boxlite-net boxlite-copy; do
		cat > "$T/libexec/$program" <<-END
			#!/bin/sh
			export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 UBSAN_OPTIONS=$UBSAN_OPTIONS TSAN_OPTIONS=$TSAN_OPTIONS
			exec $O/bin/$program "\$@"
		END
		chmod 755 "$T/libexec/$program"
	done
	ln -s "$O/bin"/boxlite-image "$T/libexec/"
fi

# Before the scratch folder can go, so must whoever still writes there; at the end of a test that is a failure.
box_cleanup() {
	local left
	left=$("$TOP/tests/lib/reaper.py" --list)
	if [ -n "$left" ]; then
		diag "left behind and killed:" "$left"
		kill -KILL $(cut -d' ' -f1 <<<"$left") 2> /dev/null
		"$TOP/tests/lib/reaper.py" --wait 10
	fi
	tap_cleanup
	[ -z "$left" ] || exit 70
}
trap box_cleanup EXIT

LIMIT=${BOX_LIMIT:-120} # seconds for one command: a box that hangs must not take the whole test with it

# bl ARG...: boxlite with standard input as it is. Sets OUT and ERR (every byte but NUL, the last
# newline too) and ST.
bl() {
	timeout -k 5 "$LIMIT" "$B" "$@" > "$T/out" 2> "$T/err"
	ST=$?
	OUT=$(cat "$T/out"; echo .) OUT=${OUT%.}
	ERR=$(cat "$T/err"; echo .) ERR=${ERR%.}
	return $ST
}

# run ARG...: bl run --rm ARG...
run() { bl run --rm "$@"; }

# result STATUS STDOUT NAME: of the last bl, with nothing on standard error.
result() {
	[ "$ST" = "$1" ] && [ "$OUT" = "$2" ] && [ -z "$ERR" ]
	ok $? "$3" || diag "wanted $1 '$2'" "got $ST '${OUT:0:2000}'" "stderr '${ERR:0:2000}'"
}

# fails STATUS PATTERN NAME: the last bl printed nothing but one line "boxlite: ..." like the pattern.
fails() {
	[ "$ST" = "$1" ] && [ -z "$OUT" ] && [[ $ERR =~ ^boxlite:\ [^$'\n']*$'\n'$ ]] && [[ $ERR =~ $2 ]]
	ok $? "$3" || diag "wanted $1 and one line like '$2'" "got $ST '$OUT'" "stderr '$ERR'"
}

# program NAME: tests/lib/embed-NAME.c as ./NAME, with the header and the library, and the sanitizer of that.
program() {
	${CC:-cc} -std=gnu11 -g -Wall -Wextra -Werror $SANITIZER -I "$TOP/include" "$TOP/tests/lib/embed-$1.c" -o "$1" \
	  -L "$O/lib" -lboxlite -Wl,-rpath,"$O/lib" > log 2>&1
	is "$? $(cat log)" "0 " "program $1 is built"
}

# with_engine PROGRAM COMMAND...: with a program in the place of the engine's.
with_engine() {
	local program=$1 libexec=$T/engines/${1##*/}
	shift
	if [ "$BOXLITE_ENGINE" = qemu ]; then
		BOXLITE_QEMU=$program "$@"
	else
		[ -e "$libexec" ] || mkdir -p "$libexec"
		ln -sf "${BOXLITE_LIBEXEC:-$O/bin}"/boxlite-{shim,image,copy,net} "$libexec"
		ln -sf "$program" "$libexec/boxlite-vmm"
		BOXLITE_LIBEXEC=$libexec "$@"
	fi
}

# image NAME [ARG...]: loads an image made by scripts/mk-image ARG...
image() {
	local name=$1
	shift
	rm -rf "$T/layout"
	"$TOP/scripts/mk-image" "$T/layout" "$@" && "$B" load -q --name "$name" "$T/layout" > /dev/null
	local r=$?
	rm -rf "$T/layout"
	return $r
}

# copy_libraries FOLDER FILE...: what these need, for an image. copy_programs FOLDER PROGRAM...: they themselves as well.
copy_files() {
	local to=$1 f
	shift
	for f; do
		f=$(realpath -s "$f")
		mkdir -p "$to/$(dirname "$f")"; cp -L "$f" "$to/$f"
	done
}
copy_libraries() { copy_files "$1" $(ldd "${@:2}" | grep -o '/[^ :]*' | sort -u); }
copy_programs() { copy_files "$1" $(which "${@:2}") && copy_libraries "$1" $(which "${@:2}"); }

# Makes image "bb" once for all: from then on BOXLITE_HOME has it.
make_home() { image bb "$@" || { ok 1 "image bb is made"; tap_done; exit 1; }; }

# wait_for COMMAND...: until it succeeds; for states that have no event to wait for. 1 after WAIT_LIMIT (30) s.
wait_for() {
	local end=$((SECONDS + ${WAIT_LIMIT:-30}))
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

box_ids() { env -u BOXLITE_QEMU_ACCEL "$B" ps -aq; } # also where a test has a wrong one
is_running() { [ -n "$(timeout 20 "$B" ps --json | jq -r ".[] | select(.name == \"$1\" or .id == \"$1\") | .id")" ]; }
box_id() { timeout 20 "$B" ps -a --json | jq -r ".[] | select(.name == \"$1\") | .id"; }
box_status() { timeout 20 "$B" ps -a --json | jq -r ".[] | select(.name == \"$1\" or .id == \"$1\") | \"\(.status) \(.exit_code)\""; }

# wait_stopped ID: until the shim has let go of the box's lock.
wait_stopped() {
	[ ! -e "$BOXLITE_HOME/boxes/$1/lock" ] ||
	  timeout 60 python3 -c 'import fcntl, struct, sys
fcntl.fcntl(open(sys.argv[1], "r+"), 38, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)) # F_OFD_SETLKW' \
	  "$BOXLITE_HOME/boxes/$1/lock"
}

# pid_of NAME: the processes of boxes that are called so; the machine's, whatever engine it is of.
pid_of() { "$TOP/tests/lib/reaper.py" --list | sed -n "s/ $1.*//p"; }
machine_pid() { pid_of '\(qemu\|boxlite-vmm\)'; }

# nothing_left NAME: no process, box, folder or half-made file. Processes may take a moment to go
# after a kill -9; `now` as second argument gives them one second, for a shim that has only a VM of KVM to close.
nothing_left() {
	local left
	if [ "${2:-}" = now ]; then
		left=$("$TOP/tests/lib/reaper.py" --wait 1)
	else
		left=$("$TOP/tests/lib/reaper.py" --wait 30)
	fi
	[ -e "$BOXLITE_HOME/boxlite.db" ] && left+=$(box_ids)
	# Files that are being made have names with a dot in front.
	left+=$(cd "$BOXLITE_HOME" 2>/dev/null && find boxes images/tmp -mindepth 1; find . -name '.?*')
	is "$left" "" "$1"
}

# End of every test file.
box_done() {
	if [ -d "$T/san" ]; then
		cat "$T"/san/* > "$T/reports" 2>/dev/null
		cat "$BOXLITE_HOME"/boxes/*/log/shim.log 2>/dev/null | grep -E '(ERROR|WARNING): .*Sanitizer|runtime error' >> "$T/reports"
		is "$(head -c 4000 "$T/reports")" "" "no sanitizer has anything to say"
	fi
	tap_done
}

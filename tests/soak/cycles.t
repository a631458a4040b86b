#!/bin/bash
# Boxes one after the other: nothing of them is left, however many there were.
#   SOAK_CYCLES   how many (20), once by the command line and once by the library
. "$(dirname "$0")/../box/common.sh"
cycles=${SOAK_CYCLES:-20}
make_home

# The home, but for the database's own files, whose sizes are its affair.
home_files() { (cd "$BOXLITE_HOME" && find . ! -name 'boxlite.db-*' | sort); }

# A box whose owner dies at once.
lose_owner() {
	"$B" run --rm --name lost bb sh -c 'echo up; sleep 100000' > lost 2>&1 &
	local pid=$!
	wait_for grep -qs up lost
	kill -KILL $pid
	wait $pid 2> /dev/null
	local id
	id=$(box_id lost)
	[ -z "$id" ] || wait_stopped "$id"
}

cycle() { # I: prints what is wrong
	case $(($1 % 5)) in
	0) lose_owner ;;
	1 | 2)
		run bb sh -c "echo $1; exit $(($1 % 100))"
		[ "$ST $OUT$ERR" = "$(($1 % 100)) $1"$'\n' ] || echo "$1: $ST $OUT$ERR"
		;;
	3)
		run -i bb sh -c 'read n; seq $n | md5sum' <<< "$1"
		[ "$ST $OUT$ERR" = "0 $(seq "$1" | md5sum)"$'\n' ] || echo "$1: $ST $OUT$ERR"
		;;
	4)
		run bb /no/such/program
		[ "$ST" = 127 ] || echo "$1: $ST $OUT$ERR"
		;;
	esac
}

for i in 5 6 7 8 9; do cycle $i; done > wrong
"$B" ps -aq >> wrong
before=$(home_files)
for ((i = 10; i < 10 + cycles; i++)); do cycle $i; done >> wrong
is "$(head -c 2000 wrong)" "" "$cycles boxes by the command line do what they should"
nothing_left "and nothing is left"
is "$(home_files)" "$before" "the home has the files that it had"
size=$(cat "$BOXLITE_HOME"/boxlite.db* | wc -c)
[ "$size" -le $((6 * 1024 * 1024)) ]
ok $? "its database does not grow" || diag "$size bytes"

# --- a program that lives long
[ "${V:-release}" = release ] || { skip "the library" "only in the release variant"; box_done; exit; }
${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -I "$TOP/include" "$TOP/tests/lib/embed-soak.c" -o soak \
  -L "$O/lib" -lboxlite -Wl,-rpath,"$O/lib" > log 2>&1
is "$? $(cat log)" "0 " "a program is built"
GLIBC_TUNABLES=glibc.malloc.tcache_count=0 timeout -k 5 "${TEST_TIMEOUT:-900}" ./soak "$cycles" > held 2> err
is "$? $(cat err)" "0 " "$cycles boxes by the library do what they should"
diag "$(paste -sd, held)"
same() { # NAME MOST: it has grown by no more than that
	read -r _ from to < <(grep "^$1 " held)
	[ -n "$to" ] && [ $((to - from)) -le "$2" ]
	ok $? "the program has no more of this than before: $1"
}
same fds 0
same threads 0
same children 0
same heap 1024
same rss 1024
"$B" ps -aq > /dev/null # puts away what the last one left
nothing_left "nothing is left"
is "$(home_files)" "$before" "and the home has the files that it had"
box_done

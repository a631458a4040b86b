#!/bin/bash
# Execs at scale, by one program (tests/lib/embed-execs.c): many in one box at once, and many one after the other, of
# which nothing stays anywhere.
#   MANY_EXECS   how many one after the other (300); `make soak` makes 10000
. "$(dirname "$0")/common.sh"
[ "${V:-release}" = release ] || skip_all "only in the release variant"
many=${MANY_EXECS:-300}
make_home

${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -I "$TOP/include" "$TOP/tests/lib/embed-execs.c" -o execs \
  -L "$O/lib" -lboxlite -Wl,-rpath,"$O/lib" > log 2>&1
is "$? $(cat log)" "0 " "a program is built"
timeout -k 5 "$((LIMIT * 3))" ./execs at-once 64 > said 2>&1
is "$? $(head -c 2000 said)" "0 64 execs" "64 at once, each with its bytes there and back, and its status"
GLIBC_TUNABLES=glibc.malloc.tcache_count=0 timeout -k 5 "$((LIMIT + many / 2))" ./execs in-turn "$many" > held 2> err
is "$? $(head -c 2000 err)" "0 " "$many of all kinds, one after the other"
diag "$(paste -sd, held)"

# no_more NAME MOST: it has grown by no more than that.
no_more() {
	local from to
	read -r _ from to < <(grep "^$1 " held)
	[ -n "$to" ] && [ $((to - from)) -le "$2" ]
	ok $? "no more of this than before: $1"
}
for what in fds threads shim_fds shim_threads machine_fds box_groups box_processes folder_files; do
	no_more $what 0
done
no_more heap 1024
no_more rss_kib 1024
no_more shim_rss_kib 1024
# Threads of QEMU's pool come and go; pages of the guest that were free until now are in use once, at most all of them.
no_more machine_threads 8
no_more machine_rss_kib $((32 * 1024))
no_more box_used_kib $((8 * 1024))
no_more events_kib $((4 * 1024 + 256))
"$B" ps -aq > /dev/null
nothing_left "nothing is left" now
box_done

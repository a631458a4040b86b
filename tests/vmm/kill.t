#!/bin/bash
# kill -9 of a machine whose guest is writing: each file that it called safe (fsync had returned) is there, and the file
# system needs its journal and nothing else.
#   KILL_ROUNDS   how many machines (3)
. "$(dirname "$0")/common.sh"

truncate -s 128M empty
mkfs.ext4 -q -F empty

for ((round = 1; round <= ${KILL_ROUNDS:-3}; round++)); do
	cp --sparse=always empty disk
	lines=$((40 + RANDOM % 100))
	vm --memory 192 --cpus $((1 + round % 2)) --disk disk --signal KILL:$lines writer
	grep '^file ' out > safe
	n=$(wc -l < safe)
	[ $ST = 137 ] && [ "$n" -ge $lines ] && [ "$(wc -l < out)" = "$n" ]
	ok $? "round $round: killed when $lines files or more were safe" || diag_vm
	like "$(dumpe2fs -h disk 2>&1)" 'Filesystem features: [^'$'\n'']*needs_recovery' "  in the middle of its work"

	cp --sparse=always disk copy
	e2fsck -fy -E journal_only copy > report 2>&1
	e2fsck -fn copy >> report 2>&1
	is $? 0 "  with its journal the file system is clean" || diag "$(cat report)"

	truncate -s %4096 safe
	vm --memory 192 --disk disk --disk safe:ro written
	results "  a guest finds all of them"
	like "$OUT" "found $n"$'\n' "  $n files, whole"
	e2fsck -fn disk > report 2>&1
	is $? 0 "  and leaves a clean file system" || diag "$(cat report)"
done
tap_done

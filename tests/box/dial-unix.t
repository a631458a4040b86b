#!/bin/bash
# Connections to UNIX sockets in a box: what they lead to, bytes, each way's end, many at once, and who leaves when.
. "$(dirname "$0")/common.sh"
make_home
peer=$T/peer
${CC:-cc} -static -O1 -Wall -Wextra -Werror "$TOP/tests/lib/unix-peer.c" -o "$peer" > log 2>&1
is "$? $(cat log)" "0 " "the servers of the box are built"

bl run -d --name box --network none bb busybox sleep 100000
is "$ST" 0 "a box without a network" || diag "$ERR"
bl cp "$peer" box:/peer
bl exec box busybox sh -c 'mkdir -p /s /deep; cd /s; ln -s /s/echo link; ln -s /proc/self/root/s/echo magic; ln -s loop loop; : > file'
bl exec -d box /peer /s
shim_of() { awk '{ print $4 }' "/proc/$("$B" stats --no-stream --json "$1" | jq .host.pid)/stat"; }
shim=$(shim_of box)
files() { ls "/proc/$shim/fd" | wc -l; }
ready() { "$B" exec box busybox grep -q ready /s/log; }
wait_for ready
before=$(files)
# Input that does not end, and output that nobody takes.
mkfifo idle stuck
exec 7<> idle 8<> stuck
logged() { "$B" exec box busybox grep -q "$1" /s/log 2> /dev/null; }

# dial PATH TEXT
dial() { bl dial box "$1" < <(printf "$2"); }

# --- what a path leads to --------------------------------------------------------------------------------------
dial /s/echo 'hello\n'
result 0 $'hello\n' "a socket"
dial /s/link 'hello\n'
result 0 $'hello\n' "a link with an absolute target is followed in the box"
dial /s/magic 'hello\n'
result 0 $'hello\n' "/proc there is the box's, and so is its root"
ln -s / "$T/root"
python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); time.sleep(1000)' "$T/host.sock" & HOST=$!
wait_for test -S "$T/host.sock"
bl exec box busybox ln -s "$T/host.sock" /s/outside
dial /s/outside ''
fails 125 "cannot connect to /s/outside: No such file" "a link to a path of the host leads nowhere"
dial "$T/host.sock" ''
fails 125 "No such file" "nor does a path of the host itself"
# All that the connecting process has open: an fd of the agent's that is a folder would be the way to its root.
bl exec box busybox sh -c 'i=0; while [ $i -lt 64 ]; do ln -s /proc/self/fd/$i/s/echo /s/fd$i; i=$((i+1)); done'
out=0
for i in {0..9} 12 17 30; do dial "/s/fd$i" ''; [ "$ST" = 125 ] && [[ $ERR =~ No\ such\ file|Not\ a\ directory ]] || out=1; done
is $out 0 "nor does a link by way of /proc/self/fd" || diag "$ERR"
dial /s/nothing ''
fails 125 "cannot connect to /s/nothing: No such file" "nothing is there"
dial /s/dead ''
fails 125 "nobody listens at /s/dead" "nobody listens"
dial /s/file ''
fails 125 "/s/file: .*[Nn]on-socket|[Nn]ot a socket" "a file"
dial /s ''
fails 125 "[Nn]on-socket|[Nn]ot a socket" "a folder"
dial /s/file/x ''
fails 125 "Not a directory" "below a file"
dial /s/dgram ''
fails 125 "no stream socket" "a socket of datagrams"
dial s/echo ''
fails 125 "'s/echo' is not a port, nor an absolute path" "a relative path"
long=/deep
for i in 1 2 3 4; do long=$long/$(printf 'x%.0s' {1..100}); done
bl exec box busybox sh -c "mkdir -p $long && busybox ln -s /s/echo $long/echo"
dial "$long/echo" 'far\n'
result 0 $'far\n' "a path that is longer than an address"
dial "/$(printf 'x%.0s' {1..5000})" ''
fails 125 "a path of 5001 characters" "and one that is longer than a path"
dial "/s/$(printf 'x%.0s' {1..200})" ''
fails 125 "File name too long" "a name that is longer than an address"
dial /s/full ''
fails 125 "nobody has accepted" "a queue that is full: not for ever"

# --- the library ------------------------------------------------------------------------------------------------
program dial
codes=$(timeout 100 ./dial box /s/echo /s/nothing /s/dead /s/file /s/file/x /s/dgram s/echo "/s/$(printf 'x%.0s' {1..200})" \
  /s/loop /s/full /s/count)
is "${codes//$'\n'/ }" "'hi' ENOENT ECONNREFUSED ENOTSOCK ENOTDIR EPROTOTYPE EINVAL ENAMETOOLONG ELOOP ETIMEDOUT '2 '" \
  "each failure has its code, and a connection outlives the library"

is "$(timeout 100 ./dial box many /s/count)" "256 EBUSY" "256 in all, and no more"
again() { [ "$(echo x | "$B" dial box /s/echo)" = x ]; }
wait_for again
ok $? "which end with the program that has dialled"

# --- bytes -----------------------------------------------------------------------------------------------------
head -c 5000000 /dev/urandom > big
timeout 100 "$B" dial box /s/echo < big > back
cmp big back
ok $? "5 MB there and back, byte for byte"
dial /s/count ''
result 0 $'0\n' "the end of the input is the end there, and the answer comes"
bl dial box /s/count < big
result 0 $'5000000\n' "also behind many bytes"
# What is said first ends; what goes the other way is still taken.
bl dial box /s/first < big
result 0 $'done\n' "a box that says its last word first"
dial /s/slam ''
is "$OUT" "" "one that closes at once"

# --- back-pressure ---------------------------------------------------------------------------------------------
memory() { awk '/VmRSS/ { print $2 }' "/proc/$shim/status"; }
: | "$B" dial box /s/echo
small=$(memory)
truncate -s 60M zeros
"$B" dial box /s/deaf < zeros > /dev/null 2>&1 & DEAF=$!
"$B" dial box /s/flood < idle > stuck 2> /dev/null & FLOOD=$!
for i in 1 2 3; do dial /s/echo 'still\n'; done
result 0 $'still\n' "one that does not read and one that is not read stop nobody else"
full=$(memory)
[ $((full - small)) -lt 8000 ]
ok $? "and nothing piles up" || diag "$small kB before, $full kB now"
kill -0 $FLOOD && kill -0 $DEAF
ok $? "both wait"
{ kill -KILL $FLOOD $DEAF; wait $FLOOD $DEAF; } 2> /dev/null
wait_for logged "flood ended"
ok $? "a client that was killed is gone for the box"

# --- many at once, and who leaves when -------------------------------------------------------------------------
"$B" exec box busybox sh -c ': > /s/log'
mkfifo gate; exec 8<> gate # a line for each: it may end
pids=()
for i in {1..64}; do
	(head -c $((i * 1000)) big; read -r -u 8) | timeout 100 "$B" dial box /s/echo > "many.$i" 2> "many.err.$i" &
	pids+=($!)
done
arrived() { local i; for i in {1..64}; do [ "$(stat -c %s "many.$i")" = $((i * 1000)) ] || return 1; done; }
wait_for arrived
ok $? "64 at once" || diag "$(cat many.err.* | sort | uniq -c)"
for i in {1..64}; do echo; done >&8
bad=0
for i in {1..64}; do wait "${pids[$((i - 1))]}" && cmp -s "many.$i" <(head -c $((i * 1000)) big) || bad=$((bad + 1)); done
is $bad 0 "each with its own bytes"

"$B" exec box busybox sh -c ': > /s/log'
"$B" dial box /s/echo < idle > mine & MINE=$!
echo x >&7
wait_for test -s mine
{ kill -KILL $MINE; wait $MINE; } 2> /dev/null
wait_for logged "echo 2"
ok $? "one that is killed while it waits is an end for the box"
# But for /s/deaf, where the rest of what came still waits to be taken.
bl exec box busybox killall peer
same_files() { [ "$(files)" -le "$before" ]; }
wait_for same_files
ok $? "nothing of them is left in the shim" || diag "$before before, $(files) now"
bl top box
[ "$ST" = 0 ] && ! grep -qvE '^USER|sleep|peer' <<< "${OUT%?}"
ok $? "nor in the box" || diag "$OUT"

# --- with a network, and ends ----------------------------------------------------------------------------------
bl run -d --name wide bb busybox sleep 100000
bl cp "$peer" wide:/peer
bl exec -d wide /peer /
answers() { [ "$(echo x | timeout 20 "$B" dial wide /echo 2> /dev/null)" = x ]; }
wait_for answers
ok $? "a box with a network has them, too"
timeout 100 "$B" dial wide /echo < idle > held 2> held.err & HELD=$!
echo here >&7
wait_for test -s held
bl stop -t 5 wide
result 0 $'wide\n' "a box stops while somebody is connected"
wait $HELD
is "$?" 0 "which is the end of that" || diag "$(cat held.err)"
is "$(cat held)" here "and what it has said has come"
bl dial wide /echo
fails 125 "does not run" "one that does not run cannot be dialled"
bl start wide
bl exec wide busybox rm -f /echo /count /first /slam /deaf /flood /full /dead /dgram
bl exec -d wide /peer /
wait_for answers
timeout 100 "$B" dial wide /echo < idle > last 2> last.err & LAST=$!
echo x >&7
wait_for test -s last
kill -KILL "$(shim_of wide)"
wait $LAST
is $? 0 "a box that dies is the end, too" || diag "$(cat last.err)"
kill $HOST
bl rm -f box wide
is "$("$B" ps -aq)" "" "nothing is left"
box_done

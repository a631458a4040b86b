#!/bin/bash
# A box in a world of servers: names, rules and what is told of them, a host whose network and resolv.conf change.
MOUNTS=1
. "$TOP/tests/lib/world.sh"
. "$(dirname "$0")/common.sh"
PEER=$TOP/tests/net/peer.py
make_world
serve A serve
make_home

# An /etc of this test's own.
cp -a /etc "$T/etc"; rm -f "$T/etc/resolv.conf"
echo "nameserver 127.0.0.1" > "$T/etc/resolv.conf"
mount --bind "$T/etc" /etc
names() { # names ADDRESS LINE...: a DNS server
	local address=$1; shift
	printf '%s\n' no-resolv no-hosts no-daemon user= bind-interfaces "listen-address=$address" "$@" > "dns.$address"
	dnsmasq -C "dns.$address" > "dns.$address.log" 2>&1 &
	wait_for grep -q started "dns.$address.log"
}
names 127.0.0.1 host-record=good.example,203.0.113.10 host-record=other.example,203.0.113.11 host-record=moved.example,203.0.113.10
FIRST=$!

say="echo 'source 5' | nc -w 3"
bl run --rm bb sh -c "$say good.example $A | wc -c"; result 0 $'5\n' "a box reaches the world by name"
bl run --rm --network none bb sh -c "ls /sys/class/net; $say 203.0.113.10 $A"; is "$ST:$OUT" $'1:lo\n' "but not without a network"
bl run --rm --allow-net "tcp:good.example:$A" bb sh -c "$say good.example $A | wc -c; nslookup other.example > /dev/null; echo \$?"
result 0 $'5\n1\n' "with a rule it reaches what the rule says, and no other name"
bl run --name shy --allow-net good.example bb sh -c "$say 203.0.113.11 80; ping -c 1 -W 2 203.0.113.11; nslookup other.example;
	nslookup -type=a good.example 203.0.113.10; nc -w 3 192.168.127.254 22; nc -w 3 169.254.169.254 80; true"
is "$ST" 0 "what is refused is so at once" || diag "$OUT$ERR"
bl events --since 1m --until 0s --filter event=denied
for what in "tcp 203.0.113.11:80 .*not-allowed" "icmp 203.0.113.11 .*not-allowed" "other.example.*name" "udp 203.0.113.10:53 .*dns-server" \
	"tcp 192.168.127.254:22 .*host" "tcp 169.254.169.254:80 .*metadata"; do
	like "$OUT" "denied $(box_id shy | cut -c1-12) [^"$'\n'"]*$what" "told: $what"
done
bl start shy > /dev/null; bl exec shy nc -w 3 203.0.113.11 80; bl exec shy nc -w 3 169.254.169.254 80; bl inspect shy
ok "$(jq -e '.[0].network | .denied_for["not-allowed"] >= 1 and .denied_for.metadata == 1 and (.denied_for | add) == .denied' out \
  > /dev/null; echo $?)" "inspect has the number for each reason" || diag "$OUT$ERR"
bl stats --no-stream --json shy
ok "$(jq -es '[.] | flatten | .[0].network | .denied >= 1 and .sent_packets > 0 and .received_packets > 0' out > /dev/null; echo $?)" \
  "and counted" || diag "$OUT$ERR"
bl rm -f shy

# The host's network goes and comes back, and its resolv.conf is another one: the box goes on by itself.
bl run -d --name steady bb sleep 1000
try() { bl exec steady sh -c "$say $1 $A | wc -c"; }
try good.example; result 0 $'5\n' "a box that stays"
ip link set out down
begin=$SECONDS; try 203.0.113.10; is "$OUT" $'0\n' "while the host has no network there is none"
[ $((SECONDS - begin)) -lt 5 ]; ok $? "which it hears at once"
ip link set out up; ip route replace default via 203.0.113.10
try good.example; result 0 $'5\n' "and when there is one again there is"
kill $FIRST; wait $FIRST 2> /dev/null
names 127.0.0.2 host-record=new.example,203.0.113.10
try good.example; is "$OUT" $'0\n' "a server for names that is gone"
echo "nameserver 127.0.0.2" > "$T/etc/new"; mv "$T/etc/new" "$T/etc/resolv.conf"
found() { try new.example; [ "$OUT" = $'5\n' ]; }
wait_for found; ok $? "another one in resolv.conf is asked by a box that runs"
bl rm -f steady
umount -l /etc
kill $(jobs -p); wait 2> /dev/null
nothing_left "nothing is left"
tap_done

#!/bin/bash
# The disk on a genuine KVM: what the guest wrote is what it reads, and what the host's file has.
. "$(dirname "$0")/common.sh"
G=$O/tests/vmm-guest
MIB=$((1024 * 1024))
kib() { echo $(($(stat -c %b "$1") / 2)); } # what a file occupies

# An end that is no whole block.
truncate -s $((48 * MIB + 1536)) disk
vm --cpus 2 --disk disk disk
results "a disk is written in all ways"
like "$OUT" "bytes $((48 * MIB + 1536))"$'\n' "the guest sees all of it"
is "$(stat -c %s disk)" $((48 * MIB + 1536)) "it stays as large as it was"
"$G" verify disk
ok $? "the file has what the guest has written"
[ "$(kib disk)" -gt 20000 ] && [ "$(kib disk)" -lt 26000 ]
ok $? "and is half as large, because one half was discarded" || diag "$(kib disk) KiB"
printf x | dd of=disk bs=1 seek=$((5 * MIB)) conv=notrunc status=none
"$G" verify disk > /dev/null
is $? 1 "(a single wrong byte would have been found)"

for n in 1 2 3 4; do truncate -s ${n}M disk$n; done
vm --disk disk1 --disk disk2:ro --disk disk3 --disk disk4 disks
results "four disks"
is "${OUT//$'\n'/, }" "vda 2048 1, vdb 4096 1, vdc 6144 1, vdd 8192 1, end" "are there in their order"
vm --cpus 5 --disk disk1 --disk disk2:ro --disk disk3 --disk disk4 disks
results "four disks of five CPUs"
is "${OUT//$'\n'/, }" "vda 2048 4, vdb 4096 4, vdc 6144 4, vdd 8192 4, end" "have four queues each"
vm --cpus 3 --disk disk1 disks
is "${OUT//$'\n'/, }" "vda 2048 3, end" "one of three CPUs has three"
vm --disk disk1 --disk disk2 --disk disk3 --disk disk4 --disk disk1 disks
ended 1 'malformed description of a machine' "five are too many"
truncate -s 1000 crooked
vm --disk crooked disks
ended 1 'the disk is not a file of whole sectors of 512 bytes' "so is half a sector"
vm --disk /dev/null disks
ended 1 'the disk is not a file' "and a disk that is no file"

"$G" pattern > fixed
truncate -s 1M fixed
before=$(sha256sum < fixed)
vm --disk fixed:ro readonly
results "a disk that may only be read"
is "$(sha256sum < fixed)" "$before" "its file has not changed"

truncate -s 96M ext4
mkfs.ext4 -q -F ext4
empty=$(kib ext4)
vm --cpus 2 --memory 192 --disk ext4 files
results "much work on an ext4"
e2fsck -fn ext4 > report 2>&1
is $? 0 "which is clean" || diag "$(cat report)"
[ "$(kib ext4)" -lt $((empty + 24 * 1024)) ]
ok $? "what was deleted occupies nothing here" || diag "$empty KiB, now $(kib ext4)"
tap_done

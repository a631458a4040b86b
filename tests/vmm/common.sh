# What the tests of boxlite-vmm share: machines of machine.py, whose init is guest.c.
#
# Sets TOP, O and T (scratch, removed at exit). Skips all where there is no KVM that runs a kernel.
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export O=${O:-$TOP/out}
[[ $O = /* ]] || O=$TOP/$O
. "$TOP/tests/lib/tap.sh"
export LC_ALL=C
export PATH="$PATH:/usr/sbin:/sbin"
# Not dumpable, so the leak checker may not look at it.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
cd "$T" || exit 1

for f in bin/boxlite-vmm guest/vmlinux tests/vmm-initramfs; do
	[ -e "$O/$f" ] || skip_all "$O/$f is not built"
done
[ -r /dev/kvm ] && [ -w /dev/kvm ] || skip_all "no usable KVM: /dev/kvm cannot be opened"
verdict=$("$O/bin/boxlite-vmm" --probe < /dev/kvm)
[[ $verdict = *'"works":true'* ]] || skip_all "no usable KVM: $verdict"

# vm ARG...: machine.py ARG... Sets OUT (what the guest said), ERR, ST and CONSOLE.
vm() {
	"$TOP/tests/vmm/machine.py" --console "$T/console" "$@" > "$T/out" 2> "$T/err"
	ST=$?
	OUT=$(tr -d '\0' < "$T/out") ERR=$(cat "$T/err") CONSOLE=$(tr -d '\0\r' < "$T/console")
	return $ST
}

# The last vm, for who wants to know why.
diag_vm() { diag "status $ST" "said: ${OUT: -2000}" "error: ${ERR:0:6000}" "console: ${CONSOLE: -2000}"; }

# results NAME: what the guest of the last vm has found, and then NAME: it got to its end, and its machine ended well.
results() {
	local line end
	while IFS= read -r line; do
		case $line in
		'ok '*) ok 0 "guest: ${line#ok }" ;;
		'not ok '*) ok 1 "guest: ${line#not ok }" ;;
		esac
	done <<< "$OUT"
	end=${OUT##*$'\n'}
	[ $ST = 0 ] && [ -z "$ERR" ] && [ "$end" = end ]
	ok $? "$1" || diag_vm
}

# ended STATUS PATTERN NAME: how the last vm ended; the pattern is for its last words, "" is none at all.
ended() {
	if [ -n "$2" ]; then
		[ $ST = "$1" ] && [[ ${ERR##*$'\n'} =~ $2 ]]
	else
		[ $ST = "$1" ] && [ -z "$ERR" ]
	fi
	ok $? "$3" || diag_vm
}

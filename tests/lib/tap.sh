# TAP for test scripts: ok, is, like; tap_done at the end. Sets T, a scratch folder that is removed
# at exit together with the background jobs of the script.
TAP_N=0
TAP_FAILED=0
# What programs with the library are compiled with, too, so that they have the run time of its sanitizer.
case ${V:-release} in
asan) SANITIZER=-fsanitize=address,undefined ;;
tsan) SANITIZER=-fsanitize=thread ;;
*) SANITIZER= ;;
esac
T=$(mktemp -d "${TMPDIR:-/tmp}/boxlite-test.XXXXXX") || exit 1

tap_cleanup() {
	local pids
	pids=$(jobs -p)
	[ -n "$pids" ] && kill $pids 2>/dev/null
	wait 2>/dev/null
	chmod -R u+rwX "$T" 2>/dev/null
	rm -rf "$T"
}
trap tap_cleanup EXIT
trap 'exit 1' INT TERM HUP

# ok STATUS NAME: passes if STATUS is 0. A name with "# TODO why" may fail: a known defect.
ok() {
	TAP_N=$((TAP_N + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $TAP_N - $2"
	else
		echo "not ok $TAP_N - $2"
		[[ $2 = *'# TODO'* ]] || TAP_FAILED=$((TAP_FAILED + 1))
	fi
	return "$1"
}

# is GOT WANTED NAME
is() {
	[ "$1" = "$2" ]
	ok $? "$3" || printf '# got:    %s\n# wanted: %s\n' "$1" "$2"
}

# Of a long text both ends.
tap_short() {
	if [ ${#1} -le 2000 ]; then echo "$1"; else printf '%s\n[...]\n%s\n' "${1:0:1000}" "${1: -1000}"; fi
}

# like TEXT PATTERN NAME: a bash regular expression.
like() {
	[[ $1 =~ $2 ]]
	ok $? "$3" || diag "got:      $(tap_short "$1")" "not like: $2"
}

unlike() {
	! [[ $1 =~ $2 ]]
	ok $? "$3" || diag "got:  $(tap_short "$1")" "like: $2"
}

# diag LINE...: says something that is not a result.
diag() { printf '%s\n' "$@" | sed 's/^/# /'; }

# skip NAME REASON: a test that cannot be made here.
skip() {
	TAP_N=$((TAP_N + 1))
	echo "ok $TAP_N - $1 # SKIP $2"
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

tap_done() {
	echo "1..$TAP_N"
	[ "$TAP_FAILED" -eq 0 ]
}

# Has boxlite-net the run time of a sanitizer, which makes something else of memory?
sanitized() { nm -D "$BOXLITE_NET" 2> /dev/null | grep -Eq '__(asan|tsan)_init'; }

# What the tests of boxlite-image share. Sets TOP and O; sources the libraries; has `fetch`.
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export O=${O:-$TOP/out} V=${V:-release}
[[ $O = /* ]] || O=$TOP/$O
. "$TOP/tests/lib/tap.sh"
. "$TOP/tests/lib/images.sh"
. "$TOP/tests/lib/registry.sh"
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY SSL_CERT_FILE

for tool in skopeo umoci jq docker-registry /bin/busybox; do
	command -v "$tool" >/dev/null || skip_all "$tool is not installed"
done

# fetch STORE ARGUMENT...: runs the driver; OUT is what it printed, ERR the helper's log, and
# the status is its own. STORE is a folder below $T, made if missing.
fetch() {
	local store=$T/$1 status
	shift
	mkdir -p "$store"
	OUT=$(timeout 60 "$TOP/tests/image/fetch-driver.py" --store "$store" "$@" 2> "$T/err")
	status=$?
	ERR=$(cat "$T/err")
	return $status
}

# hold_sync SUFFIX STORE ARGUMENT...: fetch with a disk that never ends the sync of a file with this suffix.
hold_sync() {
	local HOLD_SYNC=$1
	shift
	${CC:-cc} -shared -fPIC "$TOP/tests/lib/hold-sync.c" -o "$T/hold-sync.so" || return 9
	HOLD_SYNC=$HOLD_SYNC LD_PRELOAD=$T/hold-sync.so ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 fetch "$@"
}

# field PATH: of the first image of the last result.
field() {
	printf '%s\n' "$OUT" | tail -n1 | jq -r ".done.images[0].$1"
}

# Everything in the store's tmp/, sorted, with long hex names cut.
litter() {
	ls -A "$T/$1/tmp" | sed -E 's/[0-9a-f]{64}/HEX/' | sort | tr '\n' ' '
}

# Whether the store's only root file system is sound, and holds $2... as files.
rootfs_ok() {
	local file
	file=$T/$1/rootfs/$(field rootfs)
	[ -f "$file" ] || return 1
	command -v fsck.erofs >/dev/null || return 0
	fsck.erofs "$file" >/dev/null 2>&1
}

# The requests of the bad registry that match a jq filter: their number.
requests() {
	jq -s "map(select($1)) | length" "$BAD_LOG"
}

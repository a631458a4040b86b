#!/bin/bash
# A real image, Debian with python3 and two layers of awkward things (tree-layers.py), through every way
# it can come; then the tree that the box sees against the tree that umoci unpacks as root.
proxy=${http_proxy:-}

# The layers have attributes of users, which tmpfs has since Linux 6.6 (so the lab's has none). There the test
# works in an ext4 of its own, which nobody else sees and which is gone with its last process.
attributes() { python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.x", b"")' "$1" 2> /dev/null; }
if [ -z "${TREE_DISK:-}" ] && [ "$(id -u)" = 0 ]; then
	export TREE_DISK
	TREE_DISK=$(mktemp -d "${TMPDIR:-/tmp}/boxlite-disk.XXXXXX") || exit 1
	if ! attributes "$TREE_DISK"; then
		trap 'rm -rf "$TREE_DISK"' EXIT
		mkdir "$TREE_DISK/fs" && truncate -s 16G "$TREE_DISK/image" && mkfs.ext4 -q "$TREE_DISK/image" || exit 1
		TMPDIR=$TREE_DISK/fs unshare -m bash -c \
		  'mount -o loop,discard "$TREE_DISK/image" "$TMPDIR"; exec bash "$@"' - "$0" "$@"
		exit
	fi
	rmdir "$TREE_DISK"
fi

. "$(dirname "$0")/common.sh"
. "$TOP/tests/lib/images.sh"
. "$TOP/tests/lib/registry.sh"
. "$TOP/tests/lib/minbase.sh"

[ "$(id -u)" = 0 ] || skip_all "only root can unpack the tree to compare with (owners, devices)"
minbase_cached || [ "$(wc -l < /proc/net/route)" -gt 1 ] ||
  skip_all "Debian's minbase is not in the cache and there is no network to get it by"
for tool in debootstrap umoci skopeo docker-registry fsck.erofs setcap; do
	command -v "$tool" > /dev/null || skip_all "$tool is not installed"
done
mknod "$T/node" c 1 3 2>/dev/null || skip_all "this root may not make device nodes"
attributes "$T" || skip_all "$T has no attributes of users, which the layers have, and no ext4 can be mounted"

give_up() { ok 1 "$1"; tap_done; exit 1; }

# --- the image --------------------------------------------------------------------------------------
minbase=$(http_proxy=$proxy minbase_tar 2> "$T/log") || { diag "$(cat "$T/log")"; give_up "debootstrap"; }
"$TOP/tests/box/tree-layers.py" "$T" || give_up "the layers are made"
(
	umoci init --layout "$T/img" && umoci new --image "$T/img:latest" &&
	for layer in "$minbase" "$T/2.tar" "$T/3.tar"; do
		umoci raw add-layer --image "$T/img:latest" "$layer" || exit 1
	done &&
	umoci config --image "$T/img:latest" --architecture amd64 --os linux --config.cmd /bin/bash \
	  --config.env PATH=/usr/sbin:/usr/bin --config.env LC_ALL=C &&
	umoci gc --layout "$T/img"
) > "$T/log" 2>&1 || { diag "$(tail "$T/log")"; give_up "the image is made"; }

registry_start tree || give_up "docker-registry starts"
push_image "$T/img" "$REGISTRY/tree:oci" --format oci
mk_zstd_image "$T/img" "$T/zstd-img" && push_image "$T/zstd-img" "$REGISTRY/tree:zstd" --preserve-digests
push_image "$T/img" "$REGISTRY/tree:docker" --format v2s2
gzip=application/vnd.oci.image.layer.v1.tar+gzip zstd=application/vnd.oci.image.layer.v1.tar+zstd
docker=application/vnd.docker.image.rootfs.diff.tar.gzip
is "$(layer_types "$REGISTRY/tree:oci")" $gzip "pushed as OCI, gzip"
is "$(layer_types "$REGISTRY/tree:zstd")" $zstd "pushed as OCI, zstd"
is "$(layer_types "$REGISTRY/tree:docker")" $docker "pushed as docker schema 2"

# --- three ways, one root file system ---------------------------------------------------------------
rootfs() { ls "$1"/images/rootfs/*; }
for ref in tree:oci tree:zstd tree:docker; do
	bl pull -q --plain-http "$REGISTRY/$ref"
	ok $ST "$ref is pulled" || diag "$ERR"
	home=$T/${ref##*:}
	BOXLITE_HOME=$home bl pull -q --plain-http "$REGISTRY/$ref"
	ok $ST "and into a fresh home" || diag "$ERR"
	fsck.erofs "$(rootfs "$home")" > "$T/log" 2>&1
	ok $? "fsck.erofs accepts it" || diag "$(tail "$T/log")"
	cmp "$(rootfs "$home")" "$(rootfs "$T/oci")"
	ok $? "the same bytes"
	is "$(basename "$(rootfs "$home")")" "$(basename "$(rootfs "$T/oci")")" "under the same name"
done
is "$(rootfs "$BOXLITE_HOME" | wc -l)" 1 "one home keeps it once for all three"
image=$REGISTRY/tree:oci
stop_server "$REGISTRY_PID"

# --- the box's tree against umoci's -----------------------------------------------------------------
umoci unpack --image "$T/img:latest" "$T/bundle" > "$T/log" 2>&1 ||
	{ diag "$(tail "$T/log")"; give_up "umoci unpacks the image"; }
oracle=$T/bundle/rootfs

# The runtime's own, so not compared: what is mounted on these, and what it writes.
mounted='-path ./proc -o -path ./sys -o -path ./dev'
written='-path ./etc/hostname -o -path ./etc/hosts -o -path ./etc/resolv.conf'
# The tree without those. The root is the overlay's upper folder, made when the box was; making the
# mount points of $written touches /etc.
walk="cd / && find . -xdev \\( $mounted -o $written \\) -prune -o"
# compare NAME SCRIPT: what the script prints (records that end in NUL), in any order, in the box and
# by the same programs in umoci's tree.
compare() {
	timeout "$LIMIT" "$B" run --rm "$image" bash -c "$2" 2> "$T/err" | sort -z > "$T/box-sees"
	is "${PIPESTATUS[0]} $(cat "$T/err")" "0 " "$1: the box can look"
	chroot "$oracle" env -i PATH=/usr/sbin:/usr/bin LC_ALL=C bash -c "$2" | sort -z > "$T/umoci-sees"
	[ "$(tr -cd '\0' < "$T/umoci-sees" | wc -c)" -ge "${3:-1000}" ] && cmp -s "$T/box-sees" "$T/umoci-sees"
	ok $? "$1: box and umoci agree" ||
		diag "$(diff <(tr '\n\0' '?\n' < "$T/umoci-sees") <(tr '\n\0' '?\n' < "$T/box-sees") |
			cat -v | cut -c1-200 | head -n 40)"
}

# A folder's size is its file system's affair; overlayfs says 1 for the links of a merged folder.
compare "names, types, modes, owners" \
	"$walk -type d -printf '%y %m %U %G %p\\0' -o -printf '%y %m %U %G %s %n %l %p\\0'"
# Not compared: folders that no layer mentions (umoci: when it unpacked), times before 1970 (docker, containerd
# and boxlite: 1970), and what hard links in the upper layer name (docker, containerd and boxlite: the time
# in the link's entry; umoci: the file's).
other="-path './odd/change/implied*' -o -path './odd/change/ggg*' -o -name before-1970"
other+=" -o -path './odd/link/*/*' -o -path ./odd/change/linked-to-lower"
other+=" -o -path './odd/change/*-link' -o -path ./odd/node/char -o -path ./odd/node/fifo"
compare "times" "$walk \\( $other \\) -o ! -path . ! -path ./etc -printf '%T@ %p\\0'"
compare "contents" "$walk -type f -print0 | xargs -0 sha256sum -z"
compare "devices" "$walk \\( -type b -o -type c \\) -exec stat --printf '%t:%T %n\\0' {} +" 4
# Go's tar reader takes an empty attribute for none, so umoci does.
compare "extended attributes" "$walk ! -type l -exec getfattr -h -d -m '^(user|security)' -e hex {} + |
	grep -av '^user.empty=0x$' | sed -z 's/\\n\\n/\\n\\x00/g'" 30
compare "capabilities" "$walk -type f -exec getcap {} + | tr '\\n' '\\0'" 3
# A record for each set of paths that are one file.
groups='
import os, stat, sys
sets = {}
for path in sys.stdin.buffer.read().split(b"\0")[:-1]:
    s = os.lstat(path)
    sets.setdefault((s.st_dev, s.st_ino), []).append(path)
for paths in sets.values():
    sys.stdout.buffer.write(b" = ".join(sorted(paths)) + b"\0")
'
compare "hard links" "$walk ! -type d -links +1 -print0 | python3 -c '$groups'" 6

# --- and what only a real user land shows -----------------------------------------------------------
run "$image" python3 -c 'import hashlib, sys; print(hashlib.sha256(b"box").hexdigest(), sys.version_info[0])'
result 0 "$(printf box | sha256sum | cut -d' ' -f1) 3"$'\n' "python3 runs"
run "$image" bash -c 'stat -c "%n %.9Y" /odd/time/before-1970 /odd/link/a/one
	getfattr --absolute-names --only-values -n user.empty /odd/xattr/values && echo "an empty attribute"'
result 0 "/odd/time/before-1970 0.000000000
/odd/link/a/one 1600001000.000000000
an empty attribute
" "where umoci is no judge"
run --user 1000 "$image" /odd/mode/none
[ "$ST" = 126 ]; ok $? "a file without permissions cannot be run"
run --user 1000 "$image" bash -c 'cp /usr/bin/cat . 2>/dev/null; cat /odd/mode/none'
[ "$ST" = 1 ]; ok $? "nor read by a user"

# --- a file with holes of more than 4 GiB -----------------------------------------------------------
# By itself, because umoci would write all the zeros. 4.5 GiB into it are 5 bytes, at the end 3.
mkdir "$T/sparse" && truncate -s 6G "$T/sparse/huge"
printf here! | dd of="$T/sparse/huge" bs=1M seek=4608 conv=notrunc status=none
printf end >> "$T/sparse/huge"
tar -C "$T/sparse" --sparse --format=pax -cf "$T/sparse.tar" huge
mk_busybox_image "$T/holes" 1 && umoci raw add-layer --image "$T/holes:latest" "$T/sparse.tar" > "$T/log" 2>&1
bl load -q --name holes "$T/holes"
ok $ST "an image with a sparse file of 6 GiB is loaded" || diag "$ERR"
huge=$(find "$BOXLITE_HOME/images/rootfs" -type f ! -name "$(basename "$(rootfs "$T/oci")")")
fsck.erofs "$huge" > "$T/log" 2>&1
ok $? "fsck.erofs accepts it" || diag "$(tail "$T/log")"
[ "$(stat -c %s "$huge")" -lt 50000000 ]; ok $? "the holes take no room in the root file system"
run holes sh -c 'busybox stat -c %s /huge
	for at in 0 4607 4608 6143 6144; do
		busybox dd if=/huge bs=1M skip=$at count=1 2>/dev/null | busybox md5sum
	done'
want=$(stat -c %s "$T/sparse/huge"
	for at in 0 4607 4608 6143 6144; do
		dd if="$T/sparse/huge" bs=1M skip=$at count=1 status=none | md5sum
	done)
is "${OUT%$'\n'}" "$want" "the box sees what was packed"

nothing_left "nothing is left behind" now
box_done

#!/bin/bash
# Loading: folders, archives in every order and compression, docker's form, hostile ones.
. "$(dirname "$0")/common.sh"

mk_busybox_image "$T/img" 3 || { ok 1 "images are made"; tap_done; exit 1; }
digest=$(jq -r '.manifests[0].digest' "$T/img/index.json")

fetch s load "$T/img"
ok $? "a folder is loaded" || printf '# %s\n' "$OUT"
is "$(field manifest)" "$digest" "with its own digest"
is "$(field reference)" "$digest" "named after it, for a bare tag is no name"
rootfs_ok s; ok $? "fsck.erofs is content with the root file system"
rootfs=$(field rootfs)
fetch s --name mine:v1 load "$T/img"
is "$(field reference)" docker.io/library/mine:v1 "it can be given a name"
is "$(litter s)" "" "tmp/ is empty"

skopeo --insecure-policy copy -q "oci:$T/img:latest" "oci:$T/named:example.com/foo/bar:1.2"
fetch s load "$T/named"
is "$(field reference)" example.com/foo/bar:1.2 "a name in the annotations is used"

tar -C "$T/named" -cf "$T/oci.tar" .
tar -C "$T/named" -cf "$T/reverse.tar" blobs oci-layout index.json
for how in cat gzip zstd bzip2 xz; do
	$how < "$T/reverse.tar" > "$T/a.tar.$how"
	fetch "t-$how" load "$T/a.tar.$how"
	is "$(field rootfs)" "$rootfs" "an OCI tar through $how is loaded"
done
xz -9 < "$T/oci.tar" > "$T/a.tar.xz9"
fetch xz9 load "$T/a.tar.xz9"
is "$(field rootfs)" "$rootfs" "so is one with the largest window of xz -9"
cat "$T/oci.tar" | zstd -q --long=27 > "$T/a.tar.long" # through a pipe: it must not know how small it is
if [[ $V = [at]san ]]; then
	skip "a larger window is refused" "a sanitizer's own memory could not be told from it"
else
	! fetch long load "$T/a.tar.long"
	like "$OUT" 'more than the 96 MiB of memory allowed.*smaller window' "a larger window is refused"
	is "$(litter long)" "" "... and leaves nothing in tmp/"
fi
fetch pipe load - < <(gzip < "$T/oci.tar")
is "$(field rootfs)" "$rootfs" "so is one through a pipe"
is "$(litter pipe)" "" "nothing of it stays in tmp/"

skopeo --insecure-policy copy -q "oci:$T/img:latest" "docker-archive:$T/docker.tar:example.com/foo:a" 2>/dev/null
fetch docker load "$T/docker.tar"
ok $? "a docker archive is loaded" || printf '# %s\n' "$OUT"
is "$(field reference)" example.com/foo:a "with the name in it"
is "$(field rootfs)" "$rootfs" "to the same root file system"
is "$(cd "$T/docker/blobs/sha256" && sha256sum * | awk '$1 != $2' | wc -l)" 0 "every blob has the digest of its name"
is "$(ls "$T/docker/blobs/sha256" | wc -l)" "$(field 'blobs | length')" "and belongs to the image"
fetch docker --name other load "$T/docker.tar"
is "$(field reference)" docker.io/library/other:latest "a name given overrides that"

# The old form: <id>/layer.tar, some of them symlinks to others; manifest.json first.
mkdir -p "$T/old" "$T/old.x" && tar -C "$T/old.x" -xf "$T/docker.tar"
jq -r '.[0].Layers[]' "$T/old.x/manifest.json" | while read -r layer; do
	mkdir -p "$T/old/${layer%.tar}" && cp "$T/old.x/$layer" "$T/old/${layer%.tar}/layer.tar"
done
last=$(ls -d "$T"/old/*/ | tail -n1)
mkdir "$T/old/moved" && mv "$last/layer.tar" "$T/old/moved/layer.tar" && ln -s ../moved/layer.tar "$last/layer.tar"
cp "$T"/old.x/*.json "$T/old/" && chmod u+w "$T"/old/*.json
jq -c '.[0].Layers |= map(sub("[.]tar$"; "/layer.tar"))' "$T/old.x/manifest.json" > "$T/old/manifest.json"
tar -C "$T/old" -cf "$T/old.tar" manifest.json .
fetch old load "$T/old.tar"
is "$(field rootfs)" "$rootfs" "docker's old form with symlinks between layers" || printf '# %s\n' "$OUT"

# The new form: both at once, the name only in manifest.json.
cp -r "$T/img" "$T/both"
config=$(jq -r .config.digest "$T/img/blobs/sha256/${digest#sha256:}")
printf '[{"Config":"blobs/sha256/%s","RepoTags":["both:2"],"Layers":[]}]' "${config#sha256:}" > "$T/both/manifest.json"
tar -C "$T/both" -cf "$T/both.tar" .
fetch both load "$T/both.tar"
is "$(field reference)" docker.io/library/both:2 "OCI with docker's manifest.json takes the name from there"

# Two images in one.
cp -r "$T/named" "$T/two"
jq -c '.manifests += [.manifests[0] | .annotations["org.opencontainers.image.ref.name"] = "second/one:x"]' \
  "$T/named/index.json" > "$T/two/index.json"
fetch two load "$T/two"
is "$(printf %s "$OUT" | jq -r '.done.images[].reference' | tr '\n' ' ')" "example.com/foo/bar:1.2 docker.io/second/one:x " \
  "two images of one folder"
! fetch two --name x load "$T/two"
like "$OUT" 'holds 2 images' "cannot be given one name"

# A layer of no bytes, as docker saved them.
cp -r "$T/img" "$T/nothing" && add_empty_layer "$T/nothing"; ok $? "a layer of no bytes is added"
fetch nothing load "$T/nothing"
is "$(field 'blobs[]' | grep -c $EMPTY)" 1 "it is loaded from a layout"
rootfs_ok nothing; ok $? "and fsck.erofs is content"
rootfs2=$(field rootfs)
mkdir "$T/docker.x" && tar -C "$T/docker.x" -xf "$T/docker.tar" && chmod -R u+w "$T/docker.x"
: > "$T/docker.x/empty.tar"
jq -c '.[0].Layers += ["empty.tar"]' "$T/docker.x/manifest.json" > "$T/m" && mv "$T/m" "$T/docker.x/manifest.json"
config=$(jq -r '.[0].Config' "$T/docker.x/manifest.json")
jq -c ".rootfs.diff_ids += [\"sha256:$EMPTY\"]" "$T/docker.x/$config" > "$T/docker.x/config.json"
jq -c '.[0].Config = "config.json"' "$T/docker.x/manifest.json" > "$T/m" && mv "$T/m" "$T/docker.x/manifest.json"
tar -C "$T/docker.x" -cf "$T/docker-nothing.tar" .
fetch nothing load "$T/docker-nothing.tar"
is "$(field rootfs)" "$rootfs2" "and from a docker archive" || printf '# %s\n' "$OUT"
config=$(jq -r .config.digest "$T/img/blobs/sha256/${digest#sha256:}")

# What may stand beside an image in an index: artifacts new and old, attestations, images for others.
# put_blob LAYOUT TYPE [FIELDS]: standard input as a blob; ENTRY is its descriptor.
put_blob() {
	cat > "$T/blob"
	local hex
	hex=$(sha256sum < "$T/blob" | cut -d' ' -f1)
	cp "$T/blob" "$1/blobs/sha256/$hex"
	ENTRY="{\"mediaType\":\"$2\",\"digest\":\"sha256:$hex\",\"size\":$(stat -c %s "$T/blob")${3:-}}"
}
oci=application/vnd.oci
# put_manifest LAYOUT CONFIG LAYERS [FIELDS]
put_manifest() {
	put_blob "$1" $oci.image.manifest.v1+json "${4:-}" <<< "{\"schemaVersion\":2,\"config\":$2,\"layers\":[$3]}"
}
cp -r "$T/img" "$T/aside"
entries=()
put_blob "$T/aside" $oci.artifact.manifest.v1+json <<< '{"mediaType":"application/vnd.oci.artifact.manifest.v1+json"}'
entries+=("$ENTRY")
put_blob "$T/aside" text/plain <<< signed; text=$ENTRY
put_blob "$T/aside" $oci.empty.v1+json <<< '{}'
put_manifest "$T/aside" "$ENTRY" "$text"; entries+=("$ENTRY")
put_blob "$T/aside" $oci.image.config.v1+json <<< '{"architecture":"","os":"","rootfs":{"diff_ids":[]}}'
put_manifest "$T/aside" "$ENTRY" "$text"; entries+=("$ENTRY")
put_manifest "$T/aside" "$ENTRY" "$text" ',"platform":{"architecture":"unknown","os":"unknown"}'; entries+=("$ENTRY")
put_blob "$T/aside" $oci.image.config.v1+json <<< '{"architecture":"arm64","os":"linux"}'
put_manifest "$T/aside" "$ENTRY" ''; entries+=("$ENTRY")
list=$(IFS=,; printf %s "${entries[*]}")
jq -c ".manifests = [$list] + .manifests + [$list]" "$T/img/index.json" > "$T/aside/index.json"
fetch aside load "$T/aside"
is "$(printf %s "$OUT" | jq -r '.done.images[].manifest')" "$digest" "what is not an image for this platform is left out"
is "$(litter aside)" "" "tmp/ is empty"
jq -c ".manifests = [$list]" "$T/img/index.json" > "$T/aside/index.json"
! fetch aside load "$T/aside"
like "$OUT" '"sha256:[0-9a-f]*: the image is for linux/arm64' "it is an error when nothing is left"
put_blob "$T/aside" $oci.image.config.v1+json <<< '{"architecture":"amd64","os":"linux"}'
put_manifest "$T/aside" "$ENTRY" "${text/text\/plain/$oci.image.layer.nondistributable.v1.tar}"
jq -c ".manifests += [$ENTRY]" "$T/img/index.json" > "$T/aside/index.json"
! fetch aside load "$T/aside"
like "$OUT" 'has a foreign layer' "an image that is not supported is not left out in silence"

jq -c '.manifests[0] |= (.digest = "sha256:" + "0" * 64)' "$T/named/index.json" > "$T/aside/index.json"
! fetch aside load "$T/aside"
like "$OUT" '"example.com/foo/bar:1.2: the folder has no' "the error names the image"

# --- hostile and broken ------------------------------------------------------------------------
layer=$(jq -r '.layers[0].digest' "$T/img/blobs/sha256/${digest#sha256:}")
bad() { rm -rf "$T/bad"; cp -r "$T/img" "$T/bad"; }
refused() { # PATTERN NAME
	if fetch bad-store load "$T/bad"; then
		ok 1 "$2"
	else
		like "$OUT" "$1" "$2"
	fi
	is "$(litter bad-store)" "" "... and leaves nothing in tmp/"
	rm -rf "$T/bad-store"
}
bad; mv "$T/bad/blobs/sha256/${layer#sha256:}" "$T/outside"; ln -s "$T/outside" "$T/bad/blobs/sha256/${layer#sha256:}"
refused 'cannot open blobs/sha256/.*symbolic links' "a blob that is a symlink is refused"
bad; printf X >> "$T/bad/blobs/sha256/${layer#sha256:}"
refused 'descriptor|bytes' "a blob of another size is refused"
bad; printf X | dd of="$T/bad/blobs/sha256/${layer#sha256:}" bs=1 seek=100 conv=notrunc status=none
refused 'does not have the content of its digest' "a blob of other content is refused"
bad; rm "$T/bad/blobs/sha256/${layer#sha256:}"
refused 'the folder has no blobs/sha256/' "a missing blob is an error"
bad; jq -c '.manifests += [.manifests[0] | .digest = "sha256:" + "0" * 64]' "$T/img/index.json" > "$T/bad/index.json"
refused 'the folder has no blobs/sha256/0' "also beside an image that is there"
bad; rm "$T/bad/index.json"
refused 'neither an OCI layout' "a folder that is neither form is refused"
bad; echo '{"schemaVersion":2,"manifests":[{}]}' > "$T/bad/index.json"
refused 'malformed index.json' "a malformed index is refused"
rm -rf "$T/bad"; head -c 100000 /dev/urandom > "$T/bad"
refused 'cannot read the archive' "noise is refused"
head -c 300000 "$T/oci.tar" > "$T/bad"
refused 'cannot read the archive' "an archive cut short is refused"
# The layers' own digests are wrong in the configuration: only conversion can find that.
bad
m=$T/bad/blobs/sha256/${digest#sha256:}; c=$T/bad/blobs/sha256/${config#sha256:}
sed -i -E 's/"sha256:[0-9a-f]{8}/"sha256:00000000/' "$c"
new=$(sha256sum "$c" | cut -d' ' -f1); mv "$c" "$T/bad/blobs/sha256/$new"
jq -c --arg d "sha256:$new" '.config.digest = $d' "$m" > "$T/m"
newm=$(sha256sum "$T/m" | cut -d' ' -f1); mv "$T/m" "$T/bad/blobs/sha256/$newm"
jq -c --arg d "sha256:$newm" --argjson s "$(stat -c %s "$T/bad/blobs/sha256/$newm")" \
  '.manifests[0].digest = $d | .manifests[0].size = $s' "$T/img/index.json" > "$T/bad/index.json"
refused 'layer 1' "a layer that is not what the configuration says is refused"

# A pipe that never ends: hanging up stops it.
mkfifo "$T/never"
( exec 9<>"$T/never"; "$TOP/tests/image/fetch-driver.py" --store "$T/s" --hang-up-at resolving load - < "$T/never" )
ok $(($? == 2 ? 0 : 1)) "hanging up stops a load that waits for its pipe"
is "$(litter s)" "" "and removes what it had unpacked"

# Cancelled while the root file system is synced: the thread that does so cannot be stopped.
HOLD_SYNC_CANCELS=1 hold_sync .build sync load "$T/img"
is $? 2 "a load is cancelled while its result is synced"
is "$(litter sync)" "" "and takes it away"
is "$(ls "$T/sync/rootfs")" "" "as it was not published"

# Archives that are small and unpack to hundreds of gigabytes: of a hole, and of an entry that nothing can refer to. The
# report comes when all of them is read. Who goes on to unpack meets the limit and dies.
truncate -s 500G "$T/hole" && echo >> "$T/hole" && tar -C "$T" -Scf "$T/hole.tar" hole
python3 - "$T/unread.tar.bz2" <<-'END'
	import bz2, sys, tarfile
	zeros = bytes(45899235) # what one block of bzip2 can stand for
	header = tarfile.TarInfo("../unread")
	header.size = 5000 * len(zeros)
	with open(sys.argv[1], "wb") as f:
	    f.write(bz2.compress(header.tobuf(tarfile.GNU_FORMAT)) + 5000 * bz2.compress(zeros))
	END
for bomb in hole.tar unread.tar.bz2; do
	is $(($(stat -c %s "$T/$bomb") < 256 * 1024)) 1 "$bomb is read at once"
	(
		ulimit -f $((1024 * 1024)) -t 5
		exec "$TOP/tests/image/fetch-driver.py" --store "$T/s" --hang-up-at resolving=1 load "$T/$bomb"
	) 2>/dev/null
	is $? 2 "hanging up stops its unpacking"
	is "$(litter s)" "" "and nothing of it stays"
done
tap_done

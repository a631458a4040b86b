#!/bin/bash
# Pulling from Debian's docker-registry: forms of images, what is kept, what is not fetched twice, errors.
. "$(dirname "$0")/common.sh"

mk_busybox_image "$T/img" 3 || { ok 1 "images are made"; tap_done; exit 1; }
registry_start open || { ok 1 "docker-registry starts"; tap_done; exit 1; }
push_image "$T/img" "$REGISTRY/lib/bb:oci" --format oci
push_image "$T/img" "$REGISTRY/lib/bb:v2s2" --format v2s2
mk_zstd_image "$T/img" "$T/zstd" && push_image "$T/zstd" "$REGISTRY/lib/bb:zstd" --preserve-digests
is "$(layer_types "$REGISTRY/lib/bb:zstd")" application/vnd.oci.image.layer.v1.tar+zstd "an image with zstd layers is pushed"
digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$REGISTRY/lib/bb:oci")

fetch s --plain-http --progress pull "$REGISTRY/lib/bb:oci"
ok $? "an OCI image is pulled" || printf '# %s\n' "$OUT"
is "$(field reference)" "$REGISTRY/lib/bb:oci" "its name is normalised"
is "$(field manifest)" "$digest" "its digest is the registry's"
is "$(field config.Cmd[0])" /bin/sh "its configuration is reported"
is "$(field architecture)/$(field os)" amd64/linux "its platform is reported"
is "$(field 'blobs | length')" 5 "its blobs are manifest, configuration and three layers"
is "$(cd "$T/s/blobs/sha256" && sha256sum * | awk '$1 != $2' | wc -l)" 0 "every blob has the digest of its name"
is "$(ls "$T/s/blobs/sha256" | sort)" "$(field 'blobs[]' | cut -d: -f2 | sort)" "and these are all that is there"
is "$(stat -c %s "$T"/s/blobs/sha256/* | paste -sd+ | bc)" "$(field blob_bytes)" "their sizes add up"
is "$(stat -c %s "$T/s/rootfs/$(field rootfs)")" "$(field rootfs_bytes)" "the root file system's size is right"
rootfs_ok s; ok $? "fsck.erofs is content with the root file system"
is "$(litter s)" "" "tmp/ is empty"
like "$OUT" '"phase": "downloading"' "downloads are reported"
like "$OUT" '"phase": "converting"' "conversion is reported"
first=$(field rootfs)

fetch s --plain-http --progress pull "$REGISTRY/lib/bb:oci"
ok $? "a second pull succeeds"
unlike "$OUT" downloading "and downloads nothing"
unlike "$OUT" converting "and converts nothing"

fetch s --plain-http --progress pull "$REGISTRY/lib/bb:v2s2"
ok $? "a docker schema 2 image is pulled"
is "$(field rootfs)" "$first" "equal layers share one root file system"
unlike "$OUT" converting "which is not built again"
fetch z --plain-http pull "$REGISTRY/lib/bb:zstd"
ok $? "zstd layers are pulled" || printf '# %s\n' "$OUT"
is "$(field rootfs)" "$first" "and give the same root file system name"
cmp -s "$T/s/rootfs/$first" "$T/z/rootfs/$first"; ok $? "and the same bytes"

# Without a terminal each layer's phase is a line, once.
BOXLITE_HOME=$T/home "$O/bin/boxlite" pull --plain-http "$REGISTRY/lib/bb:oci" 2> "$T/lines" > /dev/null
is "$(sort "$T/lines")" "$(printf "$REGISTRY/lib/bb:oci: %s\n" converting\ layer\ {1,2,3}/3 downloading\ layer\ {1,2,3}/3 \
  resolving)" "progress for a log"

fetch d --plain-http pull "$REGISTRY/lib/bb@$digest"
ok $? "a pull by digest"
is "$(field reference)" "$REGISTRY/lib/bb@$digest" "keeps the digest in the name"
stop_server "$REGISTRY_PID"
fetch d --plain-http pull "$REGISTRY/lib/bb@$digest"
ok $? "what is there by digest needs no registry"

! fetch d --plain-http pull "$REGISTRY/lib/bb:oci"
ok $? "a tag does"
like "$OUT" 'cannot connect to 127.0.0.1:[0-9]*: .*refused' "the error says that nobody listens"
is "$(litter d)" "" "tmp/ stays empty"

# --- indexes, names, refusals ------------------------------------------------------------------
registry_start more || { ok 1 "docker-registry starts"; tap_done; exit 1; }
push_image "$T/img" "$REGISTRY/multi:amd64"
copy() { # DEST-TAG CONTENT-TYPE < manifest
	curl -sf -X PUT -H "Content-Type: $2" --data-binary @- "http://$REGISTRY/v2/multi/manifests/$1"
}
curl -s -o "$T/manifest" -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
  "http://$REGISTRY/v2/multi/manifests/amd64"
digest=sha256:$(sha256sum < "$T/manifest" | cut -d' ' -f1)
size=$(stat -c %s "$T/manifest")
index() { # PLATFORM-JSON...
	local p list=
	for p in "$@"; do
		list="$list${list:+,}{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"$digest\",\"size\":$size,\"platform\":$p}"
	done
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}' "$list"
}
type=application/vnd.oci.image.index.v1+json
index '{"architecture":"unknown","os":"unknown"}' '{"architecture":"arm64","os":"linux"}' \
  '{"architecture":"amd64","os":"linux"}' | copy index $type
fetch m --plain-http pull "$REGISTRY/multi:index"
ok $? "an index leads to the image for this platform" || printf '# %s\n' "$OUT"
is "$(field 'blobs | length')" 6 "the index is kept with the image"
index '{"architecture":"arm64","os":"linux","variant":"v8"}' '{"architecture":"s390x","os":"linux"}' \
  '{"architecture":"unknown","os":"unknown"}' | copy arm $type
! fetch m --plain-http pull "$REGISTRY/multi:arm"
ok $? "no image for this platform is an error"
like "$OUT" "\"$REGISTRY/multi:arm: no image for linux/amd64; there is linux/arm64/v8, linux/s390x: choose one .*\"" \
  "which names the image and what there is"
! fetch m --plain-http --arch arm64 pull "$REGISTRY/multi:amd64"
ok $? "another architecture is refused"
like "$OUT" "\"$REGISTRY/multi:amd64: the image is for linux/amd64, not linux/arm64: choose" "with the reason"
jq -c '.config.mediaType = "application/vnd.oci.empty.v1+json"' "$T/manifest" |
  copy artifact application/vnd.oci.image.manifest.v1+json
! fetch m --plain-http pull "$REGISTRY/multi:artifact"
like "$OUT" "\"$REGISTRY/multi:artifact: an artifact, .*: is the name right" "an artifact is no image"
jq -c '.layers += .layers' "$T/manifest" | copy odd application/vnd.oci.image.manifest.v1+json
! fetch m --plain-http pull "$REGISTRY/multi:odd"
like "$OUT" "\"$REGISTRY/multi:odd: the manifest lists 6 layers, the configuration 3" "one that contradicts itself is named"
! fetch m --plain-http pull "$REGISTRY/multi:nosuch"
ok $? "an unknown tag is an error"
like "$OUT" "$REGISTRY has no image multi:nosuch" "that says so"
! fetch m --plain-http pull "$REGISTRY/Multi"
like "$OUT" 'invalid image reference' "an impossible name is refused before anything is sent"
! fetch m pull "$REGISTRY/multi:index"
ok $? "https to a registry without it fails"
like "$OUT" 'speaks plain http: use --plain-http' "with the remedy"
! fetch m --raw '{"op":"pull"}' pull x
like "$OUT" 'malformed image request' "a malformed request is refused"
is "$(litter m)" "" "tmp/ is empty after all that"

# --- logins -------------------------------------------------------------------------------------
stop_server "$REGISTRY_PID"
htpasswd -Bbn tester s3cret-Passw0rd > "$T/htpasswd"
registry_start closed "$T/htpasswd" || { ok 1 "docker-registry starts"; tap_done; exit 1; }
push_image "$T/img" "$REGISTRY/bb:latest" --dest-creds tester:s3cret-Passw0rd
fetch a --plain-http --user tester --password s3cret-Passw0rd pull "$REGISTRY/bb"
ok $? "a login with a password" || printf '# %s\n' "$OUT"
! fetch b --plain-http pull "$REGISTRY/bb"
ok $? "without a login it is refused"
like "$OUT" "docker login $REGISTRY" "with the remedy"
! fetch b --plain-http --user tester --password wr0ng-Passw0rd pull "$REGISTRY/bb"
ok $? "so is a wrong password"
unlike "$OUT$ERR" 'wr0ng' "which is not repeated"
tap_done

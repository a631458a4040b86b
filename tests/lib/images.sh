# Small images for tests, made by skopeo and umoci from the static busybox. Source it after $T (a
# scratch folder of the test) is set.

# Puts a busybox tree with a few kinds of files into folder $1.
mk_busybox_tree() {
	mkdir -p "$1/bin" "$1/etc" "$1/tmp" "$1/proc" "$1/sys" "$1/dev" "$1/root" || return 1
	cp /bin/busybox "$1/bin/busybox" || return 1
	local a
	for a in sh ls cat echo true false sleep ps id mount env; do
		ln -sf busybox "$1/bin/$a"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' > "$1/etc/passwd"
	echo 'root:x:0:' > "$1/etc/group"
	chmod 1777 "$1/tmp"
}

# Adds the content of folder $2 as the next layer of image "latest" in the OCI layout $1. (Not by `umoci insert`,
# which leaves out the padding at the end of a tar.)
add_layer() {
	tar -C "$2" --numeric-owner --owner=0 --group=0 --sort=name -cf "$2.tar" . &&
	umoci raw add-layer --image "$1:latest" "$2.tar" >/dev/null 2>&1 &&
	rm -f "$2.tar"
}

EMPTY=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 # SHA-256 of nothing

# reblob LAYOUT HEX FILTER: replaces a blob by what a jq filter makes of it; sets HEX.
reblob() {
	local blobs=$1/blobs/sha256
	jq -c "$3" "$blobs/$2" > "$1.blob" && HEX=$(sha256sum < "$1.blob") && HEX=${HEX%% *} &&
	rm "$blobs/$2" && mv "$1.blob" "$blobs/$HEX"
}

# Adds a layer of no bytes as the next of image "latest" in the OCI layout $1.
add_empty_layer() {
	local manifest config
	manifest=$(jq -r '.manifests[0].digest[7:]' "$1/index.json")
	config=$(jq -r '.config.digest[7:]' "$1/blobs/sha256/$manifest")
	: > "$1/blobs/sha256/$EMPTY"
	reblob "$1" "$config" ".rootfs.diff_ids += [\"sha256:$EMPTY\"]" &&
	reblob "$1" "$manifest" ".config.digest = \"sha256:$HEX\" | .config.size = $(stat -c %s "$1/blobs/sha256/$HEX") |
	  .layers += [{mediaType: \"application/vnd.oci.image.layer.v1.tar\", digest: \"sha256:$EMPTY\", size: 0}]" &&
	jq -c ".manifests[0].digest = \"sha256:$HEX\" | .manifests[0].size = $(stat -c %s "$1/blobs/sha256/$HEX")" \
	  "$1/index.json" > "$1.blob" && mv "$1.blob" "$1/index.json"
}

# An OCI layout at $1 with image "latest" of $2 layers (default 2): busybox, then a small file each.
mk_busybox_image() {
	local dir=$1 layers=${2:-2} tree=$1.tree i
	mk_busybox_tree "$tree" &&
	umoci init --layout "$dir" >/dev/null &&
	umoci new --image "$dir:latest" >/dev/null &&
	add_layer "$dir" "$tree" || return 1
	for i in $(seq 2 "$layers"); do
		rm -rf "$tree"
		mkdir -p "$tree/etc"
		echo "layer $i" > "$tree/etc/layer-$i"
		add_layer "$dir" "$tree" || return 1
	done
	umoci config --image "$dir:latest" --architecture amd64 --os linux --config.cmd /bin/sh \
	  --config.env PATH=/bin --config.workingdir / >/dev/null || return 1
	umoci gc --layout "$dir" >/dev/null 2>&1 || return 1
	rm -rf "$tree"
}

# Copies image $1 (an OCI layout) to layout $2 with zstd layers. (Not while pushing: skopeo takes the gzip
# blob that it knows to be in the registry for as good.)
mk_zstd_image() {
	skopeo --insecure-policy copy -q --dest-compress --dest-compress-format zstd "oci:$1:latest" "oci:$2:latest"
}

# The distinct media types of the layers of plain-http reference $1.
layer_types() {
	skopeo inspect --raw --tls-verify=false "docker://$1" | jq -r '.layers[].mediaType' | sort -u
}

# Pushes image $1 (an OCI layout) to plain-http reference $2; more arguments go to skopeo copy
# (--format v2s2, --dest-compress-format zstd, --dest-creds ...).
push_image() {
	local from=$1 to=$2
	shift 2
	skopeo --insecure-policy copy -q --dest-tls-verify=false "$@" "oci:$from:latest" "docker://$to"
}

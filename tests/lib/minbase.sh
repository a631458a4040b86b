# A real root file system: Debian minbase with python3, made by debootstrap once per machine and kept
# as a tar outside the tree. Source it.

MINBASE_SUITE=bookworm
MINBASE_PACKAGES=python3-minimal,attr,libcap2-bin

# minbase_make DIR: debootstrap into DIR/root, and a tar of it as DIR/tar. Its text and the two
# settings above name the cached file: another recipe is another file.
minbase_make() {
	local mirror
	mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' |
		awk -v suite="$MINBASE_SUITE" '$1 == suite { print $2; exit }')
	[ -n "$mirror" ] || { echo "apt knows no mirror of $MINBASE_SUITE" >&2; return 1; }
	debootstrap --variant=minbase --include="$MINBASE_PACKAGES" "$MINBASE_SUITE" "$1/root" "$mirror" || return 1
	rm -rf "$1"/root/var/cache/apt/* "$1"/root/var/lib/apt/lists/* "$1/root/var/log/bootstrap.log"
	tar -C "$1/root" --sort=name --numeric-owner --xattrs --xattrs-include='*' --format=pax -cf "$1/tar" .
}

# minbase_file: prints where the tar is kept; minbase_cached: whether it is there.
minbase_file() {
	local hash
	hash=$( (echo "$MINBASE_SUITE $MINBASE_PACKAGES"; declare -f minbase_make) | sha256sum | cut -c1-16)
	echo "${BOXLITE_BUILD_CACHE:-$HOME/.cache/boxlite-build}/minbase-$hash.tar"
}
minbase_cached() { [ -f "$(minbase_file)" ]; }

# minbase_tar: prints the path of the tar, after making it if need be (a minute or two; root only).
# Two that want it at once wait for one another. What debootstrap said is printed if it fails.
minbase_tar() (
	tar=$(minbase_file)
	cache=${tar%/*}
	mkdir -p "$cache" && exec 9> "$cache/minbase.lock" && flock 9 || exit 1
	if [ ! -f "$tar" ]; then
		work=$(mktemp -d "$cache/minbase.XXXXXX") || exit 1
		trap 'rm -rf "$work"' EXIT
		trap 'exit 1' INT TERM HUP
		if ! minbase_make "$work" > "$work/log" 2>&1 9>&-; then
			tail -n 20 "$work/log" >&2
			exit 1
		fi
		mv "$work/tar" "$tar" || exit 1
	fi
	echo "$tar"
)

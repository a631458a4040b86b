# Registries for tests: Debian's docker-registry, and one that misbehaves. Source it after $T (a
# scratch folder of the test) is set. The ports are the kernel's choice, so tests at once never collide.

LIB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# registry_start NAME [HTPASSWD-FILE]: sets REGISTRY=127.0.0.1:<port> and REGISTRY_PID.
registry_start() {
	local dir=$T/registry-$1 auth=
	mkdir -p "$dir/data"
	[ -n "${2:-}" ] && auth="auth: {htpasswd: {realm: test, path: $2}}"
	cat > "$dir/config.yml" <<-END
	version: 0.1
	log: {level: info, accesslog: {disabled: true}}
	storage: {filesystem: {rootdirectory: $dir/data}}
	http: {addr: "127.0.0.1:0"}
	$auth
	END
	: > "$dir/log"
	docker-registry serve "$dir/config.yml" >> "$dir/log" 2>&1 &
	REGISTRY_PID=$!
	# It logs the address once it listens.
	REGISTRY=$(timeout 20 tail -n +1 -f --pid=$REGISTRY_PID "$dir/log" |
		grep -m1 -o 'listening on [0-9.:]*' | cut -d' ' -f3)
	if [ -z "$REGISTRY" ]; then
		sed 's/^/# docker-registry: /' "$dir/log"
		return 1
	fi
}

# bad_registry_start NAME LAYOUT [ARGUMENT...]: sets BAD=127.0.0.1:<port>, BAD_PID and BAD_LOG.
bad_registry_start() {
	local dir=$T/bad-$1 layout=$2 port
	shift 2
	mkdir -p "$dir"
	BAD_LOG=$dir/requests
	: > "$BAD_LOG"
	rm -f "$dir/port"
	mkfifo "$dir/port"
	"$LIB/bad-registry.py" "$layout" --log "$BAD_LOG" "$@" > "$dir/port" 2> "$dir/log" &
	BAD_PID=$!
	read -r port < "$dir/port" || { sed 's/^/# bad-registry: /' "$dir/log"; return 1; }
	BAD=127.0.0.1:$port
}

stop_server() {
	kill "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}

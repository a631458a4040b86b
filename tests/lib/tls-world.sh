# A TLS server in the world (world.sh), whom this host trusts and knows by name. After make_world; the test has mounts of
# its own (MOUNTS).

. "$TOP/tests/lib/certs.sh"

# make_tls_world NAME OTHER: echo-server.py at 203.0.113.10:443 for these names; what it got is in "seen". /etc is the
# test's own ($T/etc) with its authority (root.pem) among the others, and a DNS server that knows the names.
make_tls_world() {
	unset SSL_CERT_FILE SSL_CERT_DIR
	make_certs "$1" "$2"
	nsenter -t "$WORLD" -n python3 "$TOP/tests/net/echo-server.py" tls 443 seen cert.pem key.pem 2> server.log &
	cp -a /etc "$T/etc"; rm -f "$T/etc/resolv.conf"
	echo "nameserver 127.0.0.1" > "$T/etc/resolv.conf"
	mkdir -p "$T/etc/ssl/certs"; cp "$T/etc/ssl/certs/ca-certificates.crt" others
	cat root.pem >> "$T/etc/ssl/certs/ca-certificates.crt"
	mount --bind "$T/etc" /etc
	printf '%s\n' no-resolv no-hosts no-daemon user= bind-interfaces listen-address=127.0.0.1 \
		"host-record=$1,203.0.113.10" "host-record=$2,203.0.113.10" > dns.conf
	dnsmasq -C dns.conf > dns.log 2>&1 & wait_for grep -q started dns.log
}

# make_certs NAME...: an authority of the test's own (root.pem), and a certificate of it for these names (cert.pem, key.pem).
make_certs() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout rootkey -out root.pem \
		-subj "/CN=test root" -days 30 2> /dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out csr -subj "/CN=x" 2> /dev/null
	printf 'subjectAltName=%s\n' "$(printf 'DNS:%s\n' "$@" | paste -sd,)" > ext
	openssl x509 -req -in csr -CA root.pem -CAkey rootkey -CAcreateserial -days 30 -extfile ext -out cert.pem 2> /dev/null
}

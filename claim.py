import socket, ssl, sys
socket.getaddrinfo('good.example', 443)
def send(*pieces):
    s = socket.create_connection(('203.0.113.10', 443), timeout=5)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        for p in pieces: s.sendall(p)
        return s.recv(15).decode().removeprefix('HTTP/1.1 200 ') or 'end'
    except ConnectionError: return 'reset'
    except OSError as e: return str(e)
def tls(name):
    c = ssl.create_default_context(); c.check_hostname = False; c.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO(); t = c.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try: t.do_handshake()
    except ssl.SSLWantReadError: return out.read()
h = tls(sys.argv[2] if len(sys.argv) > 2 else None) if sys.argv[1].startswith('tls') else b''
http = lambda text: text.replace('\n', '\r\n').encode()
print({
    'tls': lambda: send(h),
    'tls-bytes': lambda: send(*(h[i:i + 1] for i in range(len(h)))),
    'tls-records': lambda: send(*(b'\x16\x03\x01\0\x40' + h[5:69], b'\x16\x03\x01' + (len(h) - 69).to_bytes(2) + h[69:])),
    'tls-alert': lambda: send(b'\x15\x03\x01\0\2\1\x5a' + h),
    'tls-again': lambda: send(tls('good.example') + h),
    'http': lambda: send(http(sys.argv[2].replace('|', '\n'))),
    'raw': lambda: send(sys.argv[2].encode()),
}[sys.argv[1]]())

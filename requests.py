"""Each argument in turn: GOOD, EVIL and others send what they say, "<" reads an answer and prints its status."""
import socket, sys
for name in 'good.example', 'sub.good.example':
    try: socket.getaddrinfo(name, 80)
    except OSError: pass
s = socket.create_connection(('203.0.113.10', 80), timeout=10)
f = s.makefile('rb')
get = lambda host, more='': f'GET / HTTP/1.1\r\nHost: {host}\r\n{more}\r\n'.encode()
evil = get('evil.example')
chunks = b''.join(b'%x\r\n%s\r\n' % (len(evil[i:i + 7]), evil[i:i + 7]) for i in range(0, len(evil), 7)) + b'0\r\n\r\n'
big = bytes(range(256)) * 20000
post = lambda how, body: b'POST / HTTP/1.1\r\nHost: good.example\r\n' + how + b'\r\n\r\n' + body
sends = {
    'GOOD': get('good.example', 'Accept-Encoding: gzip\r\n'), 'EVIL': evil, 'OTHER': get('sub.good.example'),
    'H2C': get('good.example', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'),
    'LF': evil.replace(b'\r', b''), 'CONNECT': b'CONNECT evil.example:80 HTTP/1.1\r\nHost: good.example\r\n\r\n',
    'LENGTH': post(b'Content-Length: %d' % len(evil), evil), 'CHUNKS': post(b'Transfer-Encoding: chunked', chunks),
    'BIG': post(b'Content-Length: %d' % len(big), big), 'CUT': evil[:20],
    'BOTH': post(b'Content-Length: %d\r\nTransfer-Encoding: chunked' % len(evil), b'0\r\n\r\n' + evil),
    'WEBSOCKET': get('good.example', 'Upgrade: websocket\r\nConnection: Upgrade\r\n'),
}
def answer():
    status, length = f.readline().decode().split(), 0
    if not status: return 'end'
    while (line := f.readline().strip().lower()):
        if line.startswith(b'content-length:'): length = int(line[15:])
    body = f.read(length)
    if status[1] == '101':
        s.sendall(evil)
        return '101 ' + ('as it is' if f.read(len(evil)) == evil else 'otherwise')
    return status[1] + (' whole' if big in body else '')
said = []
for a in sys.argv[1:]:
    try:
        if a == '<': said.append(answer())
        else: s.sendall(b''.join(sends[x] for x in a.split('+')))
    except OSError as e: said.append(type(e).__name__)
print(*said)

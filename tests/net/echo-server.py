#!/usr/bin/env python3
"""The servers behind the tests of secrets.

echo-server.py http PORT FILE           answers each request with itself; what came is appended to FILE
echo-server.py tls PORT FILE CERT KEY   the same over TLS, and WebSocket's handshake with an echo of bytes behind it
echo-server.py dns PORT ADDRESS         answers each question for an IPv4 address with ADDRESS; names that begin with
                                        "six." have one of IPv6, too
echo-server.py first PORT               says hello before it is asked, then "got" and what it gets
echo-server.py late PORT N              hears nothing of N connections until all are there and have waited a second, then
                                        says to each how many bytes it has sent up to its end
"""
import http.server, socket, ssl, struct, sys, threading, time

class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def body(self):
        if self.headers.get('Transfer-Encoding', '') == 'chunked':
            data = b''
            while True:
                n = int(self.rfile.readline().split(b';')[0], 16)
                data += self.rfile.read(n)
                self.rfile.readline()
                if n == 0: return data
        return self.rfile.read(int(self.headers.get('Content-Length', 0)))

    def websocket(self, seen):
        self.connection.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
        while True:
            data = self.rfile.read1(4096)
            if not data: break
            seen.write(data); seen.flush()
            self.connection.sendall(data)
        self.close_connection = True

    def refuse(self):
        """Before the body has come, and goes: the kernel then resets."""
        text = b'too large, and not read\n' + self.headers.get('X-Key', '-').encode() + b'\n'
        self.send_response(413)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        self.close_connection = True

    def do(self):
        if '/early' in self.path: return self.refuse()
        with open(self.server.file, 'ab') as seen:
            text = (self.requestline + '\n' + ''.join(f'{k}: {v}\n' for k, v in self.headers.items())).encode()
            if self.headers.get('Upgrade') == 'websocket':
                seen.write(text); seen.flush()
                return self.websocket(seen)
            text += b'\n' + self.body()
            seen.write(text + b'\n----\n')
        self.send_response(200)
        if '/close' in self.path:
            self.close_connection = True
        elif '/chunks' in self.path:
            self.send_header('Transfer-Encoding', 'chunked')
        else:
            self.send_header('Content-Length', str(len(text)))
        self.send_header('X-Echo', self.headers.get('X-Key', '-'))
        if '/labelled' in self.path: self.send_header('Content-Encoding', 'x-nothing')
        if '/named' in self.path: self.send_header('X-' + self.headers.get('X-Key', '-'), 'is a name')
        self.end_headers()
        if '/chunks' in self.path:
            for i in range(0, len(text), 7):
                piece = text[i:i + 7]
                self.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece))
            self.wfile.write(b'0\r\n\r\n')
        else:
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do

    def log_message(self, *args): pass

def serve(port, file, context=None):
    server = http.server.ThreadingHTTPServer(('0.0.0.0', port), Echo)
    server.file = file
    if context: server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()

def dns(port, address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('127.0.0.1', port))
    while True:
        q, peer = s.recvfrom(4096)
        end = q.index(b'\0', 12) + 5
        a = b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4' + socket.inet_aton(address) if q[end - 4:end - 2] == b'\0\1' else b''
        if q[end - 4:end - 2] == b'\0\x1c' and q[12:16] == b'\3six':
            a = b'\xc0\x0c\0\x1c\0\1\0\0\0\x3c\0\x10' + socket.inet_pton(socket.AF_INET6, '2001:db8::10')
        s.sendto(q[:2] + b'\x81\x80\0\1' + struct.pack('>H', bool(a)) + b'\0\0\0\0' + q[12:end] + a, peer)

def first(port):
    l = socket.create_server(('0.0.0.0', port))
    while True:
        s, _ = l.accept()
        try:
            s.sendall(b'220 hello\n')
            while d := s.recv(100): s.sendall(b'got ' + d)
        except OSError: pass
        s.close()

def count(s):
    n = 0
    try:
        while d := s.recv(65536): n += len(d)
        s.sendall(b'%d' % n)
    except OSError: pass
    s.close()

def late(port, n):
    l = socket.create_server(('0.0.0.0', port), backlog=n)
    while True:
        all = [l.accept()[0] for i in range(n)]
        time.sleep(1)
        for s in all: threading.Thread(target=count, args=(s,)).start()

what, port = sys.argv[1], int(sys.argv[2])
if what == 'dns':
    dns(port, sys.argv[3])
elif what == 'first':
    first(port)
elif what == 'late':
    late(port, int(sys.argv[3]))
elif what == 'http':
    serve(port, sys.argv[3])
else:
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(sys.argv[4], sys.argv[5])
    serve(port, sys.argv[3], c)

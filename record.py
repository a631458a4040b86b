import socket, threading
l = socket.socket(); l.bind(('203.0.113.10', 443)); l.listen(); open('recording', 'w')
def one(s):
    s.settimeout(3)
    try:
        d = s.recv(65536)
        with open('recorded', 'ab') as f: f.write(d)
        s.sendall(b'HTTP/1.1 200 ok\r\nContent-Length: 0\r\n\r\n' if b'HTTP/1.' in d else b'ok')
    except OSError: pass
    s.close()
while True: threading.Thread(target=one, args=(l.accept()[0],)).start()

#!/usr/bin/env python3
"""Both ends of connections for the tests of boxlite-net.

peer.py serve FILE [ADDRESS]    serves TCP until it is killed; FILE gets the port
peer.py SCENARIO HOST PORT [N]  plays a client's part, and says what went wrong

The client's first line says what the server is to do:
  sink       reads to the end, then sends the SHA-256 of it
  slow       the same, with a pause first
  source N   sends N bytes, then closes its side, and reads to the end
  echo       sends back what it gets
  reset      resets the connection
  hang       does nothing until the other side goes
"""
import hashlib, os, random, select, socket, struct, sys, threading, time

def read_line(s):
    line = b''
    while not line.endswith(b'\n'):
        c = s.recv(1)
        if not c: return ''
        line += c
    return line.decode().strip()

def blob(n, seed=1):
    r = random.Random(seed)
    piece = r.randbytes(1 << 16)
    return (piece * (n // len(piece) + 1))[:n]

def read_all(s, pause=0, step=1 << 20):
    h, n = hashlib.sha256(), 0
    while True:
        d = s.recv(step)
        if not d: return h.hexdigest(), n
        h.update(d); n += len(d)
        if pause: time.sleep(pause)

def serve_one(s):
    try:
        what = read_line(s).split()
        if not what: return
        if what[0] in ('sink', 'slow'):
            if what[0] == 'slow': time.sleep(1)
            h, n = read_all(s, 0.02 if what[0] == 'slow' else 0)
            s.sendall(f'{h} {n}\n'.encode())
        elif what[0] == 'source':
            s.sendall(blob(int(what[1])))
            s.shutdown(socket.SHUT_WR)
            read_all(s)
        elif what[0] == 'echo':
            while d := s.recv(1 << 16): s.sendall(d)
        elif what[0] == 'reset':
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        elif what[0] == 'hang':
            read_all(s)
    except OSError: pass
    finally: s.close()

def serve(file, address='127.0.0.1'):
    l = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
    l.bind((address, 0)); l.listen(4096)
    with open(file + '.new', 'w') as f: f.write(f'{l.getsockname()[1]}\n')
    os.rename(file + '.new', file)
    threading.stack_size(256 * 1024)
    while True:
        s, _ = l.accept()
        threading.Thread(target=serve_one, args=(s,), daemon=True).start()

def connect(host, port, timeout=60):
    return socket.create_connection((host, port), timeout=timeout)

def upload(host, port, n, what=b'sink\n'):
    s = connect(host, port, 120)
    data = blob(n)
    s.sendall(what); s.sendall(data); s.shutdown(socket.SHUT_WR)
    assert read_line(s) == f'{hashlib.sha256(data).hexdigest()} {n}', 'it did not arrive as it was sent'
    assert s.recv(1) == b'', 'more than the answer'

def download(host, port, n, pause=0):
    s = connect(host, port, 120)
    s.sendall(f'source {n}\n'.encode())
    if pause: time.sleep(pause)
    got = read_all(s, 0.01 if pause else 0)
    assert got == (hashlib.sha256(blob(n)).hexdigest(), n), f'{got[1]} bytes of {n} arrived, or others'

def both(host, port, n):
    s = connect(host, port, 120)
    data, got = blob(n), []
    s.sendall(b'echo\n')
    t = threading.Thread(target=lambda: got.append(read_all(s)))
    t.start(); s.sendall(data); s.shutdown(socket.SHUT_WR); t.join()
    assert got == [(hashlib.sha256(data).hexdigest(), n)], 'the echo is another'

def reset(host, port, n):
    s = connect(host, port)
    s.sendall(b'reset\n')
    try:
        assert s.recv(1) != b'', 'an end in order'
    except ConnectionResetError: pass

def refused(host, port, n):
    begin = time.monotonic()
    try: connect(host, port)
    except ConnectionRefusedError: pass
    else: assert False, 'a connection'
    assert time.monotonic() - begin < 1, 'it took long'

def unreachable(host, port, n):
    begin = time.monotonic()
    try: connect(host, port)
    except OSError as e: assert e.errno in (101, 113), f'{e}'
    else: assert False, 'a connection'
    assert time.monotonic() - begin < 1, 'it took long'

def many(host, port, n):
    """n connections at once, each with a word to say."""
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (n + 64, max(n + 64, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    all = [connect(host, port) for _ in range(n)]
    for i, s in enumerate(all): s.sendall(f'echo\n{i}.'.encode())
    for i, s in enumerate(all):
        got = b''
        while not got.endswith(b'.'): got += s.recv(64) or b'?.'
        assert got == f'{i}.'.encode(), f'connection {i} got {got}'
    print('open', flush=True)
    for s in all: s.close()

def in_turn(host, port, n):
    for i in range(n):
        s = connect(host, port)
        s.sendall(b'echo\nx'); s.shutdown(socket.SHUT_WR)
        assert s.recv(9) == b'x' and s.recv(9) == b'', f'connection {i}'
        s.close()

def round_trips(host, port, n):
    s = connect(host, port)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.sendall(b'echo\n')
    times = []
    for _ in range(n):
        begin = time.perf_counter(); s.sendall(b'x'); s.recv(1)
        times.append(time.perf_counter() - begin)
    times.sort()
    print(f'{times[n // 2] * 1e6:.1f}')

def udp_echo(host, port, n):
    family, _, _, _, at = socket.getaddrinfo(host, port)[0]
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.connect(at); s.settimeout(5)
    for size in (1, 1400, 9000, n):
        data = blob(size, size)
        s.send(data)
        assert s.recv(70000) == data, f'a datagram of {size} bytes'

def udp_refused(host, port, n):
    s = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((host, port)); s.settimeout(5)
    s.send(b'x')
    try: s.recv(1)
    except (ConnectionRefusedError, OSError) as e:
        assert e.errno in (111, 113), f'{e}'
    else: assert False, 'an answer'

def serve_udp(file, address='127.0.0.1'):
    l = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    l.bind((address, 0))
    with open(file + '.new', 'w') as f: f.write(f'{l.getsockname()[1]}\n')
    os.rename(file + '.new', file)
    while True:
        d, a = l.recvfrom(70000)
        l.sendto(d, a)

def main():
    what = sys.argv[1]
    if what == 'serve': serve(*sys.argv[2:])
    if what == 'serve-udp': serve_udp(*sys.argv[2:])
    host, port, n = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 0
    scenarios = {
        'upload': upload, 'download': download, 'both': both, 'reset': reset, 'refused': refused, 'many': many,
        'unreachable': unreachable, 'in-turn': in_turn, 'round-trips': round_trips, 'udp-echo': udp_echo,
        'udp-refused': udp_refused,
        'slow-upload': lambda h, p, n: upload(h, p, n, b'slow\n'), 'slow-download': lambda h, p, n: download(h, p, n, 1),
    }
    try: scenarios[what](host, port, n)
    except (AssertionError, OSError) as e:
        print(f'{what}: {e!r}'); sys.exit(1)

main()

#!/usr/bin/env python3
"""Both sides of the proxy, when they ask for all that it has.

limits.py serve CERT KEY    hosts in the world: see PORTS; says "serves" when it does
limits.py SCENARIO [N]      plays the guest, and prints what became of it; see there
"""
import os, resource, select, selectors, socket, ssl, struct, subprocess, sys, threading, time

HOST = 'api.example.test'
PORTS = {
    80: 'http',      # an answer to each request, in the clear
    443: 'https',    # by TLS, HTTP/1.1
    2222: 'echo',    # what it gets, in the clear
    2223: 'deaf',    # it takes nothing
    2224: 'endless', # in the clear: zeros
    8001: 'greedy',  # HTTP/2: all that windows allow, and then it reads no more
    8002: 'hints',   # HTTP/2: interim answers to the first request, without end
}
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n'
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
DATA, HEADERS, SETTINGS, PING, WINDOW, NOTHING = 0, 1, 4, 6, 8, 0xfa # the last one is no frame that anybody knows
PIECE = 16384
STREAMS = 100
FLOOD = 3 << 19 # bytes: more than what the proxy holds of a connection, and what the kernel does

def frame(kind, flags, stream, body=b''):
    return struct.pack('!I', len(body))[1:] + bytes([kind, flags]) + struct.pack('!I', stream) + body

def settings(**what):
    ids = {'streams': 3, 'window': 4}
    return frame(SETTINGS, 0, 0, b''.join(struct.pack('!HI', ids[k], v) for k, v in what.items()))

def number(n, bits):
    """Of HPACK (RFC 7541, 5.1), without what else is in the first byte."""
    most = (1 << bits) - 1
    if n < most: return bytes([n])
    out, n = [most], n - most
    while n > 127: out.append(n % 128 + 128); n //= 128
    return bytes(out + [n])

def text(t): return number(len(t), 7) + t
def field(name, value): return b'\0' + text(name) + text(value)         # not indexed
def kept_field(name, value): return b'\x40' + text(name) + text(value)  # its number is 62 from now on

class Frames:
    """What comes, a frame at a time."""
    def __init__(self, s): self.s, self.b = s, b''
    def take(self, n):
        while len(self.b) < n:
            d = self.s.recv(65536)
            if not d: raise ConnectionError('end')
            self.b += d
        head, self.b = self.b[:n], self.b[n:]
        return head
    def next(self):
        h = self.take(9)
        return h[3], h[4], struct.unpack('!I', h[5:])[0], self.take(int.from_bytes(h[:3], 'big'))

def window_of(s, frames):
    """What the proxy lets a connection have under way: it says so at once, before it answers."""
    n = 65535
    s.sendall(frame(PING, 0, 0, b'12345678'))
    while True:
        kind, flags, stream, body = frames.next()
        if kind == WINDOW and stream == 0: n += struct.unpack('!I', body)[0]
        if kind == SETTINGS and not flags & 1: s.sendall(frame(SETTINGS, 1, 0))
        if kind == PING and flags & 1: return n

# --- hosts ---

def greedy(s):
    s.settimeout(20)
    frames = Frames(s)
    assert frames.take(len(PREFACE)) == PREFACE
    s.sendall(settings(streams=1000, window=0))
    room, got = 65535, 0
    head = b'\x88' + field(b'x', b'y' * 2000)
    while got < STREAMS:
        kind, flags, stream, body = frames.next()
        if kind == WINDOW and stream == 0: room += struct.unpack('!I', body)[0]
        if kind == SETTINGS and not flags & 1: s.sendall(frame(SETTINGS, 1, 0))
        if kind == HEADERS:
            got += 1
            s.sendall(frame(HEADERS, 4, stream, head))
            n = min(room, 8192)
            if n: s.sendall(frame(DATA, 0, stream, b'd' * n))
            room -= n
    # What windows give back, as long as they do; then what has none.
    s.settimeout(1)
    try:
        for i in range(1 << 30):
            kind, flags, stream, body = frames.next()
            if kind == WINDOW and stream == 0: room += struct.unpack('!I', body)[0]
            if room >= 4096: s.sendall(frame(DATA, 0, 1 + 2 * (i % STREAMS), b'd' * min(PIECE, room)))
            if room >= 4096: room -= min(PIECE, room)
    except TimeoutError: pass
    flood(s, frame(NOTHING, 0, 0, b'n' * PIECE))

def hints(s):
    s.settimeout(20)
    frames = Frames(s)
    assert frames.take(len(PREFACE)) == PREFACE
    s.sendall(settings(streams=1000))
    while True:
        kind, flags, stream, body = frames.next()
        if kind == SETTINGS and not flags & 1: s.sendall(frame(SETTINGS, 1, 0))
        if kind == HEADERS:
            first = frame(HEADERS, 4, stream, b'\x48' + text(b'103')) # kept: a byte says it from now on
            s.sendall(first)
            flood(s, frame(HEADERS, 4, stream, b'\xbe') * 1600)
            return

def flood(s, piece):
    """Until nobody takes it any more, for so long; or it has all been taken."""
    s.settimeout(2)
    try:
        for _ in range(FLOOD // len(piece)): s.sendall(piece)
    except OSError: pass
    s.settimeout(None)

def https(s):
    b = b''
    while d := s.recv(4096):
        b += d
        while b'\r\n\r\n' in b:
            b = b.split(b'\r\n\r\n', 1)[1]
            s.sendall(OK)

def serve_tls(listener, kind, cert, key):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(cert, key)
    c.set_alpn_protocols(['http/1.1' if kind == 'https' else 'h2'])
    def one(s):
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            t = c.wrap_socket(s, server_side=True)
            globals()[kind](t)
            s = t
            ended = select.poll(); ended.register(s, 0)
            if kind != 'https': ended.poll(60000) # it has closed, or was reset
        except (OSError, AssertionError): pass
        s.close()
    while True: threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

def serve_plain(listeners):
    """A thousand of them, so in one thread."""
    all, keep = selectors.DefaultSelector(), []
    for l, kind in listeners: all.register(l, selectors.EVENT_READ, (kind, True))
    while True:
        for key, _ in all.select():
            kind, listens = key.data
            if listens:
                s = key.fileobj.accept()[0]
                if kind == 'deaf': keep.append(s)
                elif kind == 'endless': s.setblocking(False); all.register(s, selectors.EVENT_WRITE, (kind, False))
                else: all.register(s, selectors.EVENT_READ, (kind, False))
                continue
            if kind == 'endless':
                try: key.fileobj.send(bytes(65536))
                except OSError: all.unregister(key.fileobj); key.fileobj.close()
                continue
            try:
                d = key.fileobj.recv(65536)
                if d: key.fileobj.sendall(OK if kind == 'http' else d)
            except OSError: d = b''
            if not d: all.unregister(key.fileobj); key.fileobj.close()

def serve(cert, key):
    threading.stack_size(256 * 1024)
    plain = []
    for port, kind in PORTS.items():
        l = socket.create_server(('0.0.0.0', port), backlog=4096)
        if kind in ('http', 'echo', 'deaf', 'endless'): plain.append((l, kind))
        else: threading.Thread(target=serve_tls, args=(l, kind, cert, key), daemon=True).start()
    print('serves', flush=True)
    serve_plain(plain)

# --- the guest ---

NET = int(subprocess.run(['pgrep', '-P', str(os.getppid()), 'boxlite-net'], capture_output=True, text=True).stdout or 0)

def memory():
    """KiB of boxlite-net: what is private and there, and what RLIMIT_DATA counts."""
    with open(f'/proc/{NET}/status') as f: lines = dict(l.split(':', 1) for l in f)
    return int(lines['RssAnon'].split()[0]), int(lines['VmData'].split()[0])

def peer(port, alpn=None):
    s = socket.socket()
    s.settimeout(20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # What is to be full are not the guest's own buffers.
    for o in socket.SO_SNDBUF, socket.SO_RCVBUF: s.setsockopt(socket.SOL_SOCKET, o, 65536)
    s.connect((ADDRESS, port))
    if alpn: s = TLS[alpn].wrap_socket(s, server_hostname=HOST)
    return s

def works(s, kind):
    host = PLAIN if kind == 'http' else HOST
    want = b'SSH-2.0-x\r\n' if kind == 'echo' else OK # the former is of a protocol that has no names
    s.sendall(want if kind == 'echo' else f'GET / HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode())
    got = b''
    while len(got) < len(want):
        d = s.recv(len(want) - len(got))
        if not d: raise ConnectionError('end')
        got += d
    return got == want

def one(kind):
    """A new connection that works."""
    s = peer({v: k for k, v in PORTS.items()}[kind], 'http/1.1' if kind == 'https' else None)
    try:
        assert works(s, kind), 'another answer'
        return s
    except BaseException:
        s.close()
        raise

def try_one(kind):
    """What becomes of one more."""
    begin = time.monotonic()
    try:
        one(kind).close()
        what = 'works'
    except ConnectionRefusedError: what = 'refused'
    except (ConnectionError, ssl.SSLError): what = 'reset'
    except OSError as e: what = repr(e)
    return what + (' late' if time.monotonic() - begin > 1.5 else '')

def works_soon(kind, seconds=10):
    end = time.monotonic() + seconds
    while (what := try_one(kind)) != 'works' and time.monotonic() < end: time.sleep(0.1)
    return what

def pairs(kinds): return [(kinds[i], int(kinds[i + 1])) for i in range(0, len(kinds), 2)]

def full(*kinds):
    """Connections of these kinds, so many of each, are all that there may be: KIND N..."""
    kinds = pairs(kinds)
    all = [(one(kind), kind) for kind, n in kinds for _ in range(n)]
    print('opened', len(all))
    for kind, _ in kinds: print('one more', kind, try_one(kind))
    print('still', sum(works(s, kind) for s, kind in all))
    for s, _ in all[:5] + all[-5:]: s.close()
    for kind, _ in kinds: print('then', kind, works_soon(kind))

def greedy_bytes(i, kind, room, host):
    """What one of them says, which may have so many bytes of bodies under way: pieces."""
    if kind in ('deaf', 'endless'): return [b'SSH-2.0-x\r\n'] + [b'd' * PIECE] * (FLOOD // PIECE)
    head = b'\x83\x87\x04' + text(b'/') + b'\x01' + text(host)
    if kind == 'hints': return [frame(HEADERS, 5, 1, head)]
    said = [frame(HEADERS, 4, 1 + 2 * k, head + field(b'x', b'y' * 1500)) for k in range(STREAMS)]
    said += [frame(DATA, 0, 1 + 2 * (k % STREAMS), b'd' * 4096) for k in range(room // 4096)]
    # A head of 60 KB without an end, of some; of the others, what cannot be taken from them.
    big = head + kept_field(b'x', b'y' * 3900) + b'\xbe' * 14
    if i % 4 == 0: return said + [frame(HEADERS, 0, 1 + 2 * STREAMS, big)]
    return said + [frame(NOTHING, 0, 0, b'n' * PIECE)] * (FLOOD // PIECE)

def load(n, kind, watch):
    """n connections that ask for all they can get, and take nothing: those that have come to something."""
    port = {v: k for k, v in PORTS.items()}[kind]
    all, waiting = [], {}
    for i in range(n):
        watch()
        try:
            s = peer(port, 'h2' if port > 8000 else None)
            all.append(s)
            if port < 8000:
                s.setblocking(False)
                waiting[s] = memoryview(b''.join(greedy_bytes(i, kind, 0, b'')))
                continue
            # Every other one has room for answers, of which it then reads nothing; the others give none.
            s.sendall(PREFACE + settings(window=((1 << 31) - 1) * (i % 2)))
            if i % 2: s.sendall(frame(WINDOW, 0, 0, struct.pack('!I', (1 << 31) - 65536)))
            said = b''.join(greedy_bytes(i, kind, window_of(s, Frames(s)), b'%s:%d' % (HOST.encode(), port)))
        except OSError: continue
        s.setblocking(False)
        waiting[s] = memoryview(said)
    last = time.monotonic()
    while time.monotonic() < last + 1.5:
        for s, said in list(waiting.items()):
            try:
                while said:
                    said = said[s.send(said[:PIECE]):]
                    last = time.monotonic()
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError): pass
            except OSError: said = None
            if said: waiting[s] = said
            else: del waiting[s]
        if watch(): last = time.monotonic() # what it has been sent it still works on
        time.sleep(0.05)
    return all

def is_open(s):
    """Is there no end behind what there is to be read?"""
    try:
        while s.recv(65536): pass
        return False
    except (BlockingIOError, ssl.SSLWantReadError): return True
    except OSError: return False

class Watch:
    """The most that boxlite-net has had."""
    def __init__(self): self.rss = self.data = 0
    def __call__(self):
        rss, data = memory()
        grows = data > self.data * 1.01
        self.rss, self.data = max(self.rss, rss), max(self.data, data)
        return grows

def greed(most, *kinds):
    """How much those that ask for all make it take, KIND N...: no more than `most` MiB, and others go on."""
    watch, all = Watch(), []
    for kind, n in pairs(kinds): all += load(n, kind, watch)
    print('open', len(all), 'besides', works_soon('echo', 0))
    for s in all: s.close()
    print('then', works_soon('https'), works_soon('echo'))
    watch()
    print('much' if watch.data > int(most) * 1024 else 'little')
    print(f'RssAnon {watch.rss >> 10} MiB, VmData {watch.data >> 10} MiB', file=sys.stderr)

def squeeze(kind, n, *more):
    """The same with no more memory than it has at rest, and so many KiB more: each in turn."""
    works_soon('https')
    for m in more:
        limit = memory()[1] + int(m)
        resource.prlimit(NET, resource.RLIMIT_DATA, (limit * 1024, 1 << 30))
        watch = Watch()
        all = load(int(n), kind, watch)
        left = sum(is_open(s) for s in all)
        for s in all: s.close()
        # Its allocator keeps what was freed, of which the next one is made: the limit stays.
        print('then', works_soon('https'), works_soon('echo'))
        what = 'refused' if left < int(n) and watch.data > limit - 512 else 'given'
        print(f'{m} KiB more: {what}; of {n}, {len(all)} came to be, {left} were left;',
              f'VmData {watch.data} of {limit} KiB', file=sys.stderr)

TLS = {}
scenario = sys.argv[1]
if scenario == 'serve':
    serve(*sys.argv[2:])
else:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    PLAIN = 'plain.example.test'
    ADDRESS = socket.gethostbyname(HOST)
    socket.gethostbyname(PLAIN)
    for alpn in 'h2', 'http/1.1':
        TLS[alpn] = ssl.create_default_context(cafile='ca.pem')
        TLS[alpn].set_alpn_protocols([alpn])
    {'full': full, 'greed': greed, 'squeeze': squeeze}[scenario](*sys.argv[2:])

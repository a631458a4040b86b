"""Sends packets as no kernel would let one: to each address a SYN and a datagram, from the guest's own address."""
import socket, struct, sys
def csum(b):
    b += b'\0' * (len(b) % 2)
    s = sum(struct.unpack(f'!{len(b) // 2}H', b))
    while s >> 16: s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff
eth = bytes.fromhex('02626f780001' '02626f780002')
def ip4(dst, proto, data, src='192.168.127.2', options=b'', frag=0):
    h = struct.pack('!BBHHHBBH4s4s', 0x45 + len(options) // 4, 0, 20 + len(options) + len(data), 1, frag, 64, proto, 0,
                    socket.inet_aton(src), socket.inet_aton(dst)) + options
    return eth + b'\x08\0' + h[:10] + struct.pack('!H', csum(h)) + h[12:] + data
def ip6(dst, proto, data, src='fd62:6f78:6c69:7465::2'):
    return eth + b'\x86\xdd' + struct.pack('!IHBB', 6 << 28, len(data), proto, 64) + \
        socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) + data
def syn(port): return struct.pack('!HHIIBBHHH', 40000, port, 1, 0, 0x50, 2, 65535, 0, 0)
def udp(port, data=b'leak'): return struct.pack('!HHHH', 40000, port, 8 + len(data), 0) + data
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind(('eth0', 3))
s.settimeout(0.3)
what, port = sys.argv[1], int(sys.argv[2])
for dst in sys.argv[3:]:
    ip, t, u = (ip6 if ':' in dst else ip4), syn(port), udp(port)
    if what == 'plain': frames = [ip(dst, 6, t), ip(dst, 17, u)]
    elif what == 'spoof': frames = [ip4(dst, 6, t, '10.9.0.1'), ip4(dst, 17, u, '127.0.0.1'), ip4(dst, 17, u, '192.168.127.3')]
    elif what == 'route': frames = [ip4('203.0.113.10', 17, u, options=b'\x83\x07\x04' + socket.inet_aton(dst) + b'\0')]
    elif what == 'fragment': frames = [ip4(dst, 17, u[:8], frag=0x2000), ip4(dst, 17, u[8:] + b'xxxx', frag=1), ip4(dst, 6, t[:8], frag=0x2000), ip4(dst, 6, t[8:], frag=1)]
    elif what == 'short': frames = [ip(dst, 6, t)[:-n] for n in range(1, 54)] + [ip(dst, 17, u)[:-n] for n in range(1, 46)]
    for f in frames:
        if len(f) >= 14: s.send(f)
open_to = set()
try:
    while True:
        f = s.recv(2000)
        if f[12:14] == b'\x08\0' and f[23] == 6 and f[47] & 0x12 == 0x12: open_to.add(socket.inet_ntoa(f[26:30]))
        if f[12:14] == b'\x86\xdd' and f[20] == 6 and f[67] & 0x12 == 0x12: open_to.add(socket.inet_ntop(socket.AF_INET6, f[22:38]))
except TimeoutError: pass
print('open:', *sorted(open_to))

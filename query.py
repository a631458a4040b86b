import socket, struct, sys
name, server, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
q = struct.pack('!HHHHHH', 7, 0x100, 1, 0, 0, 0) + b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + b'\0\0\x01\0\x01'
tcp = len(sys.argv) > 4
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM); s.settimeout(3)
try:
    s.connect((server, port)); s.sendall(struct.pack('!H', len(q)) + q if tcp else q)
    a = s.recv(4096)[2 * tcp:]
    print('rcode', a[3] & 15, 'answers', struct.unpack('!H', a[6:8])[0])
except OSError as e: print(type(e).__name__)

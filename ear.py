import select, socket, sys
all = []
for family, any in (socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::'):
    for kind in socket.SOCK_DGRAM, socket.SOCK_STREAM:
        s = socket.socket(family, kind)
        if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((any, int(sys.argv[1])))
        if kind == socket.SOCK_STREAM: s.listen()
        all.append(s)
print('listens', flush=True)
while True:
    for s in select.select(all, [], [])[0]:
        print('heard', s.accept()[1] if s.type == socket.SOCK_STREAM else s.recvfrom(100), flush=True)

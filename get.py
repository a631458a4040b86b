import socket, sys, time
host, port = sys.argv[1], int(sys.argv[2])
begin = time.monotonic()
try:
    s = socket.create_connection((host, port), timeout=8)
    s.sendall(b'echo\nx'); s.shutdown(socket.SHUT_WR)
    print('yes' if s.recv(9) == b'x' else 'no')
except socket.gaierror: print('no name')
except ConnectionRefusedError: print('refused')
except ConnectionResetError: print('reset')
except OSError as e: print(e)
if time.monotonic() - begin > 1.5: print('and it took long')

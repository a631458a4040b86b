#!/usr/bin/env python3
"""deaf-client.py FOLDER COMMAND...: a client of FOLDER/box.sock that starts a process and then reads nothing for ever.

It prints a line when the request is sent. `boxlite exec` that is stopped may have read enough to be no burden.
"""
import json
import os
import signal
import socket
import struct
import sys

HELLO, START = 1, 16


def frame(kind, stream, payload):
    data = json.dumps(payload).encode()
    return struct.pack("<IBBHI", len(data), kind, 0, 0, stream) + data


os.chdir(sys.argv[1])  # the path of a socket may be too long
s = socket.socket(socket.AF_UNIX)
s.connect("box.sock")
s.sendall(frame(HELLO, 0, {"protocol": 1, "role": "test"}) +
          frame(START, 1, {"argv": sys.argv[2:], "env": ["PATH=/bin"], "tty": False, "stdin": False,
                           "main": False, "rows": 0, "cols": 0}))
print("sent", flush=True)
while True:
    signal.pause()

#!/usr/bin/env python3
"""deaf-client.py FOLDER COMMAND...: a client of FOLDER/box.sock that starts a process and then reads nothing for ever.

It prints a line when the request is sent. `boxlite exec` that is stopped may have read enough to be no burden.
"""
import os
import signal
import socket
import sys

from wire import HELLO, START, frame

os.chdir(sys.argv[1])  # the path of a socket may be too long
s = socket.socket(socket.AF_UNIX)
s.connect("box.sock")
s.sendall(frame(HELLO, {"role": "test"}) + frame(START, {"argv": sys.argv[2:], "env": ["PATH=/bin"]}, 1))
print("sent", flush=True)
while True:
    signal.pause()

#!/usr/bin/env python3
"""A boxlite-net that lies: stands in for the program and speaks on the control socket as a scenario says.

fake-net.py SCENARIO prints a program on standard output, because the shim passes it no arguments of its own.
"""
import os
import signal
import sys
import time

from wire import FAILED, READY, frame

CONTROL = 3  # enum net_fd of src/wire/netmsg.h
NET_READY, NET_DENIED, NET_STATS, NET_RESOLV = 35, 36, 37, 38
PUBLISH = 40


def send(*frames):
    data = b"".join(frames)
    while data:
        data = data[os.write(CONTROL, data):]


def ready(*ports):
    return frame(NET_READY, {"ports": list(ports)})


def denied(**more):
    return frame(NET_DENIED, {"proto": "tcp", "addr": "10.0.0.1", "port": 443, "name": "", "reason": "private", "count": 1,
                              **more})


def silent():
    pass


def good():
    send(ready())


def garbage():
    os.write(CONTROL, b"\xff" * 4096)


def on_stream():
    send(frame(NET_READY, {"ports": []}, 1))


def other_kind():
    send(frame(READY, {}))


def no_json():
    send(frame(NET_READY, b"{"))


def twice():
    send(ready(), ready())


def more_ports():
    send(ready("127.0.0.1:1:1/tcp"))


def fails():
    send(frame(FAILED, {"error": "a reason \x1b[31m\nof its own"}))


def fails_late():
    send(ready())
    time.sleep(1)
    fails()


def ends():
    print("last words", file=sys.stderr)
    sys.exit(3)


def ends_late():
    send(ready())
    time.sleep(1)
    ends()


def closes():
    send(ready())
    os.close(CONTROL)


def stats_unasked():
    send(ready(), frame(NET_STATS, {"sent_bytes": 1 << 62}))


def done_unasked():
    send(ready(), frame(PUBLISH, {"code": 0, "done": {"ports": ["127.0.0.1:1:1/tcp"]}}))


def answers(**done):
    def hear(size):
        data = b""
        while len(data) < size:
            data += os.read(CONTROL, size - len(data))
        return data

    send(ready())
    while True:
        head = hear(12)
        hear(int.from_bytes(head[:4], "little"))
        if head[4] >= PUBLISH:
            send(frame(head[4], done))


def another_port():
    answers(code=0, done={"ports": ["0.0.0.0:22:22/tcp"]})


def refuses():
    answers(code=13, error="no\x1b[31m\nreason")


def asks_without_end():
    send(ready(), *[frame(NET_RESOLV, {})] * 1000)


def denies():
    send(ready(), denied(), denied(addr="2001:db8::1", name="x.example", reason="rule", count=7),
         frame(NET_DENIED, {"proto": "udp", "name": "bad.example", "reason": "name", "count": 1}))


def floods():
    send(ready(), *[denied(port=i + 1) for i in range(2000)])


if len(sys.argv) == 3 and sys.argv[1] == "--play":
    globals()[sys.argv[2]]()
    while True:
        signal.pause()
print(f"#!/bin/sh\nexec {sys.executable} {os.path.abspath(__file__)} --play {sys.argv[1]}")

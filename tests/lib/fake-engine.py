#!/usr/bin/env python3
"""A guest that lies: stands in for QEMU (BOXLITE_QEMU) and speaks on the agent channel as a scenario says.

fake-engine.py SCENARIO prints a program for BOXLITE_QEMU on standard output, because the shim passes
its engine no environment and arguments of its own.
"""
import os
import signal
import struct
import sys

from wire import BYE, COPY, CREDIT, DATA, DIAL_UNIX, EXIT, FAILED, HELLO, METRICS, READY, START, STARTED, TOP, frame, pack

AGENT, CONSOLE = 5, 6  # fds of the engine, as src/shim/engine_qemu.c gives them


def send(*frames):
    data = b"".join(frames)
    while data:
        data = data[os.write(AGENT, data):]


def up():
    send(frame(HELLO, {"role": "agent"}), frame(READY, {}), frame(STARTED, {"pid": 1}, 1))


def exited(code=0):
    return frame(EXIT, {"kind": "exited", "code": code, "signal": 0, "error": ""}, 1)


def garbage():
    os.write(AGENT, b"\xff" * 4096)


def generation():
    send(frame(HELLO, {"protocol": 99, "role": "agent"}))


def no_hello():
    send(frame(READY, {}))


def too_much():
    up()
    send(*[frame(DATA, b"x" * 32768, 1, 1) for _ in range(64)])


def too_long():
    up()
    send(struct.pack("<IBBHI", 5 << 20, DATA, 1, 0, 1))


def on_stdin():
    up()
    send(frame(DATA, b"x", 1, 0))


def idles():
    send(frame(HELLO, {"role": "agent"}), frame(READY, {}))


def empty_data():
    up()
    send(frame(DATA, b"", 1, 1), exited())


def ends_twice():
    up()
    send(frame(DATA, b"", 1, 0x81), frame(DATA, b"", 1, 0x81), exited())


def started_twice():
    up()
    send(frame(STARTED, {"pid": 1}, 1), exited())


def strange_stream():
    up()
    send(exited().replace(struct.pack("<I", 1), struct.pack("<I", 77), 1))
    send(frame(DATA, b"x", 77, 1))


def bad_exit():
    up()
    send(frame(EXIT, b"\x63" + pack(EXIT, {"kind": "exited"})[1:], 1))  # no such kind


def cut_exit():
    up()
    send(frame(EXIT, pack(EXIT, {"kind": "exited"})[:-1], 1))


def bad_credit():
    up()
    send(frame(CREDIT, struct.pack("<I", 1), 1, 0))


def escapes():
    send(frame(HELLO, {"role": "agent"}), frame(FAILED, {"error": "a\x1b[2Jb\nc"}))


def hello_twice():
    up()
    send(frame(HELLO, {"role": "agent"}))


def long_exit():
    up()
    send(frame(EXIT, b"[" * 100000, 1))


def last_words():
    send(frame(HELLO, {"role": "agent"}), frame(FAILED, {"error": "my last words"}))
    sys.exit(0)


def silent():
    pass


def closes():
    os.close(AGENT)


def complains():
    os.write(2, b"first line\nit cannot be done\n")
    sys.exit(3)


def panics():
    up()
    os.write(CONSOLE, b"no newline: Kernel panic - not syncing: Fatal exception in interrupt\r\nCPU: 0 PID: 1\r\n")
    sys.exit(0)  # as a machine that is turned off


def floods():
    for _ in range(2048):
        os.write(CONSOLE, b"y\n" * 4096)
    up()
    send(exited(5))


def on_question(kind, *answers):
    """Waits for that frame of the host's and sends the answers. The main process runs once it was asked for: the box is
    up then, for whoever has started it."""
    got = b""
    while True:
        got += os.read(AGENT, 65536)
        while len(got) >= 12 and len(got) >= 12 + struct.unpack_from("<I", got)[0]:
            size, what = struct.unpack_from("<IB", got)
            got = got[12 + size:]
            if what == START:
                send(frame(STARTED, {"pid": 1}, 1))
            if what == kind:
                send(*answers)


def cancels():
    idles()
    on_question(COPY, frame(EXIT, {"kind": "exited", "code": 125, "signal": 0, "error": "not in the mood"}, 2))


def dialled(*answers):
    idles()
    on_question(DIAL_UNIX, *answers)


def dial_early():
    dialled(frame(DATA, b"x", 2, 1))


def dial_errors():
    dialled(frame(STARTED, {"pid": 2}, 2), frame(DATA, b"x", 2, 2))


def dial_floods():
    dialled(frame(STARTED, {"pid": 2}, 2), *[frame(DATA, b"x" * 32768, 2, 1) for _ in range(64)])


def dial_credits():
    dialled(frame(STARTED, {"pid": 2}, 2), frame(CREDIT, struct.pack("<I", 1 << 20), 2, 0))


def dial_ends():
    dialled(frame(EXIT, {"kind": "exited"}, 2))


def dial_escapes():
    dialled(frame(EXIT, {"kind": "exited", "code": 111, "error": "a\x1b[2Jb\nc"}, 2))


def dial_silent():
    dialled()


def tasks(*pids, **more):
    return frame(TOP, {"processes": [[pid, 0, 0, "", "S", 0, 0, "x"] for pid in pids], **more})


def metrics_unasked():
    up()
    send(frame(METRICS, {}))


def top_unasked():
    up()
    send(tasks(last=True))


def bad_metrics():
    idles()
    on_question(METRICS, frame(METRICS, {"memory_bytes": -1}))


def twice_metrics():
    idles()
    on_question(METRICS, frame(METRICS, {}), frame(METRICS, {}))


def large_metrics():
    idles()
    names = ("memory_bytes", "cpu_user_ns", "cpu_system_ns", "processes", "read_bytes", "received_bytes", "sent_bytes")
    on_question(METRICS, frame(METRICS, {name: (1 << 63) - 1 for name in names}))


def bad_top():
    idles()
    on_question(TOP, tasks(0, last=True))


def empty_top():
    idles()
    on_question(TOP, *[tasks() for _ in range(1000)])


def long_top():
    idles()
    on_question(TOP, *[tasks(*range(1, 17)) for _ in range(65)])


def whole_top():
    idles()
    on_question(TOP, *[tasks(*range(1, 17)) for _ in range(63)], tasks(*range(1, 17), last=True, truncated=True))


if len(sys.argv) == 3 and sys.argv[1] == "--play":
    globals()[sys.argv[2]]()
    while True:  # a machine runs until it is killed
        signal.pause()
print(f"#!/bin/sh\nexec {sys.executable} {os.path.abspath(__file__)} --play {sys.argv[1]}")

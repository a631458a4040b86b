"""Frames of the agent channel and of box.sock, for what stands in for a program: src/wire/frame.h and proc.h say what
they are. Messages are dicts, packed or JSON as their type wants it; bytes go as they are."""
import json
import struct

HELLO, BOOT, READY, SHUTDOWN, BYE, FAILED, PARKED, TIMING, METRICS, TOP, RENAME, TRUST = range(1, 13)
START, STARTED, DATA, CREDIT, SIGNAL, RESIZE, EXIT = range(16, 23)
ATTACH, CLOSE, COPY, DIAL_UNIX = 23, 24, 28, 29
GENERATION = 2
KINDS = ["exited", "signalled", "not-found", "cannot-run", "lost", "cannot-start"]


def text(s):
    return (s or "").encode() + b"\0"


def texts(strings):
    return struct.pack("<I", len(strings)) + b"".join(map(text, strings))


def flags(m, *names):
    return sum(1 << i for i, name in enumerate(names) if m.get(name))


def pack(kind, m):
    """The payload of a message."""
    if isinstance(m, (bytes, bytearray)):
        return m
    if kind == HELLO:
        return struct.pack("<I", m.get("protocol", GENERATION)) + text(m.get("role", "test"))
    if kind == START:
        return (struct.pack("<BBHHI", flags(m, "tty", "stdin", "main", "detached"), m.get("stop_signal", 0),
                            m.get("rows", 0), m.get("cols", 0), m.get("timeout_ms", 0))
                + text(m.get("cwd")) + text(m.get("user")) + texts(m["argv"]) + texts(m.get("env", [])))
    if kind == STARTED:
        return struct.pack("<IIB", m["pid"], m.get("exec", 0), flags(m, "tty", "stdin"))
    if kind == EXIT:
        return struct.pack("<BBBBQ", KINDS.index(m["kind"]), m.get("code", 0), m.get("signal", 0),
                           flags(m, "timed_out", "again"), m.get("duration_ns", 0)) + text(m.get("error"))
    if kind == SIGNAL:
        return struct.pack("<B", m["signal"])
    if kind == RESIZE:
        return struct.pack("<HH", m["rows"], m["cols"])
    if kind == SHUTDOWN:
        return struct.pack("<I", m["grace_ms"])
    if kind == DIAL_UNIX:
        return text(m["path"])
    if kind in (BYE, FAILED):
        return text(m.get("error"))
    return json.dumps(m).encode()


def unpack(kind, payload):
    """Of the messages that an agent sends."""
    if kind == STARTED:
        return dict(zip(("pid", "exec"), struct.unpack_from("<II", payload)))
    if kind == EXIT:
        what, code, signo, bits, ns = struct.unpack_from("<BBBBQ", payload)
        return {"kind": KINDS[what], "code": code, "signal": signo, "timed_out": bool(bits & 1), "duration_ns": ns,
                "error": payload[12:-1].decode()}
    if kind in (BYE, FAILED):
        return {"error": payload[:-1].decode()} if payload != b"\0" else {}
    return json.loads(payload)


def frame(kind, message, stream=0, bits=0, pad=0):
    payload = pack(kind, message)
    return struct.pack("<IBBHI", len(payload), kind, bits, pad, stream) + payload

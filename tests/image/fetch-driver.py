#!/usr/bin/env python3
"""Plays the library for `boxlite-image fetch`: starts it, sends one request, prints what comes back.

    fetch-driver.py --store DIR pull REFERENCE [--plain-http] [--user U --password P] ...
    fetch-driver.py --store DIR load PATH|- [--name REFERENCE]

Prints one JSON object: {"done": {...}} or {"failed": "...", "code": "ENOENT"}; with --progress also every
progress report, one a line, before it. Exit status 0, or 1 after FAILED, 2 if the helper just ended, as it must
when nobody wants the answer, 3 if it died.
"""
import argparse
import errno
import json
import os
import socket
import struct
import subprocess
import sys

REQUEST, PROGRESS, DONE, FAILED = 40, 41, 42, 43
HEADER = struct.Struct("<IBBHI")


def frames(sock):
    pending = b""
    while True:
        while len(pending) >= HEADER.size:
            length, kind, _, _, _ = HEADER.unpack_from(pending)
            if len(pending) < HEADER.size + length:
                break
            yield kind, json.loads(pending[HEADER.size:HEADER.size + length])
            pending = pending[HEADER.size + length:]
        more = sock.recv(65536)
        if not more:
            return
        pending += more


def start(args, ours, theirs, source):
    """The helper with its fds 3, 4 and 5 in place."""
    store = os.open(args.store, os.O_RDONLY | os.O_DIRECTORY)
    wanted = {3: theirs.fileno(), 4: store}
    if source is not None:
        wanted[5] = source
    # Out of the way of 3 to 5 first, so that none is overwritten before it is copied.
    high = {to: os.dup2(fd, 20 + to, inheritable=True) for to, fd in wanted.items()}

    def place():
        for to, fd in high.items():
            os.dup2(fd, to, inheritable=True)

    child = subprocess.Popen([args.program, "fetch"], preexec_fn=place, pass_fds=[3, 4, 5, *high.values()],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    for fd in high.values():
        os.close(fd)
    theirs.close()
    if args.pid_file:
        with open(args.pid_file, "w") as f:
            f.write(str(child.pid))
    return child


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--program", default=os.environ.get("O", "out") + "/bin/boxlite-image")
    p.add_argument("--store", required=True)
    p.add_argument("--progress", action="store_true")
    p.add_argument("--pid-file", help="where to write the helper's process id")
    p.add_argument("--hang-up-at", default="", metavar="PHASE[=BYTES]",
                   help="close the socket when this phase is reported, or so many bytes of it")
    p.add_argument("--user")
    p.add_argument("--password")
    p.add_argument("--identity-token")
    p.add_argument("--plain-http", action="store_true")
    p.add_argument("--arch")
    p.add_argument("--parallel", type=int, default=0)
    p.add_argument("--name")
    p.add_argument("--raw", help="send this as the request's payload")
    p.add_argument("op", choices=["pull", "load"])
    p.add_argument("what")
    args = p.parse_args()
    phase, _, enough = args.hang_up_at.partition("=")

    source = None
    if args.op == "load":
        source = os.dup(0) if args.what == "-" else os.open(args.what, os.O_RDONLY)
    request = {
        "op": args.op, "reference": args.what if args.op == "pull" else args.name,
        "username": args.user, "password": args.password, "identity_token": args.identity_token,
        "plain_http": args.plain_http, "architecture": args.arch, "parallel": args.parallel,
        "quiet": not (args.progress or phase),
    }
    text = args.raw.encode() if args.raw else json.dumps(request).encode()
    ours, theirs = socket.socketpair()
    child = start(args, ours, theirs, source)
    ours.sendall(HEADER.pack(len(text), REQUEST, 0, 0, 0) + text)
    status = None
    for kind, value in frames(ours):
        if kind == PROGRESS:
            if args.progress:
                print(json.dumps(value), flush=True)
            if value["phase"] == phase and value["done"] >= int(enough or 0):
                ours.close()
                break
        elif kind in (DONE, FAILED):
            status = 0 if kind == DONE else 1
            print(json.dumps({"done": value} if kind == DONE else
                             {"failed": value["error"], "code": errno.errorcode[value["errno"]]}), flush=True)
            break
    code = child.wait()
    return status if status is not None else 2 if code == 1 else 3


if __name__ == "__main__":
    sys.exit(main())

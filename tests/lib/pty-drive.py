#!/usr/bin/env python3
"""pty-drive.py [--size ROWSxCOLS] STEP... -- COMMAND...: a person at a terminal.

Runs the command on a new pseudo-terminal and does the steps in order:

    expect:REGEX    waits until the output since the last expect matches (30 s, else status 124)
    send:TEXT       types; \\r, \\x03 and so on as in Python
    raw:            waits until the command has made the terminal raw
    size:ROWSxCOLS  makes the window that large; the kernel sends SIGWINCH
    kill:SIGNAME    sends a signal to the command

Then waits for its end. Standard output gets what the terminal showed, byte by byte; standard error one
line "modes restored" or "modes changed" that compares the terminal before and after. The status is the
command's, as a shell says it.
"""
import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

LIMIT = float(os.environ.get("PTY_LIMIT", "60"))


class Terminal:
    def __init__(self, argv, size):
        self.master, self.slave = pty.openpty()
        self.resize(size)
        self.before = termios.tcgetattr(self.slave)
        self.child = subprocess.Popen(argv, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                      start_new_session=True, preexec_fn=self.take)
        self.seen = b""

    @staticmethod
    def take():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, size):
        rows, cols = map(int, size.split("x"))
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def read(self, seconds):
        """Takes what is there; False when the time is over."""
        if not select.select([self.master], [], [], max(0, seconds))[0]:
            return False
        data = os.read(self.master, 65536)
        self.seen += data
        os.write(1, data)
        return True

    def expect(self, regex):
        limit = time.monotonic() + LIMIT
        while not (m := re.search(regex.encode(), self.seen)):
            if not self.read(limit - time.monotonic()):
                print(f"timeout: nothing like {regex!r} in {self.seen!r}", file=sys.stderr)
                self.child.kill()
                sys.exit(124)
        self.seen = self.seen[m.end():]

    def raw(self):
        """There is no event for it."""
        limit = time.monotonic() + LIMIT
        while termios.tcgetattr(self.slave)[3] & termios.ISIG:
            if time.monotonic() > limit:
                print("timeout: the terminal is not raw", file=sys.stderr)
                self.child.kill()
                sys.exit(124)
            self.read(0.001)

    def wait(self):
        """The slave is open here too, so reading never ends by itself: wait for the child's end, then take the rest."""
        fd = os.pidfd_open(self.child.pid)
        limit = time.monotonic() + LIMIT
        while fd not in (ready := select.select([fd, self.master], [], [], max(0, limit - time.monotonic()))[0]):
            if not ready:
                print("timeout: the command goes on", file=sys.stderr)
                self.child.kill()
                sys.exit(124)
            self.read(0)
        while self.read(0):
            pass
        return self.child.wait()


def main(args):
    size = "24x80"
    if args[0] == "--size":
        size, args = args[1], args[2:]
    split = args.index("--")
    t = Terminal(args[split + 1:], size)
    for step in args[:split]:
        verb, _, rest = step.partition(":")
        if verb == "expect":
            t.expect(rest)
        elif verb == "raw":
            t.raw()
        elif verb == "send":
            os.write(t.master, codecs.escape_decode(rest.encode())[0])
        elif verb == "size":
            t.resize(rest)
        elif verb == "kill":
            t.child.send_signal(getattr(signal, rest))
        else:
            sys.exit(f"no such step: {step}")
    code = t.wait()
    same = termios.tcgetattr(t.slave) == t.before
    print("modes restored" if same else "modes changed", file=sys.stderr)
    return code if code >= 0 else 128 - code


sys.exit(main(sys.argv[1:]))

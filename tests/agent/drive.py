#!/usr/bin/env python3
"""The host's side of an agent in QEMU, for tests: starts a guest and speaks frames with it.

    drive.py [--debug] [--tty] [--out DIR] PROGRAM [ARG...]

runs one process as the main process of a fresh box, with busybox as its image, and prints
when each step was reached. As a module it is what tests/agent/agent.t is written with.
No shim, no library: only the frames of src/wire.
"""
import argparse
import functools
import os
import pathlib
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from wire import (BOOT, BYE, CREDIT, DATA, EXIT, FAILED, HELLO, PARKED, READY, RESIZE, SHUTDOWN, SIGNAL, START, # noqa
                  STARTED, TRUST, frame, unpack)

STDIN, STDOUT, STDERR = 0, 1, 2
EOF = 0x80
WINDOW = 256 * 1024
DATA_MAX = 32 * 1024
TOP = pathlib.Path(__file__).resolve().parent.parent.parent
ENV = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]

PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
alice:x:1000:1000:Alice:/home/alice:/bin/sh
broken:x:abc:0::/:/bin/sh
"""
GROUP = "root:x:0:\ndaemon:x:1:\nstaff:x:50:alice,bob\naudio:x:29:alice\nalice:x:1000:\n"


def make_image(path):
    """An EROFS image of a busybox root."""
    with tempfile.TemporaryDirectory() as tmp:
        root = pathlib.Path(tmp, "root")
        for name in "bin etc home/alice tmp root proc".split():
            (root / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
            if not (root / "bin" / applet).exists():
                (root / "bin" / applet).symlink_to("busybox")
        (root / "etc/passwd").write_text(PASSWD)
        (root / "etc/group").write_text(GROUP)
        (root / "etc/resolv.conf").symlink_to("/run/nowhere/resolv.conf")
        (root / "bin/noexec").write_text("#!/bin/sh\n")
        (root / "bin/nointerp").write_text("#!/no/such/interpreter\n")
        (root / "bin/garbage").write_text("neither a script nor a program\n")
        for name in "nointerp", "garbage":
            (root / "bin" / name).chmod(0o755)
        (root / "bin/noexec").chmod(0o644)
        (root / "tmp").chmod(0o1777)
        subprocess.run(["mkfs.erofs", "--all-root", str(path), str(root)], check=True, stdout=subprocess.DEVNULL)


def make_disk(path, size="256M", folders=False):
    """A sparse ext4, as the host formats its template; or with the folders that the agent makes in it."""
    with tempfile.TemporaryDirectory() as tmp:
        if folders:
            pathlib.Path(tmp, "upper").mkdir(0o700)
            pathlib.Path(tmp, "work").mkdir(0o700)
        subprocess.run(["mke2fs", "-qF", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
                        "-J", "size=4", "-d", tmp, str(path), size], check=True, stdout=subprocess.DEVNULL)
    if folders: # a folder of mode 0 only root could have copied
        subprocess.run(["debugfs", "-w", "-R", "set_inode_field /upper mode 040000", str(path)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def words(name):
    """A list of kernel/: one word a line, "#" starts a comment, "kvm:" marks what is not for QEMU."""
    lines = (line.strip() for line in (TOP / "kernel" / name).read_text().splitlines())
    return [line.removeprefix("tcg:").strip() for line in lines if line and not line.startswith(("#", "kvm:"))]


@functools.cache
def tsc_khz():
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run(["gcc", "-O2", "-o", f"{tmp}/tsc-khz", str(TOP / "kernel/bench/tsc-khz.c")], check=True)
        return subprocess.check_output([f"{tmp}/tsc-khz"], text=True).strip()


class Stream:
    """What the host knows of one process."""

    def __init__(self, sid):
        self.sid = sid
        self.pid = self.exit = None
        self.out = {STDOUT: bytearray(), STDERR: bytearray()}
        self.count = {STDOUT: 0, STDERR: 0}
        self.ended = set()
        self.credit = WINDOW  # bytes of stdin that the agent still takes
        self.stalled = False  # give no credit back
        self.owed = {STDOUT: 0, STDERR: 0}
        self.sink = None  # called with each piece of stdout instead of keeping it

    @property
    def stdout(self):
        return bytes(self.out[STDOUT])

    @property
    def stderr(self):
        return bytes(self.out[STDERR])

    @property
    def status(self):
        e = self.exit
        return {"exited": e["code"], "signalled": 128 + e["signal"], "not-found": 127, "cannot-run": 126,
                "lost": 125, "cannot-start": 125}[e["kind"]]


class Guest:
    def __init__(self, image, disk, out=TOP / "out", debug=False, memory="256M", more=()):
        """more: words for the kernel's command line."""
        self.times = []
        self.ready = self.parked = False
        self.bye = self.failed = None
        self.streams = {}
        self.next = 1
        self.rx = bytearray()
        self.log = tempfile.TemporaryFile()
        ours, theirs = socket.socketpair()
        cons_ours, cons_theirs = socket.socketpair()
        self.sock, self.console = ours, cons_ours
        cmdline = [w.replace("@TSC_KHZ@", tsc_khz()) for w in words("cmdline") if not (debug and w == "quiet")]
        cmdline += ["console=hvc0", "boxlite.channel=/dev/vport0p1"] + ["boxlite.debug"] * debug + list(more)
        a, c = theirs.fileno(), cons_theirs.fileno()
        self.start = time.monotonic()
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", *words("qemu-args"), "-m", memory, "-append", " ".join(cmdline),
             "-kernel", str(out / "guest/vmlinux"), "-initrd", str(out / "guest/initramfs"),
             "-chardev", f"socket,id=console,fd={c}", "-chardev", f"socket,id=agent,fd={a}",
             "-device", "virtio-serial-device,max_ports=2", "-device", "virtconsole,chardev=console,nr=0",
             "-device", "virtserialport,chardev=agent,nr=1,name=boxlite.agent",
             "-blockdev", f"driver=raw,node-name=d0,read-only=on,file.driver=file,file.filename={image}",
             "-device", "virtio-blk-device,drive=d0",
             "-blockdev", f"driver=raw,node-name=d1,discard=unmap,file.driver=file,file.filename={disk}",
             "-device", "virtio-blk-device,drive=d1"],
            pass_fds=(a, c), stdin=subprocess.DEVNULL)
        theirs.close()
        cons_theirs.close()
        self.sock.setblocking(False)
        self.console.setblocking(False)
        self.tx = bytearray()

    # --- frames -----------------------------------------------------------------------------

    def note(self, what):
        self.times.append((what, (time.monotonic() - self.start) * 1000))

    def put(self, kind, sid=0, payload=b"", flags=0):
        self.tx += frame(kind, payload, sid, flags)

    def pump(self, timeout):
        """Moves bytes once; False when the agent's end is closed."""
        want = [self.sock, self.console]
        r, w, _ = select.select(want, [self.sock] if self.tx else [], [], timeout)
        if w:
            try:
                del self.tx[:self.sock.send(self.tx[:1 << 18])]
            except BrokenPipeError:
                pass
        if self.console in r:
            try:
                self.log.write(self.console.recv(65536))
            except ConnectionError:
                pass
        if self.sock in r:
            try:
                got = self.sock.recv(1 << 20)
            except ConnectionError:
                got = b""
            if not got:
                return False
            self.rx += got
            self.take_frames()
        return True

    def take_frames(self):
        at = 0
        while len(self.rx) - at >= 12:
            size, kind, flags, zero, sid = struct.unpack_from("<IBBHI", self.rx, at)
            assert zero == 0
            if len(self.rx) - at < 12 + size:
                break
            self.on_frame(kind, flags, sid, bytes(self.rx[at + 12:at + 12 + size]))
            at += 12 + size
        del self.rx[:at]

    def on_frame(self, kind, flags, sid, payload):
        s = self.streams.get(sid)
        if kind == HELLO:
            self.note("HELLO")
        elif kind == PARKED:
            self.note("PARKED")
            self.parked = True
        elif kind == READY:
            self.note("READY")
            self.ready = True
        elif kind == BYE:
            self.note("BYE")
            self.bye = unpack(kind, payload)
        elif kind == FAILED:
            self.note("FAILED")
            self.failed = unpack(kind, payload)["error"]
        elif kind == STARTED:
            self.note(f"STARTED {sid}")
            s.pid = unpack(kind, payload)["pid"]
        elif kind == EXIT:
            self.note(f"EXIT {sid}")
            assert s.exit is None
            s.exit = unpack(kind, payload)
        elif kind == DATA:
            ch = flags & 3
            assert s.exit is None and ch not in s.ended and len(payload) <= DATA_MAX
            s.count[ch] += len(payload)
            if s.sink and ch == STDOUT:
                s.sink(payload)
            else:
                s.out[ch] += payload
            s.owed[ch] += len(payload)
            if flags & EOF:
                s.ended.add(ch)
            self.give_credit(s)
        elif kind == CREDIT:
            s.credit += struct.unpack("<I", payload)[0]
            assert s.credit <= WINDOW
        else:
            raise AssertionError(f"unexpected frame type {kind}")

    def give_credit(self, s):
        for ch in STDOUT, STDERR:
            while s.owed[ch] and not s.stalled:
                n = min(s.owed[ch], WINDOW)
                self.put(CREDIT, s.sid, struct.pack("<I", n), ch)
                s.owed[ch] -= n

    # --- what tests say ---------------------------------------------------------------------

    def until(self, cond, timeout=30):
        """Serves the channel until cond() holds."""
        end = time.monotonic() + timeout
        while not cond():
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the guest did not answer\n" + self.console_text())
            if self.failed or not self.pump(left):
                if cond():
                    return
                raise EOFError(f"the guest is gone: {self.failed}\n" + self.console_text())

    def console_text(self):
        while select.select([self.console], [], [], 0)[0]:
            more = self.console.recv(65536)
            if not more:
                break
            self.log.write(more)
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def boot(self, hostname="box"):
        self.put(HELLO, 0, {"role": "shim"})
        self.put(BOOT, 0, {"hostname": hostname, "time_ns": time.time_ns(), "disk_bytes": 0,
                           "seed": os.urandom(32).hex()})
        self.until(lambda: self.ready)
        return self

    def spawn(self, *argv, env=ENV, cwd=None, user=None, tty=False, stdin=False, main=False, rows=0, cols=0):
        s = Stream(self.next)
        self.next += 1
        self.streams[s.sid] = s
        spec = {"argv": argv, "env": env, "tty": tty, "stdin": stdin, "main": main, "rows": rows, "cols": cols}
        if cwd:
            spec["cwd"] = cwd
        if user:
            spec["user"] = user
        self.put(START, s.sid, spec)
        return s

    def started(self, s):
        self.until(lambda: s.pid or s.exit)
        return s

    def wait(self, s, timeout=30):
        self.until(lambda: s.exit, timeout)
        return s

    def run(self, *argv, **how):
        return self.wait(self.spawn(*argv, **how))

    def sh(self, script, **how):
        """Standard output of a script, without the last newline."""
        return self.run("sh", "-c", script, **how).stdout.decode().rstrip("\n")

    def send(self, s, data, eof=False):
        """All of data, as the agent gives credit for it."""
        view = memoryview(data)
        while view:
            self.until(lambda: s.credit or s.exit)
            n = min(len(view), DATA_MAX, s.credit)
            if s.exit:
                return
            self.put(DATA, s.sid, bytes(view[:n]), STDIN)
            s.credit -= n
            view = view[n:]
        if eof:
            self.put(DATA, s.sid, b"", STDIN | EOF)

    def signal(self, s, signo):
        self.put(SIGNAL, s.sid, {"signal": int(signo)})

    def resize(self, s, rows, cols):
        self.put(RESIZE, s.sid, {"rows": rows, "cols": cols})

    def shutdown(self, grace_ms=0):
        self.put(SHUTDOWN, 0, {"grace_ms": grace_ms})
        self.until(lambda: self.bye is not None)
        return self.off()

    def off(self, timeout=10):
        """QEMU's exit."""
        end = time.monotonic() + timeout
        while self.qemu.poll() is None and time.monotonic() < end:
            if not self.pump(0.05):
                self.qemu.wait(max(0.1, end - time.monotonic()))
        self.note("off")
        return self.qemu.returncode

    def close(self):
        if self.qemu.poll() is None:
            self.qemu.kill()
            self.qemu.wait()
        self.sock.close()
        self.console.close()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--debug", action="store_true")
    p.add_argument("--tty", action="store_true")
    p.add_argument("--user")
    p.add_argument("--out", type=pathlib.Path, default=TOP / "out")
    p.add_argument("argv", nargs=argparse.REMAINDER)
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        image, disk = f"{tmp}/image", f"{tmp}/disk"
        make_image(image)
        make_disk(disk)
        with Guest(image, disk, o.out, o.debug) as g:
            try:
                g.boot()
                s = g.run(*o.argv, main=True, tty=o.tty, user=o.user)
                sys.stdout.buffer.write(s.stdout)
                sys.stderr.buffer.write(s.stderr)
                print(f"exit: {s.exit}")
                g.shutdown()
            finally:
                print(" ".join(f"{what} {ms:.0f}" for what, ms in g.times), "ms")
                if o.debug:
                    print(g.console_text())


if __name__ == "__main__":
    main()

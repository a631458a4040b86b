#!/usr/bin/env python3
"""tests/vmm/machine.py [OPTION...] WORD...: runs out/bin/boxlite-vmm with the real kernel and guest.c as its init.

    --cpus N            (1)
    --memory MIB        (128)
    --disk FILE[:ro]    the next disk: /dev/vda, ...
    --kernel FILE       another one
    --initramfs FILE    another one
    --serial            the machine has a serial port, which prints to the console, too
    --debug             as --serial, and the kernel prints all that it has to say
    --no-kvm            /dev/null in the place of /dev/kvm
    --spec BYTES        in the place of the machine's description
    --console FILE      what the guest prints goes there
    --say BYTES         waits for the guest on the agent's channel
    --signal NAME:N     the vmm gets this signal when the guest has said N lines
    --console-signal NAME:N   or when it has printed as many
    --time SECONDS      the longest that it may take (120)

The words go to the kernel's command line, behind those of kernel/cmdline: guest.c says what they mean. What the guest
says on the agent's channel goes to standard output, the vmm's standard error to standard error, and its exit status is
the status: 128 + signal if one has killed it; 124: it took too long.
"""
import ctypes
import fcntl
import getopt
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
OUT = os.path.join(TOP, os.environ.get("O", "out"))
FRAME_MACHINE = 33 # src/wire/frame.h
SPEC, KVM, AGENT, CONSOLE, KERNEL, INITRD, DISK0 = 3, 4, 5, 6, 7, 8, 10 # enum vmm_fd
ABOVE = 100 # where no fd of the vmm's is
PR_SET_PDEATHSIG = 1


def kernel_words(debug):
    """Those of a box on KVM."""
    words = []
    with open(os.path.join(TOP, "kernel/cmdline")) as f:
        for line in f:
            line = line.strip()
            if line and not line.startswith(("#", "tcg:")):
                words.append(line.removeprefix("kvm:").strip())
    if debug:
        words = [w for w in words if w != "quiet"] + ["loglevel=7", "earlyprintk=serial,ttyS0"]
    return words


def parse(argv):
    names = "cpus= memory= disk= kernel= initramfs= spec= say= console= signal= console-signal= time="
    options, words = getopt.getopt(argv, "", names.split() + ["serial", "debug", "no-kvm", "help"])
    o = {"cpus": 1, "memory": 128, "disks": [], "kernel": f"{OUT}/guest/vmlinux", "time": 120,
         "initramfs": f"{OUT}/tests/vmm-initramfs", "words": words}
    for name, value in options:
        name = name[2:]
        if name == "help":
            print(__doc__)
            sys.exit(0)
        if name == "disk":
            o["disks"].append(value)
        else:
            o[name] = int(value) if name in ("cpus", "memory", "time") else value or True
    return o


def frame_of_spec(o):
    words = ["console=hvc0"] + kernel_words("debug" in o) + o["words"]
    spec = {"cpus": o["cpus"], "memory_bytes": o["memory"] << 20, "cmdline": " ".join(words),
            "serial": "serial" in o or "debug" in o,
            "disks": [{"readonly": d.endswith(":ro")} for d in o["disks"]]}
    payload = json.dumps(spec).encode()
    return struct.pack("<IBBHI", len(payload), FRAME_MACHINE, 0, 0, 0) + payload


def open_all(o, agent, console):
    """The vmm's fds by their numbers."""
    spec = os.memfd_create("spec")
    os.write(spec, o["spec"].encode() if "spec" in o else frame_of_spec(o))
    os.lseek(spec, 0, os.SEEK_SET)
    fds = {SPEC: spec, KVM: os.open("/dev/null" if "no-kvm" in o else "/dev/kvm", os.O_RDWR),
           AGENT: agent, CONSOLE: console, KERNEL: os.open(o["kernel"], os.O_RDONLY),
           INITRD: os.open(o["initramfs"], os.O_RDONLY)}
    for i, disk in enumerate(o["disks"]):
        readonly = disk.endswith(":ro")
        fds[DISK0 + i] = os.open(disk.removesuffix(":ro"), os.O_RDONLY if readonly else os.O_RDWR)
    return {to: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, ABOVE) for to, fd in fds.items()}


def start(o, agent, console, complaints):
    fds = open_all(o, agent, console)

    def arrange():
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for to, fd in fds.items():
            os.dup2(fd, to)

    # As the shim, no environment; but a sanitized vmm is told how.
    env = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
    child = subprocess.Popen([f"{OUT}/bin/boxlite-vmm"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=complaints, env=env, close_fds=False, preexec_fn=arrange)
    for fd in fds.values():
        os.close(fd)
    return child


class Machine:
    def __init__(self, o):
        self.channel, agent = socket.socketpair()
        out, console = os.pipe()
        errors, complaints = os.pipe()
        self.channel.sendall(o.get("say", "").encode())
        self.log = os.open(o.get("console", "/dev/null"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self.child = start(o, agent.fileno(), console, complaints)
        agent.close()
        os.close(console)
        os.close(complaints)
        # fd -> where its bytes go
        self.pipes = {self.channel.fileno(): 1, out: self.log, errors: 2}
        # fd -> a signal, and the lines that are still to come before it
        self.signals = {}
        for option, fd in (("signal", self.channel.fileno()), ("console-signal", out)):
            if option in o:
                name, _, lines = o[option].partition(":")
                self.signals[fd] = [getattr(signal, f"SIG{name}"), int(lines)]

    def count(self, fd, lines):
        if fd in self.signals:
            self.signals[fd][1] -= lines
            if self.signals[fd][1] <= 0:
                self.child.send_signal(self.signals.pop(fd)[0])

    def take(self, fd):
        """One read's worth. False at the end."""
        try:
            data = os.read(fd, 65536)
        except ConnectionResetError:
            return False
        self.count(fd, data.count(b"\n"))
        while data:
            data = data[os.write(self.pipes[fd], data):]
            if not data:
                return True
        return False

    def run(self, seconds):
        limit = time.monotonic() + seconds
        poll = select.poll()
        for fd in self.pipes:
            poll.register(fd, select.POLLIN)
        left = len(self.pipes)
        while left:
            ready = poll.poll(max(0, limit - time.monotonic()) * 1000)
            if not ready:
                self.child.kill()
                self.child.wait()
                return 124
            for fd, _ in ready:
                if not self.take(fd):
                    poll.unregister(fd)
                    left -= 1
        status = self.child.wait()
        return 128 - status if status < 0 else status


def main():
    o = parse(sys.argv[1:])
    sys.exit(Machine(o).run(o["time"]))


main()

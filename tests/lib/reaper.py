#!/usr/bin/env python3
"""reaper.py COMMAND...: runs a command and adopts whatever it leaves behind.

A process whose parent has died becomes a child of this one instead of init (PR_SET_CHILD_SUBREAPER),
so everything that a test ever started is in one tree, however it hides. What still runs when the
command has ended is killed, named on standard output and makes the status 70.

    reaper.py --list    the processes below the reaper named by $BOX_TEST_REAPER, as "PID NAME" lines,
                        this one and its shells left out: only boxlite's and QEMU
    reaper.py --wait S  waits up to S seconds until there are none (on pidfds); 1: some are left
"""
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def below(root):
    """The pids below a process, nearest first."""
    parent = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as f:
                state, ppid = f.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue
        if state not in (b"Z", b"X"):
            parent[int(name)] = int(ppid)
    found = [root]
    for pid in found:
        found += [p for p, pp in parent.items() if pp == pid and p not in found]
    return found[1:]


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


def ours():
    """Programs of boxlite and QEMUs below the reaper."""
    named = [(p, name_of(p)) for p in below(int(os.environ["BOX_TEST_REAPER"]))]
    return [(p, n) for p, n in named if n.startswith(("boxlite", "qemu"))]


def wait_gone(seconds):
    limit = time.monotonic() + seconds
    while True:
        left = ours()
        if not left:
            return 0
        try:
            fd = os.pidfd_open(left[0][0])
        except ProcessLookupError:
            continue
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        ready = poll.poll(max(0, limit - time.monotonic()) * 1000)
        os.close(fd)
        if not ready:
            show(left)
            return 1


def show(processes):
    for pid, name in processes:
        print(pid, name, flush=True)


def run(argv):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(argv, env={**os.environ, "BOX_TEST_REAPER": str(os.getpid())})
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, lambda signo, _: child.send_signal(signo))
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            break
    code = os.waitstatus_to_exitcode(status)
    left = [(p, name_of(p)) for p in below(os.getpid())]
    for pid, name in left:
        print(f"# left behind and killed: {pid} {name}", flush=True)
        os.kill(pid, signal.SIGKILL)
    return 70 if left else code if code >= 0 else 128 - code


if sys.argv[1] == "--list":
    show(ours())
elif sys.argv[1] == "--wait":
    sys.exit(wait_gone(float(sys.argv[2])))
else:
    sys.exit(run(sys.argv[1:]))

#!/usr/bin/env python3
"""signal-after.py SIGNAL SECONDS COMMAND [ARG...]: runs a command with every signal at its default, sends it one
SECONDS after its exec, and prints its status as a shell would.

A shell cannot do this: its background jobs begin with SIGINT ignored, and whoever signals them cannot know whether
their exec is over. Popen returns when it is. A command that has not ended a minute later has lost the signal: it is
killed and "hangs" is printed.
"""
import signal
import subprocess
import sys
import time

number, seconds = getattr(signal, "SIG" + sys.argv[1]), float(sys.argv[2])


def defaults():
    for s in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(s, signal.SIG_DFL)


p = subprocess.Popen(sys.argv[3:], stdin=subprocess.DEVNULL, preexec_fn=defaults)
time.sleep(seconds)
p.send_signal(number)
try:
    status = p.wait(60)
    print(128 - status if status < 0 else status)
except subprocess.TimeoutExpired:
    p.kill()
    p.wait()
    print("hangs")

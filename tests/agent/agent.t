#!/usr/bin/env python3
"""The agent in a guest, spoken to in frames (drive.py). One guest serves many tests; those that end
it start their own. TAP; needs qemu, the guest kernel, busybox, mkfs.erofs and e2fsprogs."""
import hashlib
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import drive  # noqa: E402

OUT = pathlib.Path(os.environ.get("O", drive.TOP / "out"))
count = failed = 0


def ok(cond, what, note=""):
    global count, failed
    count += 1
    print(f"{'ok' if cond else 'not ok'} {count} - {what}", flush=True)
    if not cond:
        failed += 1
        print(f"# {note!r}", flush=True)


def is_(got, want, what):
    ok(got == want, what, f"got {got!r}, wanted {want!r}")


class Box:
    """A guest with its own disk and a main process that sleeps."""

    def __init__(self, tmp, disk=None, main=("sleep", "1000"), boot=True, more=(), **how):
        self.disk = disk or tempfile.mktemp(dir=tmp)
        if not disk:
            shutil.copy(f"{tmp}/template", self.disk)
        self.guest = drive.Guest(f"{tmp}/image", self.disk, OUT, more=more)
        if boot:
            self.guest.boot()
        if boot and main:
            self.main = self.guest.started(self.guest.spawn(*main, main=True, **how))

    def __enter__(self):
        return self.guest

    def __exit__(self, *_):
        self.guest.close()


def clean(disk):
    r = subprocess.run(["e2fsck", "-fn", disk], capture_output=True, text=True)
    if r.returncode:
        print("# " + r.stdout.replace("\n", "\n# "))
    return r.returncode == 0


def test_exec(g):
    """Exit codes, errors, users, folders: each by one exec."""
    s = g.run("sh", "-c", "echo out; echo err >&2; exit 7")
    is_((s.stdout, s.stderr, s.status), (b"out\n", b"err\n", 7), "streams and exit code of an exec")
    is_(g.run("true").status, 0, "exit code 0")
    is_(g.run("sh", "-c", "kill -SEGV $$").exit["signal"], int(signal.SIGSEGV), "an end by signal")

    for argv, status, text in [
        (["nope"], 127, 'exec: "nope": executable file not found in $PATH'),
        ([""], 127, 'exec: "": executable file not found in $PATH'),
        (["/bin/nope"], 127, 'exec: "/bin/nope": no such file or directory'),
        (["/bin/nointerp"], 127, 'exec: "/bin/nointerp": no such file or directory '
                                 '(its interpreter or loader is missing)'),
        (["noexec"], 126, 'exec: "noexec": permission denied'),
        (["/etc"], 126, 'exec: "/etc": is a directory'),
        (["garbage"], 126, 'exec: "garbage": exec format error'),
    ]:
        s = g.run(*argv)
        is_((s.status, s.exit["error"], s.pid), (status, text, None), f"cannot run {argv[0] or 'nothing'}")

    ids = "id -u; id -g; id -G; echo $HOME"
    for user, want in [
        (None, "0 0 0 /root"), ("alice", "1000 1000 1000 29 50 /home/alice"), ("1000", "1000 1000 1000 29 50 /home/alice"),
        ("alice:audio", "1000 29 29 /home/alice"), ("1234", "1234 0 0 /"), ("1234:4321", "1234 4321 4321 /"),
        ("daemon", "1 1 1 /usr/sbin"),
    ]:
        is_(g.sh(ids, user=user).split("\n"), want.split(" ", 2)[:2] + want.split(" ", 2)[2].rsplit(" ", 1),
            f"ids and home of user {user}")
    s = g.run("true", user="nobody")
    is_((s.status, s.exit["error"]), (126, "unable to find user nobody: no matching entries in passwd file"),
        "an unknown user")
    is_(g.run("true", user="broken").status, 126, "a malformed line of passwd is no user")
    is_(g.run("true", user="root:nope").exit["error"],
        "unable to find group nope: no matching entries in group file", "an unknown group")
    is_(g.sh("echo $HOME", env=drive.ENV + ["HOME=/x"]), "/x", "HOME of the environment stays")

    is_(g.sh("pwd; stat -c %u:%a .", cwd="/made/for/it", user="alice"), "/made/for/it\n0:755", "a folder is made")
    is_(g.run("true", cwd="/etc/passwd").status, 126, "a file is no working folder")
    is_(g.sh("pwd"), "/", "the default folder")
    is_(g.run("env", env=["A=1", "HOME=/", "E="]).stdout, b"A=1\nHOME=/\nE=\n", "the environment and no more")
    is_(g.sh("ls /proc/self/fd | wc -l; umask; ulimit -n; grep SigBlk /proc/self/status"),
        "4\n0022\n1048576\nSigBlk:\t0000000000000000", "fds (one is ls' own), umask, limits and signals are clean")
    is_(g.sh("echo again > /dev/stdout; echo more > /dev/stderr", user="alice"), "again",
        "a user may open /dev/stdout again")


def test_stdin(g):
    s = g.spawn("cat", stdin=True)
    g.send(s, b"hello", eof=True)
    is_(g.wait(s).stdout, b"hello", "stdin, its end, and stdout")
    is_(g.run("cat").status, 0, "closed stdin ends at once")

    data = os.urandom(1 << 20) * 3
    s = g.spawn("sha256sum", stdin=True)
    g.send(s, data, eof=True)
    is_(g.wait(s).stdout.split()[0].decode(), hashlib.sha256(data).hexdigest(), "3 MB through stdin")

    s = g.started(g.spawn("sleep", "2", stdin=True))
    for _ in range(8):
        s.credit -= drive.DATA_MAX
        g.put(drive.DATA, s.sid, bytes(drive.DATA_MAX))
    is_(g.sh("echo alive"), "alive", "a window of stdin that nobody reads holds up nobody")
    is_(s.credit, 65536, "and credit comes back for what the pipe took")
    is_(g.wait(s).status, 0, "its process ends as usual")

    s = g.spawn("sh", "-c", "exec <&-; sleep 0.2; echo done", stdin=True)
    g.send(s, bytes(1 << 20), eof=True)
    is_(g.wait(s).stdout, b"done\n", "a process that closes its stdin does not stall the host")


def test_stdout(g):
    size = 100 << 20
    s = g.spawn("sh", "-c", "yes 0123456789abcdef | head -c %d" % size)
    h = hashlib.sha256()
    s.sink = h.update
    start = time.monotonic()
    g.wait(s, 120)
    print(f"# {size / 1e6 / (time.monotonic() - start):.0f} MB/s of stdout")
    want = hashlib.sha256((b"0123456789abcdef\n" * (size // 17 + 1))[:size]).hexdigest()
    is_((s.count[1], h.hexdigest()), (size, want), "100 MB of stdout, byte by byte")

    slow = g.spawn("sh", "-c", "yes | head -c 1000000; echo end >&2")
    slow.stalled = True
    g.until(lambda: slow.count[1] == drive.WINDOW)
    is_(g.sh("echo alive"), "alive", "a reader that stalls stops only itself")
    is_(slow.count[1], drive.WINDOW, "which gets exactly its window")
    slow.stalled = False
    g.give_credit(slow)
    g.wait(slow)
    is_((slow.count[1], slow.stderr), (1000000, b"end\n"), "and all the rest later")

    s = g.spawn("sh", "-c", "head -c 300000 /dev/zero")
    s.stalled = True
    g.until(lambda: s.count[1] == drive.WINDOW)
    g.sh("sleep 0.3")
    ok(s.exit is None, "an end waits for output that has no credit yet")
    s.stalled = False
    g.give_credit(s)
    is_(g.wait(s).count[1], 300000, "no byte is lost at the end")

    start = time.monotonic()
    s = g.run("sh", "-c", "sleep 30 & echo started")
    ok(s.stdout == b"started\n" and time.monotonic() - start < 10, "a child in the background does not hold up EXIT")
    ok("sleep 30" in g.sh("ps -o args"), "and it lives on")


def test_many(g):
    """Many outputs at once. Credit for all in one piece makes all their pipes ready in one round of the agent's loop
    (16 events). Each holds its last frame; the first nine fill the channel and are written at once, and then no event
    will ever tell of the others."""
    rest = 30000
    script = f"head -c {drive.WINDOW + rest} /dev/zero; echo written >&2; exec sleep 1000"
    many = [g.spawn("sh", "-c", script) for _ in range(14)]
    for s in many:
        s.stalled = True
    g.until(lambda: all(s.count[1] == drive.WINDOW and s.stderr for s in many))
    for s in many:
        g.put(drive.CREDIT, s.sid, struct.pack("<I", rest), drive.STDOUT)
    try:
        g.until(lambda: all(s.count[1] == drive.WINDOW + rest for s in many))
    except TimeoutError:
        pass
    is_([s.count[1] - drive.WINDOW for s in many], [rest] * len(many), "many outputs at once, and none is forgotten")
    for s in many:
        g.signal(s, signal.SIGKILL)
        g.wait(s)


def test_tty(g):
    s = g.started(g.spawn("sh", "-c", "tty; stty size; read x; stty size; exit 5", tty=True, stdin=True,
                          rows=33, cols=111))
    g.until(lambda: s.stdout.count(b"\n") >= 2)
    is_(s.stdout.split(b"\r\n")[1], b"33 111", "a terminal of the size asked for")
    ok(s.stdout.startswith(b"/dev/pts/"), "its name is valid in the box", s.stdout)
    g.resize(s, 44, 99)
    g.send(s, b"x\n")
    g.wait(s)
    is_((s.stdout.split(b"\r\n")[-2], s.status), (b"44 99", 5), "RESIZE")
    s = g.spawn("sh", "-c", "trap 'exit 9' INT; echo go; while :; do sleep 0.1; done", tty=True, stdin=True)
    g.until(lambda: b"go" in s.stdout)
    g.send(s, b"\x03")
    is_(g.wait(s).status, 9, "^C reaches the foreground process")
    # Behind START in one piece: the agent has it long before the process runs.
    s = g.spawn("sh", "-c", "read x; echo got $x", tty=True, stdin=True)
    g.send(s, b"early\n")
    is_(g.wait(s).stdout, b"early\r\ngot early\r\n", "a line that is typed too early arrives")
    s = g.spawn("sh", "-c", "read x; stty size", tty=True, stdin=True, rows=33, cols=111)
    g.resize(s, 34, 112)
    g.resize(s, 35, 113)
    g.send(s, b"\n")
    is_(g.wait(s).stdout, b"\r\n35 113\r\n", "of the sizes that come too early the last one holds")
    early = [g.spawn("sleep", "100", tty=True, stdin=True) for _ in range(10)]
    for s in early:
        g.send(s, b"\x03")
    is_([g.wait(s).exit["signal"] for s in early], [int(signal.SIGINT)] * 10, "and so does a ^C")
    s = g.spawn("sh", "-c", "cat; seq 2000", tty=True, stdin=True)
    g.send(s, b"line\n", eof=True)
    lines = g.wait(s).stdout.split(b"\r\n")
    ok(lines[:2] == [b"line", b"line"] and lines[-2] == b"2000", "end of stdin is ^D; the last output is not lost",
       lines[-5:])


def test_signals(g):
    s = g.started(g.spawn("sleep", "100"))
    g.signal(s, signal.SIGTERM)
    is_(g.wait(s).exit["signal"], int(signal.SIGTERM), "SIGTERM to an exec")
    s = g.spawn("sh", "-c", "sleep 77 & sleep 77 & setsid sleep 77 & echo go; wait")
    g.until(lambda: b"go" in s.stdout)
    g.signal(s, signal.SIGKILL)
    is_(g.wait(s).exit["signal"], 9, "SIGKILL to an exec")
    is_(g.sh("ps -o args | grep -c '[s]leep 77'"), "0", "takes its whole tree")
    g.put(drive.SIGNAL, s.sid, {"signal": 15})
    is_(g.sh("echo alive"), "alive", "a signal that crosses an EXIT is no error")


def test_view(g):
    """What the box sees."""
    is_(g.sh("hostname; cat /etc/hostname"), "testbox\ntestbox", "hostname")
    ok("\ttestbox" in g.sh("cat /etc/hosts"), "/etc/hosts")
    is_(g.sh("cat /etc/resolv.conf; echo $?"), "0", "/etc/resolv.conf in place of a dangling link")
    is_(g.sh("cat /proc/1/comm"), "sleep", "the main process is pid 1")
    status = g.sh("grep -E '^Cap|NoNewPrivs' /proc/self/status")
    want = "CapInh:\t{0}\nCapPrm:\t{1}\nCapEff:\t{1}\nCapBnd:\t{2}\nCapAmb:\t{0}\nNoNewPrivs:\t0"
    zero, docker = "0" * 16, "00000000a80425fb"
    is_(status, want.format(zero, docker, docker), "capabilities of root, as docker's")
    is_(g.sh("grep -E '^Cap|NoNewPrivs' /proc/self/status", user="alice"), want.format(zero, zero, docker),
        "capabilities of a user")
    is_(g.sh("grep -E '^Cap|NoNewPrivs' /proc/1/status"), status, "capabilities of the main process")
    is_(g.sh("wc -c < /proc/keys; wc -c < /proc/timer_list"), "0\n0", "/proc/keys and timer_list are masked")
    for path in "/proc/sys/kernel/hostname", "/sys/x", "/sys/fs/cgroup/x":
        ok("Read-only" in g.run("sh", "-c", f"echo 1 > {path}").stderr.decode(), f"{path} is read-only")
    is_(g.sh("cat /proc/1/cgroup"), "0::/", "the main process is at the root of its cgroups")
    ok(g.sh("cat /proc/self/cgroup").startswith("0::/exec-"), "an exec is below it")
    ok("memory.max" in g.sh("ls /sys/fs/cgroup"), "with controllers")
    is_(g.sh("cd /dev && echo *"), "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
        "/dev")
    is_(g.sh("echo x > /dev/null && head -c 4 /dev/zero | wc -c; head -c 9 /dev/urandom | wc -c", user="alice"), "4\n9",
        "devices work")
    is_(g.sh("stat -c %a / /dev/shm /dev/null /tmp"), "755\n1777\n666\n1777", "modes")
    mounts = g.sh("cat /proc/self/mounts")
    ok("lowerdir" in mounts.split("\n")[0] and not any(x in mounts for x in ("erofs", "ext4")),
       "no mount of the agent is visible", mounts)
    devices = [m.split()[1] for m in mounts.split("\n") if m.startswith("devtmpfs")]
    is_(set(devices), {"/dev/" + d for d in ("null", "zero", "full", "random", "urandom", "tty")} |
        {d for d in devices if d.startswith("/proc/")}, "but for the devices, and what hides files of /proc")
    is_(g.sh("exec 2>&1; mknod /tmp/n c 1 3; cat /tmp/n; mknod /dev/n c 1 3; cat /dev/n; mknod /dev/shm/n c 1 3; cat /dev/shm/n")
        .count("Permission denied"), 3, "no file system opens a device node")
    is_(g.sh("ip -o addr show lo | grep -c 127.0.0.1/8"), "1", "the loopback is up")
    ok(abs(int(g.sh("date +%s")) - time.time()) < 20, "the clock is set")
    is_(g.sh("cat /proc/self/oom_score_adj; ls /proc/self/fd/3 2>&1 | grep -c No"), "0\n1", "nothing else is inherited")


def test_main(tmp):
    with Box(tmp, main=None) as g:
        is_(g.run("true").exit["kind"], "cannot-run", "no exec before the main process")
        s = g.run("sh", "-c", "echo $$; exit 3", main=True)
        is_((s.stdout, s.status), (b"1\n", 3), "a main process")
        is_(g.run("true").exit["kind"], "lost", "no exec after the main process")
        is_(g.run("true", main=True).exit["kind"], "cannot-start", "no second main process")
        is_((g.shutdown(), g.bye), (0, {}), "SHUTDOWN after its end")
    for how, text in [
        ({"user": "nobody"}, "unable to find user nobody: no matching entries in passwd file"),
        ({"user": "root:nope"}, "unable to find group nope: no matching entries in group file"),
        ({"cwd": "/etc/passwd"}, "cannot enter the working folder /etc/passwd: Not a directory"),
    ]:
        with Box(tmp, main=None) as g:
            s = g.run("true", main=True, **how)
            is_((s.status, s.exit["error"]), (125, text), f"a main process with {how}")
    with Box(tmp, main=None) as g:
        is_(g.run("nope", main=True).status, 127, "a main process that does not exist")
        is_(g.shutdown(), 0, "SHUTDOWN without one")
    with Box(tmp, main=("sh", "-c", "test -c /dev/console && tty; stty size; read x"), tty=True, stdin=True) as g:
        s = g.streams[1]
        g.until(lambda: s.stdout.count(b"\n") >= 2)
        is_(s.stdout, b"/dev/console\r\n24 80\r\n" if b"console" in s.stdout else b"/dev/pts/0\r\n24 80\r\n",
            "a main process with a terminal")
        s2 = g.started(g.spawn("sleep", "100"))
        g.send(s, b"\n")
        g.wait(s)
        g.wait(s2)
        is_((s.status, s2.exit["signal"]), (0, 9), "the end of main is the end of all")
    with Box(tmp, main=None) as g:
        s = g.spawn("sleep", "100", main=True, tty=True, stdin=True)
        g.send(s, b"\x03")
        is_(g.wait(s).exit["signal"], int(signal.SIGINT), "a ^C that is typed too early ends a main process")


def test_stop(tmp):
    box = Box(tmp)
    with box as g:
        start = time.monotonic()
        is_(g.shutdown(10000), 0, "SHUTDOWN with grace")
        ok(time.monotonic() - start < 5, "does not wait when SIGTERM has no handler")
        is_(box.main.exit["signal"], int(signal.SIGTERM), "the end is told as by SIGTERM")
        ok(clean(box.disk), "the disk is clean")
    with Box(tmp, main=("sh", "-c", "trap 'echo bye; exit 4' TERM; echo go; while :; do sleep 0.1; done")) as g:
        s = g.streams[1]
        g.until(lambda: b"go" in s.stdout)
        g.shutdown(10000)
        is_((s.stdout, s.status), (b"go\nbye\n", 4), "a handler of SIGTERM runs")
    with Box(tmp, main=("sh", "-c", "trap '' TERM; echo go; while :; do sleep 0.1; done")) as g:
        s = g.streams[1]
        g.until(lambda: b"go" in s.stdout)
        g.shutdown(300)
        is_(s.exit["signal"], 9, "who ignores SIGTERM is killed after the grace")
    box = Box(tmp, main=("sh", "-c", "echo 1 > /kept; sleep 1000"))
    with box as g:
        g.run("sh", "-c", "while ! test -s /kept; do :; done; rm /bin/noexec; mkdir -p /var/lib/x")
        g.sock.close()
        g.sock = __import__("socket").socketpair()[0]
        g.qemu.wait(10)
        is_(g.qemu.returncode, 0, "the host is gone: the power goes off")
        ok(clean(box.disk), "and the disk is clean")
    with Box(tmp, disk=box.disk) as g:
        is_(g.sh("cat /kept; ls -d /var/lib/x /bin/noexec 2>/dev/null"), "1\n/var/lib/x",
            "what a box wrote is there at its second start")
        g.sh("echo 2 > /kept; sync; echo 3 > /lost")
        g.qemu.kill()
        g.qemu.wait()
    with Box(tmp, disk=box.disk) as g:
        is_(g.sh("cat /kept"), "2", "what was synced outlives a crash")
        is_(g.shutdown(), 0, "and the box after it stops well")
        ok(clean(box.disk), "with a clean disk")


def test_trust(tmp):
    bundle, see = "/etc/ssl/certs/ca-certificates.crt", "cat $SSL_CERT_FILE; echo $NODE_EXTRA_CA_CERTS"
    box = Box(tmp, main=None)
    with box as g:
        g.put(drive.TRUST, 0, {"pem": "CERTIFICATE\n"})
        g.started(g.spawn("sleep", "1000", main=True))
        is_(g.sh(see), f"\nCERTIFICATE\n{bundle}", "a certificate, in an image that has none")
        is_(g.sh("echo $SSL_CERT_FILE", env=[*drive.ENV, "SSL_CERT_FILE=/own"]), "/own", "a variable that is set stays")
        g.shutdown()
    with Box(tmp, disk=box.disk) as g:
        is_(g.sh(f"cat {bundle}; echo =$SSL_CERT_FILE"), "=", "nothing of it is kept")
        g.run("sh", "-c", f"echo own > {bundle}; ln -s certs/ca-certificates.crt /etc/ssl/cert.pem; sync")
        g.shutdown()
    with Box(tmp, disk=box.disk, main=None) as g:
        g.put(drive.TRUST, 0, {"pem": "CERTIFICATE\n"})
        g.started(g.spawn("sleep", "1000", main=True))
        is_(g.sh(see), f"own\n\nCERTIFICATE\n{bundle}", "in an image that has some, it is one more")
        ok("CERTIFICATE" in g.sh("cat /etc/ssl/cert.pem"), "by each name of it")


def test_protocol(tmp):
    def dies(what, want, act, **how):
        with Box(tmp, **how) as g:
            act(g)
            try:
                g.until(lambda: g.failed)
                g.off()
                ok(want in g.failed and g.qemu.returncode == 0, what, g.failed)
            except (EOFError, TimeoutError) as e:
                ok(g.failed and want in g.failed, what, (g.failed, str(e)))

    def flood(g):
        s = g.started(g.spawn("sleep", "100", stdin=True))
        s.credit = -1 << 30  # what comes back is not looked at
        for _ in range(20):
            g.put(drive.DATA, s.sid, bytes(drive.DATA_MAX))

    dies("more stdin than credit", "DATA against the rules", flood)
    dies("a frame that is none", "malformed frame", lambda g: g.tx.extend(b"\xff" * 12))
    dies("a stream that is in use", "in use", lambda g: g.put(drive.START, 1, {"argv": ["true"]}))
    dies("another generation", "generation", lambda g: g.put(drive.HELLO, 0, {"protocol": 99}), boot=False)
    dies("START before BOOT", "before BOOT",
         lambda g: (g.put(drive.HELLO, 0, {}), g.put(drive.START, 1, {"argv": ["true"]})), boot=False)


def test_park(tmp):
    box = Box(tmp, boot=False, more=["boxlite.park"])
    with box as g:
        g.until(lambda: g.parked)
        g.boot()
        is_([what for what, _ in g.times], ["PARKED", "HELLO", "READY"], "a machine that parks says so, then HELLO")
        g.started(g.spawn("sleep", "1000", main=True))
        is_(g.sh("echo kept > /f; cat /f; tail -n +3 /proc/partitions | sed 's/.* //'"), "kept\nvda\nvdb",
            "its disks are there again, under their names")
        is_(g.shutdown(), 0, "and it ends as any other")
        ok(clean(box.disk), "with a clean disk")
    with Box(tmp, boot=False, more=["boxlite.park", "initcall_blacklist=virtio_blk_init"]) as g:
        is_((g.off(), g.failed), (0, None), "one that cannot park just ends, so that the host boots another")


def test_disk(tmp):
    with open(f"{tmp}/empty", "wb") as f:
        f.truncate(1 << 20)
    with Box(tmp, disk=f"{tmp}/empty", boot=False) as g:
        try:
            g.boot()
        except EOFError:
            pass
        ok(g.failed and "cannot mount the box's disk" in g.failed, "a disk that is none", g.failed)
    drive.make_disk(f"{tmp}/folders", folders=True)
    with Box(tmp, disk=f"{tmp}/folders") as g:
        is_(g.sh("stat -c %a:%u /"), "755:0", "a disk with upper/ of mode 0: the root has the image's owner and mode")


def attempt(fn, *args):
    try:
        fn(*args)
    except Exception:
        ok(False, f"{fn.__name__} came to its end", traceback.format_exc())


def main():
    want = sys.argv[1:]
    with tempfile.TemporaryDirectory() as tmp:
        drive.make_image(f"{tmp}/image")
        drive.make_disk(f"{tmp}/template")
        shared = [test_exec, test_stdin, test_stdout, test_many, test_tty, test_signals, test_view]
        shared = [t for t in shared if not want or t.__name__[5:] in want]
        if shared:
            shutil.copy(f"{tmp}/template", f"{tmp}/disk")
            with drive.Guest(f"{tmp}/image", f"{tmp}/disk", OUT) as g:
                g.boot("testbox")
                g.started(g.spawn("sleep", "1000", main=True))
                for t in shared:
                    attempt(t, g)
        for t in test_main, test_stop, test_trust, test_protocol, test_park, test_disk:
            if not want or t.__name__[5:] in want:
                attempt(t, tmp)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

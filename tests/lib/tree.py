#!/usr/bin/env python3
"""tree.py make DIR: a tree with everything that a copy could lose. tree.py list [--no-owners] [--exact] DIR: what is there, a line
for each entry, the same for two trees that are the same: type, mode, owner, time, target, other names, content, holes.
Times are of whole seconds, which is what a box's disk keeps, unless they are to be --exact.
"""
import hashlib
import os
import stat
import sys


def put(path, data=b"", mode=0o644, mtime=1700000000123456789):
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)
    os.utime(path, ns=(0, mtime))


def make(top):
    os.makedirs(top + b"/sub/deeper", exist_ok=True)
    put(top + b"/empty")
    put(top + b"/one", b"1", 0o640, -1500000000)
    put(top + b"/suid", b"#!/bin/true\n", 0o4755)
    put(top + b"/block", b"x" * 512, 0o400)
    put(top + b"/many", bytes(range(256)) * 4096 + b"end", 0o600)  # more than a window of the stream
    put(top + b"/sub/new\nline and space", b"a")
    put(top + b"/sub/bad \xff\xfe utf-8", b"b")
    put(top + b"/sub/" + b"n" * 250, b"long")
    deep = top + b"/deep"
    for i in range(5):
        deep += b"/" + bytes([ord("a") + i]) * 100
    os.makedirs(deep)
    put(deep + b"/file", b"far below")
    os.link(top + b"/one", top + b"/sub/deeper/other name of one")
    os.symlink(b"../one", top + b"/sub/link")
    os.symlink(b"/nowhere/at all", top + b"/dangling")
    os.symlink(b"k" * 300, top + b"/long link")
    os.mkfifo(top + b"/fifo", 0o622)
    os.chmod(top + b"/fifo", 0o622)
    with open(top + b"/holes", "wb") as f:
        for at in (0, 10 << 20, 700 << 20):
            f.seek(at)
            f.write(b"data at %d" % at)
        f.truncate(1 << 30)
    with open(top + b"/hole", "wb") as f:
        f.truncate(123456789)
    try:
        os.setxattr(top + b"/one", "user.boxlite", b"a\0b\n=c")
    except OSError:
        pass
    if os.geteuid() == 0:
        os.chown(top + b"/many", 4242, 77777)
        os.lchown(top + b"/sub/link", 5, 6)
        os.chown(top + b"/sub/deeper", 3000000000, 7)
        os.chmod(top + b"/suid", 0o6711)
    os.chmod(top + b"/sub/deeper", 0o1550)
    for path in (b"/fifo", b"/sub/link", b"/sub/deeper", b"/sub", b"/deep", b""):
        os.utime(top + path, ns=(0, 1600000000000000001), follow_symlinks=False)


def content(path, st):
    """Of a file with holes: only where it has data, which a gigabyte of zeros has not."""
    h = hashlib.sha256()
    with open(path, "rb", buffering=0) as f:
        if st.st_size < 1 << 26:
            h.update(f.read())
        else:
            at = 0
            while at < st.st_size:
                try:
                    at = os.lseek(f.fileno(), at, os.SEEK_DATA)
                except OSError:
                    break
                data = os.pread(f.fileno(), 4096, at)
                if data.strip(b"\0"):
                    h.update(b"%d" % at + data.rstrip(b"\0"))
                at += 4096
    return h.hexdigest()[:16]


def show(top, owners, exact):
    names, lines = {}, []
    for here, folders, files in os.walk(top):
        folders.sort()
        for path in sorted([here + b"/" + n for n in folders + files] + ([here] if here == top else [])):
            st = os.lstat(path)
            kind = stat.S_IFMT(st.st_mode)
            mode = stat.S_IMODE(st.st_mode)
            line = [oct(kind), oct(mode if owners or kind != stat.S_IFREG else mode & 0o1777), str(st.st_mtime_ns // (1 if exact else 1000000000))]
            if owners:
                line.append(f"{st.st_uid}:{st.st_gid}")
            if kind == stat.S_IFLNK:
                line.append(os.readlink(path).decode(errors="surrogateescape"))
            if kind == stat.S_IFREG:
                line += [str(st.st_size), content(path, st), "holes" if st.st_blocks * 512 + 65536 < st.st_size else ""]
                line.append(str(sorted(os.listxattr(path))))
            if kind != stat.S_IFDIR and st.st_nlink > 1:
                line.append("is " + repr(names.setdefault(st.st_ino, path[len(top):])))
            lines.append(" ".join([repr(path[len(top):]), *map(repr, line)]))
    print("\n".join(sorted(lines)))


if sys.argv[1] == "make":
    make(os.fsencode(sys.argv[2]))
else:
    show(os.fsencode(sys.argv[-1]), "--no-owners" not in sys.argv, "--exact" in sys.argv)

#!/usr/bin/env python3
"""tree-layers.py DIR: two layers of awkward things, DIR/2.tar and DIR/3.tar, for tree.t. Needs root.

2.tar is a real tree in /odd, packed by GNU tar as pax with extended attributes. 3.tar is written by
hand, in the GNU format, to have what no tree can: whiteouts, entries twice, parents that are missing.
"""
import io
import os
import stat
import subprocess
import sys
import tarfile

MTIME = 1600000000


class Tree:
    """A tree on disk. Paths are bytes below its root; parents are made as needed."""

    def __init__(self, root):
        self.root = os.fsencode(root)

    def path(self, name):
        full = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        return full

    def file(self, name, data=b"", mode=0o644):
        full = self.path(name)
        with open(full, "wb") as f:
            f.write(data)
        os.chmod(full, mode)
        return full

    def folder(self, name, mode=0o755):
        full = self.path(name)
        os.makedirs(full, exist_ok=True)
        os.chmod(full, mode)
        return full

    def symlink(self, name, target):
        os.symlink(target, self.path(name))

    def link(self, name, to):
        os.link(os.path.join(self.root, to), self.path(name), follow_symlinks=False)

    def node(self, name, kind, device=0):
        os.mknod(self.path(name), kind | 0o640, device)


def permissions(t):
    t.file(b"mode/setuid", b"#!/bin/sh\n", 0o4755)
    t.file(b"mode/setgid", b"#!/bin/sh\n", 0o2755)
    t.file(b"mode/all", b"", 0o7777)
    t.file(b"mode/none", b"unreadable", 0)
    t.folder(b"mode/sticky", 0o1777)
    t.folder(b"mode/setgid-folder", 0o2775)
    t.folder(b"mode/none-folder", 0)
    for i, (uid, gid) in enumerate(((1, 2), (65535, 65536), (100000, 7), (0x7FFFFFFF, 0xFFFFFFFE))):
        os.chown(t.file(b"owner/file%d" % i), uid, gid)
        os.chown(t.folder(b"owner/folder%d" % i), uid, gid)
    t.symlink(b"owner/symlink", b"file0")
    os.chown(os.path.join(t.root, b"owner/symlink"), 70000, 80000, follow_symlinks=False)
    # chown takes setuid away: in this order it must come back.
    full = t.file(b"owner/setuid")
    os.chown(full, 4321, 4321)
    os.chmod(full, 0o6755)


def attributes(t):
    for name, caps in ((b"ping", "cap_net_raw+ep"), (b"all", "all=eip"), (b"inherit", "cap_setuid=i")):
        subprocess.run(["setcap", caps, t.file(b"caps/" + name, b"\x7fELF", 0o755)], check=True)
    full = t.file(b"xattr/values")
    for name, value in (("empty", b""), ("text", b"value"), ("binary", bytes(range(256))), ("zeros", bytes(9))):
        os.setxattr(full, "user." + name, value)
    full = t.file(b"xattr/many")
    for i in range(40):
        os.setxattr(full, "user.n%d" % i, b"v%d" % i)
    os.setxattr(t.file(b"xattr/long"), "user.long", b"L" * 3000)
    os.setxattr(t.file(b"xattr/long-name"), "user." + "n" * 250, b"1")
    os.setxattr(t.folder(b"xattr/folder"), "user.folder", b"yes")
    # Equal sets, as SELinux would make them: they may be stored once.
    for i in range(20):
        os.setxattr(t.file(b"xattr/equal%d" % i), "user.equal", b"the same" * 20)


def nodes(t):
    t.node(b"node/char", stat.S_IFCHR, os.makedev(5, 1))
    t.node(b"node/block", stat.S_IFBLK, os.makedev(259, 300))
    t.node(b"node/largest", stat.S_IFCHR, os.makedev(4095, 1048575))
    t.node(b"node/fifo", stat.S_IFIFO)


def links(t):
    full = t.file(b"link/a/one", b"shared", 0o4711)
    os.setxattr(full, "user.shared", b"yes")
    t.link(b"link/b/two", b"link/a/one")
    t.link(b"link/b/c/three", b"link/a/one")
    for i, target in enumerate((b"/etc/passwd", b"../../../../../etc/passwd", b"nowhere", b".", b"..", b"/",
                                b"//odd//mode/", b"a\nb", b"\xff\xfe\x80", b" ", b"/proc/self/exe", b".wh.x",
                                b"t" * 59, b"t" * 60, b"t" * 4000)):
        t.symlink(b"symlink/%d" % i, target)
    t.symlink(b"symlink/loop", b"loop")
    t.link(b"symlink/hard", b"symlink/0")


def names(t):
    for name in (b" ", b"a b", b"new\nline", b"\ttab", b"back\\slash", b"*?[]", b"-rf", b"\x01\x7f",
                 b"\xff\xfe", b"n" * 255, b"\xe9" * 255, "\u00e9\u4e16\U0001f600".encode(), b"...", b".. ",
                 b".whx", b".wh", b"A", b"a", b"'", b'"', b"a=b", b"%s"):
        t.file(b"name/" + name, name)
    t.folder(b"name/" + b"d" * 255 + b"/" + b"\n" * 255)
    t.file(b"deep/" + b"/".join([b"%02d" % i + b"p" * 98 for i in range(30)]) + b"/end", b"deep")
    for i in range(5000):
        t.file(b"many/%d" % (i * 7919), b"")


def sizes(t):
    block = bytes(i * 37 % 251 for i in range(4096))
    for size in (0, 1, 4095, 4096, 4097, 8191, 8192, 1048577):
        t.file(b"size/%d" % size, (block * (size // 4096 + 1))[:size])
    t.file(b"size/zeros", bytes(300000))
    t.folder(b"size/empty-folder")
    full = t.file(b"size/sparse", b"begin")
    with open(full, "r+b") as f:
        f.seek(3000001)
        f.write(b"middle")
        f.truncate(9000000)


def times(t):
    for i, ns in enumerate((0, 1, 999999999, 1600000000123456789, 4102444800 * 10**9 + 5)):
        os.utime(t.file(b"time/%d" % i), ns=(ns, ns))
    os.utime(t.file(b"time/before-1970"), (-86400, -86400))
    os.utime(t.folder(b"time/folder"), ns=(1234567890987654321,) * 2)


def to_be_changed(t):
    for name in (b"file", b"folder/in/side", b"twice", b"again", b"again-after"):
        t.file(b"gone/" + name, b"lower")
    t.symlink(b"gone/symlink", b"file")
    t.link(b"gone/hard", b"gone/twice")
    for name in (b"old", b"sub/older", b"both"):
        t.file(b"opaque/" + name, b"lower")
        t.file(b"opaque-last/" + name, b"lower")
    t.file(b"change/file-to-folder", b"lower")
    t.file(b"change/folder-to-file/below", b"lower")
    t.file(b"change/folder-to-symlink/below", b"lower")
    t.symlink(b"change/symlink-to-folder", b"real")
    t.symlink(b"change/symlink-to-file", b"real/target")
    t.file(b"change/real/target", b"lower")
    t.symlink(b"change/through", b"real")
    t.file(b"change/hard1", b"lower")
    t.link(b"change/hard2", b"change/hard1")
    os.setxattr(t.file(b"change/attributes", b"lower", 0o4755), "user.lower", b"1")
    t.file(b"change/owned/below", b"lower")


def layer2(tmp, out):
    t = Tree(os.path.join(tmp, "odd"))
    for part in (permissions, attributes, nodes, links, names, sizes, times, to_be_changed):
        part(t)
    # Times of folders last, from below: whatever is put into one changes it.
    for where, _, _ in os.walk(t.root, topdown=False):
        if os.path.basename(where) != b"folder":
            os.utime(where, ns=(MTIME * 10**9 + len(where),) * 2)
    subprocess.run(["tar", "-C", tmp, "--format=pax", "--numeric-owner", "--xattrs", "--xattrs-include=*",
                    "--sparse", "--sort=name", "-cf", out, "odd"], check=True)


def layer3(out):
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        def add(name, kind=tarfile.REGTYPE, data=b"", mode=0o644, link="", uid=0):
            i = tarfile.TarInfo("odd/" + name)
            i.type, i.mode, i.mtime, i.size, i.linkname = kind, mode, MTIME + 1000, len(data), link
            i.uid = i.gid = uid
            tar.addfile(i, io.BytesIO(data))

        for name in ("file", "folder", "symlink", "hard", "again", "nothing-there"):
            add("gone/.wh." + name)
        add("gone/again", data=b"upper")
        # In one layer the order says nothing: a whiteout hides lower layers only.
        add("gone/again-after", data=b"upper")
        add("gone/.wh.again-after")
        add("opaque/.wh..wh..opq")
        add("opaque/new", data=b"upper")
        add("opaque/both", data=b"upper")
        add("opaque-last/new", data=b"upper")
        add("opaque-last/both", data=b"upper")
        add("opaque-last/.wh..wh..opq")

        add("change/file-to-folder", tarfile.DIRTYPE, mode=0o750)
        add("change/file-to-folder/below", data=b"upper")
        add("change/folder-to-file", data=b"upper")
        add("change/folder-to-symlink", tarfile.SYMTYPE, link="real", mode=0o777)
        add("change/symlink-to-folder", tarfile.DIRTYPE, mode=0o700)
        add("change/symlink-to-folder/below", data=b"upper")
        add("change/symlink-to-file", data=b"upper")
        add("change/through/added", data=b"through a symlink of the lower layer")
        add("change/hard1", data=b"upper")
        add("change/linked-to-lower", tarfile.LNKTYPE, link="odd/link/a/one", mode=0o4711)
        add("change/char-link", tarfile.LNKTYPE, link="odd/node/char", mode=0o640)
        add("change/fifo-link", tarfile.LNKTYPE, link="odd/node/fifo", mode=0o640)
        add("change/attributes", data=b"upper")
        add("change/owned", tarfile.DIRTYPE, mode=0o2700, uid=3000000)
        add("change/twice", data=b"first")
        add("change/twice", data=b"second time, which counts", mode=0o600)
        add("change/implied/parents/file", data=b"upper")
        add("change/base256", data=b"upper", uid=0x7FFFFFF0)
        add("change/" + "g" * 200 + "/" + "h" * 200, data=b"long name in the GNU way")
        add("change/long-link", tarfile.SYMTYPE, link="l" * 1000, mode=0o777)
        add("change", tarfile.DIRTYPE, mode=0o755)


os.umask(0o022)
os.mkdir(os.path.join(sys.argv[1], "layer2"))
layer2(os.path.join(sys.argv[1], "layer2"), os.path.join(sys.argv[1], "2.tar"))
layer3(os.path.join(sys.argv[1], "3.tar"))

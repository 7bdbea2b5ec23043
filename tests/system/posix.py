#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What only a kernel can show: nodes and links at their limits, O_TMPFILE, df, and directories that are read while
names come and go (T23)."""
import ctypes
import errno
import os
import stat
import subprocess

from harness.case import Skip, check, equal, fails_with, main, read_file, true, write_file

BACKENDS = "file versitygw ceph"
TIMEOUT = 420
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
libc.readdir.argtypes = libc.closedir.argtypes = libc.telldir.argtypes = libc.rewinddir.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
NAME_AT = 19  # of d_name in struct dirent


@check("fifos, sockets, devices and plain files by mknod; devices=refuse is EPERM, as on EFS")
def nodes(rig):
    m = rig.one()
    os.mknod(m.path("plain"), 0o640)
    equal(read_file(m.path("plain")), b"")
    os.mkfifo(m.path("fifo"))
    os.mknod(m.path("sock"), stat.S_IFSOCK | 0o600)
    if os.getuid() != 0:
        raise Skip("device nodes need root")
    os.mknod(m.path("null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    m.unmount()
    other = rig.mount(devices="refuse")
    got = {n: os.stat(other.path(n)) for n in ("plain", "fifo", "sock", "null")}
    equal([stat.S_IFMT(s.st_mode) for s in got.values()], [stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR])
    equal(got["null"].st_rdev, os.makedev(1, 3))
    with fails_with(errno.EACCES):
        os.open(other.path("null"), os.O_RDONLY)  # the mount is nodev
    with fails_with(errno.EPERM):
        os.mknod(other.path("zero"), stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.mkfifo(other.path("another-fifo"))


@check("a symbolic link of 4,095 bytes; one more is ENAMETOOLONG")
def links(rig):
    m = rig.one()
    for n in (4080, 4095):
        os.symlink("t" * n, m.path(f"l{n}"))
        equal(os.readlink(m.path(f"l{n}")), "t" * n)
        equal(os.lstat(m.path(f"l{n}")).st_size, n)
    with fails_with(errno.ENAMETOOLONG):
        os.symlink("t" * 4096, m.path("no"))


@check("O_TMPFILE is refused plainly, and programs fall back to a name")
def tmpfile(rig):
    m = rig.one()
    with fails_with(errno.EOPNOTSUPP):
        os.open(m.dir, os.O_TMPFILE | os.O_RDWR, 0o600)
    import tempfile
    with tempfile.TemporaryFile(dir=m.dir) as f:
        f.write(b"temporary")
        f.seek(0)
        equal(f.read(), b"temporary")


@check("df: 8 EiB, nothing used, and no number that overflows")
def df(rig):
    m = rig.one()
    s = os.statvfs(m.dir)
    true(2**62 < s.f_blocks * s.f_frsize < 2**63, f"{s}")
    equal((s.f_bfree, s.f_bavail, s.f_namemax), (s.f_blocks, s.f_blocks, 255))
    for args in (("-h", "--output=size,used,avail"), ("--output=itotal,iused",)):
        out = subprocess.run(["df", *args, m.dir], stdout=subprocess.PIPE, text=True, check=True).stdout
        line = out.split("\n")[1].split()
        true("-" not in line[0], out)
        equal(line[1], "0", out)


def entries(d):
    """Of an open DIR: (name, position of the one after it)."""
    while True:
        e = libc.readdir(d)
        if not e:
            return
        name = ctypes.string_at(e + NAME_AT).decode()
        yield name, libc.telldir(d)


def many(rig, n):
    """A directory of n files that this mount has not seen being made."""
    if rig.backend == "file":
        top = os.path.join(rig.source[len("file://"):], "many")
        os.mkdir(top)
        for i in range(n):
            with open(os.path.join(top, f"f{i:05d}"), "wb"):
                pass
    else:
        for i in range(n):
            rig.s3.put(rig.bucket, f"many/f{i:05d}", b"")
    return rig.mount().path("many")


@check("t23: list while deleting: every survivor exactly once, over many calls; seekdir leads back")
def t23_list_while_deleting(rig):
    count = 10000 if rig.backend == "file" else 1200
    top = many(rig, count)
    d = libc.opendir(top.encode())
    true(d, "opendir")
    seen, told, gone = {}, {}, set()
    for name, after in entries(d):
        seen[name] = seen.get(name, 0) + 1
        if len(seen) % 97 == 0:
            told[name] = after
        if len(seen) % 10 == 0:  # one behind the reader, one before it
            for i in (len(seen) - 10, count - len(seen) // 2):
                victim = f"f{i:05d}"
                if victim not in gone and 0 <= i < count:
                    os.unlink(os.path.join(top, victim))
                    gone.add(victim)
            write_file(os.path.join(top, f"new{len(seen)}"), b"")
    left = {f"f{i:05d}" for i in range(count)} - gone
    true(max(seen.values()) == 1, "a name came twice")
    equal(left - set(seen), set(), "survivors that were not seen")
    true(len(told) >= 10, "positions")
    order = [n for n in seen]
    for name, after in reversed(list(told.items())):
        libc.seekdir(d, after)
        following = next(entries(d), (None, 0))[0]
        want = order[order.index(name) + 1] if name != order[-1] else None
        equal(following, want, f"after {name}")
    libc.rewinddir(d)
    now = [n for n, _ in entries(d) if n not in (".", "..")]
    equal(len(now), len(set(now)), "twice after a rewind")
    equal(left - set(now), set(), "after a rewind")
    equal(gone & set(now), set(), "what is gone, after a rewind")
    libc.closedir(d)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files: what is written is read back, by every way of writing and of changing the size."""
import ctypes
import errno
import fcntl
import hashlib
import os
import random

from harness.case import check, contains, equal, fails_with, main, read_file, true, write_file
from harness.mount import mount_line

BACKENDS = "file versitygw ceph"
TIMEOUT = 300


@check("the mount has the type fuse.s3efs and shows its source")
def shown(rig):
    m = rig.one()
    kind, source, _ = mount_line(m.dir)
    equal(kind, "fuse.s3efs")
    contains(source, rig.source.split("//")[1].rsplit("/", 1)[-1])


@check("files of 0 bytes to 20 MB come back as they were written, also from a new cache")
def sizes(rig):
    m = rig.one()
    rng, sums = random.Random(1), {}
    for size in (0, 1, 4095, 4096, 4097, 131072, 1048577, 8 << 20, 20000003):
        data = rng.randbytes(size)
        name = f"size-{size}"
        write_file(m.path(name), data)
        equal(os.stat(m.path(name)).st_size, size, name)
        equal(hashlib.sha256(read_file(m.path(name))).digest(), hashlib.sha256(data).digest(), name)
        sums[name] = hashlib.sha256(data).hexdigest()
    other = rig.mount()
    for name, want in sums.items():
        equal(hashlib.sha256(read_file(other.path(name))).hexdigest(), want, f"{name} from a new cache")
    if rig.s3:
        for name, want in sums.items():
            equal(hashlib.sha256(rig.s3.get(rig.bucket, name).body).hexdigest(), want, f"object {name}")


@check("reads and writes at any offset agree with a local file")
def offsets(rig):
    m = rig.one()
    rng = random.Random(2)
    model = bytearray()
    path = m.path("offsets")
    for _ in range(6):
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        for _ in range(40):
            off, n = rng.randrange(0, 600000), rng.randrange(1, 70000)
            if rng.random() < 0.5:
                data = rng.randbytes(n)
                equal(os.pwrite(fd, data, off), n, "written")
                if len(model) < off:
                    model.extend(bytes(off - len(model)))
                model[off:off + n] = data
            else:
                equal(os.pread(fd, n, off), bytes(model[off:off + n]), f"{n} bytes at {off}")
        os.close(fd)
        equal(read_file(path), bytes(model), "after close")
    if rig.s3:
        equal(rig.s3.get(rig.bucket, "offsets").body, bytes(model), "object")


@check("O_APPEND writes go to the end, wherever it is")
def append(rig):
    m = rig.one()
    path = m.path("append")
    write_file(path, "one\n")
    for word in ("two\n", "three\n"):
        with open(path, "a", encoding="ascii") as f:
            f.write(word)
    a = os.open(path, os.O_WRONLY | os.O_APPEND)
    b = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(a, b"a1\n")
    os.write(b, b"b1\n")
    os.write(a, b"a2\n")
    os.close(a)
    os.close(b)
    equal(read_file(path), b"one\ntwo\nthree\na1\nb1\na2\n")


@check("truncate by path and by handle: to nothing, shorter, longer (zeros), on open(O_TRUNC)")
def truncate(rig):
    m = rig.one()
    path = m.path("truncate")
    write_file(path, b"x" * 300000)
    os.truncate(path, 200001)
    equal(read_file(path), b"x" * 200001, "shorter by path")
    os.truncate(path, 250000)
    equal(read_file(path), b"x" * 200001 + bytes(49999), "longer by path")
    fd = os.open(path, os.O_RDWR)
    os.ftruncate(fd, 10)
    equal(os.fstat(fd).st_size, 10, "by handle")
    os.ftruncate(fd, 20)
    os.pwrite(fd, b"y", 25)
    equal(os.pread(fd, 100, 0), b"x" * 10 + bytes(15) + b"y", "through the handle")
    os.close(fd)
    equal(read_file(path), b"x" * 10 + bytes(15) + b"y", "after close")
    os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
    equal(os.stat(path).st_size, 0, "O_TRUNC")
    write_file(path, "new")
    os.truncate(path, 0)
    equal(read_file(path), b"", "to nothing")
    if rig.s3:
        equal(rig.s3.get(rig.bucket, "truncate").body, b"", "object")


@check("what was written is read through the same handle and another one before close")
def before_close(rig):
    m = rig.one()
    w = os.open(m.path("before"), os.O_RDWR | os.O_CREAT, 0o644)
    os.write(w, b"hello")
    equal(os.pread(w, 10, 0), b"hello", "same handle")
    r = os.open(m.path("before"), os.O_RDONLY)
    equal(os.read(r, 10), b"hello", "another handle")
    equal(os.fstat(r).st_size, 5)
    os.close(r)
    os.close(w)


@check("fsync makes the bytes durable before close")
def fsync(rig):
    m = rig.one()
    fd = os.open(m.path("fsync"), os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, b"1234567890")
    os.fsync(fd)
    if rig.s3:
        equal(rig.s3.get(rig.bucket, "fsync").body, b"1234567890", "object after fsync")
    os.write(fd, b"more")
    os.close(fd)
    if rig.s3:
        equal(rig.s3.get(rig.bucket, "fsync").body, b"1234567890more", "object after close")
    equal(read_file(m.path("fsync")), b"1234567890more")


@check("errno of the usual mistakes is the usual one")
def mistakes(rig):
    m = rig.one()
    os.makedirs(m.path("dir/sub"))
    write_file(m.path("dir/file"), "x")
    for code, call in (
            (errno.ENOENT, lambda: os.stat(m.path("none"))),
            (errno.ENOENT, lambda: os.open(m.path("none/x"), os.O_WRONLY | os.O_CREAT)),
            (errno.EEXIST, lambda: os.open(m.path("dir/file"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)),
            (errno.EEXIST, lambda: os.mkdir(m.path("dir"))),
            (errno.EEXIST, lambda: os.symlink("x", m.path("dir/file"))),
            (errno.EISDIR, lambda: os.open(m.path("dir"), os.O_WRONLY)),
            (errno.ENOTDIR, lambda: os.stat(m.path("dir/file/x"))),
            (errno.ENOTDIR, lambda: os.rmdir(m.path("dir/file"))),
            (errno.EISDIR, lambda: os.unlink(m.path("dir"))),
            (errno.ENAMETOOLONG, lambda: os.open(m.path("n" * 256), os.O_WRONLY | os.O_CREAT))):
        with fails_with(code):
            call()
    with fails_with(errno.ENOTEMPTY, errno.EEXIST):
        os.rmdir(m.path("dir"))
    equal(sorted(os.listdir(m.path("dir"))), ["file", "sub"])


@check("what is not there is refused plainly: moved ranges, exchange")
def refused(rig):
    m = rig.one()
    write_file(m.path("plain"), "x")
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(m.path("plain"), os.O_RDWR)
    equal(libc.fallocate(fd, 8, ctypes.c_long(0), ctypes.c_long(4096)), -1, "COLLAPSE_RANGE")
    equal(ctypes.get_errno(), errno.EOPNOTSUPP)
    os.close(fd)
    write_file(m.path("other"), "y")
    at = -100
    equal(libc.renameat2(at, m.path("plain").encode(), at, m.path("other").encode(), 2), -1, "RENAME_EXCHANGE")
    equal(ctypes.get_errno(), errno.EINVAL)
    equal(read_file(m.path("plain")), b"x")


@check("flock and fcntl locks hold between processes of one mount")
def locks(rig):
    m = rig.one()
    write_file(m.path("locked"), "x")
    for take in (fcntl.flock, fcntl.lockf):
        with open(m.path("locked"), "r+b") as f:
            take(f, fcntl.LOCK_EX)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    with open(m.path("locked"), "r+b") as g:
                        take(g, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    code = 0
                os._exit(code)
            equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, "another process got the lock too")


@check("a key of more than 1,024 bytes is ENAMETOOLONG and nothing is made")
def long_key(rig):
    m = rig.one()
    d = m.dir
    for c in "abcd":
        d = os.path.join(d, c * 240)
        os.mkdir(d)
    fits = 1024 - len(os.path.relpath(d, m.dir)) - 1
    write_file(os.path.join(d, "f" * fits), "fits")
    for call in (lambda: write_file(os.path.join(d, "f" * (fits + 1)), "x"),
                 lambda: os.mkdir(os.path.join(d, "d" * fits)),  # its key ends in a slash
                 lambda: os.symlink("x", os.path.join(d, "s" * (fits + 1))),
                 lambda: os.rename(os.path.join(d, "f" * fits), os.path.join(d, "g" * (fits + 1)))):
        with fails_with(errno.ENAMETOOLONG):
            call()
    equal(os.listdir(d), ["f" * fits])
    equal(read_file(os.path.join(d, "f" * fits)), b"fits")


@check("names of any bytes come back as they are")
def names(rig):
    m = rig.one()
    os.mkdir(m.path("names"))
    want = sorted([b"a b", b"+plus", b"%41", b"#h?q&a=b", b"quote'\"", b"back\\slash", "ü-日本語-😀".encode(),
                   b"~tilde", b"star*", b"a;b,c", b"<x>&amp;", b"-dash", b".hidden", b"n" * 255])
    for name in want:
        write_file(os.path.join(os.fsencode(m.path("names")), name), name)
    equal(sorted(os.listdir(os.fsencode(m.path("names")))), want)
    other = rig.mount()
    equal(sorted(os.listdir(os.fsencode(other.path("names")))), want, "from a new cache")
    for name in want:
        equal(read_file(os.path.join(os.fsencode(other.path("names")), name)), name)


@check("a directory of 2,500 files is listed whole")
def many(rig):
    m = rig.one()
    os.mkdir(m.path("many"))
    want = {f"f{i:05}" for i in range(2500 if rig.backend != "ceph" else 1100)}
    for name in want:
        write_file(m.path("many", name), b"")
    equal(set(os.listdir(m.path("many"))), want)
    other = rig.mount()
    equal(set(os.listdir(other.path("many"))), want, "from a new cache")


@check("statfs answers, df has room")
def statfs(rig):
    s = os.statvfs(rig.one().dir)
    true(s.f_bavail * s.f_frsize > 1 << 40, f"room: {s}")
    equal(s.f_namemax, 255)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sparse files on a real mount (T17): fallocate, holes, cp --sparse=always; what is committed is compared by hash,
never by size."""
import ctypes
import errno
import hashlib
import os
import subprocess

from harness.case import check, equal, fails_with, main, read_file, true, write_file

BACKENDS = "file versitygw ceph"
KEEP, PUNCH, COLLAPSE, ZERO, INSERT = 1, 2, 8, 16, 32
MIB = 1 << 20
libc = ctypes.CDLL(None, use_errno=True)


def fallocate(fd, mode, off, length):
    if libc.fallocate(fd, mode, ctypes.c_long(off), ctypes.c_long(length)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def digest(data):
    return hashlib.sha256(data).hexdigest()


@check("fallocate: grow, keep the size, punch, zero; ranges that would move are EOPNOTSUPP")
def modes(rig):
    m = rig.one()
    write_file(m.path("f"), b"0123456789" * 1000)
    want = bytearray(b"0123456789" * 1000)
    fd = os.open(m.path("f"), os.O_RDWR)
    equal(os.pread(fd, 4, 100), b"0123")  # the kernel has the pages that go
    fallocate(fd, PUNCH | KEEP, 100, 5000)
    want[100:5100] = bytes(5000)
    equal(os.pread(fd, 4, 100), bytes(4), "a punched page")
    fallocate(fd, KEEP, 0, 10 * MIB)
    equal(os.fstat(fd).st_size, 10000)
    fallocate(fd, ZERO, 9990, 100)
    want[9990:] = bytes(100)
    fallocate(fd, ZERO | KEEP, 10000, 10000)
    os.posix_fallocate(fd, 0, 12000)
    want += bytes(12000 - len(want))
    equal(os.fstat(fd).st_size, 12000)
    for mode in (COLLAPSE, INSERT, PUNCH):
        with fails_with(errno.EOPNOTSUPP):
            fallocate(fd, mode, 0, 4096)
    os.close(fd)
    equal(digest(read_file(m.path("f"))), digest(bytes(want)))
    m.unmount()
    equal(digest(read_file(rig.mount().path("f"))), digest(bytes(want)), "another cache")


@check("SEEK_DATA and SEEK_HOLE find what was written; ENXIO at the end")
def seek(rig):
    m = rig.one()
    fd = os.open(m.path("s"), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    os.pwrite(fd, b"x" * MIB, 4 * MIB)
    os.ftruncate(fd, 8 * MIB)
    equal(os.lseek(fd, 0, os.SEEK_DATA), 4 * MIB)
    equal(os.lseek(fd, 0, os.SEEK_HOLE), 0)
    equal(os.lseek(fd, 4 * MIB, os.SEEK_HOLE), 5 * MIB)
    for whence, off in ((os.SEEK_DATA, 5 * MIB), (os.SEEK_DATA, 8 * MIB), (os.SEEK_HOLE, 8 * MIB)):
        with fails_with(errno.ENXIO):
            os.lseek(fd, off, whence)
    fallocate(fd, PUNCH | KEEP, 4 * MIB, MIB // 2)
    equal(os.lseek(fd, 0, os.SEEK_DATA), 4 * MIB + MIB // 2)
    os.close(fd)


@check("t17: cp --sparse=always and =never of a file with holes, from, to and within the mount: the same hash")
def t17_sparse_copy(rig):
    m = rig.one()
    src, near, far = rig.path("sparse.src"), m.path("sparse.a"), m.path("sparse.b")
    with open(src, "wb") as f:
        for i in range(12):
            f.seek(i * 3 * MIB // 2 + i * 77)
            f.write(bytes([i + 1]) * (MIB // 3))
        f.truncate(20 * MIB + 5)
    want = digest(read_file(src))
    back = rig.path("sparse.back")
    for kind in ("always", "never", "auto"):
        subprocess.run(["cp", f"--sparse={kind}", src, near], check=True)
        subprocess.run(["cp", f"--sparse={kind}", near, far], check=True)
        subprocess.run(["cp", f"--sparse={kind}", far, back], check=True)
        for path in (near, far, back):
            equal(digest(read_file(path)), want, f"{kind} {path}")
    subprocess.run(["fallocate", "--dig-holes", far], check=True)
    equal(digest(read_file(far)), want, "holes dug")
    m.unmount()
    other = rig.mount()
    for name in ("sparse.a", "sparse.b"):
        equal(digest(read_file(other.path(name))), want, name)
    if rig.s3:
        equal(digest(rig.s3.get(rig.bucket, "sparse.b").body), want, "the object")
    true(os.path.getsize(src) == 20 * MIB + 5, "the source")


@check("copy_file_range of a whole file, small and large, and of ranges: the same bytes, another inode")
def copy_range(rig):
    m = rig.one()
    for name, size in (("small", 12345), ("large", 33 * MIB + 7)):
        data = os.urandom(4096) * (size // 4096 + 1)
        write_file(m.path(name), data[:size])
        out = m.path(name + ".copy")
        with open(m.path(name), "rb") as a, open(out, "wb") as b:
            left = size
            while left > 0:
                n = os.copy_file_range(a.fileno(), b.fileno(), left)
                true(n > 0, "copied nothing")
                left -= n
            equal(os.copy_file_range(a.fileno(), b.fileno(), 100), 0, "at the end")
        equal(digest(read_file(out)), digest(data[:size]), name)
        true(os.stat(out).st_ino != os.stat(m.path(name)).st_ino, "inodes")
        with open(m.path(name), "rb") as a, open(out, "r+b") as b:
            equal(os.copy_file_range(a.fileno(), b.fileno(), 1000, 5, 77), 1000)
        want = bytearray(data[:size])
        want[77:1077] = data[5:1005]
        equal(digest(read_file(out)), digest(bytes(want)), name + " after a range")
        equal(digest(read_file(m.path(name))), digest(data[:size]), "the source")
        subprocess.run(["cp", "-p", m.path(name), m.path(name + ".cp")], check=True)
    m.unmount()
    other = rig.mount()
    for name in ("small", "large"):
        equal(digest(read_file(other.path(name + ".cp"))), digest(read_file(other.path(name))), name)


if __name__ == "__main__":
    main()

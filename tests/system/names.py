#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names: directories, rename, unlink, symlinks."""
import ctypes
import errno
import os

from harness.case import check, equal, fails_with, main, read_file, true, write_file

BACKENDS = "file versitygw ceph"
TIMEOUT = 240


def keys(rig, prefix=""):
    """What the bucket holds; None where it is not S3."""
    return sorted(rig.s3.list(rig.bucket, prefix)) if rig.s3 else None


@check("mkdir makes a directory that another mount sees, rmdir takes it away")
def directories(rig):
    m = rig.one()
    os.mkdir(m.path("d1"), 0o750)
    equal(os.stat(m.path("d1")).st_mode, 0o40750)
    os.makedirs(m.path("d1/d2/d3"))
    other = rig.mount()
    equal(os.listdir(other.path("d1/d2")), ["d3"])
    if rig.s3:
        equal(keys(rig, "d1"), ["d1/", "d1/d2/", "d1/d2/d3/"])
    for d in ("d1/d2/d3", "d1/d2", "d1"):
        os.rmdir(m.path(d))
    with fails_with(errno.ENOENT):
        os.stat(m.path("d1"))
    if rig.s3:
        equal(keys(rig, "d1"), [])


@check("a file is renamed: bytes and attributes stay, the old key goes")
def rename_file(rig):
    m = rig.one()
    write_file(m.path("old.jpg"), b"\xff\xd8\xff\xe0" + b"j" * 1000)
    os.chmod(m.path("old.jpg"), 0o604)
    os.utime(m.path("old.jpg"), ns=(10**18, 10**18 + 7))
    os.rename(m.path("old.jpg"), m.path("new.jpg"))
    st = os.stat(m.path("new.jpg"))
    equal((st.st_mode & 0o7777, st.st_mtime_ns, st.st_size), (0o604, 10**18 + 7, 1004))
    with fails_with(errno.ENOENT):
        os.stat(m.path("old.jpg"))
    if rig.s3:
        equal([k for k in keys(rig) if k.endswith(".jpg")], ["new.jpg"])
        equal(rig.s3.head(rig.bucket, "new.jpg").headers["content-type"], "image/jpeg")
    equal(read_file(rig.mount().path("new.jpg"))[:4], b"\xff\xd8\xff\xe0", "from another mount")


@check("rename replaces a file, and only if it may")
def rename_over(rig):
    m = rig.one()
    write_file(m.path("a"), "from a")
    write_file(m.path("b"), "from b")
    os.rename(m.path("a"), m.path("b"))
    equal(read_file(m.path("b")), b"from a")
    with fails_with(errno.ENOENT):
        os.stat(m.path("a"))
    write_file(m.path("a"), "again a")
    libc = ctypes.CDLL(None, use_errno=True)
    r = libc.renameat2(-100, m.path("a").encode(), -100, m.path("b").encode(), 1)
    equal((r, ctypes.get_errno()), (-1, errno.EEXIST), "RENAME_NOREPLACE")
    equal((read_file(m.path("a")), read_file(m.path("b"))), (b"again a", b"from a"))
    os.rename(m.path("a"), m.path("a"))
    equal(read_file(m.path("a")), b"again a", "onto itself")


@check("the pattern of a safe save: temporary name, write, fsync, rename")
def save(rig):
    m = rig.one()
    for i in range(5):
        tmp = m.path(f".doc.tmp{i}")
        fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, b"version %d" % i)
        os.fsync(fd)
        os.close(fd)
        os.rename(tmp, m.path("doc"))
        equal(read_file(m.path("doc")), b"version %d" % i)
    true(not [n for n in os.listdir(m.dir) if n.startswith(".doc")], "temporary names left")


@check("a directory is renamed with all that is in it")
def rename_dir(rig):
    m = rig.one()
    os.makedirs(m.path("src/deep/er"))
    for i in range(30):
        write_file(m.path(f"src/f{i}"), str(i))
        write_file(m.path(f"src/deep/er/g{i}"), str(i))
    os.symlink("f1", m.path("src/link"))
    os.rename(m.path("src"), m.path("dst"))
    with fails_with(errno.ENOENT):
        os.stat(m.path("src"))
    other = rig.mount()
    for root in (m, other):
        for i in range(30):
            equal(read_file(root.path(f"dst/f{i}")), str(i).encode())
            equal(read_file(root.path(f"dst/deep/er/g{i}")), str(i).encode())
        equal(os.readlink(root.path("dst/link")), "f1")
    if rig.s3:
        equal(keys(rig, "src"), [], "old keys")
    with fails_with(errno.EINVAL):
        os.rename(m.path("dst"), m.path("dst/deep/inside"))
    os.mkdir(m.path("full"))
    write_file(m.path("full/x"), "x")
    with fails_with(errno.ENOTEMPTY, errno.EEXIST):
        os.rename(m.path("dst"), m.path("full"))
    with fails_with(errno.EISDIR):
        os.rename(m.path("dst/f1"), m.path("full"))
    with fails_with(errno.ENOTDIR):
        os.rename(m.path("full"), m.path("dst/f1"))


@check("an open file that is renamed or unlinked goes on under its handle")
def open_files(rig):
    m = rig.one()
    write_file(m.path("open1"), "first")
    fd = os.open(m.path("open1"), os.O_RDWR)
    os.rename(m.path("open1"), m.path("open2"))
    os.pwrite(fd, b"FIRST", 0)
    os.close(fd)
    equal(read_file(m.path("open2")), b"FIRST")
    fd = os.open(m.path("open2"), os.O_RDWR)
    os.unlink(m.path("open2"))
    with fails_with(errno.ENOENT):
        os.stat(m.path("open2"))
    equal(os.pread(fd, 10, 0), b"FIRST", "read after unlink")
    os.close(fd)
    with fails_with(errno.ENOENT):
        os.stat(m.path("open2"))
    if rig.s3:
        equal(keys(rig, "open"), [], "nothing came back")


@check("symlinks: relative, dangling, to a directory, and kept over a remount")
def symlinks(rig):
    m = rig.one()
    os.mkdir(m.path("ldir"))
    write_file(m.path("ldir/file"), "linked")
    for target, name in (("ldir/file", "l1"), ("nowhere/at/all", "l2"), ("ldir", "l3"), ("/abs", "l4"), ("x" * 1000, "l5")):
        os.symlink(target, m.path(name))
    other = rig.mount()
    for root in (m, other):
        equal(read_file(root.path("l1")), b"linked")
        equal(os.readlink(root.path("l2")), "nowhere/at/all")
        equal(os.listdir(root.path("l3")), ["file"])
        equal(os.lstat(root.path("l5")).st_size, 1000)
        with fails_with(errno.ENOENT):
            os.stat(root.path("l2"))
    os.unlink(m.path("l3"))
    equal(os.listdir(m.path("ldir")), ["file"], "the target of an unlinked symlink")


@check("a name that is taken away and made again is the new one")
def again(rig):
    m = rig.one()
    for i in range(5):
        write_file(m.path("again"), f"round {i}")
        equal(read_file(m.path("again")), f"round {i}".encode())
        os.unlink(m.path("again"))
        with fails_with(errno.ENOENT):
            open(m.path("again"), "rb")
    os.mkdir(m.path("again"))
    os.rmdir(m.path("again"))
    write_file(m.path("again"), "file again")
    equal(read_file(m.path("again")), b"file again")


@check("characters that XML can't hold: such names are made, found, not found, listed, removed")
def odd_characters(rig):
    m, other = rig.one(), rig.mount()
    d = "odd\x02\x1b folder"
    names = ["control\x01\x1f", "tab\tline\nend", "none \ufffe\uffff"]
    os.mkdir(m.path(d))
    for n in names:
        with fails_with(errno.ENOENT):
            os.stat(m.path(d, n))
        write_file(m.path(d, n), n)
        equal(read_file(other.path(d, n)), n.encode(), f"{n!r} from another mount")
        with fails_with(errno.ENOENT):
            os.stat(other.path(d, n + "\x03"))
    if rig.backend != "versitygw":  # it lists a replacement character in their place
        equal(sorted(os.listdir(other.path(d))), sorted(names), "the listing")
    os.rename(m.path(d, names[0]), m.path(d, names[0] + "\x04"))
    equal(read_file(m.path(d, names[0] + "\x04")), names[0].encode())
    names[0] += "\x04"
    for n in names:
        os.unlink(m.path(d, n))
        with fails_with(errno.ENOENT):
            os.stat(m.path(d, n))
    os.rmdir(m.path(d))


if __name__ == "__main__":
    main()

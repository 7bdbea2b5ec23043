#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hard links: one file under several names, on one mount and between two."""
import errno
import os
import subprocess
import threading

from harness.case import check, equal, fails_with, main, read_file, true, write_file

BACKENDS = "file versitygw ceph"
TIMEOUT = 240


@check("two names are one file: bytes, attributes, number and count")
def one_file(rig):
    m = rig.one()
    write_file(m.path("a"), "first")
    os.link(m.path("a"), m.path("b"))
    sa, sb = os.stat(m.path("a")), os.stat(m.path("b"))
    equal((sa.st_ino, sa.st_nlink), (sb.st_ino, 2))
    write_file(m.path("b"), "second, longer")
    equal(read_file(m.path("a")), b"second, longer")
    os.chmod(m.path("a"), 0o600)
    equal(os.stat(m.path("b")).st_mode & 0o7777, 0o600)
    if rig.s3:
        for key in ("a", "b"):
            equal(rig.s3.get(rig.bucket, key).body, b"second, longer", f"the object {key}")
    with fails_with(errno.EEXIST):
        os.link(m.path("a"), m.path("b"))
    os.mkdir(m.path("dir"))
    with fails_with(errno.EPERM):
        os.link(m.path("dir"), m.path("dir2"))
    os.rmdir(m.path("dir"))


@check("another mount sees the same file, and writes to all of its names")
def other_mount(rig):
    m, other = rig.one(), rig.mount()
    write_file(m.path("x"), "x")
    os.link(m.path("x"), m.path("y"))
    equal(os.stat(other.path("y")).st_nlink, 2)
    equal(os.stat(other.path("y")).st_ino, os.stat(m.path("x")).st_ino)
    write_file(other.path("y"), "from the other")
    equal(read_file(m.path("x")), b"from the other")
    fd = os.open(m.path("x"), os.O_RDWR)
    os.link(other.path("y"), other.path("z"))
    os.pwrite(fd, b"FROM", 0)
    os.close(fd)
    for name in ("x", "y", "z"):
        equal(read_file(other.path(name)), b"FROM the other", name)


@check("names go and move: the others stay the file")
def names(rig):
    m = rig.one()
    write_file(m.path("n1"), "text")
    for n in ("n2", "n3"):
        os.link(m.path("n1"), m.path(n))
    fd = os.open(m.path("n1"), os.O_RDWR)
    os.unlink(m.path("n1"))
    os.pwrite(fd, b"TEXT", 0)
    equal(os.fstat(fd).st_nlink, 2)
    os.close(fd)
    equal(read_file(m.path("n2")), b"TEXT")
    os.rename(m.path("n2"), m.path("n3"))  # one file: nothing happens
    equal(os.stat(m.path("n2")).st_nlink, 2)
    os.mkdir(m.path("sub"))
    os.rename(m.path("n2"), m.path("sub/n4"))
    os.rename(m.path("sub"), m.path("moved"))
    equal(os.stat(m.path("n3")).st_nlink, 2)
    write_file(m.path("moved/n4"), "again")
    equal(read_file(m.path("n3")), b"again")
    os.unlink(m.path("n3"))
    equal(os.stat(m.path("moved/n4")).st_nlink, 1)
    equal(read_file(rig.mount().path("moved/n4")), b"again")


@check("of those that link one name on two mounts exactly one gets it")
def racers(rig):
    mounts = [rig.one(), rig.mount()]
    for i in range(4):
        write_file(mounts[0].path(f"source{i}"), str(i))
    for turn in range(5):
        won, lost = [], []

        def race(i):
            m = mounts[i % 2]
            try:
                os.link(m.path(f"source{i}"), m.path(f"goal{turn}"))
                won.append(i)
            except FileExistsError:
                lost.append(i)

        threads = [threading.Thread(target=race, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        equal((len(won), len(lost)), (1, 3))
        equal(read_file(mounts[1].path(f"goal{turn}")), str(won[0]).encode())


@check("cp -a keeps links, tar finds no difference")
def tools(rig):
    m = rig.one()
    os.mkdir(m.path("tree"))
    write_file(m.path("tree/a"), "a" * 1000)
    os.link(m.path("tree/a"), m.path("tree/b"))
    subprocess.run(["cp", "-a", m.path("tree"), m.path("copy")], check=True)
    equal(os.stat(m.path("copy/a")).st_ino, os.stat(m.path("copy/b")).st_ino)
    true(os.stat(m.path("copy/a")).st_ino != os.stat(m.path("tree/a")).st_ino, "a copy is another file")
    tar = subprocess.run(["tar", "-C", m.path(""), "-cf", "-", "tree"], check=True, stdout=subprocess.PIPE).stdout
    os.mkdir(m.path("out"))
    subprocess.run(["tar", "-C", m.path("out"), "-xf", "-"], input=tar, check=True)
    subprocess.run(["tar", "-C", m.path("out"), "-df", "-"], input=tar, check=True)
    equal(os.stat(m.path("out/tree/a")).st_nlink, 2)


if __name__ == "__main__":
    main()

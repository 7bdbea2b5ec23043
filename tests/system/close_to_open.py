#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Close-to-open between two daemons on one bucket, through the kernel's caches: what one closed, the
next open on the other reads, to the byte (T1, T20). Nothing waits in between: the attribute times run."""
import contextlib
import errno
import mmap
import os
import random

from harness import procs
from harness.case import check, equal, fails_with, main, read_file, true, write_file

BACKENDS = "file versitygw"
TIMEOUT = 300
ROUNDS = 60


def two(rig, **opts):
    a = rig.mount()
    return a, rig.mount(**opts)


def content(n, size):
    """Of round n: no page of one version is a page of another."""
    return bytes(random.Random(n).randbytes(size))


def mapped(path):
    """What a mapping of the file shows."""
    fd = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        if size == 0:
            return b""
        with contextlib.closing(mmap.mmap(fd, size, prot=mmap.PROT_READ)) as view:
            return view[:]
    finally:
        os.close(fd)


@check("T1: longer, shorter and equally long: the next open reads what was closed")
def replaced(rig):
    a, b = two(rig)
    rnd = random.Random(1)
    sizes = [10, 100000, 10, 5000, 4096, 4097, 4095, 0, 1] + [rnd.randrange(300000) for _ in range(ROUNDS)]
    for n, size in enumerate(sizes + sizes[-1:]):
        data = content(n, size)
        with contextlib.suppress(FileNotFoundError):
            os.stat(b.path("f"))  # B's kernel now believes in the version before
            read_file(b.path("f"))
        write_file(a.path("f"), data)
        equal((mapped if n % 2 else read_file)(b.path("f")), data, f"round {n}")
        equal(os.stat(b.path("f")).st_size, size, f"size in round {n}")


@check("T1: a stat on B and a truncation or an append on A, again and again")
def truncated(rig):
    a, b = two(rig)
    data = content(0, 50000)
    write_file(a.path("f"), data)
    rnd = random.Random(2)
    for n in range(ROUNDS):
        os.stat(b.path("f"))
        if n % 2:
            data = data[:rnd.randrange(len(data) + 1)]
            os.truncate(a.path("f"), len(data))
        else:
            more = content(n, rnd.randrange(1, 20000))
            with open(a.path("f"), "ab") as f:
                f.write(more)
            data += more
        equal(read_file(b.path("f")), data, f"round {n}")


@check("T1: renamed over, the bytes are the new file's")
def renamed_over(rig):
    a, b = two(rig)
    for n in range(ROUNDS // 3):
        data = content(n, 1000 + n * 997)
        write_file(a.path("tmp"), data)
        os.rename(a.path("tmp"), a.path("f"))
        equal(read_file(b.path("f")), data, f"round {n}")
        true(not os.path.exists(b.path("tmp")), f"tmp is still there in round {n}")


@check("T20: removed, and made again as another file")
def made_again(rig):
    a, b = two(rig)
    for n in range(ROUNDS // 3):
        data = content(n, 1000 + n * 997)
        write_file(a.path("f"), data)
        equal(read_file(b.path("f")), data, f"round {n}")
        os.unlink(a.path("f"))
        if n % 3 == 0:  # seen as gone in between
            with fails_with(errno.ENOENT):
                os.open(b.path("f"), os.O_RDONLY)


def map_first_page(path, size):
    """A mapping of which one page has been read, and no more is read ahead."""
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    view = mmap.mmap(fd, size, prot=mmap.PROT_READ)
    view.madvise(mmap.MADV_RANDOM)
    return fd, view, view[:10]


@check("mmap readers: a mapping that is not read out keeps its version, a new one has the new version")
def mappings(rig):
    a, b = two(rig)
    for n, size in enumerate((4 << 20, 3 << 20, 5 << 20, 4 << 20)):
        old, new = content(2 * n, 4 << 20), content(2 * n + 1, size)
        write_file(a.path("m"), old)
        fd, view, first = map_first_page(b.path("m"), len(old))
        equal(first, old[:10])
        if n % 2:
            write_file(a.path("m"), new)
        else:
            write_file(a.path("tmp"), new)
            os.rename(a.path("tmp"), a.path("m"))
        equal(mapped(b.path("m")), new, f"new mapping in round {n}")
        equal(view[:], old, f"old mapping in round {n}")
        equal(os.pread(fd, len(old) + 1, 0), old, f"old descriptor in round {n}")
        view.close()
        os.close(fd)


@check("mmap readers: one that is read out keeps its version")
def mapping_of_a_small_file(rig):
    a, b = two(rig)
    for n in range(6):
        old, new = content(2 * n, 20000), content(2 * n + 1, 20000 + (n - 3) * 6000)
        write_file(a.path("s"), old)
        fd, view, first = map_first_page(b.path("s"), len(old))
        equal((first, view[:]), (old[:10], old))
        if n % 2:
            write_file(a.path("s"), new)
        else:
            write_file(a.path("tmp"), new)
            os.rename(a.path("tmp"), a.path("s"))
        equal(mapped(b.path("s")), new, f"new mapping in round {n}")
        equal(view[:], old, f"old mapping in round {n}")
        view.close()
        os.close(fd)
        os.unlink(a.path("s"))


@check("a reader who has got a part of a small file gets the rest of the same version")
def half_read(rig):
    a, b = two(rig)
    for n, size in enumerate((3000, 9000, 20000, 60000, 200000)):
        old, new = content(2 * n, size), content(2 * n + 1, size)
        write_file(a.path("h"), old)
        with open(b.path("h"), "rb", buffering=0) as f:
            got = f.read(1000)
            write_file(a.path("h"), new)
            equal(read_file(b.path("h")), new, f"the new version of {size} bytes")
            while piece := f.read(1000):
                got += piece
        equal(got, old, f"the old version of {size} bytes")


@check("nocto: an open within the attribute times may read the version before, a later one does not")
def nocto(rig):
    a, b = two(rig, nocto=True, acregmin=1, acregmax=1)
    write_file(a.path("f"), b"one")
    equal(read_file(b.path("f")), b"one")
    write_file(a.path("f"), b"three")
    true(read_file(b.path("f")) in (b"one", b"three"), "neither version")
    procs.wait_for(lambda: read_file(b.path("f")) == b"three", "the new version")


@check("noac: a write on A is seen on B while both have the file open, sizes too")
def noac(rig):
    a, b = rig.mount(noac=True), rig.mount(noac=True)
    fd = os.open(a.path("f"), os.O_WRONLY | os.O_CREAT, 0o644)
    for n in range(10):
        os.write(fd, b"x" * 1000)
        equal(os.stat(b.path("f")).st_size, 1000 * (n + 1), f"after write {n}")
    os.close(fd)


main()

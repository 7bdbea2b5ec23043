#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mem_limit= holds: what is judged is RssAnon of the daemon, seen all the time, and that no call fails. With
S3EFS_TEST_LONG=1 (tools/check --long) a million names in a thousand directories, as many in one, and 64 streams of 1 GiB
(their first 32 MiB and their ends: 64 GiB would tell no more) beside as many of 32 MiB that are written."""
import concurrent.futures
import contextlib
import os

from harness import procs
from harness.case import check, equal, main, true
from harness.watch import Watch

BACKENDS = "file"
LONG = os.environ.get("S3EFS_TEST_LONG") == "1"
TIMEOUT = 5400 if LONG else 1800
MIB = 1 << 20
LIMIT = 32  # MiB, the least that is taken; the long run has the default
DIRS = 1000 if LONG else 27
FLAT = 1000 * 1000 if LONG else 20 * 1000
STREAMS = 64
READ = 1024 * MIB if LONG else 3 * MIB
READ_FIRST = 32 * MIB if LONG else READ  # read in a row of each; then its end
WRITE = 32 * MIB if LONG else 2 * MIB
OPEN = 500
LISTERS = 64
LISTED = 8  # directories that each of them has open
THREADS = 128
TOGETHER = DIRS if LONG else 9  # directories
ALL = 64  # MiB, for all at once
if LONG:
    LIMIT = ALL = 512


def bucket(rig):
    return rig.source.removeprefix("file://")


def limited(rig, limit=LIMIT, **opts):
    return rig.mount(mem_limit=f"{limit}M", threads=THREADS, **opts)


def watch(m, limit=LIMIT):
    return Watch(m, limit * MIB, THREADS)


def block(i, n):
    return bytes([1 + (i * 7 + n) % 250]) * (64 * 1024)


def all_of(func, numbers):
    with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
        return list(pool.map(func, numbers))


@check("names: more than fit are listed and looked up, and memory stays under mem_limit")
def names(rig):
    for d in range(DIRS):
        os.mkdir(os.path.join(bucket(rig), f"d{d}"))
        for n in range(1000):
            with open(os.path.join(bucket(rig), f"d{d}", f"{n:0250}"), "wb") as f:
                f.write(b"x")
    m = limited(rig)
    inside = os.open(m.path("d0"), os.O_PATH | os.O_DIRECTORY)  # in use: its path must stay
    with watch(m):
        seen = 0
        for d in range(DIRS):
            with os.scandir(m.path(f"d{d}")) as entries:
                seen += sum(e.stat().st_size for e in entries)
        equal(seen, DIRS * 1000, "files that were seen")
    equal(os.readlink(f"/proc/self/fd/{inside}"), m.path("d0"))
    os.close(inside)
    true(m.status()["names_bytes"] <= LIMIT * MIB // 4, "names were not forgotten")
    with open(m.path("d0", f"{0:0250}"), "rb") as f:
        equal(f.read(), b"x", "a file whose name was forgotten")


@check("one directory of many names: listed, and listed again while it is open")
def flat(rig):
    os.mkdir(os.path.join(bucket(rig), "flat"))
    for n in range(FLAT):
        os.close(os.open(os.path.join(bucket(rig), "flat", f"name-{n:07}.dat"), os.O_WRONLY | os.O_CREAT, 0o644))
    m = limited(rig, actimeo=3600)  # so the second listing is the cache's
    with watch(m), os.scandir(m.path("flat")) as entries:
        equal(sum(1 for _ in entries), FLAT, "names")
        with os.scandir(m.path("flat")) as again:
            equal(sum(1 for _ in again), FLAT, "names, while the first listing is open")
    equal(m.status()["open_files"], 0, "open files")


@check("64 readers of directories, who have eight open at once: none fails, all see every name")
def listings(rig):
    for d in range(LISTED):
        os.mkdir(os.path.join(bucket(rig), f"l{d}"))
        for n in range(1000):
            os.close(os.open(os.path.join(bucket(rig), f"l{d}", f"{n:0200}"), os.O_WRONLY | os.O_CREAT, 0o644))
    m = limited(rig)

    def read(i):
        with contextlib.ExitStack() as dirs:
            for d in range(LISTED):
                entries = dirs.enter_context(os.scandir(m.path(f"l{(i + d) % LISTED}")))
                next(entries)
                seen = 1 + sum(1 for _ in entries) if d % 2 else 1  # every second one stays as it is
                true(seen == 1000 or d % 2 == 0, f"{seen} names")

    with watch(m):
        all_of(read, range(LISTERS))
    procs.wait_for(lambda: m.status()["lists_memory"] == 0, "memory of directories that were closed")


@check("500 open files that are written to")
def open_files(rig):
    m = limited(rig)
    with watch(m), contextlib.ExitStack() as files:
        fds = []
        for i in range(OPEN):
            fds.append(os.open(m.path(f"open{i}"), os.O_RDWR | os.O_CREAT, 0o644))
            files.callback(os.close, fds[-1])
            os.write(fds[-1], block(i, 0))
        for i, fd in enumerate(fds):
            equal(os.pread(fd, 65536, 0), block(i, 0), f"open{i}")
    other = rig.mount()
    for i in range(0, OPEN, 50):
        with open(other.path(f"open{i}"), "rb") as f:
            equal(f.read(), block(i, 0), f"open{i} in the bucket")


def make_inputs(rig):
    for i in range(STREAMS):
        with open(os.path.join(bucket(rig), f"in{i}"), "wb") as f:
            f.truncate(READ)  # sparse, but for its last block
            f.seek(READ - 65536)
            f.write(block(i, 1))


def write(m, i):
    fd = os.open(m.path(f"out{i}"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for n in range(WRITE // 65536):
        os.write(fd, block(i, n))
    os.close(fd)


def read(m, i):
    with open(m.path(f"in{i}"), "rb", buffering=0) as f:
        size = 0
        while size < READ_FIRST:
            more = f.read(MIB)
            true(more, f"in{i} ends at {size}")
            size += len(more)
        f.seek(READ - 65536)
        equal(f.read(MIB), block(i, 1), f"the end of in{i}")


def read_and_write(m):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        writers = pool.submit(all_of, lambda i: write(m, i), range(STREAMS))
        all_of(lambda i: read(m, i), range(STREAMS))
        writers.result()


def check_outputs(rig):
    for i in range(0, STREAMS, 8):
        path = os.path.join(bucket(rig), f"out{i}")
        equal(os.path.getsize(path), WRITE, f"out{i}")
        with open(path, "rb") as f:
            for n in range(WRITE // 65536):
                true(f.read(65536) == block(i, n), f"out{i} at {n}")


@check("64 writers and 64 readers of large files at once: none fails, all wait")
def streams(rig):
    make_inputs(rig)
    m = limited(rig, cache_size="4G" if LONG else "1G")  # room for all that is written at once
    with watch(m):
        read_and_write(m)
    check_outputs(rig)


@check("all at once: names, open files, directories, streams")
def together(rig):
    for d in range(TOGETHER):
        os.makedirs(os.path.join(bucket(rig), f"t{d}"), exist_ok=True)
        for n in range(1000):
            os.close(os.open(os.path.join(bucket(rig), f"t{d}", f"{n:0250}"), os.O_WRONLY | os.O_CREAT, 0o644))
    make_inputs(rig)
    m = limited(rig, ALL, cache_size="4G" if LONG else "1G")

    def walk():
        seen = 0
        for d in range(TOGETHER):
            with os.scandir(m.path(f"t{d}")) as entries:
                seen += sum(1 for e in entries if e.stat().st_size == 0)
        return seen

    with watch(m, ALL), contextlib.ExitStack() as files, concurrent.futures.ThreadPoolExecutor(1) as pool:
        fds = []
        for i in range(OPEN):
            fds.append(os.open(m.path(f"both{i}"), os.O_RDWR | os.O_CREAT, 0o644))
            files.callback(os.close, fds[-1])
            os.write(fds[-1], block(i, 0))
        walker = pool.submit(walk)
        read_and_write(m)
        equal(walker.result(), TOGETHER * 1000, "names")
        for i, fd in enumerate(fds):
            equal(os.pread(fd, 65536, 0), block(i, 0), f"both{i}")
    check_outputs(rig)


main()

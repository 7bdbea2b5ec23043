#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mem_limit= holds: what is judged is RssAnon of the daemon, seen all the time, and that no call fails. With
S3EFS_TEST_LONG=1 (tools/check --long) a million names, and streams of 1 GiB."""
import concurrent.futures
import contextlib
import os
import threading

from harness.case import check, equal, main, true

BACKENDS = "file"
LONG = os.environ.get("S3EFS_TEST_LONG") == "1"
TIMEOUT = 5400 if LONG else 1800
MIB = 1 << 20
LIMIT = 32  # MiB, the least that is taken; the long run has the default
DIRS = 1000 if LONG else 27
STREAMS = 64
READ = 1024 * MIB if LONG else 3 * MIB
WRITE = 64 * MIB if LONG else 2 * MIB
OPEN = 500
THREADS = 128
THREADS_MORE = 40  # of the daemon beside `threads`: fs/README.md lists them
if LONG:
    LIMIT = 512


def status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f)


class Watch:
    """The most that the daemon had of each, seen every few milliseconds."""

    def __init__(self, m):
        self.pid, self.rss, self.threads, self.fds = m.pid, 0, 0, 0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def look(self):
        s = status(self.pid)
        self.rss = max(self.rss, int(s["RssAnon"].split()[0]) * 1024)
        self.threads = max(self.threads, int(s["Threads"]))
        self.fds = max(self.fds, len(os.listdir(f"/proc/{self.pid}/fd")))

    def run(self):
        while not self.end.wait(0.01):
            self.look()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.end.set()
        self.thread.join()
        if error[0] is None:
            self.look()
            self.judge()

    def judge(self):
        print(f"      most: RssAnon {self.rss / MIB:.0f} MiB, {self.threads} threads, {self.fds} descriptors",
              flush=True)
        true(self.rss <= LIMIT * MIB, f"RssAnon was {self.rss / MIB:.1f} MiB with mem_limit={LIMIT}M")
        true(self.threads <= THREADS + THREADS_MORE, f"{self.threads} threads")


def bucket(rig):
    return rig.source.removeprefix("file://")


def limited(rig, **opts):
    return rig.mount(mem_limit=f"{LIMIT}M", threads=THREADS, **opts)


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
    with Watch(m):
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


@check("500 open files that are written to")
def open_files(rig):
    m = limited(rig)
    with Watch(m), contextlib.ExitStack() as files:
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


@check("64 writers and 64 readers of large files at once: none fails, all wait")
def streams(rig):
    for i in range(STREAMS):
        with open(os.path.join(bucket(rig), f"in{i}"), "wb") as f:
            f.truncate(READ)  # sparse, but for its last block
            f.seek(READ - 65536)
            f.write(block(i, 1))
    m = limited(rig, cache_size="1G")

    def write(i):
        fd = os.open(m.path(f"out{i}"), os.O_WRONLY | os.O_CREAT, 0o644)
        for n in range(WRITE // 65536):
            os.write(fd, block(i, n))
        os.close(fd)

    def read(i):
        with open(m.path(f"in{i}"), "rb", buffering=0) as f:
            size, data = 0, b""
            while True:
                more = f.read(MIB)
                if not more:
                    break
                size, data = size + len(more), more[-65536:]
        equal((size, data), (READ, block(i, 1)), f"in{i}")

    with Watch(m):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            writers = pool.submit(all_of, write, range(STREAMS))
            all_of(read, range(STREAMS))
            writers.result()
    for i in range(0, STREAMS, 8):
        path = os.path.join(bucket(rig), f"out{i}")
        equal(os.path.getsize(path), WRITE, f"out{i}")
        with open(path, "rb") as f:
            for n in range(WRITE // 65536):
                true(f.read(65536) == block(i, n), f"out{i} at {n}")


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who makes a name first, between mounts: 100 processes over four mounts make one name at once, and one
is told that it has (open(O_EXCL) to close, mkdir, symlink, link, rename NOREPLACE). And what each value of
excl= asks of the bucket, on a real mount and a real kernel. With S3EFS_TEST_LONG=1 (tools/check --long) each of
them has 100 rounds of 100 racers."""
import collections
import contextlib
import ctypes
import errno
import multiprocessing
import os
import subprocess
import threading
import time

from harness.case import check, equal, fails_with, main, read_file, true, write_file
from harness.procs import PATIENCE, wait_for

BACKENDS = "versitygw"
TIMEOUT = 3600
LONG = os.environ.get("S3EFS_TEST_LONG") == "1"
MOUNTS, RACERS = 4, 100
RENAME_NOREPLACE = 1
sources = set()  # of this process
_libc = ctypes.CDLL(None, use_errno=True)


def rename_noreplace(a, b):
    if _libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), RENAME_NOREPLACE) != 0:
        raise OSError(ctypes.get_errno(), b)


def create(d, name, me):
    fd = os.open(f"{d}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(fd, me)
    except OSError:
        os.close(fd)
        raise
    os.close(fd)


def mkdir(d, name, me):
    os.mkdir(f"{d}/{name}")


def symlink(d, name, me):
    os.symlink(me, f"{d}/{name}".encode())


def source(d, kind, me):
    """Made before the first round, and by a winner of a rename once more: losers have theirs still."""
    path = f"{d}/{kind}-{me.decode()}"
    if path not in sources:
        write_file(path, me)
        sources.add(path)
    return path


def link(d, name, me):
    os.link(source(d, "linked", me), f"{d}/{name}")


def rename(d, name, me):
    path = source(d, "renamed", me)
    rename_noreplace(path, f"{d}/{name}")
    sources.discard(path)


def racer(*args):
    with contextlib.suppress(threading.BrokenBarrierError):  # the check is over
        race(*args)


def race(n, d, make, name, rounds, go, done, results):
    for i in range(rounds):
        go.wait()
        try:
            make(d, f"{name}{i}", b"racer%d" % n)
            results[n] = 0
        except OSError as e:
            results[n] = e.errno
        except Exception:
            results[n] = -1
        done.wait()


class Watch(threading.Thread):
    """Is an object ever seen at the key without bytes?"""

    def __init__(self, rig, key):
        super().__init__(daemon=True)
        self.rig, self.key, self.ends, self.empty = rig, key, False, 0
        self.start()

    def run(self):
        while not self.ends:
            r = self.rig.s3.raw("HEAD", self.rig.bucket, self.key)
            if r.status == 200 and int(r.headers.get("content-length", "0")) == 0:
                self.empty += 1

    def stop(self):
        self.ends = True
        self.join()
        return self.empty


def judge(rig, make, name, results):
    counts = collections.Counter(results)
    equal(counts[0], 1, f"winners of {name} ({dict(counts)})")
    equal(set(counts), {0, errno.EEXIST}, f"what the racers for {name} were told")
    key = name + ("/" if make is mkdir else "")
    if make is not mkdir:
        equal(rig.s3.get(rig.bucket, key).body, b"racer%d" % list(results).index(0), f"what stands at {name}")


def compete(rig, make, rounds, watched=False, racers=RACERS, **opts):
    began = time.monotonic()
    if LONG:
        rounds, racers = 100, RACERS
    base = make.__name__ + "-" + opts.get("excl", "open") + "-"
    mounts = [rig.mount(**opts) for _ in range(MOUNTS)]
    rig.allow(r"event=commit\.failed .*File exists")  # what a loser wrote is kept, and told
    ctx = multiprocessing.get_context("fork")
    go, done = ctx.Barrier(racers + 1), ctx.Barrier(racers + 1)
    results = ctx.Array("i", racers, lock=False)
    children = [ctx.Process(target=racer, args=(n, mounts[n % MOUNTS].dir, make, base, rounds, go, done, results),
                            daemon=True) for n in range(racers)]
    for c in children:
        c.start()
    try:
        for i in range(rounds):
            name = f"{base}{i}"
            watch = Watch(rig, name) if watched else None
            go.wait(PATIENCE)
            done.wait(PATIENCE)
            equal(watch.stop() if watch else 0, 0, f"times that {name} was seen empty")
            judge(rig, make, name, results)
    finally:
        go.abort()
        done.abort()
        for c in children:
            c.join(PATIENCE)  # else the mount is busy
        for m in mounts:
            m.unmount()  # what RELEASE logs is in the logs
    print(f"# {base}: {rounds} rounds of {racers} racers in {time.monotonic() - began:.1f} s")


@check("open(O_EXCL): of 100 processes on four mounts one gets through close(), 100 rounds")
def racers_create(rig):
    compete(rig, create, 100, watched=True)


@check("open(O_EXCL) under excl=strict: the same")
def racers_strict(rig):
    compete(rig, create, 100, excl="strict")


@check("mkdir: one is told that it made it")
def racers_mkdir(rig):
    compete(rig, mkdir, 100)


@check("symlink: one is told that it made it")
def racers_symlink(rig):
    compete(rig, symlink, 100)


@check("link: one is told that it made it")
def racers_link(rig):
    compete(rig, link, 5, racers=40)


@check("rename NOREPLACE: one is told that it took the name")
def racers_rename(rig):
    compete(rig, rename, 10, racers=40)


def requests(rig, func):
    rig.proxy.reset()
    func()
    return {k: n for k, n in rig.proxy.counts().items() if n}


@check("excl=open: an existing name is EEXIST at open; one that O_TRUNC would make costs one LIST and its PUT, too")
def excl_open(rig):
    m = rig.mount(actimeo=600)  # what is looked at now and then is not looked at again here, however slow the machine is
    write_file(m.path("o0"), b"x")  # the mount has looked at what other mounts are doing
    got = requests(rig, lambda: write_file(m.path("o1"), b"x"))
    true(got in ({"LIST": 1, "PUT": 1}, {"HEAD": 1, "LIST": 1, "PUT": 1}), f"{got}")  # seen in time, or not
    rig.s3.put(rig.bucket, "o2", b"theirs")
    with fails_with(errno.EEXIST):
        os.open(m.path("o2"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)


@check("excl=open: a name that O_EXCL makes costs one LIST and its PUT")
def excl_open_new(rig):
    m = rig.mount(actimeo=600)
    create(m.dir, "before", b"x")
    seen = []
    for n in range(20):  # a creator whose call was not seen in time is answered as a reader is
        seen.append(requests(rig, lambda name=f"new{n}": create(m.dir, name, b"x")))
        if seen[-1] == {"LIST": 1, "PUT": 1}:
            break
        equal(seen[-1], {"HEAD": 1, "LIST": 1, "PUT": 1}, "requests")
    equal(seen[-1], {"LIST": 1, "PUT": 1}, f"requests of a new name; {seen}")
    rig.s3.put(rig.bucket, "o3", b"theirs")
    with fails_with(errno.EEXIST):
        create(m.dir, "o3", b"mine")


@check("excl=close: a creator's one request is its PUT, told by its system call; readers ask")
def excl_close(rig):
    m = rig.mount(excl="close", actimeo=600)
    os.stat(m.dir)
    equal(requests(rig, lambda: write_file(m.path("c1"), b"x")), {"PUT": 1}, "O_CREAT|O_TRUNC")
    equal(requests(rig, lambda: create(m.dir, "c2", b"x")), {"PUT": 1}, "O_CREAT|O_EXCL")
    equal(requests(rig, lambda: subprocess.run(["sh", "-c", 'echo x > "$0"', m.path("c3")], check=True)),
          {"PUT": 1}, "a shell")
    cwd = os.open(m.dir, os.O_RDONLY)
    equal(requests(rig, lambda: os.close(os.open("c4", os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=cwd))),
          {"PUT": 1}, "by a directory's descriptor")
    os.close(cwd)
    equal(requests(rig, lambda: os.path.exists(m.path("c5"))), {"HEAD": 1, "LIST": 1}, "a reader")
    rig.s3.put(rig.bucket, "there/first", b"x")
    got = requests(rig, lambda: write_file(m.path("there/c6"), b"x"))
    true(got.get("LIST", 0) >= 1 and got["PUT"] == 1, f"the directory on the way was not asked for: {got}")
    rig.s3.put(rig.bucket, "theirs", b"theirs")
    rig.allow(r"File exists")
    with fails_with(errno.EEXIST):
        create(m.dir, "theirs", b"mine")
    wait_for(lambda: "key=theirs" in m.log(), "the loser's bytes to be kept")
    equal(rig.s3.get(rig.bucket, "theirs").body, b"theirs")
    rig.s3.put(rig.bucket, "replaced", b"theirs")
    write_file(m.path("replaced"), b"mine")
    equal((rig.s3.get(rig.bucket, "replaced").body, read_file(m.path("replaced"))), (b"mine", b"mine"))


@check("excl=strict: the race is decided at open, and nothing of it stays in the bucket")
def excl_strict(rig):
    a, b = rig.mount(excl="strict"), rig.mount(excl="strict")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    fd = os.open(a.path("s1"), flags, 0o644)
    with fails_with(errno.EEXIST):
        os.open(b.path("s1"), flags, 0o644)
    os.write(fd, b"mine")
    os.close(fd)
    with fails_with(errno.EEXIST):
        os.open(b.path("s1"), flags, 0o644)
    equal(rig.s3.get(rig.bucket, "s1").body, b"mine")
    equal([k for k in rig.s3.list(rig.bucket) if k.startswith(".s3efs/reservations/")], [])


main()

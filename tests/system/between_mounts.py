#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two daemons write to one file: appends and ranges are merged, `tail -f` follows, what can't be merged is kept."""
import errno
import os
import re
import subprocess
import threading

from harness import mount, procs
from harness.case import check, contains, equal, fails_with, main, read_file, true, write_file

BACKENDS = "file versitygw"
TIMEOUT = 300
RECORDS = 40


def two(rig, **opts):
    return rig.mount(**opts), rig.mount(**opts)


def open_again(path):
    """An open may be ESTALE, when others replace the file while it looks: the caller may try again (open(2) of NFS)."""
    for _ in range(1000):
        try:
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as e:
            if e.errno != errno.ESTALE:
                raise
    raise AssertionError(f"{path}: ESTALE without end")


def append(path, text):
    fd = open_again(path)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


@check("appends of two mounts to one file all arrive, whole, once each")
def appends(rig):
    mounts = two(rig)
    failed = []

    def write(k):
        for n in range(RECORDS):
            try:
                append(mounts[k].path("log"), f"{k}.{n}\n")
            except Exception as e:
                failed.append(e)
                return

    threads = [threading.Thread(target=write, args=(k,)) for k in (0, 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    equal(failed, [])
    lines = read_file(mounts[0].path("log")).decode().split()
    equal(sorted(lines), sorted(f"{k}.{n}" for k in (0, 1) for n in range(RECORDS)))
    equal(read_file(mounts[1].path("log")).decode().split(), lines)


@check("who merged sees the merged file through the kernel's caches")
def merged_view(rig):
    a, b = two(rig)
    write_file(a.path("f"), "." * 10000)
    fa, fb = os.open(a.path("f"), os.O_RDWR), os.open(b.path("f"), os.O_RDWR)
    equal(os.pread(fa, 20000, 0), b"." * 10000)
    os.pwrite(fa, b"A" * 10, 5000)
    os.pwrite(fb, b"B" * 10, 100)
    os.pwrite(fb, b"B" * 10, 10000)
    os.close(fb)
    os.fsync(fa)
    want = b"." * 100 + b"B" * 10 + b"." * 4890 + b"A" * 10 + b"." * 4990 + b"B" * 10
    equal(os.fstat(fa).st_size, 10010)
    equal(os.pread(fa, 20000, 0), want)
    os.close(fa)
    equal(read_file(b.path("f")), want)


@check("T2: tail -f on one mount shows what another appends: every byte once, no zero ever")
def tail(rig):
    a, b = two(rig, acregmin=1, acregmax=1)
    append(a.path("tail"), "line 0\n")
    out = open(os.path.join(rig.dir, "tail.out"), "w+b")
    t = subprocess.Popen(["tail", "-c", "+1", "-s", "0.2", "-f", b.path("tail")], stdout=out)
    try:
        want = b"line 0\n"
        for n in range(1, 6):
            line = f"line {n} " + "x" * (700 * n) + "\n"
            append(a.path("tail"), line)
            want += line.encode()
            size = len(want)
            procs.wait_for(lambda: os.fstat(out.fileno()).st_size >= size, f"line {n}")
            read_file(b.path("tail"))  # another reader takes nothing from it
        out.seek(0)
        equal(out.read(), want)
    finally:
        t.kill()
        t.wait()
        out.close()


@check("an open log is sent after flush_after without a close")
def open_log(rig):
    a, b = two(rig, flush_after=1)
    write_file(a.path("log"), "old\n")
    fd = os.open(a.path("log"), os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"new\n")
    procs.wait_for(lambda: read_file(b.path("log")) == b"old\nnew\n", "the line on the other mount")
    os.close(fd)


@check("what can't be merged is ESTALE at close, kept in lost+found, and named by status")
def lost(rig):
    rig.allow(r"event=(commit|front)\.failed")
    a, b = two(rig)
    write_file(a.path("f"), "base base")
    fd = os.open(a.path("f"), os.O_RDWR)
    os.pwrite(fd, b"MINE", 0)
    os.unlink(b.path("f"))
    write_file(b.path("f"), "another one")
    with fails_with(errno.ESTALE):
        os.close(fd)
    procs.wait_for(lambda: a.status()["cache"]["lost_found"] == 1, "the kept file")  # by RELEASE, for which close does not wait
    equal(read_file(a.path("f")), b"another one")
    kept = a.status()["lost_and_found"]
    equal([k["key"].split("/")[-1] for k in kept], ["f"])
    contains(kept[0]["cause"], "another file")
    equal(kept[0]["bytes"], 9)
    with open(kept[0]["file"], "rb") as f:
        equal(f.read(), b"MINE base")
    text = mount.cli("status", a.dir).stdout
    true(re.search(r"lost_and_found\.1\.key +\S*f\n", text), text)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bytes that reach the file another way than write(2) then close(2): mappings, synchronous opens, a
writer that is killed, and changes in the middle of large files."""
import hashlib
import mmap
import os
import random
import signal
import subprocess
import sys

from harness.case import Skip, check, equal, main, read_file, true, write_file
from harness.procs import wait_for

BACKENDS = "file versitygw ceph"
TIMEOUT = 240
MIB = 1 << 20


def elsewhere(rig, name):
    """What another mount with an empty cache reads."""
    return read_file(rig.mount().path(name))


def map_and_write(path, data, order):
    """In a process of its own, whose end closes nothing that it did not close itself."""
    script = (
        "import mmap, os, sys\n"
        "fd = os.open(sys.argv[1], os.O_RDWR)\n"
        "m = mmap.mmap(fd, 0)\n"  # it keeps a duplicate of the descriptor until it is closed
        "data = sys.argv[2].encode()\n"
        "m[:len(data)] = data\n" + order)
    subprocess.run([sys.executable, "-c", script, path, data], check=True)


@check("mmap, write, munmap, close: the bytes are in the bucket when close() returns")
def map_then_close(rig):
    m = rig.one()
    write_file(m.path("map"), b"x" * 10000)
    fd = os.open(m.path("map"), os.O_RDWR)
    view = mmap.mmap(fd, 0)
    view[4000:4006] = b"mapped"
    view.close()
    os.close(fd)
    equal(elsewhere(rig, "map")[3998:4008], b"xxmappedxx")


@check("msync() is fsync(): the bytes are in the bucket when it returns")
def map_msync(rig):
    m = rig.one()
    write_file(m.path("msync"), b"x" * 10000)
    fd = os.open(m.path("msync"), os.O_RDWR)
    view = mmap.mmap(fd, 0)
    view[9990:9996] = b"synced"
    view.flush()
    equal(elsewhere(rig, "msync")[9988:], b"xxsyncedxxxx")
    view.close()
    os.close(fd)


@check("mmap, close, write, munmap: the bytes reach the bucket")
def map_close_first(rig):
    m = rig.one()
    write_file(m.path("late"), b"x" * 10000)
    map_and_write(m.path("late"), "late bytes", "os.close(fd)\nm[100:104] = b'then'\nm.close()\n")
    # close() sends what stands there by then; what comes after it comes with the mapping's end, which nobody waits for
    want = b"late bytes" + b"x" * 90 + b"then" + b"x" * 9896
    wait_for(lambda: elsewhere(rig, "late") == want, "the mapping's bytes in the bucket")


@check("a mapping that is left to the end of its process reaches the bucket")
def map_exit(rig):
    m = rig.one()
    write_file(m.path("exit"), b"x" * 10000)
    map_and_write(m.path("exit"), "left mapped", "os._exit(0)\n")
    wait_for(lambda: elsewhere(rig, "exit")[:11] == b"left mapped", "the mapping's bytes in the bucket")


@check("a write through O_SYNC or O_DSYNC is in the bucket when it returns")
def synchronous(rig):
    m = rig.one()
    for name, flag in (("sync", os.O_SYNC), ("dsync", os.O_DSYNC)):
        fd = os.open(m.path(name), os.O_WRONLY | os.O_CREAT | flag, 0o644)
        for i in range(2):
            equal(os.write(fd, b"durable %d\n" % i), 10, "written")
            equal(elsewhere(rig, name), b"".join(b"durable %d\n" % n for n in range(i + 1)), name)
        os.close(fd)


@check("O_DIRECT with O_SYNC, and O_APPEND with O_SYNC")
def direct(rig):
    m = rig.one()
    page = mmap.mmap(-1, 4096)
    page.write(b"d" * 4096)
    fd = os.open(m.path("direct"), os.O_WRONLY | os.O_CREAT | os.O_DIRECT | os.O_SYNC, 0o644)
    equal(os.write(fd, page), 4096, "written")
    equal(elsewhere(rig, "direct"), b"d" * 4096)
    os.close(fd)
    fd = os.open(m.path("direct"), os.O_WRONLY | os.O_APPEND | os.O_SYNC)
    equal(os.write(fd, b"tail"), 4, "written")
    equal(elsewhere(rig, "direct"), b"d" * 4096 + b"tail")
    os.close(fd)


@check("a killed writer's bytes reach the bucket")
def killed(rig):
    m = rig.one()
    script = ("import os, sys, time\n"
              "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644)\n"
              "os.write(fd, b'written before the kill')\n"
              "print('ready', flush=True)\n"
              "time.sleep(600)\n")
    p = subprocess.Popen([sys.executable, "-c", script, m.path("killed")], stdout=subprocess.PIPE)
    equal(p.stdout.readline(), b"ready\n")
    p.send_signal(signal.SIGKILL)
    p.wait()
    p.stdout.close()
    wait_for(lambda: os.path.exists(rig.mount().path("killed")), "the file in the bucket")
    equal(elsewhere(rig, "killed"), b"written before the kill")


@check("truncate by path of a large file that is not in the cache, shorter and longer")
def truncate_large(rig):
    data = random.Random(3).randbytes(20 * MIB)
    write_file(rig.one().path("large"), data)
    m = rig.mount()
    os.truncate(m.path("large"), 9 * MIB + 17)
    equal(hashlib.sha256(elsewhere(rig, "large")).digest(), hashlib.sha256(data[:9 * MIB + 17]).digest())
    m = rig.mount()
    os.truncate(m.path("large"), 18 * MIB)
    want = data[:9 * MIB + 17] + bytes(9 * MIB - 17)
    equal(hashlib.sha256(elsewhere(rig, "large")).digest(), hashlib.sha256(want).digest())


@check("ranges in the middle of a multipart object are rewritten, from a cold cache")
def rewrite_large(rig):
    data = bytearray(random.Random(4).randbytes(40 * MIB + 5))
    write_file(rig.one().path("parts"), bytes(data))
    for off, size in ((7 * MIB + 3, 100), (30 * MIB - 50, 6 * MIB), (40 * MIB, 5), (0, 1)):
        m = rig.mount()
        patch = random.Random(off).randbytes(size)
        fd = os.open(m.path("parts"), os.O_RDWR)
        equal(os.pwrite(fd, patch, off), size, "written")
        os.close(fd)
        data[off:off + size] = patch
        equal(hashlib.sha256(elsewhere(rig, "parts")).digest(), hashlib.sha256(bytes(data)).digest(),
              f"{size} bytes at {off}")


@check("what close() refused is not what the next open() reads")
def refused(rig):
    if not rig.proxy:
        raise Skip("needs a proxy that refuses")
    m = rig.one()
    rig.allow("AccessDenied|EACCES|ermission|denied")
    write_file(m.path("kept"), "abc")
    equal(read_file(m.path("kept")), b"abc")
    rig.proxy.rule(op="PUT", key="kept", action="status", status=403, code="AccessDenied", count=0)
    for flags, text in ((os.O_WRONLY, b"XYZ"), (os.O_WRONLY, b"longer than before"), (os.O_WRONLY | os.O_TRUNC, b"n")):
        fd = os.open(m.path("kept"), flags)
        os.write(fd, text)
        try:
            os.close(fd)
            true(False, "close() said nothing")
        except PermissionError:
            pass
        wait_for(lambda: read_file(m.path("kept")) == b"abc", "the old bytes")
    rig.proxy.clear()


main()

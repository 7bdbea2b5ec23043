#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""commit=local in an outage: closes return until unsent files take their share of mem_limit=, then they wait; none fails,
and all is sent when the bucket is back. With S3EFS_TEST_LONG=1 200,000 files under the default limit."""
import os
import signal
import sys

from harness import mount, procs
from harness.case import check, equal, main, read_file, true
from harness.watch import MIB, Watch

BACKENDS = "versitygw"
LONG = os.environ.get("S3EFS_TEST_LONG") == "1"
TIMEOUT = 5400 if LONG else 1800
LIMIT = 512 if LONG else 32
FILES = 200 * 1000 if LONG else 1600
DIRS = 200 if LONG else 2
WRITERS = 16
THREADS = 64


def name(i):
    return f"d{i % DIRS}/u{i}"


# A process of its own: a child that is forked meanwhile, for a command, would close its descriptors, and wait as well.
WRITE = """
import concurrent.futures, sys
root, files, dirs, writers = sys.argv[1], *map(int, sys.argv[2:])
def write(worker):
    for i in range(worker, files, writers):
        with open(f"{root}/d{i % dirs}/u{i}", "wb") as f:
            f.write(b"text %d" % i)
with concurrent.futures.ThreadPoolExecutor(writers) as pool:
    list(pool.map(write, range(writers)))
"""


@check("an outage and more closes than unsent files may be: they wait, and memory stays under mem_limit")
def room(rig):
    m = rig.mount(commit="local", mem_limit=f"{LIMIT}M", threads=THREADS)
    for d in range(DIRS):
        os.mkdir(m.path(f"d{d}"))
    rig.proxy.rule(op="PUT", key="/u[0-9]+$", action="status", status=503, code="SlowDown", count=0)
    with Watch(m, LIMIT * MIB, THREADS):
        writer = procs.start([sys.executable, "-c", WRITE, m.dir, str(FILES), str(DIRS), str(WRITERS)])
        try:
            procs.wait_for(lambda: m.status()["closes_waiting"] > 0, "a close that waits", TIMEOUT / 2)
            unsent = m.status()["unsent"]["files"]
            print(f"      {unsent} unsent files when a close waited", flush=True)
            true(unsent < FILES, "every file was unsent at once")
            true(writer.poll() is None, "the writers ended")
        finally:
            rig.proxy.clear()
        equal(writer.wait(TIMEOUT / 2), 0, "the writers' exit code")
        m.drain()
    equal(m.status()["closes_waiting"], 0)
    for i in range(0, FILES, FILES // 100):
        equal(rig.s3.get(rig.bucket, name(i)).body, f"text {i}".encode(), name(i))


# Says which closes have returned, and ends with the mount.
CLOSE = """
import concurrent.futures, os, sys
root, files, dirs, writers = sys.argv[1], *map(int, sys.argv[2:])
def write(worker):
    for i in range(worker, files, writers):
        name = f"d{i % dirs}/u{i}"
        try:
            fd = os.open(f"{root}/{name}", os.O_WRONLY | os.O_CREAT, 0o644)
            os.write(fd, b"text %d" % i)
            os.close(fd)
        except OSError:
            return
        os.write(1, f"{i}\\n".encode())
with concurrent.futures.ThreadPoolExecutor(writers) as pool:
    list(pool.map(write, range(writers)))
"""


@check("SIGTERM in that outage: closes that wait return, and what they closed is there for the next mount")
def ended(rig):
    rig.fresh()
    m = rig.mount(commit="local", mem_limit=f"{LIMIT}M", threads=THREADS, drain_timeout=TIMEOUT)
    for d in range(DIRS):
        os.mkdir(m.path(f"d{d}"))
    rig.proxy.rule(op="PUT", key="/u[0-9]+$", action="status", status=503, code="SlowDown", count=0)
    said = rig.path("closed")
    writer = procs.start([sys.executable, "-c", CLOSE, m.dir, str(FILES), str(DIRS), str(WRITERS)], said)
    procs.wait_for(lambda: m.status()["closes_waiting"] > 0, "a close that waits", TIMEOUT / 2)
    closed = len(read_file(said).split())
    waiting = m.status()["closes_waiting"]
    m.proc.send_signal(signal.SIGTERM)
    procs.wait_for(lambda: len(read_file(said).split()) >= closed + waiting, "the closes that waited", TIMEOUT / 2)
    m.kill()  # in the middle of its last drain
    mount.force_unmount(m.dir)
    writer.wait(TIMEOUT / 2)
    returned = [int(i) for i in read_file(said).split()]
    rig.proxy.clear()
    m.remount()
    m.drain()
    for i in returned[-4 * WRITERS:]:
        equal(rig.s3.get(rig.bucket, name(i)).body, f"text {i}".encode(), name(i))
    equal(m.status()["unsent"]["files"], 0, "unsent files")


main()

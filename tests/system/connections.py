#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many connections a mount has, counted where the server is: each request of 64 parallel reads is held there."""
import concurrent.futures
import contextlib
import os
import subprocess

from harness import procs
from harness.case import check, equal, main, read_file, true
from harness.watch import MIB, Watch

BACKENDS = "versitygw"
READERS = 64
LIMIT = 8
CALLS = 500
DESCRIPTORS = 256
ESTABLISHED = "01"


def connections(port):
    """Established ones whose end here is the port that the server listens at."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return sum(int(row[1].split(":")[1], 16) == port and row[3] == ESTABLISHED for row in rows)


@check("64 reads at once make no more connections than max_concurrent_requests, and all of them are answered")
def reads(rig):
    data = {f"f{i:02}": bytes([i]) * 1000 for i in range(READERS)}
    for key, body in data.items():
        rig.s3.put(rig.bucket, key, body)
    m = rig.mount(max_concurrent_requests=LIMIT)
    rig.proxy.rule(op="GET", key="^f", count=0, action="hold")
    with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
        reads_ = {key: pool.submit(read_file, m.path(key)) for key in data}
        try:
            rig.proxy.wait_held(LIMIT)
            most = 0
            while not all(r.done() for r in reads_.values()):
                true(rig.proxy.held() <= LIMIT, "requests under way")
                most = max(most, connections(rig.proxy.port))
                rig.proxy.release()
        finally:
            rig.proxy.clear()
            rig.proxy.release()
        for key, r in reads_.items():
            equal(r.result(), data[key], key)
    true(LIMIT <= most <= LIMIT + 1, f"{most} connections")  # one may be about to be replaced
    procs.wait_for(lambda: connections(rig.proxy.port) <= LIMIT, "the rest of the connections to be closed")


@check("one key whose GETs hang does not stop the others at the least mem_limit")
def one_hangs(rig):
    large = bytes(range(256)) * (8 * 4096)  # 8 MiB, more than all fetches may have at once
    for key in ("hangs", "large"):
        rig.s3.put(rig.bucket, key, large)
    rig.s3.put(rig.bucket, "small", b"small")
    m = rig.mount(mem_limit="32M", threads=32)
    rig.proxy.rule(op="GET", key="^hangs$", count=0, action="hold")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        hangs = pool.submit(read_file, m.path("hangs"))
        try:
            rig.proxy.wait_held(1)
            others = subprocess.run(["cat", m.path("large"), m.path("small")], stdout=subprocess.PIPE, check=True,
                                    timeout=procs.PATIENCE)
            true(others.stdout == large + b"small", "bytes of the others")
            true(not hangs.done(), "who reads the key that hangs")
        finally:
            rig.proxy.clear()
            rig.proxy.release()
        true(hangs.result() == large, "bytes of the one that hung")


@check("500 reads at once take no more threads than threads= and 40, and all of them are answered")
def calls(rig):
    threads = 32
    for i in range(CALLS):
        rig.s3.put(rig.bucket, f"c{i}", b"%d" % i)
    m = rig.mount(threads=threads)
    rig.proxy.rule(op="GET", key="^c[0-9]", count=0, action="hold")
    with Watch(m, 512 * MIB, threads), concurrent.futures.ThreadPoolExecutor(CALLS) as pool:
        reads_ = [pool.submit(read_file, m.path(f"c{i}")) for i in range(CALLS)]
        try:
            rig.proxy.wait_held(threads)  # each thread has one, the other calls are the kernel's
        finally:
            rig.proxy.clear()
            rig.proxy.release()
        for i, r in enumerate(reads_):
            equal(r.result(), b"%d" % i, f"c{i}")


@check("256 descriptors and 500 open files that are written to: the mount says what that means, and none fails")
def descriptors(rig):
    m = rig.mount(mem_limit="512M")
    m.unmount()
    m.wrap = ["sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh"]
    m.remount()
    true("mount.descriptors" in m.log() and "LimitNOFILE" in m.log(), "a warning about the limit of open files")
    with Watch(m, 512 * MIB, 128) as seen, contextlib.ExitStack() as files:
        fds = []
        for i in range(CALLS):
            fds.append(os.open(m.path(f"w{i}"), os.O_RDWR | os.O_CREAT, 0o644))
            files.callback(os.close, fds[-1])
            os.write(fds[-1], b"%d" % i)
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            texts = list(pool.map(lambda fd: os.pread(fd, 100, 0), fds))
            equal(texts, [b"%d" % i for i in range(CALLS)])
            list(pool.map(os.fsync, fds))
    true(seen.fds <= DESCRIPTORS, "descriptors of the daemon")
    for i in range(0, CALLS, 50):
        equal(rig.s3.get(rig.bucket, f"w{i}").body, b"%d" % i, f"w{i} in the bucket")


main()
